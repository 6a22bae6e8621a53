"""Floor 0: the words everything else shares. Nothing here imports torch."""
