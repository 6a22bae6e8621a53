"""Floor 6: the command line, a thin file a verb. `--help` imports nothing heavy."""
