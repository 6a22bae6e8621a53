"""Where a mask that was said and the true one agree, counted once for one image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.legend import IGNORED

NUMBERS = 256  # that a pixel of a mask can hold


@dataclass(frozen=True, eq=False)
class Overlap:
    """What all scores of masks are computed from, for one image and K classes.

    Attributes:
        pixels_KK: pixels; rows are true classes, columns said ones.
        edge_true_K, edge_said_K: boundary pixels of each class in the true and in the said mask.
        edge_true_found_K: true ones with a said one of the same class within the tolerance.
        edge_said_right_K: said ones with a true one of the same class within the tolerance.
    """

    pixels_KK: np.ndarray
    edge_true_K: np.ndarray
    edge_said_K: np.ndarray
    edge_true_found_K: np.ndarray
    edge_said_right_K: np.ndarray


def overlap_of(true_HW: np.ndarray, said_HW: np.ndarray, num_classes: int, tolerance: float = 2.0) -> Overlap:
    """Compare two masks of class numbers; pixels whose truth is `IGNORED` are left out on both sides.

    A boundary pixel of a class is one that shares a side with a pixel of another class. The frame of the image and
    the rim of ignored pixels are no boundary, since nothing is known of the far side. Which boundary pixels are met by
    the other mask's is counted as in Csurka et al. 2013, "What is a good evaluation measure for semantic
    segmentation?", without their thinning.

    Args:
        true_HW, said_HW: uint8 class numbers 0 … K-1, in the true mask `IGNORED` as well.
        num_classes: number of classes K, background included.
        tolerance: how far apart two boundary pixels may lie to count as the same, in pixels, centre to centre.

    Raises:
        CorpuscleError: masks of other sizes, types or class numbers, or a tolerance below 0.

    >>> true_HW = np.array([[0, 1], [0, 1]], dtype=np.uint8)
    >>> overlap_of(true_HW, np.ones_like(true_HW), num_classes=2).pixels_KK.tolist()
    [[0, 2], [0, 2]]
    """
    true_HW, said_HW = np.asarray(true_HW), np.asarray(said_HW)
    pixels_KK = _pixels(true_HW, said_HW, num_classes)
    if not 0 <= tolerance < np.inf:
        raise CorpuscleError(f"the tolerance must be at least 0 pixels, got {tolerance}; 2 is usual")
    ignored_HW = true_HW == IGNORED
    if ignored_HW.any():
        said_HW = np.where(ignored_HW, np.uint8(IGNORED), said_HW)
    reach = int(tolerance)
    true_hw, said_hw = (_edges(mask_HW, reach) for mask_HW in (true_HW, said_HW))
    edge_true_K, edge_said_K = (
        np.bincount(edge_hw[edge_hw != IGNORED], minlength=num_classes) for edge_hw in (true_hw, said_hw)
    )
    return Overlap(
        pixels_KK=pixels_KK,
        edge_true_K=edge_true_K,
        edge_said_K=edge_said_K,
        edge_true_found_K=_met(true_hw, said_hw, num_classes, tolerance),
        edge_said_right_K=_met(said_hw, true_hw, num_classes, tolerance),
    )


def _pixels(true_HW: np.ndarray, said_HW: np.ndarray, num_classes: int) -> np.ndarray:
    if true_HW.ndim != 2 or true_HW.shape != said_HW.shape or true_HW.size == 0:
        came = f"{true_HW.shape} and {said_HW.shape}"
        raise CorpuscleError(f"masks of one image need one height and width, got {came}; bring both to one canvas")
    if true_HW.dtype != np.uint8 or said_HW.dtype != np.uint8:
        raise CorpuscleError(f"masks need uint8, got {true_HW.dtype} and {said_HW.dtype}; pass class numbers")
    if not 1 <= num_classes <= IGNORED:
        raise CorpuscleError(f"masks hold 1 to {IGNORED} classes, got {num_classes}; pass the length of the legend")
    cell_P = np.multiply(true_HW, NUMBERS, dtype=np.intp).ravel() + said_HW.ravel()
    table = np.bincount(cell_P, minlength=NUMBERS**2).reshape(NUMBERS, NUMBERS)
    pixels_KK = table[:num_classes, :num_classes].copy()
    left_out = table[IGNORED, :num_classes].sum()
    if pixels_KK.sum() + left_out < true_HW.size:
        known = np.r_[np.arange(num_classes), IGNORED]
        wrong = {
            "true": np.setdiff1d(np.unique(true_HW), known).tolist(),
            "said": np.setdiff1d(np.unique(said_HW), known[:-1]).tolist(),
        }
        came = " and ".join(f"{numbers} in the {word} mask" for word, numbers in wrong.items() if numbers)
        raise CorpuscleError(
            f"masks of {num_classes} classes hold 0 to {num_classes - 1}, got {came}; check the legend"
        )
    return pixels_KK


def _edges(mask_HW: np.ndarray, reach: int) -> np.ndarray:
    """The class where there is a boundary pixel of it, IGNORED elsewhere and in a margin `reach` wide."""
    height, width = mask_HW.shape
    edge_HW = np.zeros(mask_HW.shape, dtype=bool)
    pairs = ((np.s_[1:, :], np.s_[:-1, :]), (np.s_[:, 1:], np.s_[:, :-1]))
    known_HW = mask_HW != IGNORED
    for one, other in pairs:
        differs = (mask_HW[one] != mask_HW[other]) & known_HW[one] & known_HW[other]
        edge_HW[one] |= differs
        edge_HW[other] |= differs
    framed = np.full((height + 2 * reach, width + 2 * reach), IGNORED, dtype=np.uint8)
    np.copyto(framed[reach : reach + height, reach : reach + width], mask_HW, where=edge_HW)
    return framed


def _met(edge_hw: np.ndarray, other_hw: np.ndarray, num_classes: int, tolerance: float) -> np.ndarray:
    """For each class, how many boundary pixels have one of the other mask's within the tolerance.

    Boundaries are thin, so it is quicker to look around each of their pixels, from near to far and only until one is
    found, than to compute distances over the whole image for each class.
    """
    place_P = np.flatnonzero(edge_hw != IGNORED)
    class_P = edge_hw.ravel()[place_P]
    total_K = np.bincount(class_P, minlength=num_classes)
    other = other_hw.ravel()
    for step in _steps(tolerance, edge_hw.shape[1]):
        open_P = other[place_P + step] != class_P
        place_P, class_P = place_P[open_P], class_P[open_P]
    return total_K - np.bincount(class_P, minlength=num_classes)


def _steps(tolerance: float, width: int) -> list[int]:
    """How far away in memory the pixels within the tolerance lie, the nearest first."""
    side = np.arange(-int(tolerance), int(tolerance) + 1)
    square_SS = side[:, None] ** 2 + side**2
    step_SS = side[:, None] * width + side
    near = np.argsort(square_SS, axis=None, kind="stable")
    return step_SS.ravel()[near[square_SS.ravel()[near] <= tolerance**2]].tolist()
