"""Scores that are means over images, each with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from corpuscle.core.records import Score
from corpuscle.metrics.bootstrap import group_codes, resample, weighted_total
from corpuscle.metrics.classification import as_score


@dataclass(frozen=True)
class MeanMetric:
    """One number that is known of each image and told as its mean.

    Attributes:
        direction: whether more or less is better.
        bounds: least and greatest value.
    """

    direction: Literal["max", "min"]
    bounds: tuple[float, float]

    @property
    def difference(self) -> MeanMetric:
        """The mean of what two nets differ by."""
        least, greatest = self.bounds
        return MeanMetric(self.direction, (least - greatest, greatest - least))


REMADE = {"mae": MeanMetric("min", (0.0, np.inf)), "ssim": MeanMetric("max", (-1.0, 1.0))}
"""How well images were made again."""
CLUSTERED = {"distortion": MeanMetric("min", (0.0, np.inf))}
"""How far the squares of an image lie from their words."""
PAIRED = {"loss": MeanMetric("min", (0.0, np.inf)), "retrieval": MeanMetric("max", (0.0, 1.0))}
"""How well the other view of an image was found."""


def score_means(
    value_NC: np.ndarray,
    group_N: Sequence[object] | np.ndarray | None,
    metrics: Mapping[str, MeanMetric],
    *,
    seed: int = 0,
    resamples: int = 1000,
) -> dict[str, Score]:
    """The mean of each column with a 95 % interval from a bootstrap over groups.

    Args:
        value_NC: what is known of each image.
        group_N: patient or slide of each; None makes an image its own group.
        metrics: name and kind of each column, in order.
        seed: the same seed gives the same intervals.
        resamples: number of resamples.

    >>> score_means(np.array([[1.0], [3.0]]), None, {"error": MeanMetric("min", (0, np.inf))})["error"].value
    2.0
    """
    code_N = group_codes(group_N, len(value_NC))
    groups = int(code_N.max()) + 1
    ones_N1 = np.ones((len(value_NC), 1))

    def statistic(weight_GB: np.ndarray) -> np.ndarray:
        return weighted_total(value_NC, code_N, weight_GB) / weighted_total(ones_N1, code_N, weight_GB)

    drawn = resample(statistic, groups, seed=seed, resamples=resamples)
    return {
        name: as_score(
            drawn.value_S[row],
            drawn.interval(row, groups, metric.bounds),
            len(value_NC),
            groups,
            metric.direction,
        )
        for row, (name, metric) in enumerate(metrics.items())
    }


def as_part(scores: Mapping[str, Score]) -> dict[str, Any]:
    """A part of metrics.json."""
    first = next(iter(scores.values()))
    return {
        "n": first.n,
        "groups": first.groups,
        "scores": {name: score.as_dict() for name, score in scores.items()},
        "per_class": {},
    }
