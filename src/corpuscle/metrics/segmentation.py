"""The scores of masks, each with its interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from corpuscle.core.errors import CorpuscleError, nearest
from corpuscle.core.records import Score
from corpuscle.metrics.areas import Areas, AreaSums, areas_of
from corpuscle.metrics.bootstrap import Resamples, group_codes, resample
from corpuscle.metrics.classification import as_score
from corpuscle.metrics.counts import ratio
from corpuscle.metrics.overlap import Overlap

SHARE = (0.0, 1.0)


@dataclass(frozen=True)
class MaskMetric:
    """One number that judges masks.

    Attributes:
        title: its name for people.
        meaning: one line for the reader of a report.
        compute: from sums under B weightings to values_B; NaN where it is not defined.
        over: the classes it is the mean over; None where it is a mean over pixels or images.
        direction: whether more or less is better.
        bounds: least and greatest value.
        edges: whether it judges boundaries.
    """

    title: str
    meaning: str
    compute: Callable[[AreaSums], np.ndarray]
    over: Callable[[Areas], np.ndarray] | None = None
    direction: Literal["max", "min"] = "max"
    bounds: tuple[float, float] = SHARE
    edges: bool = False


@dataclass(frozen=True)
class ClassMetric:
    """One number that judges the masks of a class; it is a share, the more the better.

    Attributes:
        title: its name for people.
        compute: from sums under B weightings to values_KB.
        rests: which images (N, K) it rests on.
    """

    title: str
    compute: Callable[[AreaSums], np.ndarray]
    rests: Callable[[Areas], np.ndarray]


def _present(part: Areas) -> np.ndarray:
    return part.present_K


def _objects(part: Areas) -> np.ndarray:
    return part.present_K & (np.arange(len(part.present_K)) > 0)


def _with_edges(part: Areas) -> np.ndarray:
    assert part.edges is not None
    return _objects(part) & (part.edges.true_NK > 0).any(axis=0)


def _mean(value_KB: np.ndarray, over_K: np.ndarray) -> np.ndarray:
    """NaN in a resample that lost one of the classes: the mean of the others answers another question."""
    return value_KB[over_K].mean(axis=0) if over_K.any() else np.full(value_KB.shape[1], np.nan)


def _accuracy(sums: AreaSums) -> np.ndarray:
    return ratio(sums.both_KB.sum(axis=0), sums.true_KB.sum(axis=0))


def _true_or_said(part: Areas) -> np.ndarray:
    return part.true_NK + part.said_NK > 0


def _true_or_said_edges(part: Areas) -> np.ndarray:
    assert part.edges is not None
    return part.edges.true_NK + part.edges.said_NK > 0


# A class that the truth of no image holds is left out of the means over classes. The background is a class like others
# except where it says objects.
MASK_METRICS: dict[str, MaskMetric] = {
    "mean_iou": MaskMetric(
        "Mean IoU",
        "mean over the classes, background included, of shared over joint pixels",
        lambda sums: _mean(sums.iou_KB, _present(sums.part)),
        _present,
    ),
    "mean_iou_objects": MaskMetric(
        "Mean IoU of objects",
        "the same without the background",
        lambda sums: _mean(sums.iou_KB, _objects(sums.part)),
        _objects,
    ),
    "mean_dice": MaskMetric(
        "Mean Dice",
        "mean over the classes, background included, of the F1 of their pixels",
        lambda sums: _mean(sums.dice_KB, _present(sums.part)),
        _present,
    ),
    "pixel_accuracy": MaskMetric("Pixel accuracy", "share of pixels of the right class", _accuracy),
    "boundary_f1": MaskMetric(
        "Boundary F1",
        "mean over the classes, background excluded, of the F1 of their boundaries",
        lambda sums: _mean(sums.boundary_KB, _with_edges(sums.part)),
        _with_edges,
        edges=True,
    ),
    "image_dice": MaskMetric(
        "Dice an image",
        "mean over images of the mean Dice of the classes in them, background included",
        lambda sums: sums.image_dice_B,
    ),
}
CLASS_METRICS: dict[str, ClassMetric] = {
    "iou": ClassMetric("IoU", lambda sums: sums.iou_KB, _true_or_said),
    "dice": ClassMetric("Dice", lambda sums: sums.dice_KB, _true_or_said),
    "precision": ClassMetric("Precision", lambda sums: sums.precision_KB, lambda part: part.said_NK > 0),
    "recall": ClassMetric("Recall", lambda sums: sums.recall_KB, lambda part: part.true_NK > 0),
    "boundary_f1": ClassMetric("Boundary F1", lambda sums: sums.boundary_KB, _true_or_said_edges),
}


@dataclass(frozen=True)
class ClassMasks:
    """How the masks of one class are.

    Attributes:
        scores: by name, in the order of `CLASS_METRICS`.
        pixels: how many there truly are.
        images: how many truly show it; where none does, it is absent and has no score.
    """

    scores: dict[str, Score]
    pixels: int
    images: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        scores = {name: one.as_dict() for name, one in self.scores.items()}
        return {"scores": scores, "pixels": self.pixels, "images": self.images, "absent": self.images == 0}


@dataclass(frozen=True, eq=False)
class MaskScores:
    """All scores of masks on one part of the data.

    Attributes:
        n, groups: number of images, and of groups that were resampled.
        scores: by name, in the order of `MASK_METRICS`.
        per_class: by class name.
        confusion_KK: pixels; rows are true classes, columns said ones.
    """

    n: int
    groups: int
    scores: dict[str, Score]
    per_class: dict[str, ClassMasks]
    confusion_KK: np.ndarray

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON: a part of metrics.json."""
        return {
            "n": self.n,
            "groups": self.groups,
            "scores": {name: one.as_dict() for name, one in self.scores.items()},
            "per_class": {name: one.as_dict() for name, one in self.per_class.items()},
            "confusion": self.confusion_KK.tolist(),
        }


