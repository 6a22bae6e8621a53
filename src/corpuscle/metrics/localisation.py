"""How well heat maps of a net that never saw a mask show where the objects lie.

As in Choe et al. 2020, "Evaluating weakly supervised object localization methods right": heat is brought to 0 … 1 an
image, pixels are judged at every threshold at once, and boxes at the threshold that was best on held-out images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import cv2
import numpy as np
from scipy import sparse

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.legend import IGNORED
from corpuscle.core.records import Score
from corpuscle.metrics.bootstrap import group_codes, resample
from corpuscle.metrics.classification import as_score
from corpuscle.metrics.counts import ratio

LEVELS = 1000  # of heat: the step of the thresholds of pixels is 0.001
CUTS = 100  # thresholds of boxes and of masks: 0, 0.01, … 0.99
DELTAS = (0.3, 0.5, 0.7)  # IoU from which on a box is right
SHARE = (0.0, 1.0)


@dataclass(frozen=True, eq=False)
class Located:
    """What one heat map and the true mask of its image have in common.

    Attributes:
        inside_T, outside_T: known pixels inside and outside the objects by the level of their heat, 0 … LEVELS-1.
        box_iou_S: IoU of the box of the hottest region with the nearest true box, at each cut; NaN without an object.
    """

    inside_T: np.ndarray
    outside_T: np.ndarray
    box_iou_S: np.ndarray

    @property
    def mask_iou_S(self) -> np.ndarray:
        """IoU of the pixels at least as hot as each cut with the objects; NaN without an object."""
        hot_inside_S, hot_outside_S = (
            _from_hot(pixels_T)[:: LEVELS // CUTS] for pixels_T in (self.inside_T, self.outside_T)
        )
        objects = self.inside_T.sum()
        return ratio(hot_inside_S, np.where(objects > 0, objects + hot_outside_S, 0))


@dataclass(frozen=True)
class Thresholds:
    """From which heat on a pixel belongs to an object.

    Attributes:
        box: for each IoU in `DELTAS`.
        mask: for masks.
    """

    box: tuple[float, ...]
    mask: float


def normalised(heat_HW: np.ndarray) -> np.ndarray:
    """Heat from 0 (least in the image) to 1 (most); 0 everywhere where it is constant.

    Raises:
        CorpuscleError: heat that is not finite.

    >>> normalised(np.array([[-1.0, 0.0, 3.0]])).tolist()
    [[0.0, 0.25, 1.0]]
    """
    heat_HW = np.asarray(heat_HW, dtype=np.float64)
    wrong_HW = ~np.isfinite(heat_HW)
    if wrong_HW.any() or heat_HW.size == 0:
        came = f"{wrong_HW.sum()} of {heat_HW.size} pixels that are not"
        raise CorpuscleError(f"heat must be finite, got {came}; the net or its explanation diverged, check its output")
    least, most = heat_HW.min(), heat_HW.max()
    return (heat_HW - least) / (most - least) if most > least else np.zeros_like(heat_HW)


def locate(heat_HW: np.ndarray, mask_HW: np.ndarray, box_M4: np.ndarray | None = None) -> Located:
    """Compare the heat of one image with its mask.

    Args:
        heat_HW: on any scale.
        mask_HW: bool, or class numbers of which 0 is the background; `IGNORED` pixels are not judged.
        box_M4: left, top, width and height of each object; None for the box of the largest region of the mask.

    Raises:
        CorpuscleError: heat that is not finite, or a mask of another size.
    """
    if np.ndim(heat_HW) != 2 or np.shape(heat_HW) != np.shape(mask_HW):
        came = f"{np.shape(heat_HW)} and {np.shape(mask_HW)}"
        raise CorpuscleError(f"heat and mask need one height and width, got {came}; bring the heat to the canvas")
    mask_HW = np.asarray(mask_HW)
    level_HW = np.minimum((normalised(heat_HW) * LEVELS).astype(np.intp), LEVELS - 1)
    known_HW = mask_HW != IGNORED
    object_HW = (mask_HW != 0) & known_HW
    inside_T = np.bincount(level_HW[object_HW], minlength=LEVELS)
    outside_T = np.bincount(level_HW[~object_HW & known_HW], minlength=LEVELS)
    box_iou_S = np.full(CUTS, np.nan)
    if object_HW.any():
        true_M4 = np.reshape(largest_box(object_HW) if box_M4 is None else box_M4, (-1, 4))
        box_iou_S = np.array([_box_iou(box_4, true_M4).max(initial=0) for box_4 in _hot_boxes(level_HW)])
    return Located(inside_T, outside_T, box_iou_S)


def choose_thresholds(held_out: Sequence[Located]) -> Thresholds:
    """The thresholds that are best on held-out images, which are not those that are judged.

    Of equally good ones the middle one, which moves least with a few images more.

    Raises:
        CorpuscleError: no held-out image with an object.
    """
    with_object = [one for one in held_out if one.inside_T.any()]
    if not with_object:
        came = f"{len(held_out)} images without one"
        raise CorpuscleError(f"thresholds need held-out images with objects, got {came}; add masks to that part")
    box_NS = np.stack([one.box_iou_S for one in with_object])
    mask_NS = np.stack([one.mask_iou_S for one in with_object])
    return Thresholds(
        box=tuple(_best_cut((box_NS >= delta).mean(axis=0)) for delta in DELTAS), mask=_best_cut(mask_NS.mean(axis=0))
    )


@dataclass(frozen=True, eq=False)
class PixelCurve:
    """Precision of pixels at every threshold, over N images weighted by group in B ways.

    Attributes:
        inside_TB, outside_TB: pixels by the level of their heat.
    """

    inside_TB: np.ndarray
    outside_TB: np.ndarray

    @cached_property
    def precision_TB(self) -> np.ndarray:
        """Share of the pixels at least as hot that are of objects; NaN where none is."""
        hot_TB = _from_hot(self.inside_TB)
        return ratio(hot_TB, hot_TB + _from_hot(self.outside_TB))

    @property
    def average_precision_B(self) -> np.ndarray:
        """PxAP: mean precision, each level weighing as much as recall gains there; NaN without an object."""
        area_B = (np.nan_to_num(self.precision_TB) * self.inside_TB).sum(axis=0)
        return ratio(area_B, self.inside_TB.sum(axis=0))


@dataclass(frozen=True)
class LocalisationMetric:
    """One number that judges heat maps.

    Attributes:
        title: its name for people.
        meaning: one line for the reader of a report.
        value: of each image (N) at the thresholds, NaN where it is not judged; None for that of all pixels together.
        direction: whether more or less is better.
        bounds: least and greatest value.
    """

    title: str
    meaning: str
    value: Callable[[Sequence[Located], Thresholds], np.ndarray] | None
    direction: Literal["max", "min"] = "max"
    bounds: tuple[float, float] = SHARE


def _right_at(place: int) -> Callable[[Sequence[Located], Thresholds], np.ndarray]:
    def right(located: Sequence[Located], thresholds: Thresholds) -> np.ndarray:
        iou_N = np.array([one.box_iou_S[_cut_of(thresholds.box[place])] for one in located])
        return np.where(np.isnan(iou_N), np.nan, iou_N >= DELTAS[place])

    return right


def _mean_right(located: Sequence[Located], thresholds: Thresholds) -> np.ndarray:
    return np.mean([_right_at(place)(located, thresholds) for place in range(len(DELTAS))], axis=0)


def _mask_iou(located: Sequence[Located], thresholds: Thresholds) -> np.ndarray:
    return np.array([one.mask_iou_S[_cut_of(thresholds.mask)] for one in located])


LOCALISATION_METRICS: dict[str, LocalisationMetric] = {
    "pxap": LocalisationMetric("PxAP", "area under precision and recall of pixels over all thresholds", None),
    "box_accuracy": LocalisationMetric("Box accuracy", "mean of the three below", _mean_right),
    "box_accuracy_30": LocalisationMetric("Box accuracy at 0.3", "share of images with a box of IoU 0.3", _right_at(0)),
    "box_accuracy_50": LocalisationMetric("Box accuracy at 0.5", "share of images with a box of IoU 0.5", _right_at(1)),
    "box_accuracy_70": LocalisationMetric("Box accuracy at 0.7", "share of images with a box of IoU 0.7", _right_at(2)),
    "mask_iou": LocalisationMetric("IoU of heat", "mean over images of shared over joint pixels", _mask_iou),
}


@dataclass(frozen=True)
class Localisation:
    """All scores of heat maps on one part of the data.

    Attributes:
        n, groups: number of images, and of groups that were resampled.
        thresholds: at which boxes and masks were judged.
        scores: by name, in the order of `LOCALISATION_METRICS`.
    """

    n: int
    groups: int
    thresholds: Thresholds
    scores: dict[str, Score]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        thresholds = {"box": list(self.thresholds.box), "mask": self.thresholds.mask}
        scores = {name: one.as_dict() for name, one in self.scores.items()}
        return {"n": self.n, "groups": self.groups, "thresholds": thresholds, "scores": scores}


def largest_box(object_HW: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, width and height of the largest region whose pixels touch by a side or a corner; 0 without one."""
    num, _, stats_R5, _ = cv2.connectedComponentsWithStats(object_HW.view(np.uint8), connectivity=8)
    if num == 1:  # the background
        return 0, 0, 0, 0
    left, top, width, height = stats_R5[1 + stats_R5[1:, cv2.CC_STAT_AREA].argmax(), :4].tolist()
    return left, top, width, height


