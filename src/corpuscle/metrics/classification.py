"""The scores of a classifier, each with its interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.records import Score
from corpuscle.metrics.bootstrap import Interval, Resamples, group_codes, resample
from corpuscle.metrics.calibration import Bin, reliability
from corpuscle.metrics.counts import Counts, ratio
from corpuscle.metrics.inputs import Scorable, checked


@dataclass(frozen=True)
class Metric:
    """One number that judges a classifier.

    Attributes:
        title: its name for people.
        direction: whether more or less is better.
        bounds: least and greatest value.
        meaning: one line for the reader of a report.
        compute: from counts under B weightings to values_B.
        by_class: whether each class counts alike, so that the smallest class decides how sure the number is.
        calibrated: whether it judges the probabilities after temperature scaling.
        noise: for a size that chance can only raise: at most how far it was moved in each weighting.
    """

    title: str
    direction: Literal["max", "min"]
    bounds: tuple[float, float]
    meaning: str
    compute: Callable[[Counts], np.ndarray]
    by_class: bool = False
    calibrated: bool = False
    noise: Callable[[Counts], np.ndarray] | None = None


def _macro(counts: Counts, value_KB: np.ndarray) -> np.ndarray:
    """Mean over the classes that the targets hold.

    NaN in a resample that lost one of them: the mean of the others answers another question.
    """
    return value_KB[counts.part.present_K].mean(axis=0)


def _accuracy(counts: Counts) -> np.ndarray:
    return ratio(counts.right_KB.sum(axis=0), counts.weight_B)


def _recall_macro(counts: Counts) -> np.ndarray:
    return _macro(counts, counts.recall_KB)


def _f1_macro(counts: Counts) -> np.ndarray:
    return _macro(counts, counts.f1_KB)


def _f1_weighted(counts: Counts) -> np.ndarray:
    return ratio(np.nansum(counts.f1_KB * counts.support_KB, axis=0), counts.weight_B)


def _auroc(counts: Counts) -> np.ndarray:
    return _macro(counts, counts.auroc_KB)


def _kappa(counts: Counts) -> np.ndarray:
    by_chance_B = ratio((counts.support_KB * counts.predicted_KB).sum(axis=0), counts.weight_B)
    return ratio(counts.right_KB.sum(axis=0) - by_chance_B, counts.weight_B - by_chance_B)


def _ece(counts: Counts) -> np.ndarray:
    return np.abs(counts.gap_MB).sum(axis=0)


def _ece_noise(counts: Counts) -> np.ndarray:
    return np.abs(counts.drift_MB).sum(axis=0)


def _nll(counts: Counts) -> np.ndarray:
    return ratio(counts.surprise_B, counts.weight_B)


SHARE = (0.0, 1.0)
BALANCED = Metric("Balanced accuracy", "max", SHARE, "mean recall of the classes", _recall_macro, by_class=True)
ECE = Metric("Calibration error", "min", SHARE, "mean gap of confidence and accuracy, 15 bins", _ece, noise=_ece_noise)

# A class that the targets do not hold is left out of the means over classes, as in scikit-learn's balanced accuracy.
METRICS: dict[str, Metric] = {
    "accuracy": Metric("Accuracy", "max", SHARE, "share of images named rightly", _accuracy),
    "balanced_accuracy": BALANCED,
    "f1_macro": Metric("F1, macro", "max", SHARE, "mean F1 of the classes", _f1_macro, by_class=True),
    "f1_weighted": Metric("F1, weighted", "max", SHARE, "mean F1 of the classes by their images", _f1_weighted),
    "recall_macro": replace(BALANCED, title="Recall, macro", meaning="the same number as balanced accuracy"),
    "auroc": Metric(
        "AUROC", "max", SHARE, "mean area under the curve, a class against the rest", _auroc, by_class=True
    ),
    "kappa": Metric(
        "Cohen's kappa", "max", (-1.0, 1.0), "agreement with the labels beyond chance", _kappa, by_class=True
    ),
    "ece": ECE,
    "ece_calibrated": replace(
        ECE, title="Calibration error, scaled", meaning="the same after temperature scaling", calibrated=True
    ),
    "nll": Metric("Log loss", "min", (0.0, np.inf), "mean surprise (-log p) at the true class", _nll),
}


@dataclass(frozen=True)
class ClassScores:
    """How one class is recognised; NaN where the class is never true or (precision) never predicted."""

    precision: Score
    recall: Score
    f1: Score
    auroc: Score
    support: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        scores = {name: getattr(self, name).as_dict() for name in ("precision", "recall", "f1", "auroc")}
        return scores | {"support": self.support}


@dataclass(frozen=True)
class Calibration:
    """The reliability diagram before temperature scaling and, where it was done, after."""

    before: tuple[Bin, ...]
    after: tuple[Bin, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"before": [asdict(one) for one in self.before], "after": [asdict(one) for one in self.after]}


@dataclass(frozen=True, eq=False)
class Classification:
    """All scores of a classifier on one part of the data.

    Attributes:
        n, groups: number of samples, and of groups that were resampled.
        scores: by name, in the order of `METRICS`.
        per_class: by class name.
        confusion_KK: counts; rows are true classes, columns predicted ones.
        calibration: what the confidences are worth.
    """

    n: int
    groups: int
    scores: dict[str, Score]
    per_class: dict[str, ClassScores]
    confusion_KK: np.ndarray
    calibration: Calibration

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON: a part of metrics.json."""
        return {
            "n": self.n,
            "groups": self.groups,
            "scores": {name: one.as_dict() for name, one in self.scores.items()},
            "per_class": {name: one.as_dict() for name, one in self.per_class.items()},
            "confusion": self.confusion_KK.tolist(),
            "calibration": self.calibration.as_dict(),
        }


