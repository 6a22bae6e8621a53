"""Whether one net is better than another on the same images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from corpuscle.core.errors import CorpuscleError, nearest
from corpuscle.core.records import Score
from corpuscle.metrics.bootstrap import group_codes, resample
from corpuscle.metrics.classification import METRICS, as_score, rests_on
from corpuscle.metrics.counted import Counted, checked_counts, with_total
from corpuscle.metrics.counting import COUNT_METRICS, Sums
from corpuscle.metrics.counts import Counts
from corpuscle.metrics.inputs import checked

OF_COUNTS = {name: metric for name, metric in COUNT_METRICS.items() if metric.needs == "counts"}


def paired_difference(
    name: str,
    probs_a_NK: np.ndarray,
    probs_b_NK: np.ndarray,
    target_N: np.ndarray,
    group_N: Sequence[object] | np.ndarray | None = None,
    seed: int = 0,
    resamples: int = 1000,
) -> Score:
    """The score of a less that of b, with a 95 % interval in which both meet the same resampled groups.

    Samples that are hard for both leave the difference alone, so the interval is narrower than two separate ones
    suggest; where it holds zero, these samples do not tell a from b.

    Raises:
        CorpuscleError: an unknown score, or probabilities of other samples or classes.
    """
    if name not in METRICS:
        raise CorpuscleError(f"'{name}' is not a score. {nearest(name, METRICS)}")
    metric, a, b = METRICS[name], checked(probs_a_NK, target_N), checked(probs_b_NK, target_N)
    if a.probs_NK.shape != b.probs_NK.shape:
        came = f"{a.probs_NK.shape[1]} and {b.probs_NK.shape[1]}"
        raise CorpuscleError(
            f"both need the same classes, got {came} of them; compare runs trained on the same classes"
        )
    code_N = group_codes(group_N, len(a.target_N))
    trusted = rests_on(metric, Counts(a, code_N, np.ones((int(code_N.max()) + 1, 1))))

    def scores(weight_GB: np.ndarray) -> list[np.ndarray]:
        return [metric.compute(Counts(part, code_N, weight_GB)) for part in (a, b)]

    return _difference(scores, code_N, trusted, metric.direction, seed, resamples)


def paired_count_difference(
    name: str,
    count_a_NK: np.ndarray,
    count_b_NK: np.ndarray,
    true_NK: np.ndarray,
    group_N: Sequence[object] | np.ndarray | None = None,
    seed: int = 0,
    resamples: int = 1000,
) -> Score:
    """The same of two counters, judged by the total over kinds.

    Raises:
        CorpuscleError: a score that is unknown or judges intervals or dots, or counts of other images or kinds.
    """
    if name not in OF_COUNTS:
        raise CorpuscleError(f"'{name}' is not a score of counts alone. {nearest(name, OF_COUNTS)}")
    metric = OF_COUNTS[name]
    kinds = true_NK.shape[1]
    parts = [with_total(checked_counts(Counted(count_NK, true_NK), kinds)) for count_NK in (count_a_NK, count_b_NK)]
    code_N = group_codes(group_N, len(true_NK))

    def scores(weight_GB: np.ndarray) -> list[np.ndarray]:
        return [metric.compute(Sums(part, code_N, weight_GB))[0] for part in parts]

    return _difference(scores, code_N, int(code_N.max()) + 1, metric.direction, seed, resamples)


def _difference(
    scores: Callable[[np.ndarray], Sequence[np.ndarray]],
    code_N: np.ndarray,
    trusted: int,
    direction: Literal["max", "min"],
    seed: int,
    resamples: int,
) -> Score:
    """The first of two scores_B less the second, from weight_GB; the interval rests on `trusted` groups."""
    groups = int(code_N.max()) + 1

    def statistic(weight_GB: np.ndarray) -> np.ndarray:
        a_B, b_B = scores(weight_GB)
        return (a_B - b_B)[None]

    drawn = resample(statistic, groups, seed=seed, resamples=resamples)
    found = drawn.interval(0, trusted, (-np.inf, np.inf))
    return as_score(drawn.value_S[0], found, len(code_N), groups, direction)