def score_masks(
    overlaps: Sequence[Overlap],
    group_N: Sequence[object] | np.ndarray | None = None,
    *,
    classes: Sequence[str],
    seed: int = 0,
    resamples: int = 1000,
) -> MaskScores:
    """Score masks; every score carries a 95 % interval from a bootstrap of the images by group.

    Pixels are added up over the images and scored then, so a large object counts more than a small one; `image_dice`
    counts each image alike. Boundaries are added up as well, where Csurka et al. 2013 take the mean over images.

    A class that the truth of no image holds has no score and is left out of the means over classes. Where it was said
    nevertheless, the pixels lack in the recall of the classes that they belong to, and so in their IoU and Dice.

    Args:
        overlaps: of each image, from `overlap_of`.
        group_N: patient or slide of each image; None (for all, or for one) makes an image its own group.
        classes: the K names, the background first.
        seed: the same seed gives the same intervals.
        resamples: number of resamples.

    Raises:
        CorpuscleError: overlaps or groups that cannot be scored.

    >>> from corpuscle.metrics.overlap import overlap_of
    >>> true_HW, said_HW = np.array([[0, 0], [1, 1]], np.uint8), np.array([[0, 0], [0, 1]], np.uint8)
    >>> scored = score_masks([overlap_of(true_HW, said_HW, 2)], classes=["background", "cell"])
    >>> scored.scores["pixel_accuracy"].value, scored.per_class["cell"].scores["iou"].value
    (0.75, 0.5)
    """
    part = areas_of(overlaps)
    if part.true_NK.shape[1] != len(classes):
        came = f"overlaps of {part.true_NK.shape[1]}"
        raise CorpuscleError(f"{len(classes)} classes were named, got {came}; pass the classes of the legend")
    code_N = group_codes(group_N, len(overlaps))

    def statistic(weight_GB: np.ndarray) -> np.ndarray:
        sums = AreaSums(part, code_N, weight_GB)
        overall = [metric.compute(sums) for metric in MASK_METRICS.values()]
        return np.vstack([*overall, *(metric.compute(sums) for metric in CLASS_METRICS.values())])

    groups = int(code_N.max()) + 1
    drawn = resample(statistic, groups, seed=seed, resamples=resamples)
    scores = {
        name: _overall(metric, drawn, row, part, code_N) for row, (name, metric) in enumerate(MASK_METRICS.items())
    }
    return MaskScores(
        n=len(overlaps),
        groups=groups,
        scores=scores,
        per_class={name: _of_class(k, drawn, part, code_N) for k, name in enumerate(classes)},
        confusion_KK=np.sum([one.pixels_KK for one in overlaps], axis=0),
    )


