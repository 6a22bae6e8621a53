"""Regions: what was drawn on a slide, where it shows tissue, and how much of each tile that is."""
