"""Floor 1: from an image to numbers. `zoo` builds a net, `weights` fills it, `card` saves and loads it."""
