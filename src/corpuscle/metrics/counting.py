"""The scores of counts, each with its interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from scipy import sparse

from corpuscle.core.records import Score
from corpuscle.metrics.bootstrap import Resamples, group_codes, resample, weighted_total
from corpuscle.metrics.classification import as_score
from corpuscle.metrics.counted import Counted, checked_counts, with_total
from corpuscle.metrics.counts import ratio
from corpuscle.metrics.dots import DotCounts

# The greatest count of each bin but the last, which has no end: 0, 1-5, 6-10, 11-20, 21-50, 51-200, more.
# Those of the LYSTO challenge (Jiao et al. 2024, "LYSTO: The Lymphocyte Assessment Hackathon and Benchmark Dataset").
LYSTO_BINS = (0, 5, 10, 20, 50, 200)
NUM_BINS = len(LYSTO_BINS) + 1
STEADY = 1e-12  # a variance that is a smaller share than this of what it is the difference of, is none


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums over images, each counted as often as its group in each of B weightings, for C columns of counts.

    Attributes:
        part: the images; a column is a kind, or the total over kinds.
        group_N: their groups 0 … G-1.
        weight_GB: how often each group counts.
    """

    part: Counted
    group_N: np.ndarray
    weight_GB: np.ndarray

    def total(self, value_NC: np.ndarray) -> np.ndarray:
        """Weighted sum (C, B) of a value over the images."""
        return weighted_total(value_NC, self.group_N, self.weight_GB)

    @cached_property
    def weight_B(self) -> np.ndarray:
        """Number of images."""
        return np.bincount(self.group_N, minlength=len(self.weight_GB)) @ self.weight_GB

    @cached_property
    def error_NC(self) -> np.ndarray:
        """Predicted less true."""
        return self.part.predicted_NK - self.part.true_NK

    @cached_property
    def squares_CB(self) -> np.ndarray:
        """Sum of squared errors."""
        return self.total(self.error_NC**2)

    @cached_property
    def true_spread_CB(self) -> np.ndarray:
        """Sum of squares of the true counts about their mean; exactly 0 where they are constant."""
        return self.spread(_centred(self.part.true_NK))

    def spread(self, value_NC: np.ndarray) -> np.ndarray:
        """Sum of squares (C, B) about the mean; exactly 0 where the values are constant."""
        raw_CB = self.total(value_NC**2)
        spread_CB = raw_CB - self.total(value_NC) ** 2 / self.weight_B
        return np.where(spread_CB > STEADY * raw_CB, spread_CB, 0.0)

    def bins(self, column: int) -> np.ndarray:
        """Images (7, 7, B) by the bin of their true and of their predicted count."""
        cell_N = bin_of(self.part.true_NK[:, column]) * NUM_BINS + bin_of(self.part.predicted_NK[:, column])
        shape = (NUM_BINS**2, len(self.weight_GB))
        table = sparse.csr_array((np.ones(len(cell_N)), (cell_N, self.group_N)), shape=shape) @ self.weight_GB
        return table.reshape(NUM_BINS, NUM_BINS, -1)


def bin_of(count_N: np.ndarray) -> np.ndarray:
    """The LYSTO bin 0 … 6 of each count, rounded to the nearest whole number, halves up; below 0 is bin 0.

    >>> bin_of(np.array([-1.0, 0.49, 0.5, 5, 5.5, 200, 201])).tolist()
    [0, 0, 1, 1, 2, 5, 6]
    """
    return np.searchsorted(LYSTO_BINS, np.floor(np.asarray(count_N) + 0.5), side="left")


