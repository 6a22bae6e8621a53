"""From a density map to the dots that explain its count."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from corpuscle.core.errors import CorpuscleError

BAND = 2_000_000  # pixels looked at together; what is held besides the density is about forty times as many bytes
CHUNK = 65_536  # dots whose surroundings are gathered together


@dataclass(frozen=True, eq=False)
class Dots:
    """Where objects were found, the strongest first.

    Attributes:
        x_M, y_M: places; the centre of the top left pixel is (0, 0), x to the right.
        score_M: density in a small disc around, about 1 for an object that stands alone.
    """

    x_M: np.ndarray
    y_M: np.ndarray
    score_M: np.ndarray

    def __len__(self) -> int:
        return len(self.x_M)

    def in_image(self, stride: int, shrink: int = 1) -> Dots:
        """The same dots in pixels of the original image.

        Args:
            stride: pixels of the canvas to a pixel of the density.
            shrink: pixels of the original image to a pixel of the canvas.

        >>> Dots(np.array([0.0, 1.0]), np.array([0.0, 0.5]), np.ones(2)).in_image(stride=4, shrink=2).x_M.tolist()
        [3.5, 11.5]
        """
        step = stride * shrink
        return Dots((self.x_M + 0.5) * step - 0.5, (self.y_M + 0.5) * step - 0.5, self.score_M)


@dataclass(frozen=True, eq=False)
class _Tops:
    """Plateaus, most of a single pixel, that no pixel within the radius exceeds.

    Attributes:
        value_M: their height in the smoothed density.
        size_M: number of their pixels.
        x_M, y_M: their middles.
        shelf_M: whether some pixel of equal height beside them is near a higher one, so that they are no top.
    """

    value_M: np.ndarray
    size_M: np.ndarray
    x_M: np.ndarray
    y_M: np.ndarray
    shelf_M: np.ndarray

    def taken(self, chosen: np.ndarray) -> _Tops:
        return _Tops(*(value_M[chosen] for value_M in vars(self).values()))

    def strongest(self, num: int) -> _Tops:
        """No shelves, and at least as many as asked for: all that are no weaker than the weakest of these."""
        kept = self.taken(~self.shelf_M)
        if len(kept.value_M) <= num:
            return kept
        return kept.taken(kept.value_M >= np.partition(kept.value_M, -num)[-num])


def find_peaks(density_HW: np.ndarray, count: float, radius: int = 1, disc: float = 2.0) -> Dots:
    """The strongest local maxima of a density, as many as its rounded count, or all if there are fewer.

    The density is smoothed by 1 2 1 in both directions. A plateau gives one dot, in its middle; a single pixel is
    refined by the centroid of the density in its 3 x 3 pixels, less the least of them. Works band by band, so that a
    density of any size needs little memory besides its own.

    Args:
        density_HW: objects a pixel.
        count: how many objects there are; halves are rounded up.
        radius: a maximum is the greatest within so many pixels to each side.
        disc: radius of the disc whose density is a dot's score, in pixels.

    Returns:
        Dots in pixels of the density; see `Dots.in_image`.

    Raises:
        CorpuscleError: a density or a count that means nothing.

    >>> dots = find_peaks(np.array([[0, 0, 0, 0], [0, 0.75, 0.25, 0], [0, 0, 0, 0]]), count=1.2)
    >>> dots.x_M.tolist(), dots.y_M.tolist(), dots.score_M.tolist()
    ([1.25], [1.0], [1.0])
    """
    density_HW = np.asarray(density_HW)
    if density_HW.ndim != 2 or density_HW.size == 0:
        raise CorpuscleError(f"dots need a density (height, width), got {density_HW.shape}; pass that of one kind")
    if not np.isfinite(count):
        raise CorpuscleError(f"dots need a finite count, got {count}; the net diverged: lower the learning rate")
    num = max(0, int(np.floor(count + 0.5)))
    if num == 0:
        return Dots(np.empty(0), np.empty(0), np.empty(0))
    tops = _tops(density_HW, num, radius)
    order_M = np.lexsort((tops.x_M, tops.y_M, -tops.value_M))[:num]
    tops = tops.taken(order_M)
    x_M, y_M = _refined(density_HW, tops)
    return Dots(x_M, y_M, _mass(density_HW, x_M, y_M, disc))


def _tops(density_HW: np.ndarray, num: int, radius: int) -> _Tops:
    """The strongest tops; those on the rim of a band are joined with their rest in the next one."""
    inner, rims, edges, above_W, met = _joined([]), [], [], None, 0
    rows = max(1, BAND // density_HW.shape[1])
    for start in range(0, len(density_HW), rows):
        least = inner.value_M.min() if len(inner.value_M) >= num else np.float32(0)
        tops, label_HW = _band(density_HW, (start, min(len(density_HW), start + rows)), radius, least)
        on_rim_M = np.zeros(len(tops.value_M) + 1, dtype=bool)
        on_rim_M[label_HW[[0, -1]].ravel()] = True
        on_rim_M[0] = False
        inner = _joined([inner, tops.taken(~on_rim_M[1:])]).strongest(num)
        rims.append(tops.taken(on_rim_M[1:]))
        number_M = np.where(on_rim_M, met + np.cumsum(on_rim_M) - 1, -1)
        met += int(on_rim_M.sum())
        if above_W is not None:
            edges.append(_touching(above_W, number_M[label_HW[0]]))
        above_W = number_M[label_HW[-1]]
    rim = _merged(_joined(rims), np.concatenate([np.empty((0, 2), dtype=np.intp), *edges]))
    return _joined([inner, rim]).strongest(num)


def _band(density_HW: np.ndarray, rows: tuple[int, int], radius: int, least: np.float32) -> tuple[_Tops, np.ndarray]:
    """The tops of some rows that are not lower than the least, and which (from 1; 0 is none) holds each pixel."""
    import cv2

    first, last = max(0, rows[0] - radius - 2), min(len(density_HW), rows[1] + radius + 2)
    window = np.ones((2 * radius + 1, 2 * radius + 1), dtype=np.uint8)
    band_HW = np.ascontiguousarray(density_HW[first:last], dtype=np.float32)
    smooth_HW = cv2.GaussianBlur(band_HW, (3, 3), 0, borderType=cv2.BORDER_REPLICATE)
    high_HW = (smooth_HW == cv2.dilate(smooth_HW, window)) & (smooth_HW > 0) & (smooth_HW >= least)
    beside_HW = cv2.dilate(np.where(high_HW, np.float32(-1), smooth_HW), np.ones((3, 3), dtype=np.uint8))
    own = slice(rows[0] - first, rows[1] - first)
    num, label_HW, stats, middle_M2 = cv2.connectedComponentsWithStats(high_HW[own].astype(np.uint8))
    y_P, x_P = np.nonzero(high_HW[own])
    label_P, value_P = label_HW[y_P, x_P], smooth_HW[own][y_P, x_P]
    value_M, shelf_M = np.zeros(num, dtype=np.float32), np.zeros(num, dtype=bool)
    value_M[label_P] = value_P
    shelf_M[label_P[beside_HW[own][y_P, x_P] == value_P]] = True
    size_M = stats[:, cv2.CC_STAT_AREA].astype(np.int64)
    return _Tops(value_M[1:], size_M[1:], middle_M2[1:, 0], middle_M2[1:, 1] + rows[0], shelf_M[1:]), label_HW


def _touching(above_W: np.ndarray, below_W: np.ndarray) -> np.ndarray:
    """Pairs (P, 2) of tops that hold neighbouring pixels of two rows; -1 is none."""
    width = len(above_W)
    pairs = [
        np.stack([above_W[max(0, -by) : width - max(0, by)], below_W[max(0, by) : width - max(0, -by)]], axis=1)
        for by in (-1, 0, 1)
    ]
    pair_P2 = np.concatenate(pairs)
    return np.unique(pair_P2[(pair_P2 >= 0).all(axis=1)], axis=0)


def _merged(tops: _Tops, edge_P2: np.ndarray) -> _Tops:
    """One top of all parts that are joined by an edge."""
    num = len(tops.value_M)
    if len(edge_P2) == 0:
        return tops
    graph = sparse.csr_array((np.ones(len(edge_P2)), (edge_P2[:, 0], edge_P2[:, 1])), shape=(num, num))
    whole_M = csgraph.connected_components(graph, directed=False)[1]
    size_L = np.bincount(whole_M, tops.size_M)
    value_L, shelf_L = np.zeros(len(size_L), dtype=np.float32), np.bincount(whole_M, tops.shelf_M) > 0
    value_L[whole_M] = tops.value_M
    x_L, y_L = (np.bincount(whole_M, tops.size_M * at_M) / size_L for at_M in (tops.x_M, tops.y_M))
    return _Tops(value_L, size_L.astype(np.int64), x_L, y_L, shelf_L)


def _joined(parts: list[_Tops]) -> _Tops:
    kinds = (np.float32, np.int64, np.float64, np.float64, bool)
    columns = zip(*(vars(part).values() for part in parts), strict=True) if parts else ([] for _ in kinds)
    return _Tops(*(np.concatenate([np.empty(0, kind), *column]) for kind, column in zip(kinds, columns, strict=True)))


def _refined(density_HW: np.ndarray, tops: _Tops) -> tuple[np.ndarray, np.ndarray]:
    """x and y of each top, moved to the centroid of the 3 x 3 pixels where it is a single one; borders mirror."""
    dy_D, dx_D = (one.ravel() for one in np.mgrid[-1:2, -1:2])
    height, width = density_HW.shape
    x_M, y_M = tops.x_M.copy(), tops.y_M.copy()
    single_M = np.flatnonzero(tops.size_M == 1)
    for rows in np.array_split(single_M, len(single_M) // CHUNK + 1):
        row_MD = _mirrored(y_M[rows].astype(np.intp)[:, None] + dy_D, height)
        column_MD = _mirrored(x_M[rows].astype(np.intp)[:, None] + dx_D, width)
        weight_MD = density_HW[row_MD, column_MD].astype(np.float64)
        weight_MD -= weight_MD.min(axis=1, keepdims=True)
        whole_M = np.maximum(weight_MD.sum(axis=1), np.finfo(np.float64).tiny)
        x_M[rows] += weight_MD @ dx_D / whole_M
        y_M[rows] += weight_MD @ dy_D / whole_M
    return x_M, y_M


def _mirrored(at: np.ndarray, size: int) -> np.ndarray:
    return np.clip(np.where(at >= size, 2 * size - 2 - at, np.abs(at)), 0, size - 1)


def _mass(density_HW: np.ndarray, x_M: np.ndarray, y_M: np.ndarray, disc: float) -> np.ndarray:
    """Density in a disc around the pixel that holds each dot."""
    reach = int(disc)
    dy_D, dx_D = (one.ravel() for one in np.mgrid[-reach : reach + 1, -reach : reach + 1])
    inside_D = dy_D**2 + dx_D**2 <= disc**2
    dy_D, dx_D = dy_D[inside_D], dx_D[inside_D]
    height, width = density_HW.shape
    mass_M = np.zeros(len(x_M))
    for rows in np.array_split(np.arange(len(x_M)), len(x_M) // CHUNK + 1):
        row_MD = np.floor(y_M[rows] + 0.5).astype(np.intp)[:, None] + dy_D
        column_MD = np.floor(x_M[rows] + 0.5).astype(np.intp)[:, None] + dx_D
        there_MD = (row_MD >= 0) & (row_MD < height) & (column_MD >= 0) & (column_MD < width)
        value_MD = density_HW[np.clip(row_MD, 0, height - 1), np.clip(column_MD, 0, width - 1)]
        mass_M[rows] = np.where(there_MD, value_MD, 0).sum(axis=1, dtype=np.float64)
    return mass_M
