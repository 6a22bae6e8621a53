"""Floor 1: what training makes small. Pure functions of an output and a target."""