def paired_mask_difference(
    name: str,
    a: Areas,
    b: Areas,
    group_N: Sequence[object] | np.ndarray | None = None,
    seed: int = 0,
    resamples: int = 1000,
) -> Score:
    """A score of the masks of run a less that of b on the same images, both meeting the same resampled groups.

    Args:
        name: one of `MASK_METRICS`; boundaries need areas with edges.
        a, b: of the same images in the same order.
        group_N: patient or slide of each image; None (for all, or for one) makes an image its own group.
        seed: the same seed gives the same interval.
        resamples: number of resamples.

    Raises:
        CorpuscleError: an unknown score, or masks of other images or classes.
    """
    if name not in MASK_METRICS:
        raise CorpuscleError(f"'{name}' is not a score of masks. {nearest(name, MASK_METRICS)}")
    if a.true_NK.shape != b.true_NK.shape:
        came = f"{a.true_NK.shape} and {b.true_NK.shape}"
        raise CorpuscleError(f"both need the same images and classes, got {came}; compare runs on the same data")
    other_N = (a.true_NK != b.true_NK).any(axis=1)
    if other_N.any():
        came = f"{other_N.sum()} of {len(other_N)} with other true pixels (first: image {other_N.argmax()})"
        raise CorpuscleError(f"both need the same true masks, got {came}; compare runs on the same canvas")
    metric = MASK_METRICS[name]
    if metric.edges and (a.edges is None or b.edges is None):
        raise CorpuscleError(f"{name} needs boundary pixels, got areas without; pass those of areas_of")
    code_N = group_codes(group_N, len(a.true_NK))
    groups = int(code_N.max()) + 1

    def statistic(weight_GB: np.ndarray) -> np.ndarray:
        both = [metric.compute(AreaSums(part, code_N, weight_GB)) for part in (a, b)]
        return (both[0] - both[1])[None]

    drawn = resample(statistic, groups, seed=seed, resamples=resamples)
    found = drawn.interval(0, _groups_of(metric, a, code_N), (-np.inf, np.inf))
    return as_score(drawn.value_S[0], found, len(code_N), groups, metric.direction)


def _groups_of(metric: MaskMetric, part: Areas, code_N: np.ndarray) -> int:
    """Number of groups that a score rests on: all, or as if each class had no more than the rarest."""
    groups = int(code_N.max()) + 1
    over = np.flatnonzero(metric.over(part)).tolist() if metric.over else []
    groups_K = [len(np.unique(code_N[part.true_NK[:, k] > 0])) for k in over]
    return min(groups, len(groups_K) * min(groups_K)) if groups_K else groups


def _overall(metric: MaskMetric, drawn: Resamples, row: int, part: Areas, code_N: np.ndarray) -> Score:
    found = drawn.interval(row, _groups_of(metric, part, code_N), metric.bounds)
    return as_score(drawn.value_S[row], found, len(code_N), int(code_N.max()) + 1, metric.direction)


def _of_class(k: int, drawn: Resamples, part: Areas, code_N: np.ndarray) -> ClassMasks:
    num_classes = part.true_NK.shape[1]
    scores = {}
    for place, (name, metric) in enumerate(CLASS_METRICS.items()):
        row = len(MASK_METRICS) + place * num_classes + k
        rests_N = metric.rests(part)[:, k] & part.present_K[k]
        groups = len(np.unique(code_N[rests_N]))
        scores[name] = as_score(
            drawn.value_S[row], drawn.interval(row, groups, SHARE), int(rests_N.sum()), groups, "max"
        )
    return ClassMasks(scores, int(part.true_NK[:, k].sum()), int((part.true_NK[:, k] > 0).sum()))
