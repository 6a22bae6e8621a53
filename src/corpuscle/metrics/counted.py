"""What was counted and what is true, checked once at the door."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from corpuscle.core.errors import CorpuscleError
from corpuscle.metrics.dots import DotCounts


@dataclass(frozen=True, eq=False)
class Counted:
    """What was counted in N images, for each of K kinds, and what is true.

    Attributes:
        predicted_NK: predicted counts; fractions are as good as whole numbers.
        true_NK: true counts.
        low_NK, high_NK: ends of the interval of each count, NaN where it is not available; None where there are none.
        dots: how many dots were found and matched; None where nothing is known of where the objects lie.
    """

    predicted_NK: np.ndarray
    true_NK: np.ndarray
    low_NK: np.ndarray | None = None
    high_NK: np.ndarray | None = None
    dots: DotCounts | None = None


def with_total(counted: Counted) -> Counted:
    """A column for the total before those of the kinds; one kind is its own total."""
    if counted.true_NK.shape[1] == 1:
        return counted

    def added(value_NK: np.ndarray) -> np.ndarray:
        return np.hstack([value_NK.sum(axis=1, keepdims=True), value_NK])

    def unknown(value_NK: np.ndarray | None) -> np.ndarray | None:
        return None if value_NK is None else np.hstack([np.full((len(value_NK), 1), np.nan), value_NK])

    dots = counted.dots
    if dots is not None:
        dots = DotCounts(dots.distance, added(dots.tp_NK), added(dots.found_NK), added(dots.true_NK))
    ends = (unknown(counted.low_NK), unknown(counted.high_NK))
    return Counted(added(counted.predicted_NK), added(counted.true_NK), *ends, dots)


def checked_counts(counted: Counted, num_kinds: int) -> Counted:
    """Take what can be scored, in float64, and refuse the rest.

    Raises:
        CorpuscleError: what is wrong, and with which image.
    """
    predicted_NK, true_NK = (np.asarray(one, dtype=np.float64) for one in (counted.predicted_NK, counted.true_NK))
    if true_NK.ndim != 2 or predicted_NK.shape != true_NK.shape:
        came = f"{predicted_NK.shape} and {true_NK.shape}"
        raise CorpuscleError(f"scores need predicted and true counts (images, kinds), got {came}; pass a row an image")
    if true_NK.size == 0:
        raise CorpuscleError(f"scores need images and kinds, got {true_NK.shape}; check that the part has images")
    if true_NK.shape[1] != num_kinds:
        expected = f"{num_kinds} kinds need as many columns of counts"
        raise CorpuscleError(f"{expected}, got {true_NK.shape[1]}; name the kinds in the order of the columns")
    wrong_NK = ~np.isfinite(predicted_NK)
    _refuse(wrong_NK, predicted_NK, "predicted counts must be finite", "the net diverged: lower the learning rate")
    with np.errstate(invalid="ignore"):
        wrong_NK = ~np.isfinite(true_NK) | (true_NK < 0) | (true_NK % 1 != 0)
    remedy = "leave out images without a known count"
    _refuse(wrong_NK, true_NK, "true counts must be whole numbers of at least 0", remedy)
    taken = replace(counted, predicted_NK=predicted_NK, true_NK=true_NK)
    return _with_checked_dots(_with_checked_ends(taken))


def _with_checked_ends(counted: Counted) -> Counted:
    if counted.low_NK is None and counted.high_NK is None:
        return counted
    if counted.low_NK is None or counted.high_NK is None:
        raise CorpuscleError("intervals need both ends, got one; pass low_NK and high_NK, or neither")
    low_NK, high_NK = (np.asarray(one, dtype=np.float64) for one in (counted.low_NK, counted.high_NK))
    if low_NK.shape != counted.true_NK.shape or high_NK.shape != counted.true_NK.shape:
        came = f"{low_NK.shape} and {high_NK.shape} for {counted.true_NK.shape}"
        raise CorpuscleError(f"intervals need an end of each count, got {came}; pass NaN where there is none")
    wrong_NK = ~((low_NK <= high_NK) | (np.isnan(low_NK) & np.isnan(high_NK)))
    ends = np.stack([low_NK, high_NK], axis=-1)
    _refuse(wrong_NK, ends, "low ends must not be above high ends", "pass them in this order, NaN for both where none")
    return replace(counted, low_NK=low_NK, high_NK=high_NK)


def _with_checked_dots(counted: Counted) -> Counted:
    dots = counted.dots
    if dots is None:
        return counted
    tp_NK, found_NK, true_NK = (np.asarray(one, dtype=np.float64) for one in (dots.tp_NK, dots.found_NK, dots.true_NK))
    shapes = [one.shape for one in (tp_NK, found_NK, true_NK)]
    if set(shapes) != {counted.true_NK.shape}:
        came = f"{shapes} for {counted.true_NK.shape}"
        raise CorpuscleError(f"dots need a number for each image and kind, got {came}; pass those of match_images")
    wrong_NK = ~((tp_NK >= 0) & (tp_NK <= np.minimum(found_NK, true_NK)))
    numbers = np.stack([tp_NK, found_NK, true_NK], axis=-1)
    _refuse(wrong_NK, numbers, "matched dots must not be more than found or true ones", "pass those of match_images")
    return replace(counted, dots=DotCounts(dots.distance, tp_NK, found_NK, true_NK))


def _refuse(wrong_NK: np.ndarray, values: np.ndarray, expected: str, remedy: str) -> None:
    if wrong_NK.any():
        row, kind = np.argwhere(wrong_NK)[0].tolist()
        first = f"first: image {row}, kind {kind}, {np.round(values[row, kind], 4).tolist()}"
        raise CorpuscleError(f"{expected}, got {wrong_NK.sum()} of {wrong_NK.size} that are not ({first}); {remedy}")
