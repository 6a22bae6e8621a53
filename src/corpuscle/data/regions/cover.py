"""How much of each tile of a slide an area covers; the slide itself is never held."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from corpuscle.data.regions.region import Region

CELLS = 64  # along the side of a tile: the raster on which polygons are drawn
HALVES = 2  # that a cell counts; one on the border of an area counts a single one
FARTHEST = 2**30  # a corner, in these; OpenCV counts in 32 bits
FRACTION = 8  # bits of a cell behind the point, in which OpenCV takes corners


@dataclass(frozen=True)
class Grid:
    """The tiles of a slide: each row with each column. All in pixels of level 0.

    Attributes:
        top_R, left_C: corners, in order.
        side: of a tile.
        size_HW: of the slide.
    """

    top_R: np.ndarray
    left_C: np.ndarray
    side: int
    size_HW: tuple[int, int]


def grid_of(size_HW: tuple[int, int], side: int, stride: int) -> Grid:
    """Tiles from the top left corner on, until the slide is covered; the last ones may reach over its border.

    >>> grid_of((500, 300), 256, 256).top_R.tolist(), grid_of((500, 300), 256, 128).left_C.tolist()
    ([0, 256], [0, 128])
    """
    ends = (max(length - side, 0) + stride for length in size_HW)
    top_R, left_C = (np.arange(0, end, stride) for end in ends)
    return Grid(top_R, left_C, side, size_HW)


def covered_by(regions: Sequence[Region], grid: Grid) -> np.ndarray:
    """Share of each tile that lies in any of some regions, share_RC; to within two hundredths.

    Polygons are drawn on one row of tiles after the other, in squares of a 64th of the tile's side.
    """
    import cv2

    cell = grid.side / CELLS
    width = math.ceil(grid.size_HW[1] / cell)
    share_RC = np.zeros((len(grid.top_R), len(grid.left_C)), np.float32)
    spans = [(region.point_P2[:, 1].min(), region.point_P2[:, 1].max()) for region in regions]
    for row, top in enumerate(grid.top_R):
        near = [k for k, (low, high) in enumerate(spans) if high > top and low < top + grid.side]
        if not near:
            continue
        inside_HW = np.zeros((CELLS, width), np.uint8)
        for region in (regions[k] for k in near):
            own_HW = np.zeros_like(inside_HW)
            for value, ring_P2 in [(HALVES, region.point_P2), *((0, hole_P2) for hole_P2 in region.holes)]:
                corners = [_in_cells(ring_P2, top, cell)]
                cv2.fillPoly(own_HW, corners, value, cv2.LINE_8, FRACTION)
                cv2.polylines(own_HW, corners, True, 1, 1, cv2.LINE_8, FRACTION)
            np.minimum(inside_HW + own_HW, HALVES, out=inside_HW)  # two that touch share the cells of their border
        inside_HW[max(0, math.ceil((grid.size_HW[0] - top) / cell)) :] = 0
        column_W = inside_HW.sum(axis=0, dtype=np.int64)
        share_RC[row] = _sums(column_W[None], grid.left_C / cell, CELLS)[0] / (HALVES * CELLS**2)
    return share_RC


def covered(mask_HW: np.ndarray, downsample: float, grid: Grid) -> np.ndarray:
    """Share of each tile in which a raster of the whole slide is true, share_RC; beyond its border nothing is.

    Args:
        mask_HW: bool, or a share of each place.
        downsample: pixels of level 0 along one of the raster's.
        grid: the tiles.
    """
    length = grid.side / downsample
    sum_RW = _sums(mask_HW.T, grid.top_R / downsample, length).T
    return (_sums(sum_RW, grid.left_C / downsample, length) / length**2).astype(np.float32)


def _in_cells(point_P2: np.ndarray, top: int, cell: float) -> np.ndarray:
    """Corners as whole fractions of a cell, whose centre is its place."""
    place_P2 = (point_P2 - (0, top)) / cell - 0.5
    return np.rint(np.clip(place_P2 * 2**FRACTION, -FARTHEST, FARTHEST)).astype(np.int32)


def _sums(value_NL: np.ndarray, start_K: np.ndarray, length: float) -> np.ndarray:
    """Sum of each row from each start on over some length, sum_NK; the ends may fall within a value."""
    total_NL = np.zeros((value_NL.shape[0], value_NL.shape[1] + 1), np.float64)
    np.cumsum(value_NL, axis=1, out=total_NL[:, 1:])

    def until(end_K: np.ndarray) -> np.ndarray:
        end_K = np.clip(end_K, 0, value_NL.shape[1])
        whole_K = np.minimum(end_K.astype(np.int64), value_NL.shape[1] - 1)
        part_K = end_K - whole_K
        sum_NK: np.ndarray = total_NL[:, whole_K] * (1 - part_K) + total_NL[:, whole_K + 1] * part_K
        return sum_NK

    return until(start_K + length) - until(start_K)
