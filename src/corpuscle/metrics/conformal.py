"""An interval for each count, whose promise rests on nothing but held-out images like those to come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from corpuscle.core.errors import CorpuscleError
from corpuscle.metrics.bootstrap import group_codes

SAME = 1e-12  # sums of weights nearer than this are equal, added in another order


class Ends(NamedTuple):
    """The low and the high end of each interval; NaN where it is not available."""

    low: np.ndarray
    high: np.ndarray


def fit_quantile(
    true_N: np.ndarray,
    predicted_N: np.ndarray,
    group_N: Sequence[object] | np.ndarray | None = None,
    level: float = 0.9,
) -> float:
    """How many units √(predicted + 1) the interval of a count reaches to either side.

    Split conformal prediction (Vovk, Gammerman & Shafer 2005, "Algorithmic learning in a random world"; Lei et al.
    2018, "Distribution-free predictive inference for regression") on images the net was not fitted to: the quantile
    of |true - predicted| / √(predicted + 1), since counts vary more the greater they are. Images of one patient or
    slide resemble each other, so it is taken by group (Lee, Barber & Willett 2023, "Distribution-free inference with
    hierarchical data"): each of G groups weighs 1 / (G + 1), shared evenly among its images, and what is left lies at
    infinity. An image of a new group is then held with a probability of at least `level`, on average over images and
    draws. Where every image is its own group, this is split conformal prediction.

    Args:
        true_N: true counts of the held-out images.
        predicted_N: their predicted counts.
        group_N: patient or slide of each; None (for all, or for one) makes an image its own group.
        level: share of images whose interval is to hold the truth.

    Returns:
        The quantile; NaN where there are fewer than level / (1 - level) groups (9 for 0.9), since no finite interval
        could keep the promise.

    Raises:
        CorpuscleError: counts, groups or a level that mean nothing.

    >>> fit_quantile(np.arange(9.0), np.zeros(9)), fit_quantile(np.arange(8.0), np.zeros(8))
    (8.0, nan)
    """
    true_N, predicted_N = _numbers(true_N, "true"), _numbers(predicted_N, "predicted")
    if true_N.shape != predicted_N.shape or true_N.ndim != 1 or len(true_N) == 0:
        came = f"{true_N.shape} and {predicted_N.shape}"
        raise CorpuscleError(f"intervals need true and predicted counts (images,), got {came}; pass one each an image")
    if not 0 < level < 1:
        raise CorpuscleError(f"the level of an interval must be between 0 and 1, got {level}; 0.9 is usual")
    code_N = group_codes(group_N, len(true_N))
    size_G = np.bincount(code_N)
    score_N = np.abs(true_N - predicted_N) / _unit(predicted_N)
    order_N = np.argsort(score_N, kind="stable")
    reached_N = np.cumsum(1 / size_G[code_N[order_N]]) / (len(size_G) + 1)
    enough_N = reached_N >= level - SAME
    return float(score_N[order_N[enough_N.argmax()]]) if enough_N.any() else np.nan


def interval(predicted: np.ndarray, quantile: float | np.ndarray) -> Ends:
    """predicted ± quantile · √(predicted + 1), never below 0.

    Args:
        predicted: counts, of any shape; below 0 they vary as 0 does.
        quantile: of `fit_quantile`, one for all or one a kind (the last axis).

    Raises:
        CorpuscleError: counts that are no numbers.

    >>> [ends.tolist() for ends in interval(np.array([3.0, 8.0]), 2.0)]
    [[0.0, 2.0], [7.0, 14.0]]
    """
    predicted = _numbers(predicted, "predicted")
    reach = quantile * _unit(predicted)
    return Ends(np.maximum(predicted - reach, 0), np.maximum(predicted + reach, 0))


def _unit(predicted: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(predicted, 0) + 1)


def _numbers(count: np.ndarray, word: str) -> np.ndarray:
    count = np.asarray(count, dtype=np.float64)
    wrong = ~np.isfinite(count)
    if wrong.any():
        came = f"{wrong.sum()} of {wrong.size} that are not (first: {np.argwhere(wrong)[0].tolist()})"
        raise CorpuscleError(f"{word} counts must be finite, got {came}; leave out images without a count")
    return count
