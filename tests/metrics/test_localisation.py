from __future__ import annotations

import json
import time

import numpy as np
import pytest
from scipy import ndimage
from sklearn import metrics as reference

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.legend import IGNORED
from corpuscle.metrics.localisation import (
    CUTS,
    DELTAS,
    LEVELS,
    LOCALISATION_METRICS,
    Located,
    PixelCurve,
    Thresholds,
    choose_thresholds,
    largest_box,
    locate,
    normalised,
    score_localisation,
)


def drawn(num: int, seed: int = 0, size: int = 40) -> list[tuple[np.ndarray, np.ndarray]]:
    """Smooth heat over a disc, a little beside it, with noise; some pixels are ignored."""
    random = np.random.default_rng(seed)
    y_HW, x_HW = np.mgrid[:size, :size]
    pairs = []
    for _ in range(num):
        y, x, radius = random.uniform(12, size - 12), random.uniform(12, size - 12), random.uniform(5, 10)
        mask_HW = (np.hypot(y_HW - y, x_HW - x) <= radius).astype(np.uint8) * 3
        mask_HW[:2] = IGNORED
        off = random.normal(size=2) * 3
        far_HW = np.hypot(y_HW - y - off[0], x_HW - x - off[1])
        noise_HW = ndimage.gaussian_filter(random.normal(size=(size, size)), 2)
        pairs.append((np.exp(-((far_HW / (radius + 2)) ** 2)) + 0.5 * noise_HW, mask_HW))
    return pairs


def located_of(pairs: list[tuple[np.ndarray, np.ndarray]]) -> list[Located]:
    return [locate(*pair) for pair in pairs]


def levels_of(heat_HW: np.ndarray) -> np.ndarray:
    return np.minimum(np.floor(normalised(heat_HW) * LEVELS), LEVELS - 1)


def slow_box(hot_HW: np.ndarray) -> tuple[int, int, int, int]:
    """Ends of the box of the largest region, top, bottom, left, right."""
    region_HW, num = ndimage.label(hot_HW, structure=np.ones((3, 3)))
    largest = max(range(1, num + 1), key=lambda one: (region_HW == one).sum())
    rows, columns = np.nonzero(region_HW == largest)
    return rows.min(), rows.max() + 1, columns.min(), columns.max() + 1


def slow_iou(one: tuple[int, int, int, int], other: tuple[int, int, int, int], size: int = 40) -> float:
    drawn_HW = np.zeros((2, size, size), dtype=bool)
    for place, (top, bottom, left, right) in enumerate((one, other)):
        drawn_HW[place, top:bottom, left:right] = True
    return drawn_HW.all(axis=0).sum() / drawn_HW.any(axis=0).sum()


def test_heat_runs_from_0_to_1_and_constant_heat_is_none() -> None:
    found_HW = normalised(np.array([[3, 5], [4, 7]], dtype=np.float32))
    assert found_HW.tolist() == [[0, 0.5], [0.25, 1]]
    assert normalised(np.full((2, 2), 7)).tolist() == [[0, 0], [0, 0]]


def test_an_image_is_judged_as_a_slow_loop_judges_it() -> None:
    for heat_HW, mask_HW in drawn(3):
        found = locate(heat_HW, mask_HW)
        level_HW, known_HW = levels_of(heat_HW), mask_HW != IGNORED
        object_HW = (mask_HW == 3) & known_HW
        assert found.inside_T.sum() == object_HW.sum()
        assert found.outside_T.sum() == (known_HW & ~object_HW).sum()
        for cut in (1, 17, 40, 66, 99):
            hot_HW = level_HW >= cut * LEVELS / CUTS
            assert found.box_iou_S[cut] == pytest.approx(slow_iou(slow_box(hot_HW), slow_box(object_HW)))
            expected = reference.jaccard_score(object_HW[known_HW], hot_HW[known_HW])
            assert found.mask_iou_S[cut] == pytest.approx(expected)


