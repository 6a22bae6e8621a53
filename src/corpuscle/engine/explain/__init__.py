"""Where a classifier looks, whether that can be believed, and how near it comes to true masks."""
