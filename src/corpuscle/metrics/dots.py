"""Which found dots are true ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph
from scipy.spatial import cKDTree

from corpuscle.core.errors import CorpuscleError

BATCH = 1000  # found dots matched at once: the time of the optimal assignment grows with their square
MOST = 4000  # dots in one clump that are matched optimally within a second


@dataclass(frozen=True, eq=False)
class Matched:
    """Found and true dots of one image, paired one to one.

    Attributes:
        found, true: how many dots there are of each.
        pair_P2: number of the found and of the true dot of each pair, in the order of the found ones.
    """

    found: int
    true: int
    pair_P2: np.ndarray

    @property
    def tp(self) -> int:
        """Found dots that are true."""
        return len(self.pair_P2)


@dataclass(frozen=True, eq=False)
class DotCounts:
    """How many dots of N images and K kinds were found, are true, and are both.

    Attributes:
        distance: how far a found dot may lie from the true one, in pixels of the original image.
        tp_NK, found_NK, true_NK: numbers of dots.
    """

    distance: float
    tp_NK: np.ndarray
    found_NK: np.ndarray
    true_NK: np.ndarray


def match_dots(found_M2: np.ndarray, true_M2: np.ndarray, distance: float) -> Matched:
    """Pair found with true dots one to one: as many as possible, and of these pairings the nearest (in sum).

    Only dots that may be paired are compared, and clumps of them that touch no other are matched on their own (sparse
    Jonker-Volgenant, as in scipy). In a clump of more than 4,000 dots, which only a distance greater than that of
    neighbours makes, the number of pairs is still the greatest, but near ones are preferred one at a time.

    Args:
        found_M2: x and y of the found dots.
        true_M2: x and y of the true ones.
        distance: the farthest that two of a pair may lie apart, in the same unit.

    Raises:
        CorpuscleError: points or a distance that mean nothing.

    >>> match_dots(np.array([[0.0, 0.0], [9.0, 9.0]]), np.array([[1.0, 0.0], [2.0, 0.0]]), distance=2).pair_P2.tolist()
    [[0, 0]]
    """
    found_M2, true_M2 = _points(found_M2, "found"), _points(true_M2, "true")
    if not (np.isfinite(distance) and distance > 0):
        raise CorpuscleError(f"the distance of a match must be above 0, got {distance}; pass it in pixels")
    nothing = np.empty((0, 2), dtype=np.intp)
    if len(found_M2) == 0 or len(true_M2) == 0:
        return Matched(len(found_M2), len(true_M2), nothing)
    near = cKDTree(found_M2).sparse_distance_matrix(cKDTree(true_M2), distance, output_type="ndarray")
    edges = (near["i"], near["j"], near["v"] / distance)
    pairs = [_assigned(*batch) for batch in _batches(*edges, len(found_M2), len(true_M2))]
    pair_P2 = np.concatenate([nothing, *pairs])
    return Matched(len(found_M2), len(true_M2), pair_P2[np.argsort(pair_P2[:, 0])])


def match_images(
    found: Sequence[Sequence[np.ndarray]], true: Sequence[Sequence[np.ndarray]], distance: float
) -> DotCounts:
    """Match the dots of many images, kind by kind: a dot of the wrong kind is wrong.

    Args:
        found: for each image, for each kind, x and y of the found dots (M, 2).
        true: the same of the true ones.
        distance: the farthest that two of a pair may lie apart.

    Raises:
        CorpuscleError: not the same images and kinds, or points that mean nothing.
    """
    shapes = [[len(kinds) for kinds in images] for images in (found, true)]
    if shapes[0] != shapes[1] or len(set(shapes[0])) != 1:
        came = f"{len(found)} and {len(true)} images"
        raise CorpuscleError(f"found and true dots need the same images and kinds, got {came}; pass one array a kind")
    matched = [
        [match_dots(*both, distance) for both in zip(*kinds, strict=True)] for kinds in zip(found, true, strict=True)
    ]
    counted_NK3 = np.array([[(one.tp, one.found, one.true) for one in kinds] for kinds in matched], dtype=np.intp)
    return DotCounts(float(distance), *np.moveaxis(counted_NK3, 2, 0))


def _points(point_M2: np.ndarray, word: str) -> np.ndarray:
    point_M2 = np.asarray(point_M2, dtype=np.float64)
    if point_M2.size == 0:
        return np.empty((0, 2))
    if point_M2.ndim != 2 or point_M2.shape[1] != 2:
        raise CorpuscleError(f"{word} dots need an x and a y each, got {point_M2.shape}; pass an array (dots, 2)")
    wrong_M = ~np.isfinite(point_M2).all(axis=1)
    if wrong_M.any():
        first = f"{wrong_M.sum()} of {len(wrong_M)} (first: dot {wrong_M.argmax()})"
        raise CorpuscleError(f"{word} dots must lie somewhere, got {first} at no number; leave them out")
    return point_M2


def _batches(
    found_E: np.ndarray, true_E: np.ndarray, cost_E: np.ndarray, num_found: int, num_true: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The possible pairs, whole clumps together, so many clumps at once that there are about BATCH found dots."""
    num = num_found + num_true
    graph = sparse.csr_array((np.ones(len(found_E)), (found_E, num_found + true_E)), shape=(num, num))
    clump_M = csgraph.connected_components(graph, directed=False)[1][:num_found]
    size_L = np.bincount(clump_M, minlength=num)
    batch_E = ((np.cumsum(size_L) - size_L) // BATCH)[clump_M[found_E]]
    order_E = np.argsort(batch_E, kind="stable")
    ends = np.flatnonzero(np.diff(batch_E[order_E])) + 1
    for rows in np.split(order_E, ends):
        if len(rows):
            yield found_E[rows], true_E[rows], cost_E[rows]


def _assigned(found_E: np.ndarray, true_E: np.ndarray, cost_E: np.ndarray) -> np.ndarray:
    """The best pairs. To stay alone costs each found dot more than any rearrangement of the others can save."""
    row_R, row_E = np.unique(found_E, return_inverse=True)
    column_C, column_E = np.unique(true_E, return_inverse=True)
    shape = (len(row_R), len(column_C))
    if max(shape) > MOST:
        mate_R = _augmented(*_greedy(row_E, column_E, cost_E, shape), row_E, column_E)
        return np.stack([row_R[mate_R >= 0], column_C[mate_R[mate_R >= 0]]], axis=1)
    each_R = np.arange(shape[0])
    costs = np.concatenate([1 + cost_E, np.full(shape[0], shape[0] + 3.0)])
    places = (np.concatenate([row_E, each_R]), np.concatenate([column_E, shape[1] + each_R]))
    graph = sparse.csr_array((costs, places), shape=(shape[0], shape[0] + shape[1]))
    at_R, chosen_R = csgraph.min_weight_full_bipartite_matching(graph)
    paired_R = chosen_R < shape[1]
    return np.stack([row_R[at_R[paired_R]], column_C[chosen_R[paired_R]]], axis=1)


def _greedy(
    row_E: np.ndarray, column_E: np.ndarray, cost_E: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The mate of each row and of each column, -1 for none, when pairs are formed from the nearest on."""
    mate_R, mate_C = [-1] * shape[0], [-1] * shape[1]
    order_E = np.argsort(cost_E, kind="stable")
    for row, column in zip(row_E[order_E].tolist(), column_E[order_E].tolist(), strict=True):
        if mate_R[row] < 0 and mate_C[column] < 0:
            mate_R[row], mate_C[column] = column, row
    return np.array(mate_R), np.array(mate_C)


def _augmented(mate_R: np.ndarray, mate_C: np.ndarray, row_E: np.ndarray, column_E: np.ndarray) -> np.ndarray:
    """The mate of each row once no path can add a pair (Berge 1957); paths are sought from all free rows at once."""
    column_E = column_E[np.argsort(row_E, kind="stable")]
    degree_R = np.bincount(row_E, minlength=len(mate_R))
    start_R = np.cumsum(degree_R) - degree_R
    while True:
        parent_C, root_R, end_R = np.full(len(mate_C), -1), np.full(len(mate_R), -1), np.full(len(mate_R), -1)
        front = np.flatnonzero(mate_R < 0)
        root_R[front] = front
        while len(front):
            front = front[end_R[root_R[front]] < 0]
            degree = degree_R[front]
            within = np.arange(degree.sum()) - np.repeat(np.cumsum(degree) - degree, degree)
            row, column = np.repeat(front, degree), column_E[np.repeat(start_R[front], degree) + within]
            new = parent_C[column] < 0
            parent_C[column[new]] = row[new]
            column = np.unique(column[new])
            root, free = root_R[parent_C[column]], mate_C[column] < 0
            end_R[root[free]] = column[free]
            front = mate_C[column[~free]]
            root_R[front] = root[~free]
        column = end_R[end_R >= 0]
        if len(column) == 0:
            return mate_R
        while len(column):
            row = parent_C[column]
            before = mate_R[row]
            mate_R[row], mate_C[column] = column, row
            column = before[before >= 0]