def test_pxap_and_the_curve_are_those_of_scikit_learn_over_all_pixels() -> None:
    pairs = drawn(6)
    located = located_of(pairs)
    known = [mask_HW != IGNORED for _, mask_HW in pairs]
    level_P = np.concatenate(
        [levels_of(heat_HW)[known_HW] for (heat_HW, _), known_HW in zip(pairs, known, strict=True)]
    )
    true_P = np.concatenate([mask_HW[known_HW] == 3 for (_, mask_HW), known_HW in zip(pairs, known, strict=True)])
    found = score_localisation(located, Thresholds((0.5, 0.5, 0.5), 0.5), resamples=0).scores["pxap"]
    assert found.value == pytest.approx(reference.average_precision_score(true_P, level_P), abs=1e-12)
    curve = PixelCurve(*(sum(getattr(one, name) for one in located)[:, None] for name in ("inside_T", "outside_T")))
    precision, _, level = reference.precision_recall_curve(true_P, level_P)
    assert curve.precision_TB[level.astype(int), 0] == pytest.approx(precision[:-1])


def test_one_heat_for_all_pixels_has_the_precision_of_chance_and_no_box() -> None:
    mask_HW = np.zeros((20, 20), dtype=bool)
    mask_HW[5:10, 5:15] = True
    one = locate(np.ones((20, 20)), mask_HW)
    found = score_localisation([one], Thresholds((0.5, 0.5, 0.5), 0.0)).scores
    assert found["pxap"].value == pytest.approx(mask_HW.mean())
    assert found["mask_iou"].value == pytest.approx(mask_HW.mean())
    assert found["box_accuracy"].value == 0
    assert one.box_iou_S.tolist() == [mask_HW.mean()] + [0] * (CUTS - 1)


def test_heat_that_is_the_mask_is_perfect() -> None:
    pairs = [(1.0 * (mask_HW == 3), mask_HW) for _, mask_HW in drawn(5)]
    located = located_of(pairs)
    found = score_localisation(located, choose_thresholds(located)).scores
    assert [one.value for one in found.values()] == [1] * len(LOCALISATION_METRICS)


def test_the_largest_box_is_that_of_the_largest_region_and_nothing_without_one() -> None:
    object_HW = np.zeros((20, 30), dtype=bool)
    assert largest_box(object_HW) == (0, 0, 0, 0)
    object_HW[2:4, 1:5] = object_HW[10:15, 20:26] = True
    assert largest_box(object_HW) == (20, 10, 6, 5)


def test_a_box_is_right_that_is_near_any_true_one() -> None:
    mask_HW = np.zeros((30, 30), dtype=bool)
    mask_HW[2:6, 2:6], mask_HW[10:26, 10:26] = True, True
    heat_HW = np.zeros((30, 30))
    heat_HW[2:6, 2:6] = 1
    assert locate(heat_HW, mask_HW).box_iou_S[50] == 0  # the largest is another
    both = locate(heat_HW, mask_HW, np.array([[10, 10, 16, 16], [2, 2, 4, 5]]))
    assert both.box_iou_S[50] == pytest.approx(0.8)


def test_thresholds_are_the_best_of_the_held_out_images_and_of_equals_the_middle_one() -> None:
    located = located_of(drawn(25, seed=1))
    found = choose_thresholds(located)
    accuracy_DS = np.array([[(one.box_iou_S >= delta) for one in located] for delta in DELTAS]).mean(axis=1)
    for threshold, accuracy_S in zip(found.box, accuracy_DS, strict=True):
        assert accuracy_S[round(threshold * CUTS)] == accuracy_S.max() > accuracy_S.mean()
    iou_S = np.mean([one.mask_iou_S for one in located], axis=0)
    assert found.mask == iou_S.argmax() / CUTS
    heat_HW = np.full((20, 20), 0.5)
    heat_HW[:, 15:], heat_HW[0, 0] = 1, 0
    exact = choose_thresholds([locate(heat_HW, heat_HW == 1)])
    assert exact == Thresholds((0.75, 0.75, 0.75), 0.75)  # from 0.51 to 0.99