def score_localisation(
    located: Sequence[Located],
    thresholds: Thresholds,
    group_N: Sequence[object] | np.ndarray | None = None,
    *,
    seed: int = 0,
    resamples: int = 1000,
) -> Localisation:
    """Score heat maps; every score carries a 95 % interval from a bootstrap of the images by group.

    Images without an object count for PxAP alone. The thresholds are taken as given, so the intervals do not hold the
    chance in their choice.

    Args:
        located: of each image, from `locate`.
        thresholds: from `choose_thresholds` on other images.
        group_N: patient or slide of each image; None (for all, or for one) makes an image its own group.
        seed: the same seed gives the same intervals.
        resamples: number of resamples.

    Raises:
        CorpuscleError: no images, or other groups than images.
    """
    if not located:
        raise CorpuscleError("heat maps are scored over images, got none; check that the part has masks")
    code_N = group_codes(group_N, len(located))
    groups = int(code_N.max()) + 1
    member_GN = sparse.csr_array((np.ones(len(code_N)), (code_N, np.arange(len(code_N)))))
    inside_GT, outside_GT = (
        member_GN @ np.stack(pixels).astype(float)
        for pixels in ([one.inside_T for one in located], [one.outside_T for one in located])
    )
    judged = [metric.value(located, thresholds) for metric in LOCALISATION_METRICS.values() if metric.value]
    value_NC = np.stack([np.ones(len(located)), *judged], axis=1)
    known_GC, sum_GC = (member_GN @ taken_NC for taken_NC in (~np.isnan(value_NC) * 1.0, np.nan_to_num(value_NC)))

    def statistic(weight_GB: np.ndarray) -> np.ndarray:
        curve = PixelCurve(inside_GT.T @ weight_GB, outside_GT.T @ weight_GB)
        mean_CB = ratio(sum_GC.T @ weight_GB, known_GC.T @ weight_GB)
        return np.vstack([curve.average_precision_B, mean_CB[1:]])

    drawn = resample(statistic, groups, seed=seed, resamples=resamples)
    scores = {}
    for row, (name, metric) in enumerate(LOCALISATION_METRICS.items()):
        rests_N = ~np.isnan(value_NC[:, row])
        trusted = len(np.unique(code_N[rests_N]))
        found = drawn.interval(row, trusted, metric.bounds)
        scores[name] = as_score(drawn.value_S[row], found, int(rests_N.sum()), trusted, metric.direction)
    return Localisation(len(located), groups, thresholds, scores)


