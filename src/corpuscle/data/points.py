"""What is known of points: how near they lie to one another."""

from __future__ import annotations

import numpy as np
import polars as pl


def near_neighbours(points: pl.DataFrame) -> float | None:
    """Median over the points of the distance to the nearest other one of the same image, in pixels of the image.

    None where no image holds two. One object in two is nearer than this to another: what tells them apart, and how
    far off a dot may lie and still mean its object, are to be measured by it.
    """
    from scipy.spatial import cKDTree

    nearest = []
    for part in points.partition_by("image"):
        if len(part) > 1:
            xy_M2 = part.select("x", "y").to_numpy()
            nearest.append(cKDTree(xy_M2).query(xy_M2, k=2)[0][:, 1])
    return float(np.median(np.concatenate(nearest))) if nearest else None
