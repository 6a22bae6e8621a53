"""Annotations: the shapes drawn on images, read from one format and written in another."""