def _from_hot(pixels_T: np.ndarray) -> np.ndarray:
    """Pixels at least as hot as each level, the first axis."""
    return np.cumsum(pixels_T[::-1], axis=0)[::-1]


def _best_cut(value_S: np.ndarray) -> float:
    best = np.flatnonzero(value_S >= value_S.max() - 1e-12)
    return float(best[(len(best) - 1) // 2] / CUTS)


def _cut_of(threshold: float) -> int:
    return round(threshold * CUTS)


def _hot_boxes(level_HW: np.ndarray) -> Iterator[np.ndarray]:
    """The box of the largest region at least as hot as each cut, sought where the cut before had heat."""
    level_HW, corner_4 = level_HW.astype(np.uint16), np.zeros(4, dtype=int)
    for cut in range(0, LEVELS, LEVELS // CUTS):
        hot_HW = level_HW >= cut
        yield np.array(largest_box(hot_HW)) + corner_4
        left, top, width, height = cv2.boundingRect(hot_HW.view(np.uint8))
        if width:
            level_HW = level_HW[top : top + height, left : left + width]
            corner_4 = corner_4 + np.array([left, top, 0, 0])


def _box_iou(box_4: np.ndarray, other_M4: np.ndarray) -> np.ndarray:
    low_M2 = np.maximum(box_4[:2], other_M4[:, :2])
    high_M2 = np.minimum(box_4[:2] + box_4[2:], other_M4[:, :2] + other_M4[:, 2:])
    shared_M = np.clip(high_M2 - low_M2, 0, None).prod(axis=1)
    return shared_M / (box_4[2:].prod() + other_M4[:, 2:].prod(axis=1) - shared_M)