def _centred(value_NC: np.ndarray) -> np.ndarray:
    """Values less their (upper) median, which is one of them, so that constants become exactly 0."""
    return value_NC - np.sort(value_NC, axis=0)[len(value_NC) // 2]


def _mae(sums: Sums) -> np.ndarray:
    return ratio(sums.total(np.abs(sums.error_NC)), sums.weight_B)


def _rmse(sums: Sums) -> np.ndarray:
    return np.sqrt(ratio(sums.squares_CB, sums.weight_B))


def _r(sums: Sums) -> np.ndarray:
    true_NC, predicted_NC = _centred(sums.part.true_NK), _centred(sums.part.predicted_NK)
    both_CB = sums.total(true_NC * predicted_NC) - sums.total(true_NC) * sums.total(predicted_NC) / sums.weight_B
    return np.clip(ratio(both_CB, np.sqrt(sums.true_spread_CB * sums.spread(predicted_NC))), -1, 1)


def _r2(sums: Sums) -> np.ndarray:
    return 1 - ratio(sums.squares_CB, sums.true_spread_CB)


def _bias(sums: Sums) -> np.ndarray:
    return ratio(sums.total(sums.error_NC), sums.weight_B)


def _kappa(sums: Sums) -> np.ndarray:
    apart_77 = np.subtract.outer(np.arange(NUM_BINS), np.arange(NUM_BINS)) ** 2.0
    kappa_CB = []
    for column in range(sums.part.true_NK.shape[1]):
        table_77B = sums.bins(column)
        seen_B = np.einsum("tp,tpb->b", apart_77, table_77B)
        chance_B = np.einsum("tp,tb,pb->b", apart_77, table_77B.sum(axis=1), table_77B.sum(axis=0), optimize=True)
        kappa_CB.append(1 - ratio(seen_B, ratio(chance_B, sums.weight_B)))
    return np.stack(kappa_CB)


def _coverage(sums: Sums) -> np.ndarray:
    low_NC, high_NC = _ends(sums.part)
    held_NC = (low_NC <= sums.part.true_NK) & (sums.part.true_NK <= high_NC)
    return ratio(sums.total(held_NC), sums.total(_has_ends(sums.part)))


def _width(sums: Sums) -> np.ndarray:
    low_NC, high_NC = _ends(sums.part)
    has_NC = _has_ends(sums.part)
    return ratio(sums.total(np.where(has_NC, high_NC - low_NC, 0)), sums.total(has_NC))


def _dot_precision(sums: Sums) -> np.ndarray:
    dots = _dots(sums.part)
    return ratio(sums.total(dots.tp_NK), sums.total(dots.found_NK))


def _dot_recall(sums: Sums) -> np.ndarray:
    dots = _dots(sums.part)
    return ratio(sums.total(dots.tp_NK), sums.total(dots.true_NK))


def _dot_f1(sums: Sums) -> np.ndarray:
    dots = _dots(sums.part)
    return ratio(2 * sums.total(dots.tp_NK), sums.total(dots.found_NK + dots.true_NK))


def _ends(part: Counted) -> tuple[np.ndarray, np.ndarray]:
    assert part.low_NK is not None and part.high_NK is not None
    return part.low_NK, part.high_NK


def _dots(part: Counted) -> DotCounts:
    assert part.dots is not None
    return part.dots


def _every_image(part: Counted) -> np.ndarray:
    return np.ones(part.true_NK.shape, dtype=bool)


def _has_ends(part: Counted) -> np.ndarray:
    return ~np.isnan(_ends(part)[0])


@dataclass(frozen=True)
class CountMetric:
    """One number that judges a counter.

    Attributes:
        title: its name for people.
        direction: whether more or less is better.
        bounds: least and greatest value.
        meaning: one line for the reader of a report.
        compute: from sums under B weightings to values_CB; NaN where it is not defined.
        needs: what it judges: the counts alone, their intervals, or dots.
        rests: which images (N, C) it rests on.
    """

    title: str
    direction: Literal["max", "min"]
    bounds: tuple[float, float]
    meaning: str
    compute: Callable[[Sums], np.ndarray]
    needs: Literal["counts", "ends", "dots"] = "counts"
    rests: Callable[[Counted], np.ndarray] = _every_image


SHARE, POSITIVE, SIGNED = (0.0, 1.0), (0.0, np.inf), (-1.0, 1.0)
COUNT_METRICS: dict[str, CountMetric] = {
    "mae": CountMetric("Mean absolute error", "min", POSITIVE, "objects off an image, in the mean", _mae),
    "rmse": CountMetric("Root mean square error", "min", POSITIVE, "the same, large errors weighing more", _rmse),
    "r": CountMetric("Pearson's r", "max", SIGNED, "how well predicted and true counts lie on one line", _r),
    "r2": CountMetric("R²", "max", (-np.inf, 1.0), "share of the variance of the true counts that is explained", _r2),
    "bias": CountMetric(
        "Bias", "min", (-np.inf, np.inf), "mean of predicted less true; the nearer to 0 the better", _bias
    ),
    "kappa": CountMetric(
        "Quadratic kappa", "max", SIGNED, "agreement beyond chance on the LYSTO bins, quadratic weights", _kappa
    ),
    "coverage": CountMetric(
        "Coverage", "max", SHARE, "share of images whose interval holds the truth", _coverage, "ends", _has_ends
    ),
    "width": CountMetric("Width", "min", POSITIVE, "mean width of the intervals", _width, "ends", _has_ends),
    "dot_precision": CountMetric(
        "Precision of dots",
        "max",
        SHARE,
        "share of the found dots that are true",
        _dot_precision,
        "dots",
        lambda part: _dots(part).found_NK > 0,
    ),
    "dot_recall": CountMetric(
        "Recall of dots",
        "max",
        SHARE,
        "share of the true dots that are found",
        _dot_recall,
        "dots",
        lambda part: _dots(part).true_NK > 0,
    ),
    "dot_f1": CountMetric(
        "F1 of dots",
        "max",
        SHARE,
        "harmonic mean of the two",
        _dot_f1,
        "dots",
        lambda part: _dots(part).found_NK + _dots(part).true_NK > 0,
    ),
}


@dataclass(frozen=True)
class KindScores:
    """How one kind is counted.

    Attributes:
        scores: by name, in the order of `COUNT_METRICS`.
        objects: how many there truly are.
    """

    scores: dict[str, Score]
    objects: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"scores": {name: one.as_dict() for name, one in self.scores.items()}, "objects": self.objects}