def score(
    probs_NK: np.ndarray,
    target_N: np.ndarray,
    group_N: Sequence[object] | np.ndarray | None = None,
    *,
    classes: Sequence[str],
    calibrated_NK: np.ndarray | None = None,
    seed: int = 0,
    resamples: int = 1000,
) -> Classification:
    """Score a classifier; every score carries a 95 % interval from a bootstrap over groups.

    Args:
        probs_NK: probabilities, a row a sample.
        target_N: true class 0 … K-1.
        group_N: patient or slide of each sample; None (for all, or for one) makes a sample its own group.
        classes: the K names, in the order of the columns.
        calibrated_NK: probabilities after temperature scaling; without them there is no `ece_calibrated`.
        seed: the same seed gives the same intervals.
        resamples: number of resamples.

    Raises:
        CorpuscleError: probabilities, targets or groups that cannot be scored.

    >>> probs_NK = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3]])
    >>> scored = score(probs_NK, np.array([0, 1, 1, 0]), classes=["blast", "other"])
    >>> scored.scores["accuracy"].value, scored.confusion_KK.tolist()
    (0.75, [[2, 0], [1, 1]])
    """
    raw = checked(probs_NK, target_N)
    scaled = None if calibrated_NK is None else checked(calibrated_NK, target_N)
    for part in (raw, scaled or raw):
        if part.num_classes != len(classes):
            expected = f"{len(classes)} classes need as many columns of probabilities"
            raise CorpuscleError(f"{expected}, got {part.num_classes}; name the classes in the order of the columns")
    code_N = group_codes(group_N, len(raw.target_N))
    groups = int(code_N.max()) + 1
    names = [name for name, metric in METRICS.items() if scaled is not None or not metric.calibrated]

    def statistic(weight_GB: np.ndarray) -> np.ndarray:
        counts = Counts(raw, code_N, weight_GB)
        after = counts if scaled is None else Counts(scaled, code_N, weight_GB)
        judged = [(METRICS[name], after if METRICS[name].calibrated else counts) for name in names]
        overall = [metric.compute(seen) for metric, seen in judged]
        noise = [metric.noise(seen) for metric, seen in judged if metric.noise]
        return np.vstack([counts.precision_KB, counts.recall_KB, counts.f1_KB, counts.auroc_KB, *overall, *noise])

    drawn = resample(statistic, groups, seed=seed, resamples=resamples)
    counts = Counts(raw, code_N, np.ones((groups, 1)))
    return Classification(
        n=len(raw.target_N),
        groups=groups,
        scores=_overall(names, drawn, 4 * len(classes), counts),
        per_class=_per_class(classes, drawn, counts),
        confusion_KK=counts.confusion_KKB[..., 0].astype(int),
        calibration=Calibration(
            reliability(raw),
            () if scaled is None else reliability(scaled),
        ),
    )


def rests_on(metric: Metric, counts: Counts) -> int:
    """Number of groups that a score rests on: all, or as if each class had no more than the smallest.

    For balanced classes of separate groups both are the same; a rare class makes a mean over classes far less sure.
    """
    groups = len(counts.weight_GB)
    if not metric.by_class:
        return groups
    here_K = np.flatnonzero(counts.part.present_K)
    groups_K = [len(np.unique(counts.group_N[counts.part.target_N == k])) for k in here_K]
    return min(groups, len(groups_K) * min(groups_K))


def _overall(names: list[str], drawn: Resamples, first: int, counts: Counts) -> dict[str, Score]:
    noisy = [name for name in names if METRICS[name].noise]
    scores = {}
    for row, name in enumerate(names, start=first):
        metric, groups = METRICS[name], rests_on(METRICS[name], counts)
        if name in noisy:
            noise_row = first + len(names) + noisy.index(name)
            found = drawn.interval_of_size(row, noise_row, groups, metric.bounds)
        else:
            found = drawn.interval(row, groups, metric.bounds)
        n, all_groups = len(counts.group_N), len(counts.weight_GB)
        scores[name] = as_score(drawn.value_S[row], found, n, all_groups, metric.direction)
    return scores


def _per_class(classes: Sequence[str], drawn: Resamples, counts: Counts) -> dict[str, ClassScores]:
    """Precision rests on the samples predicted, recall and AUROC on those true, F1 on both."""

    def one(row: int, rests_N: np.ndarray) -> Score:
        groups = len(np.unique(counts.group_N[rests_N]))
        return as_score(drawn.value_S[row], drawn.interval(row, groups, SHARE), int(rests_N.sum()), groups, "max")

    found = {}
    for k, name in enumerate(classes):
        true_N, predicted_N = counts.part.target_N == k, counts.part.prediction_N == k
        found[name] = ClassScores(
            precision=one(k, predicted_N),
            recall=one(k + len(classes), true_N),
            f1=one(k + 2 * len(classes), true_N | predicted_N),
            auroc=one(k + 3 * len(classes), true_N),
            support=int(true_N.sum()),
        )
    return found


def as_score(value: float, found: Interval, n: int, groups: int, direction: Literal["max", "min"]) -> Score:
    """A value and its interval as a score."""
    return Score(float(value), found.low, found.high, n, groups, direction)


def quick(probs_NK: np.ndarray, target_N: np.ndarray) -> dict[str, float]:
    """Accuracy, macro recall and loss without intervals, for a row an epoch; NaN probabilities give a NaN loss."""
    part = Scorable(np.asarray(probs_NK, dtype=np.float64), np.asarray(target_N, dtype=np.intp))
    counts = Counts(part, np.zeros_like(part.target_N), np.ones((1, 1)))
    wanted = {"accuracy": _accuracy, "recall_macro": _recall_macro, "loss": _nll}
    return {name: float(compute(counts)[0]) for name, compute in wanted.items()}
