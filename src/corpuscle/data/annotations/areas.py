"""From outlines to the pixels inside of them and back, exactly: outlines go along the edges of pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from corpuscle.data.annotations.record import Ring


def filled(rings: Sequence[Ring], size_HW: tuple[int, int]) -> tuple[tuple[slice, slice], np.ndarray]:
    """Which pixels have their middle inside of a polygon.

    Args:
        rings: its outline and its holes, in any order: a middle within an odd number of them is inside.
        size_HW: of the image; what lies beyond its border is left out.

    Returns:
        The rows and columns that hold it, and mask_HW of those, bool.
    """
    start_E2 = np.concatenate([np.array(ring, np.float64) for ring in rings])
    end_E2 = np.concatenate([np.roll(np.array(ring, np.float64), -1, axis=0) for ring in rings])
    low_2, high_2 = (np.clip(np.ceil(end(start_E2, axis=0) - 0.5), 0, size_HW[::-1]) for end in (np.min, np.max))
    (left, top), (right, bottom) = low_2.astype(int).tolist(), high_2.astype(int).tolist()
    y_E2 = np.stack([start_E2[:, 1], end_E2[:, 1]])
    first_E, last_E = np.clip(np.ceil(np.sort(y_E2, axis=0) - 0.5), top, bottom).astype(np.int64)
    rows_E = last_E - first_E
    edge_C = np.repeat(np.arange(len(rows_E)), rows_E)  # each crossing of an edge and the middles of a row
    row_C = np.arange(len(edge_C)) - np.repeat(np.cumsum(rows_E) - rows_E, rows_E) + first_E[edge_C]
    (x_C, y_C), (dx_C, dy_C) = start_E2[edge_C].T, (end_E2 - start_E2)[edge_C].T
    cut_C = x_C + (row_C + 0.5 - y_C) * dx_C / dy_C
    column_C = np.clip(np.ceil(cut_C - 0.5), left, right).astype(np.int64)
    turns_HW = np.zeros((bottom - top, right - left + 1), np.int32)
    np.add.at(turns_HW, (row_C - top, column_C - left), 1)
    inside_HW: np.ndarray = np.cumsum(turns_HW[:, :-1], axis=1) % 2 == 1
    return (slice(top, bottom), slice(left, right)), inside_HW


def outlines(mask_HW: np.ndarray) -> Iterator[tuple[Ring, tuple[Ring, ...]]]:
    """The outline and the holes of each island of a mask, islands joined over corners; `filled` gives the mask back.

    Args:
        mask_HW: bool.
    """
    import cv2

    doubled_HW = mask_HW.astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    found, tree = cv2.findContours(doubled_HW, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    rings = [_along_edges(contour[:, 0]) for contour in found]
    for place, ring in enumerate(rings):
        if tree[0, place, 3] < 0:  # has no outline around it, so is one
            yield ring, tuple(rings[hole] for hole in np.flatnonzero(tree[0, :, 3] == place))


def _along_edges(point_P2: np.ndarray) -> Ring:
    """Corners between pixels, of a contour through the middles of quarter pixels."""
    corner_P2 = (point_P2 + 1) // 2
    corner_P2 = corner_P2[(corner_P2 != np.roll(corner_P2, 1, axis=0)).any(axis=1)]
    before_P2, after_P2 = corner_P2 - np.roll(corner_P2, 1, axis=0), np.roll(corner_P2, -1, axis=0) - corner_P2
    turns_P = before_P2[:, 0] * after_P2[:, 1] != before_P2[:, 1] * after_P2[:, 0]
    return tuple((float(x), float(y)) for x, y in corner_P2[turns_P])
