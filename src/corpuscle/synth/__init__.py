"""Drawn cells: single white blood cells with their masks, from shapes and stains alone."""
