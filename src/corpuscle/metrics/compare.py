"""Whether one classifier is better than another on the same samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from corpuscle.core.errors import CorpuscleError, nearest
from corpuscle.core.records import Score
from corpuscle.metrics.bootstrap import group_codes, resample
from corpuscle.metrics.classification import METRICS, as_score, rests_on
from corpuscle.metrics.counts import Counts
from corpuscle.metrics.inputs import checked


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
    groups = int(code_N.max()) + 1

    def statistic(weight_GB: np.ndarray) -> np.ndarray:
        both = [metric.compute(Counts(one, code_N, weight_GB)) for one in (a, b)]
        return (both[0] - both[1])[None]

    drawn = resample(statistic, groups, seed=seed, resamples=resamples)
    trusted = rests_on(metric, Counts(a, code_N, np.ones((groups, 1))))
    found = drawn.interval(0, trusted, (-np.inf, np.inf))
    return as_score(drawn.value_S[0], found, len(a.target_N), groups, metric.direction)
