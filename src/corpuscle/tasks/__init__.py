"""Floor 2: what a task says, and nothing else in the code asks which task it is."""
