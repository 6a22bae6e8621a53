"""Floor 3: the work itself: training, evaluation and use, all through one run folder."""