@dataclass(frozen=True)
class Counting:
    """All scores of a counter on one part of the data.

    Attributes:
        n, groups: number of images, and of groups that were resampled.
        scores: of the total over kinds, by name, in the order of `COUNT_METRICS`.
        per_class: by kind.
        distance: how far a found dot may lie from the true one; None where no dots are judged.
    """

    n: int
    groups: int
    scores: dict[str, Score]
    per_class: dict[str, KindScores]
    distance: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON: a part of metrics.json."""
        content: dict[str, Any] = {
            "n": self.n,
            "groups": self.groups,
            "scores": {name: one.as_dict() for name, one in self.scores.items()},
            "per_class": {name: one.as_dict() for name, one in self.per_class.items()},
        }
        return content if self.distance is None else content | {"distance": self.distance}


def score_counts(
    counted: Counted,
    group_N: Sequence[object] | np.ndarray | None = None,
    *,
    classes: Sequence[str],
    seed: int = 0,
    resamples: int = 1000,
) -> Counting:
    """Score a counter; every score carries a 95 % interval from a bootstrap over groups.

    The total over kinds is judged as one count. Intervals of kinds do not add up to one of the total, so its coverage
    and width are there only where there is one kind. r is not defined where either side is constant, R² where the
    truth is, and kappa where all counts, true and predicted, lie in one bin.

    Args:
        counted: predicted and true counts, with intervals and dots where there are any.
        group_N: patient or slide of each image; None (for all, or for one) makes an image its own group.
        classes: the K kinds, in the order of the columns.
        seed: the same seed gives the same intervals.
        resamples: number of resamples.

    Raises:
        CorpuscleError: counts, intervals, dots or groups that cannot be scored.

    >>> counted = Counted(np.array([[3.0], [7.0], [12.0]]), np.array([[2], [7], [15]]))
    >>> scored = score_counts(counted, classes=["cell"])
    >>> round(scored.scores["mae"].value, 3), scored.per_class["cell"].objects
    (1.333, 24)
    """
    counted = checked_counts(counted, len(classes))
    part, judged = with_total(counted), {"counts"}
    judged |= ({"ends"} if counted.low_NK is not None else set()) | ({"dots"} if counted.dots is not None else set())
    names = [name for name, metric in COUNT_METRICS.items() if metric.needs in judged]
    code_N = group_codes(group_N, len(part.true_NK))
    groups, columns = int(code_N.max()) + 1, part.true_NK.shape[1]

    def statistic(weight_GB: np.ndarray) -> np.ndarray:
        sums = Sums(part, code_N, weight_GB)
        return np.concatenate([COUNT_METRICS[name].compute(sums) for name in names])

    drawn = resample(statistic, groups, seed=seed, resamples=resamples)

    def scores_of(column: int) -> dict[str, Score]:
        return {
            name: _score(COUNT_METRICS[name], drawn, place * columns + column, part, code_N)
            for place, name in enumerate(names)
            if len(classes) == 1 or column > 0 or COUNT_METRICS[name].needs != "ends"
        }

    objects_K = counted.true_NK.sum(axis=0)
    return Counting(
        n=len(code_N),
        groups=groups,
        scores=scores_of(0),
        per_class={
            name: KindScores(scores_of(k + columns - len(classes)), int(objects_K[k])) for k, name in enumerate(classes)
        },
        distance=None if counted.dots is None else counted.dots.distance,
    )


def _score(metric: CountMetric, drawn: Resamples, row: int, part: Counted, code_N: np.ndarray) -> Score:
    rests_N = metric.rests(part)[:, row % part.true_NK.shape[1]]
    groups = len(np.unique(code_N[rests_N]))
    found = drawn.interval(row, groups, metric.bounds)
    return as_score(drawn.value_S[row], found, int(rests_N.sum()), groups, metric.direction)
