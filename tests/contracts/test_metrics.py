"""What every score in METRICS promises."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from corpuscle.core.legend import IGNORED
from corpuscle.metrics.areas import AreaSums, areas_of
from corpuscle.metrics.classification import METRICS, Metric, score
from corpuscle.metrics.conformal import interval
from corpuscle.metrics.counted import Counted
from corpuscle.metrics.counting import COUNT_METRICS, CountMetric, Sums, score_counts
from corpuscle.metrics.counts import Counts
from corpuscle.metrics.dots import DotCounts
from corpuscle.metrics.inputs import Scorable
from corpuscle.metrics.localisation import (
    LOCALISATION_METRICS,
    Thresholds,
    choose_thresholds,
    locate,
    score_localisation,
)
from corpuscle.metrics.overlap import Overlap, overlap_of
from corpuscle.metrics.segmentation import MASK_METRICS, MaskMetric, score_masks

every_metric = pytest.mark.parametrize("name", METRICS)
every_count_metric = pytest.mark.parametrize("name", COUNT_METRICS)
every_mask_metric = pytest.mark.parametrize("name", MASK_METRICS)
every_localisation_metric = pytest.mark.parametrize("name", LOCALISATION_METRICS)
# no prediction is the best or the worst for these two: they judge the intervals
counts_and_dots = pytest.mark.parametrize("name", [name for name, one in COUNT_METRICS.items() if one.needs != "ends"])


@pytest.fixture(scope="module")
def part() -> Scorable:
    random = np.random.default_rng(0)
    target_N = random.integers(4, size=200)
    logits_NK = random.normal(size=(200, 4)) + 1.5 * np.eye(4)[target_N]
    return Scorable(special.softmax(logits_NK, axis=1), target_N)


def compute(metric: Metric, part: Scorable, weight: float = 1) -> float:
    code_N = np.arange(len(part.target_N))
    return float(metric.compute(Counts(part, code_N, np.full((len(code_N), 1), weight)))[0])


def test_every_score_has_a_title_and_a_meaning_of_its_own() -> None:
    for metrics in (METRICS, COUNT_METRICS, MASK_METRICS, LOCALISATION_METRICS):
        assert len({metric.title for metric in metrics.values()}) == len(metrics)
        assert all(metric.meaning for metric in metrics.values())


@every_metric
def test_a_score_lies_in_its_bounds_and_in_its_interval(name: str, part: Scorable) -> None:
    scored = score(part.probs_NK, part.target_N, classes="abcd", calibrated_NK=part.probs_NK, resamples=200)
    found = scored.scores[name]
    least, greatest = METRICS[name].bounds
    assert least <= found.low <= found.value <= found.high <= greatest
    assert found.low < found.high
    assert found.direction == METRICS[name].direction
    assert (found.n, found.groups) == (200, 200)


@every_metric
def test_perfect_probabilities_have_the_best_score(name: str, part: Scorable) -> None:
    metric = METRICS[name]
    perfect = compute(metric, Scorable(np.eye(4)[part.target_N], part.target_N))
    assert perfect == pytest.approx(metric.bounds[1] if metric.direction == "max" else metric.bounds[0], abs=1e-12)


@every_metric
def test_wrong_and_sure_is_worse_than_a_fair_net(name: str, part: Scorable) -> None:
    wrong = compute(METRICS[name], Scorable(np.eye(4)[(part.target_N + 1) % 4], part.target_N))
    fair = compute(METRICS[name], part)
    assert wrong < fair if METRICS[name].direction == "max" else wrong > fair


@every_metric
def test_neither_the_order_of_samples_nor_of_classes_matters(name: str, part: Scorable) -> None:
    rows, columns = np.random.default_rng(1).permutation(200), np.array([2, 0, 3, 1])
    moved = Scorable(part.probs_NK[rows][:, columns], np.argsort(columns)[part.target_N[rows]])
    assert compute(METRICS[name], moved) == pytest.approx(compute(METRICS[name], part), abs=1e-12)


@every_metric
def test_all_samples_twice_give_the_same_score(name: str, part: Scorable) -> None:
    assert compute(METRICS[name], part, weight=2) == pytest.approx(compute(METRICS[name], part), abs=1e-12)


@pytest.fixture(scope="module")
def counted() -> Counted:
    random = np.random.default_rng(0)
    true_NK = random.poisson(random.lognormal(2, 1, size=(200, 1)))
    predicted_NK = np.maximum(true_NK * 1.1 + random.normal(size=(200, 1)) * np.sqrt(true_NK + 1), 0)
    return as_counted(predicted_NK, true_NK, random.binomial(true_NK, 0.7))


def as_counted(predicted_NK: np.ndarray, true_NK: np.ndarray, tp_NK: np.ndarray) -> Counted:
    return Counted(predicted_NK, true_NK, *interval(predicted_NK, 1.5), DotCounts(5.0, tp_NK, true_NK + 1, true_NK))


def compute_count(metric: CountMetric, counted: Counted, weight: float = 1) -> float:
    code_N = np.arange(len(counted.true_NK))
    return float(metric.compute(Sums(counted, code_N, np.full((len(code_N), 1), weight)))[0, 0])


@every_count_metric
def test_a_score_of_counts_lies_in_its_bounds_and_in_its_interval(name: str, counted: Counted) -> None:
    found = score_counts(counted, classes=["cell"], resamples=200).scores[name]
    least, greatest = COUNT_METRICS[name].bounds
    assert least <= found.low <= found.value <= found.high <= greatest
    assert found.low < found.high
    assert found.direction == COUNT_METRICS[name].direction


@counts_and_dots
def test_perfect_counts_have_the_best_score(name: str, counted: Counted) -> None:
    metric, true_NK = COUNT_METRICS[name], counted.true_NK
    dots = DotCounts(5.0, true_NK, true_NK, true_NK)
    perfect = compute_count(metric, Counted(true_NK.astype(float), true_NK, dots=dots))
    best = metric.bounds[1] if metric.direction == "max" else 0
    assert perfect == pytest.approx(best, abs=1e-12)


@counts_and_dots
def test_far_off_is_worse_than_near(name: str, counted: Counted) -> None:
    far = as_counted(np.roll(counted.true_NK, 1, axis=0) + 20.0, counted.true_NK, counted.dots.tp_NK // 2)
    wrong, fair = compute_count(COUNT_METRICS[name], far), compute_count(COUNT_METRICS[name], counted)
    assert wrong < fair if COUNT_METRICS[name].direction == "max" else wrong > fair


@every_count_metric
def test_neither_the_order_of_images_nor_all_of_them_twice_changes_a_score(name: str, counted: Counted) -> None:
    rows, dots = np.random.default_rng(1).permutation(200), counted.dots
    moved_dots = DotCounts(5.0, dots.tp_NK[rows], dots.found_NK[rows], dots.true_NK[rows])
    ends = (counted.low_NK[rows], counted.high_NK[rows])
    moved = Counted(counted.predicted_NK[rows], counted.true_NK[rows], *ends, moved_dots)
    value = compute_count(COUNT_METRICS[name], counted)
    assert compute_count(COUNT_METRICS[name], moved) == pytest.approx(value, abs=1e-12)
    assert compute_count(COUNT_METRICS[name], counted, weight=2) == pytest.approx(value, abs=1e-12)


Masks = list[tuple[np.ndarray, np.ndarray]]


@pytest.fixture(scope="module")
def masks() -> Masks:
    """True and said masks of four classes: blocks, said a little to the side and with some noise."""
    random, drawn = np.random.default_rng(0), []
    for _ in range(40):
        true_HW = np.kron(random.integers(4, size=(4, 5)), np.ones((5, 5))).astype(np.uint8)
        noise_HW = np.where(random.random(true_HW.shape) < 0.1, random.integers(4, size=true_HW.shape), true_HW)
        true_HW[0] = IGNORED
        drawn.append((true_HW, np.roll(np.minimum(noise_HW, 3), random.integers(2), axis=1).astype(np.uint8)))
    return drawn


def compute_masks(metric: MaskMetric, masks: Masks, weight: float = 1) -> float:
    part = areas_of([overlap_of(*one, num_classes=4) for one in masks])
    return float(metric.compute(AreaSums(part, np.arange(len(masks)), np.full((len(masks), 1), weight)))[0])


@every_mask_metric
def test_a_score_of_masks_lies_in_its_bounds_and_in_its_interval(name: str, masks: Masks) -> None:
    overlaps: list[Overlap] = [overlap_of(*one, num_classes=4) for one in masks]
    found = score_masks(overlaps, classes="abcd", resamples=200).scores[name]
    least, greatest = MASK_METRICS[name].bounds
    assert least <= found.low < found.value < found.high <= greatest
    assert found.direction == MASK_METRICS[name].direction


@every_mask_metric
def test_perfect_masks_have_the_best_score_and_wrong_ones_are_worse_than_fair_ones(name: str, masks: Masks) -> None:
    metric = MASK_METRICS[name]
    true = [np.where(true_HW == IGNORED, 0, true_HW).astype(np.uint8) for true_HW, _ in masks]
    assert compute_masks(metric, [(one_HW, one_HW) for one_HW in true]) == metric.bounds[1]
    wrong = compute_masks(metric, [(true_HW, (said_HW + 1) % 4) for true_HW, said_HW in masks])
    assert wrong < compute_masks(metric, masks)


@every_mask_metric
def test_neither_the_order_of_masks_and_objects_nor_all_of_them_twice_changes_a_score(name: str, masks: Masks) -> None:
    number = np.arange(256, dtype=np.uint8)
    number[:4] = [0, 3, 1, 2]  # the background stays where it is
    moved = [(number[true_HW].T, number[said_HW].T) for true_HW, said_HW in reversed(masks)]
    value = compute_masks(MASK_METRICS[name], masks)
    assert compute_masks(MASK_METRICS[name], moved) == pytest.approx(value, abs=1e-12)
    assert compute_masks(MASK_METRICS[name], masks, weight=2) == pytest.approx(value, abs=1e-12)


@every_localisation_metric
def test_heat_on_the_object_is_best_heat_near_it_fair_and_heat_elsewhere_worst(name: str) -> None:
    metric, values = LOCALISATION_METRICS[name], []
    mask_HW = np.zeros((30, 30), dtype=bool)
    mask_HW[5:17, 6:18] = True
    for shift in (0, 2, 12):
        heat_HW = np.roll(mask_HW, shift, axis=1) * 1.0
        one = locate(heat_HW, mask_HW)
        thresholds = choose_thresholds([one]) if shift == 0 else Thresholds((0.5, 0.5, 0.5), 0.5)
        found = score_localisation([one] * 5, thresholds, resamples=20).scores[name]
        assert metric.bounds[0] <= found.low <= found.value <= found.high <= metric.bounds[1]
        assert found.direction == metric.direction
        values.append(found.value)
    assert values[0] == metric.bounds[1]
    assert values == sorted(values, reverse=True) and values[2] < values[0]
