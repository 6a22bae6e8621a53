"""Figures of counts hold the numbers they are drawn from, few or many, with intervals or without."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from corpuscle.report import figures_count
from corpuscle.report.kind_counts import KindCounts, counts_by_kind, counts_of, true_counts


def counts(n: int = 40, intervals: bool = True, most: int = 200) -> KindCounts:
    generator = np.random.default_rng(2)
    true_N = generator.integers(1, most, n).astype(float)
    count_N = true_N + generator.normal(0, np.sqrt(true_N))
    half_N = np.full(n, 20.0 if intervals else np.nan)
    return KindCounts(true_N, count_N, count_N - half_N, count_N + half_N)


def test_misses_are_the_intervals_that_do_not_hold_the_truth() -> None:
    nan = np.nan
    one = KindCounts(*(np.array(row) for row in ([5.0, 5, 5, 5], [5.0, 9, 1, 5], [4.0, 7, 0, nan], [6.0, 11, 4, nan])))
    assert one.missed_N.tolist() == [False, True, True, False]


def test_images_without_truth_are_left_out_and_missing_intervals_are_nan() -> None:
    frame = pl.DataFrame({"true_cell": [3.0, None], "count_cell": [2.5, 7.0]})
    one = counts_of(frame, "cell")
    assert one.true_N.tolist() == [3.0] and np.isnan(one.low_N).all() and not one.missed_N.any()
    assert counts_by_kind(frame.with_columns(true_cell=pl.lit(None)), ["cell"]) == {}


def test_a_figure_has_the_six_kinds_with_the_most_objects_in_their_order() -> None:
    frame = pl.DataFrame({f"{what}_{k}": [float(k)] for k in range(8) for what in ("true", "count")})
    assert list(counts_by_kind(frame, [str(k) for k in range(8)])) == ["2", "3", "4", "5", "6", "7"]


def test_predicted_against_true_holds_the_identity_line_and_marks_the_misses() -> None:
    one = counts()
    axes = figures_count.predicted_against_true({"cell": one}).axes[0]
    identity = axes.lines[0]
    assert list(identity.get_xdata()) == list(identity.get_ydata())
    drawn = {line.get_label(): len(line.get_xdata()) for line in axes.lines}
    assert drawn["interval holds the truth"] == 40 - one.missed_N.sum()
    assert drawn.get("interval misses it", 0) == one.missed_N.sum()


def test_without_intervals_nothing_is_called_a_hit() -> None:
    axes = figures_count.predicted_against_true({"cell": counts(intervals=False)}).axes[0]
    assert axes.get_legend() is None


def test_the_limits_of_agreement_are_those_of_bland_and_altman() -> None:
    one = KindCounts(np.zeros(4), np.array([1.0, 2, 3, 4]), np.full(4, np.nan), np.full(4, np.nan))
    (mean, band, _), (low, wide, _), (high, _, _) = figures_count.limits_of_agreement(one)
    spread = np.std([1, 2, 3, 4], ddof=1)
    assert (mean, low, high) == pytest.approx((2.5, 2.5 - 1.96 * spread, 2.5 + 1.96 * spread))
    assert (band, wide) == pytest.approx((3.1824463 * spread / 2, 3.1824463 * spread * np.sqrt(3 / 4)))
    assert figures_count.limits_of_agreement(one.at(np.array([0, 1]))) == []


@pytest.mark.parametrize("kinds", [1, 3, 6])
@pytest.mark.parametrize("n", [1, 2, 3000])
def test_any_number_of_kinds_and_images_can_be_drawn(kinds: int, n: int) -> None:
    many = {f"<kind {k}> $a_b$": counts(n) for k in range(kinds)}
    for draw in (figures_count.predicted_against_true, figures_count.bland_altman, figures_count.intervals):
        assert len(draw(many).axes) == kinds
    longest = max(len(line.get_xdata()) for line in figures_count.bland_altman(many).axes[0].lines)
    assert longest <= figures_count.MOST_POINTS


def test_images_without_an_object_can_be_drawn() -> None:
    empty = KindCounts(*(np.zeros(3) for _ in range(4)))
    for draw in (figures_count.predicted_against_true, figures_count.bland_altman, figures_count.intervals):
        assert draw({"cell": empty}).axes[0].get_xlim()[1] >= 1
    assert figures_count.distribution({"cell": {"test": np.zeros(3)}}).axes[0].get_ylim()[1] >= 1


def test_the_scale_is_by_roots_where_few_images_hold_most_of_the_objects() -> None:
    skewed = np.array([0.0] * 20 + [2.0] * 20 + [150.0])
    one = KindCounts(skewed, skewed + 1, skewed - 1, skewed + 2)
    axes = figures_count.predicted_against_true({"cell": one}).axes[0]
    assert axes.get_xscale() == axes.get_yscale() == "function" and axes.get_xlim()[0] == 0
    assert figures_count.predicted_against_true({"cell": counts()}).axes[0].get_xscale() == "linear"


def test_the_true_counts_come_from_the_samples_or_else_from_the_predictions() -> None:
    numbers = {"true_a": [3, 5, None], "true_b": [4, 6, None]}
    samples = pl.DataFrame({"split": ["train", "test", "test"], **numbers})
    found = true_counts(samples, None, ["a", "b"])
    assert {part: list(numbers) for part, numbers in found["b"].items()} == {"training": [4.0], "test": [6.0]}
    predictions = pl.DataFrame({"split": ["val"], "true_a": [2.0]})
    assert list(true_counts(samples.drop("true_a", "true_b"), predictions, ["a"])["a"]["validation"]) == [2.0]
    assert true_counts(None, None, ["a"]) == {}


def test_every_image_lies_in_a_bin() -> None:
    for numbers in (np.array([0.0, 1, 1, 2, 300]), np.arange(120.0, 260), np.zeros(4)):
        axes = figures_count.distribution({"cell": {"test": numbers}}).axes[0]
        assert sum(axes.patches[0].get_data().values) == pytest.approx(1)
