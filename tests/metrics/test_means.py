"""Means over images with their intervals."""

import numpy as np
import pytest

from corpuscle.metrics.means import PAIRED, MeanMetric, as_part, score_means

ERROR = {"error": MeanMetric("min", (0.0, np.inf))}


def test_a_mean_counts_each_image_once_and_its_interval_draws_groups():
    rng = np.random.default_rng(0)
    value_N = rng.normal(5, 1, 60)
    alone = score_means(value_N[:, None], None, ERROR)["error"]
    np.testing.assert_allclose(alone.value, value_N.mean())
    assert alone.low < 5 < alone.high and (alone.n, alone.groups) == (60, 60)
    grouped = score_means(np.repeat(value_N[:6], 10)[:, None], np.repeat(np.arange(6), 10), ERROR)["error"]
    assert (grouped.n, grouped.groups) == (60, 6)
    assert grouped.high - grouped.low > 1.5 * (alone.high - alone.low)


def test_the_interval_is_about_as_wide_as_theory_says():
    value_N = np.random.default_rng(1).normal(0, 2, 400)
    found = score_means(value_N[:, None] + 10, None, ERROR, resamples=2000)["error"]
    np.testing.assert_allclose(found.high - found.low, 2 * 1.96 * value_N.std() / 20, rtol=0.1)


def test_the_same_seed_gives_the_same_and_columns_do_not_disturb_one_another():
    value_N2 = np.random.default_rng(2).random((30, 2))
    both = score_means(value_N2, None, PAIRED, seed=3, resamples=200)
    assert both == score_means(value_N2, None, PAIRED, seed=3, resamples=200)
    alone = score_means(value_N2[:, :1], None, {"loss": PAIRED["loss"]}, seed=3, resamples=200)
    assert alone["loss"].high == pytest.approx(both["loss"].high) and both["retrieval"].direction == "max"


def test_a_difference_may_be_of_either_sign():
    assert PAIRED["retrieval"].difference == MeanMetric("max", (-1.0, 1.0))


def test_a_part_is_plain():
    part = as_part(score_means(np.ones((3, 1)), ["a", "a", "b"], ERROR))
    assert (part["n"], part["groups"], part["scores"]["error"]["value"], part["per_class"]) == (3, 2, 1.0, {})
