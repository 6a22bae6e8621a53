"""Scores over several seeds, and how many labels a score needs: the arithmetic of a label budget.

The mean over seeds is unsure for two reasons: other test images would have given another number, and so would other
seeds (other weights, other labels drawn). The first is told by a bootstrap of the test groups on the mean over seeds
(`metrics.bootstrap`), the second by Student's interval of the seeds' own scores. The two half-widths are joined as
Zou & Donner (2008, "Construction of confidence limits about effect measures: a general approach") join those of a sum:
the root of the sum of their squares, each side for itself. What image and seed do together is in both, so the interval
is rather wide than narrow. A single seed says nothing of other seeds; its interval is that of the images alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from corpuscle.core.errors import CorpuscleError, nearest
from corpuscle.core.records import Score
from corpuscle.metrics.bootstrap import TAIL, group_codes, resample
from corpuscle.metrics.classification import METRICS, Metric, as_score, rests_on
from corpuscle.metrics.counts import Counts
from corpuscle.metrics.inputs import Scorable, checked

Groups = Sequence[object] | np.ndarray | None
ANY = (-math.inf, math.inf)


def mean_over_seeds(name: str, probs_SNK: np.ndarray, target_N: np.ndarray, group_N: Groups = None) -> Score:
    """A score as the mean over seeds, with an interval that holds other test images and other seeds.

    Args:
        name: of a score of `metrics.classification.METRICS`.
        probs_SNK: what each of S nets said of the same N images.
        target_N: true classes.
        group_N: patient or slide of each image.

    Raises:
        CorpuscleError: an unknown score, or what cannot be scored.
    """
    return _over_seeds(_metric(name), probs_SNK, None, target_N, group_N)


def paired_over_seeds(
    name: str, a_SNK: np.ndarray, b_SNK: np.ndarray, target_N: np.ndarray, group_N: Groups = None
) -> Score:
    """The mean over seeds of a's score less b's, where each seed of a meets the same seed of b and all the same images.

    Raises:
        CorpuscleError: an unknown score, or nets of other seeds, images or classes.
    """
    if np.shape(a_SNK) != np.shape(b_SNK):
        came = f"{np.shape(a_SNK)} and {np.shape(b_SNK)}"
        raise CorpuscleError(f"both need the same seeds, images and classes, got {came}; compare cells of one table")
    return _over_seeds(_metric(name), a_SNK, b_SNK, target_N, group_N)


def _metric(name: str) -> Metric:
    if name not in METRICS:
        raise CorpuscleError(f"'{name}' is not a score. {nearest(name, METRICS)}")
    return METRICS[name]


def _over_seeds(
    metric: Metric, a_SNK: np.ndarray, b_SNK: np.ndarray | None, target_N: np.ndarray, group_N: Groups
) -> Score:
    a_S = [checked(probs_NK, target_N) for probs_NK in a_SNK]
    b_S = [] if b_SNK is None else [checked(probs_NK, target_N) for probs_NK in b_SNK]
    code_N = group_codes(group_N, len(a_S[0].target_N))
    groups = int(code_N.max()) + 1
    trusted = rests_on(metric, Counts(a_S[0], code_N, np.ones((groups, 1))))

    def of_seeds(parts: Sequence[Scorable], weight_GB: np.ndarray) -> np.ndarray:
        return np.stack([metric.compute(Counts(part, code_N, weight_GB)) for part in parts])

    def score_SB(weight_GB: np.ndarray) -> np.ndarray:
        return of_seeds(a_S, weight_GB) - (of_seeds(b_S, weight_GB) if b_S else 0.0)

    least, greatest = metric.bounds
    bounds = (least - greatest, greatest - least) if b_S else metric.bounds
    drawn = resample(lambda weight_GB: score_SB(weight_GB).mean(axis=0, keepdims=True), groups, seed=0, resamples=1000)
    images = drawn.interval(0, trusted, ANY if b_S else bounds)
    score_S = score_SB(np.ones((groups, 1)))[:, 0]
    plain = as_score(float(score_S.mean()), images, len(code_N), groups, metric.direction)
    return with_seeds(plain, score_S, bounds)


def with_seeds(plain: Score, score_S: np.ndarray, bounds: tuple[float, float] = ANY) -> Score:
    """A mean over seeds whose interval knows of other images alone, widened for other seeds (Zou & Donner 2008).

    Args:
        plain: the mean, with the interval that other images give it.
        score_S: the score of each seed.
        bounds: least and greatest value.

    >>> told = with_seeds(Score(0.8, 0.77, 0.82, 400, 400, "max"), np.array([0.79, 0.80, 0.81]))
    >>> round(told.low, 3), round(told.high, 3)
    (0.761, 0.832)
    """
    if len(score_S) < 2:
        return plain
    reach = special.stdtrit(len(score_S) - 1, 1 - TAIL) * np.std(score_S, ddof=1) / math.sqrt(len(score_S))
    low = plain.value - math.hypot(plain.value - plain.low, reach)
    high = plain.value + math.hypot(plain.high - plain.value, reach)
    return replace(plain, low=max(low, bounds[0]), high=min(high, bounds[1]))


@dataclass(frozen=True)
class Needed:
    """How many labels a score needs, read off a curve.

    Attributes:
        labels: where the curve first reaches it; infinite where it does not, at any budget that was tried.
        low, high: where the upper and the lower end of the curve's intervals reach it.
        least: the smallest budget that was tried; where an entry equals it, fewer may do.
    """

    labels: float
    low: float
    high: float
    least: float


def labels_for(level: float, labels_P: Sequence[float], score_P: Sequence[Score]) -> Needed:
    """How many labels bring a curve to a level, straight between its points over the logarithm of the labels.

    The interval is where the level lies within those of the curve (its intervals turned on their side, as in inverse
    regression); nothing is extended beyond the budgets that were tried.

    Args:
        level: of the score, where more is better.
        labels_P: the budgets, in labels, rising.
        score_P: the score at each.

    >>> curve = [Score(v, v - 0.1, v + 0.1, 400, 400, "max") for v in (0.5, 0.7, 0.9)]
    >>> needed = labels_for(0.8, [10, 100, 1000], curve)
    >>> round(needed.low), round(needed.labels), round(needed.high)
    (100, 316, 1000)
    """
    ends = [[getattr(score, end) for score in score_P] for end in ("value", "high", "low")]
    value, low, high = (_first_reached(level, labels_P, end_P) for end_P in ends)
    return Needed(value, low, high, float(labels_P[0]))


def _first_reached(level: float, labels_P: Sequence[float], value_P: Sequence[float]) -> float:
    known = [(labels, value) for labels, value in zip(labels_P, value_P, strict=True) if math.isfinite(value)]
    for place, (labels, value) in enumerate(known):
        if value >= level - 1e-12:
            if place == 0:
                return float(labels)
            before, under = known[place - 1]
            share = min((level - under) / (value - under), 1.0)
            return float(before * (labels / before) ** share)
    return math.inf
