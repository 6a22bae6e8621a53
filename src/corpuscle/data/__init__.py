"""Floor 1: from a path to a batch: sources, readers, splits, cache, transforms, loader."""