def test_scores_are_those_of_a_loop_at_the_given_thresholds() -> None:
    located = located_of(drawn(20, seed=2))
    thresholds = Thresholds((0.2, 0.35, 0.5), 0.4)
    found = score_localisation(located, thresholds, resamples=50).scores
    right = [
        np.mean([one.box_iou_S[round(threshold * 100)] >= delta for one in located])
        for threshold, delta in zip(thresholds.box, DELTAS, strict=True)
    ]
    names = ["box_accuracy_30", "box_accuracy_50", "box_accuracy_70"]
    assert [found[name].value for name in names] == pytest.approx(right)
    assert found["box_accuracy"].value == pytest.approx(np.mean(right))
    assert found["mask_iou"].value == pytest.approx(np.mean([one.mask_iou_S[40] for one in located]))
    assert len(set(right)) == 3


def test_images_without_an_object_count_for_pxap_alone() -> None:
    pairs = drawn(8)
    located = located_of(pairs)
    empty = locate(pairs[0][0], np.zeros((40, 40), dtype=np.uint8))
    thresholds = choose_thresholds([*located, empty])
    assert thresholds == choose_thresholds(located)
    found, without = (
        score_localisation(part, thresholds, resamples=50).scores for part in ([*located, empty], located)
    )
    assert found["pxap"].value < without["pxap"].value and found["pxap"].n == 9
    for name in list(LOCALISATION_METRICS)[1:]:
        assert (found[name].value, found[name].n, found[name].groups) == (without[name].value, 8, 8)


@pytest.mark.parametrize("name", LOCALISATION_METRICS)
def test_a_score_lies_in_its_interval_and_is_resampled_by_group(name: str) -> None:
    located = located_of(drawn(30, seed=4))
    thresholds = Thresholds((0.5, 0.6, 0.65), 0.45)
    rows = np.repeat(np.arange(30), 4)
    once = score_localisation(located, thresholds, resamples=300).scores[name]
    copies = [located[row] for row in rows]
    alone, grouped = (
        score_localisation(copies, thresholds, group_N, resamples=300).scores[name] for group_N in (None, rows)
    )
    assert 0 <= once.low < once.value < once.high <= 1
    assert (grouped.low, grouped.high) == pytest.approx((once.low, once.high))
    assert grouped.high - grouped.low > 1.6 * (alone.high - alone.low)
    assert (grouped.n, grouped.groups, alone.groups) == (120, 30, 120)


def test_the_part_is_written_as_plain_json() -> None:
    located = located_of(drawn(4))
    found = score_localisation(located, choose_thresholds(located), ["a", "a", "b", "b"], resamples=20)
    part = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert list(part) == ["n", "groups", "thresholds", "scores"]
    assert list(part["scores"]) == list(LOCALISATION_METRICS)
    assert (part["n"], part["groups"], len(part["thresholds"]["box"])) == (4, 2, 3)


def test_what_cannot_be_judged_is_refused_in_one_line() -> None:
    heat_HW, mask_HW = np.zeros((4, 5)), np.zeros((4, 5), dtype=bool)
    with pytest.raises(CorpuscleError, match=r"got \(4, 5\) and \(5, 4\); bring the heat"):
        locate(heat_HW, mask_HW.T)
    heat_HW[1, 2:4] = np.nan
    with pytest.raises(CorpuscleError, match="heat must be finite, got 2 of 20 pixels that are not"):
        locate(heat_HW, mask_HW)
    empty = locate(np.zeros((4, 5)), mask_HW)
    with pytest.raises(CorpuscleError, match="held-out images with objects, got 2 images without one"):
        choose_thresholds([empty, empty])
    with pytest.raises(CorpuscleError, match="heat maps are scored over images, got none"):
        score_localisation([], Thresholds((0.5, 0.5, 0.5), 0.5))


def test_a_thousand_resamples_of_three_hundred_images_take_seconds() -> None:
    one = locate(*drawn(1)[0])
    started = time.process_time()
    score_localisation([one] * 300, Thresholds((0.5, 0.5, 0.5), 0.5))
    assert time.process_time() - started < 3
