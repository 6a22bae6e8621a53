from __future__ import annotations

import math

import numpy as np
import pytest

from corpuscle.core.errors import CorpuscleError
from corpuscle.metrics.conformal import fit_quantile, interval


def drawn(groups: int, images: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True and predicted counts, and the slide of each; each slide has a bias of its own."""
    group_N = np.repeat(np.arange(groups), images)
    true_N = random.poisson(random.lognormal(3, 0.5, size=groups)[group_N])
    bias_N = random.normal(0, 1.5, size=groups)[group_N]
    predicted_N = np.maximum(true_N + (bias_N + random.normal(size=len(group_N))) * np.sqrt(true_N + 1), 0)
    return true_N, predicted_N, group_N


@pytest.mark.parametrize("num", [1, 8, 9, 10, 19, 20, 99, 137])
@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95])
def test_where_every_image_is_its_own_group_it_is_split_conformal_prediction(num: int, level: float) -> None:
    true_N, predicted_N, _ = drawn(num, 1, np.random.default_rng(num))
    score_N = np.sort(np.abs(true_N - predicted_N) / np.sqrt(predicted_N + 1))
    rank = math.ceil(round((num + 1) * level, 9))
    expected = score_N[rank - 1] if rank <= num else np.nan
    assert fit_quantile(true_N, predicted_N, None, level) == pytest.approx(expected, nan_ok=True)
    assert fit_quantile(true_N, predicted_N, np.arange(num), level) == pytest.approx(expected, nan_ok=True)


def test_each_group_weighs_the_same_however_many_images_it_has() -> None:
    """Nine slides are off by 1; the tenth, of a hundred images, by 50: its images together weigh 1 / 11."""
    true_N = np.concatenate([np.full(9, 1), np.full(100, 50)])
    group_N = [*range(9), *["large"] * 100]
    assert fit_quantile(true_N, np.zeros(109), group_N, 0.8) == 1
    assert fit_quantile(true_N, np.zeros(109), group_N, 0.9) == 50
    assert fit_quantile(true_N, np.zeros(109), None, 0.8) == 50


def test_the_images_of_a_group_share_its_weight() -> None:
    true_N, group_N = np.arange(20), np.repeat(np.arange(10), 2)
    assert fit_quantile(true_N, np.zeros(20), group_N, 0.9) == 19  # 20 / 22 is the first share above
    assert fit_quantile(true_N, np.zeros(20), group_N, 0.86) == 18


def test_too_few_groups_for_the_level_have_no_interval() -> None:
    true_N = np.arange(80)
    assert np.isnan(fit_quantile(true_N, np.zeros(80), np.arange(80) % 8))
    assert np.isfinite(fit_quantile(true_N, np.zeros(80), np.arange(80) % 9))
    assert all(np.isnan(ends).all() for ends in interval(true_N, np.nan))


def test_intervals_hold_the_truth_on_new_slides_as_often_as_promised() -> None:
    random, held = np.random.default_rng(0), []
    for _ in range(400):
        true_N, predicted_N, group_N = drawn(19, 5, random)
        quantile = fit_quantile(true_N, predicted_N, group_N)
        true_N, predicted_N, _ = drawn(20, 1, random)
        low_N, high_N = interval(predicted_N, quantile)
        held.append(np.mean((low_N <= true_N) & (true_N <= high_N)))
    assert 0.89 <= np.mean(held) <= 0.93


def test_ends_are_symmetric_until_they_meet_zero() -> None:
    low_N, high_N = interval(np.array([0.0, 3.0, 99.0]), 2.0)
    assert low_N.tolist() == [0, 0, 79]
    assert high_N.tolist() == [2, 7, 119]


def test_a_count_below_zero_is_as_sure_as_none() -> None:
    ends = interval(np.array([-0.5, -9.0]), 2.0)
    assert [one.tolist() for one in ends] == [[0, 0], [1.5, 0]]
    assert fit_quantile(np.ones(20), np.full(20, -2.0)) == 3


def test_each_kind_has_its_own_quantile() -> None:
    low_NK, high_NK = interval(np.array([[3.0, 3.0], [8.0, 8.0]]), np.array([1.0, np.nan]))
    assert low_NK[:, 0].tolist() == [1, 5]
    assert high_NK[:, 0].tolist() == [5, 11]
    assert np.isnan(low_NK[:, 1]).all() and np.isnan(high_NK[:, 1]).all()


@pytest.mark.parametrize(
    ("true_N", "predicted_N", "level", "message"),
    [
        ([1, np.nan], [1, 2], 0.9, r"true counts must be finite, got 1 of 2 that are not \(first: \[1\]\)"),
        ([1, 2], [1, np.inf], 0.9, "predicted counts must be finite, got 1 of 2"),
        ([1, 2], [1, 2, 3], 0.9, r"got \(2,\) and \(3,\); pass one each an image"),
        ([], [], 0.9, r"got \(0,\) and \(0,\)"),
        ([1, 2], [1, 2], 90, "between 0 and 1, got 90"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(
    true_N: list[float], predicted_N: list[float], level: float, message: str
) -> None:
    with pytest.raises(CorpuscleError, match=message):
        fit_quantile(np.array(true_N), np.array(predicted_N), None, level)
