from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from corpuscle.core.errors import CorpuscleError
from corpuscle.metrics.bootstrap import CHUNK, Interval, Resamples, group_codes, resample

SHARE = (0.0, 1.0)


def mean_of(value_N: np.ndarray, code_N: np.ndarray, seed: int = 0, resamples: int = 400) -> Resamples:
    """Resamples of the mean of some values."""
    groups = int(code_N.max()) + 1
    sum_G, size_G = np.bincount(code_N, value_N, minlength=groups), np.bincount(code_N, minlength=groups)
    return resample(lambda w_GB: (sum_G @ w_GB / (size_G @ w_GB))[None], groups, seed=seed, resamples=resamples)


def test_groups_are_numbered_in_order_and_samples_without_one_stand_alone() -> None:
    assert group_codes(["b", None, "a", "b", float("nan"), None], 6).tolist() == [0, 1, 2, 0, 3, 4]
    assert group_codes(None, 3).tolist() == [0, 1, 2]
    assert group_codes(np.array([7, 7, 3]), 3).tolist() == [0, 0, 1]
    assert group_codes([0, None], 2).tolist() == [0, 1]


def test_groups_of_other_length_are_refused() -> None:
    with pytest.raises(CorpuscleError, match="3 samples need as many groups, got 2"):
        group_codes(["a", "b"], 3)


def test_every_resample_draws_as_many_groups_as_there_are_and_each_equally_often() -> None:
    seen = resample(lambda w_GB: w_GB, 30, seed=1, resamples=4000)
    assert np.array_equal(seen.draws_SB.sum(axis=0), np.full(4000, 30))
    assert np.allclose(seen.draws_SB.mean(axis=1), 1, atol=0.08)
    assert np.isclose(seen.draws_SB.var(), 1 - 1 / 30, atol=0.02)  # of a multinomial count
    assert np.array_equal(seen.left_out_SJ.sum(axis=1), np.full(30, 29))
    assert np.array_equal(seen.value_S, np.ones(30))


def test_many_groups_are_drawn_in_parts_and_left_out_in_blocks() -> None:
    groups, widths = CHUNK // 90, []

    def counted(weight_GB: np.ndarray) -> np.ndarray:
        widths.append(weight_GB.shape[1])
        return weight_GB.sum(axis=0)[None]

    seen = resample(counted, groups, seed=0, resamples=100)
    assert widths == [1, 90, 90, 20, 90, 10]
    assert np.array_equal(seen.draws_SB, np.full((1, 100), groups))
    assert np.allclose(seen.left_out_SJ, np.full((1, 200), groups * 199 / 200), atol=1)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    value_N = np.random.default_rng(0).random(50)
    first, again, other = (mean_of(value_N, np.arange(50), seed).interval(0, 50, SHARE) for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_for_a_plain_mean_the_interval_is_that_of_the_t_distribution() -> None:
    value_N = np.random.default_rng(2).normal(size=200)
    found = mean_of(value_N, np.arange(200), resamples=20_000).interval(0, 200, (-np.inf, np.inf))
    low, high = stats.t.interval(0.95, 199, value_N.mean(), stats.sem(value_N))
    assert np.allclose([found.low, found.high], [low, high], atol=0.05 * (high - low))


def test_for_a_skewed_statistic_the_interval_is_near_bca_of_scipy() -> None:
    value_N = np.random.default_rng(5).exponential(size=150)
    found = mean_of(value_N, np.arange(150), resamples=20_000).interval(0, 150, (0, np.inf))
    reference = stats.bootstrap((value_N,), np.mean, method="BCa", n_resamples=20_000, rng=1).confidence_interval
    width = reference.high - reference.low
    assert np.allclose([found.low, found.high], reference, atol=0.04 * width)
    assert found.high - value_N.mean() > 1.05 * (value_N.mean() - found.low)  # skewed as the data are


def test_intervals_over_groups_cover_the_truth_and_intervals_over_samples_do_not() -> None:
    """Patients differ (their own accuracy is Beta(4, 1)), so 25 patients of 20 cells are not 500 cells."""
    random = np.random.default_rng(11)
    code_N = np.repeat(np.arange(25), 20)
    by_group, by_sample = [], []
    for _ in range(300):
        right_N = (random.random(500) < random.beta(4, 1, size=25)[code_N]).astype(float)
        by_group.append(mean_of(right_N, code_N).interval(0, 25, SHARE))
        by_sample.append(mean_of(right_N, np.arange(500)).interval(0, 500, SHARE))
    assert 0.90 <= np.mean([one.low <= 0.8 <= one.high for one in by_group]) <= 0.98
    assert np.mean([one.low <= 0.8 <= one.high for one in by_sample]) < 0.75


def test_five_groups_still_cover_the_truth_where_plain_percentiles_do_not() -> None:
    random = np.random.default_rng(3)
    ours, percentiles = [], []
    for _ in range(300):
        drawn = mean_of(random.normal(size=5), np.arange(5))
        found = drawn.interval(0, 5, (-np.inf, np.inf))
        ours.append(found.low <= 0 <= found.high)
        low, high = np.quantile(drawn.draws_SB[0], [0.025, 0.975])
        percentiles.append(low <= 0 <= high)
    assert np.mean(percentiles) < 0.86
    assert 0.88 < np.mean(ours) < 0.98


def test_one_group_has_no_interval() -> None:
    found = mean_of(np.array([0.0, 1.0]), np.array([0, 0])).interval(0, 1, SHARE)
    assert np.isnan([found.low, found.high]).all()


def test_without_a_single_fault_the_interval_is_that_of_clopper_and_pearson() -> None:
    exact = stats.binomtest(20, 20).proportion_ci(method="exact")
    assert np.allclose(_ends(mean_of(np.ones(20), np.arange(20)).interval(0, 20, SHARE)), exact)
    exact = stats.binomtest(0, 20).proportion_ci(method="exact")
    assert np.allclose(_ends(mean_of(np.zeros(20), np.arange(20)).interval(0, 20, SHARE)), exact)


def test_a_constant_inside_its_bounds_is_its_own_interval() -> None:
    assert mean_of(np.full(9, 0.5), np.arange(9)).interval(0, 9, SHARE) == Interval(0.5, 0.5)


def test_undefined_resamples_are_left_out_until_they_are_more_than_half() -> None:
    draws_B = np.random.default_rng(0).normal(size=100)
    few, many = draws_B.copy(), draws_B.copy()
    few[:49], many[:51] = np.nan, np.nan
    drawn = Resamples(np.zeros(3), np.stack([few, many, draws_B]), np.full((3, 5), np.nan))
    kept = Resamples(np.zeros(1), few[None, 49:], np.full((1, 5), np.nan))
    assert drawn.interval(0, 100, (-9, 9)) == kept.interval(0, 100, (-9, 9))
    assert np.isnan(_ends(drawn.interval(1, 100, (-9, 9)))).all()
    undefined = Resamples(np.array([np.nan]), draws_B[None], np.zeros((1, 5)))
    assert np.isnan(_ends(undefined.interval(0, 100, (-9, 9)))).all()


def test_the_interval_always_holds_the_value() -> None:
    above_SB = np.linspace(1, 2, 100)[None]
    found = Resamples(np.zeros(1), above_SB, np.zeros((1, 5))).interval(0, 100, (-9, 9))
    assert found.low <= 0 <= found.high


def _ends(found: Interval) -> list[float]:
    return [found.low, found.high]
