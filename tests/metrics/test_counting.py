from __future__ import annotations

import json
import time

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference

from corpuscle.core.errors import CorpuscleError
from corpuscle.metrics.conformal import interval
from corpuscle.metrics.counted import Counted
from corpuscle.metrics.counting import COUNT_METRICS, Sums, bin_of, score_counts
from corpuscle.metrics.dots import DotCounts

BASIC = ["mae", "rmse", "r", "r2", "bias", "kappa"]
ALL = list(COUNT_METRICS)


def drawn(num: int = 120, kinds: int = 1, seed: int = 0) -> Counted:
    """Counts over all LYSTO bins, predictions with noise and bias, intervals and dots."""
    random = np.random.default_rng(seed)
    true_NK = random.poisson(random.lognormal(2, 1.5, size=(num, kinds)))
    predicted_NK = np.maximum(true_NK * 1.1 + random.normal(size=(num, kinds)) * np.sqrt(true_NK + 1), 0)
    low_NK, high_NK = interval(predicted_NK, np.linspace(1, 2, kinds))
    found_NK = np.floor(predicted_NK + 0.5).astype(int)
    dots = DotCounts(6.0, random.binomial(np.minimum(found_NK, true_NK), 0.8), found_NK, true_NK)
    return Counted(predicted_NK, true_NK, low_NK, high_NK, dots)


def rows_of(counted: Counted, rows: np.ndarray, kinds: list[int] | None = None) -> Counted:
    """Some images, and some of the kinds."""
    columns = slice(None) if kinds is None else kinds
    dots = counted.dots
    taken = [one[rows][:, columns] for one in (counted.predicted_NK, counted.true_NK, counted.low_NK, counted.high_NK)]
    dots = DotCounts(dots.distance, *(one[rows][:, columns] for one in (dots.tp_NK, dots.found_NK, dots.true_NK)))
    return Counted(*taken, dots)


def expected(counted: Counted) -> dict[str, float]:
    """The same scores of one kind from scikit-learn, scipy and sums."""
    true_N, predicted_N = counted.true_NK[:, 0], counted.predicted_NK[:, 0]
    edges = [0.5, 5.5, 10.5, 20.5, 50.5, 200.5]
    bins = [np.digitize(one, edges) for one in (true_N, predicted_N)]
    held_N = (counted.low_NK <= counted.true_NK) & (counted.true_NK <= counted.high_NK)
    tp, found, true = (one.sum() for one in (counted.dots.tp_NK, counted.dots.found_NK, counted.dots.true_NK))
    return {
        "mae": reference.mean_absolute_error(true_N, predicted_N),
        "rmse": reference.root_mean_squared_error(true_N, predicted_N),
        "r": stats.pearsonr(true_N, predicted_N).statistic,
        "r2": reference.r2_score(true_N, predicted_N),
        "bias": np.mean(predicted_N - true_N),
        "kappa": reference.cohen_kappa_score(*bins, weights="quadratic"),
        "coverage": held_N.mean(),
        "width": (counted.high_NK - counted.low_NK).mean(),
        "dot_precision": tp / found,
        "dot_recall": tp / true,
        "dot_f1": 2 * tp / (found + true),
    }


def test_every_score_is_that_of_scikit_learn_and_scipy() -> None:
    counted = drawn()
    found = score_counts(counted, classes=["cell"], resamples=0)
    assert {name: one.value for name, one in found.scores.items()} == pytest.approx(expected(counted), abs=1e-12)
    assert list(found.scores) == list(found.per_class["cell"].scores) == ALL
    assert found.per_class["cell"].objects == counted.true_NK.sum()


@pytest.mark.parametrize("name", ALL)
def test_weights_count_as_repeated_rows_do(name: str) -> None:
    counted, random = drawn(), np.random.default_rng(7)
    code_N = random.integers(40, size=120)
    weight_GB = random.integers(4, size=(40, 3)).astype(float)
    value_CB = COUNT_METRICS[name].compute(Sums(counted, code_N, weight_GB))
    for weight_G, value in zip(weight_GB.T, value_CB[0], strict=True):
        repeated = rows_of(counted, np.repeat(np.arange(120), weight_G[code_N].astype(int)))
        assert value == pytest.approx(expected(repeated)[name], abs=1e-9)


def test_counts_in_the_millions_lose_nothing() -> None:
    counted = drawn()
    far = Counted(counted.predicted_NK + 1e7, counted.true_NK + 10**7)
    near = score_counts(counted, classes=["cell"], resamples=50).scores
    for name in ("mae", "rmse", "r", "r2", "bias"):
        found = score_counts(far, classes=["cell"], resamples=50).scores[name]
        assert [found.value, found.low, found.high] == pytest.approx(
            [near[name].value, near[name].low, near[name].high], rel=1e-6
        )


def test_the_total_adds_up_kinds_and_each_kind_stands_alone() -> None:
    counted = drawn(kinds=2)
    found = score_counts(counted, classes=["red", "white"], resamples=60)
    total = Counted(counted.predicted_NK.sum(axis=1, keepdims=True), counted.true_NK.sum(axis=1, keepdims=True))
    whole = score_counts(total, classes=["cell"], resamples=60).scores
    for name in BASIC:
        one, other = found.scores[name], whole[name]
        assert [one.value, one.low, one.high] == pytest.approx([other.value, other.low, other.high]), name
    assert list(found.scores) == [name for name in ALL if name not in ("coverage", "width")]
    assert found.scores["dot_recall"].value == counted.dots.tp_NK.sum() / counted.dots.true_NK.sum()
    for k, name in enumerate(["red", "white"]):
        alone = score_counts(rows_of(counted, np.arange(120), [k]), classes=[name], resamples=60)
        for score, one in found.per_class[name].scores.items():
            assert one.value == pytest.approx(alone.scores[score].value), score
            assert (one.low, one.high) == pytest.approx((alone.scores[score].low, alone.scores[score].high)), score
        assert found.per_class[name].objects == counted.true_NK[:, k].sum()


def test_bins_are_those_of_the_challenge_and_halves_are_rounded_up() -> None:
    count_N = np.array([0, 1, 5, 6, 10, 11, 20, 21, 50, 51, 200, 201, 9999])
    assert bin_of(count_N).tolist() == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]
    assert bin_of(np.array([-3, 0.49, 0.5, 2.5, 5.49, 5.5, 200.5])).tolist() == [0, 0, 1, 1, 1, 2, 6]


def test_what_is_not_defined_has_no_value() -> None:
    true_NK, predicted_NK = np.array([[3], [3], [3], [3]]), np.array([[3.1], [3.3], [2.9], [3.0]])
    found = score_counts(Counted(predicted_NK, true_NK), classes=["cell"], resamples=50).scores
    assert np.isnan([found["r"].value, found["r2"].value, found["kappa"].value, found["r"].low]).all()
    assert found["mae"].value == pytest.approx(0.125)
    constant = Counted(np.full((4, 1), 0.1), np.array([[0], [1], [7], [30]]))
    found = score_counts(constant, classes=["cell"], resamples=50).scores
    assert np.isnan(found["r"].value)
    assert found["r2"].value < 0
    assert found["kappa"].value == 0
    dots = DotCounts(2.0, *(np.array([[0], [0]]) for _ in range(2)), np.array([[1], [2]]))
    found = score_counts(Counted(np.zeros((2, 1)), np.array([[1], [2]]), dots=dots), classes=["cell"]).scores
    assert np.isnan(found["dot_precision"].value)
    assert (found["dot_recall"].value, found["dot_f1"].value) == (0, 0)
    assert (found["dot_precision"].n, found["dot_recall"].n) == (0, 2)


def test_an_interval_that_is_not_available_is_left_out_of_coverage() -> None:
    counted = drawn(30)
    low_NK, high_NK = counted.low_NK.copy(), counted.high_NK.copy()
    low_NK[:10], high_NK[:10] = np.nan, np.nan
    found = score_counts(Counted(counted.predicted_NK, counted.true_NK, low_NK, high_NK), classes=["cell"]).scores
    rest = expected(rows_of(counted, np.arange(10, 30)))
    assert [found["coverage"].value, found["width"].value] == pytest.approx([rest["coverage"], rest["width"]])
    assert (found["coverage"].n, found["coverage"].groups) == (20, 20)
    nothing = np.full((30, 1), np.nan)
    found = score_counts(Counted(counted.predicted_NK, counted.true_NK, nothing, nothing), classes=["cell"]).scores
    assert np.isnan([found["coverage"].value, found["width"].value]).all()
    assert found["coverage"].as_dict()["value"] is None


def test_without_intervals_or_dots_their_scores_are_not_there() -> None:
    counted = drawn(20)
    found = score_counts(Counted(counted.predicted_NK, counted.true_NK), classes=["cell"], resamples=2)
    assert list(found.scores) == BASIC
    assert "distance" not in found.as_dict()


def test_images_of_one_slide_widen_the_interval() -> None:
    counted = drawn(40)
    copies = rows_of(counted, np.repeat(np.arange(40), 10))
    alone = score_counts(copies, classes=["cell"], resamples=300).scores["mae"]
    grouped = score_counts(copies, np.repeat(np.arange(40), 10), classes=["cell"], resamples=300).scores["mae"]
    once = score_counts(counted, classes=["cell"], resamples=300).scores["mae"]
    assert (grouped.low, grouped.high) == pytest.approx((once.low, once.high))
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)
    assert (grouped.n, grouped.groups, alone.groups) == (400, 40, 400)


def test_the_interval_of_the_error_is_near_that_of_scipy() -> None:
    counted = drawn(150)
    found = score_counts(counted, classes=["cell"], resamples=10_000).scores
    for name, statistic in (("mae", np.mean), ("rmse", lambda x, axis: np.sqrt(np.mean(x**2, axis=axis)))):
        off_N = np.abs(counted.predicted_NK - counted.true_NK)[:, 0]
        ends = stats.bootstrap((off_N,), statistic, method="BCa", n_resamples=10_000, rng=1).confidence_interval
        close = 0.06 * (ends.high - ends.low)
        assert [found[name].low, found[name].high] == pytest.approx(list(ends), abs=close)


def test_one_slide_has_scores_but_no_interval() -> None:
    found = score_counts(drawn(20), ["slide"] * 20, classes=["cell"])
    assert found.groups == 1
    assert found.scores["mae"].value > 0
    assert all(np.isnan([one.low, one.high]).all() for one in found.scores.values())


def test_the_part_is_written_as_plain_json() -> None:
    found = score_counts(drawn(50, kinds=2), classes=["red", "white"], resamples=20)
    part = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert list(part) == ["n", "groups", "scores", "per_class", "distance"]
    assert set(part["scores"]["mae"]) == {"value", "low", "high", "n", "groups", "direction"}
    assert list(part["per_class"]) == ["red", "white"]
    assert list(part["per_class"]["red"]) == ["scores", "objects"]
    assert list(part["per_class"]["red"]["scores"]) == ALL
    assert (part["n"], part["groups"], part["distance"]) == (50, 50, 6.0)


GOOD = np.array([[1.0], [2.0], [3.0]])
ONE = np.ones((3, 1))


@pytest.mark.parametrize(
    ("counted", "message"),
    [
        (Counted(GOOD, GOOD - 2), r"whole numbers of at least 0, got 1 of 3 .*image 0, kind 0, -1.0"),
        (Counted(GOOD, GOOD / 2), r"whole numbers of at least 0, got 2 of 3 .*image 0, kind 0, 0.5"),
        (Counted(GOOD, np.array([[1], [np.nan], [np.inf]])), r"got 2 of 3 .*image 1, kind 0, nan"),
        (Counted(np.array([[1], [2], [np.inf]]), GOOD), "predicted counts must be finite, got 1 of 3 .*image 2"),
        (Counted(GOOD, GOOD[:2]), r"got \(3, 1\) and \(2, 1\); pass a row an image"),
        (Counted(GOOD[:, 0], GOOD[:, 0]), r"got \(3,\) and \(3,\)"),
        (Counted(GOOD[:0], GOOD[:0]), r"scores need images and kinds, got \(0, 1\)"),
        (Counted(np.hstack([GOOD, GOOD]), np.hstack([GOOD, GOOD])), "1 kinds need as many columns of counts, got 2"),
        (Counted(GOOD, GOOD, low_NK=GOOD), "intervals need both ends, got one"),
        (Counted(GOOD, GOOD, GOOD, GOOD[:2]), r"got \(3, 1\) and \(2, 1\) for \(3, 1\); pass NaN"),
        (
            Counted(GOOD, GOOD, GOOD + 1, GOOD),
            r"must not be above high ends, got 3 of 3 .*image 0, kind 0, \[2.0, 1.0\]",
        ),
        (Counted(GOOD, GOOD, GOOD * np.nan, GOOD), "must not be above high ends, got 3 of 3"),
        (Counted(GOOD, GOOD, dots=DotCounts(1, ONE * 2, ONE, GOOD)), r"found or true ones, got 3 of 3"),
        (Counted(GOOD, GOOD, dots=DotCounts(1, ONE[:2], ONE, GOOD)), "dots need a number for each image and kind"),
    ],
)
def test_what_cannot_be_scored_is_refused_in_one_line(counted: Counted, message: str) -> None:
    with pytest.raises(CorpuscleError, match=message) as caught:
        score_counts(counted, classes=["cell"], resamples=2)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_thousand_resamples_of_twenty_thousand_images_take_seconds() -> None:
    counted = drawn(20_000, kinds=2)
    started = time.process_time()
    score_counts(counted, classes=["red", "white"])
    assert time.process_time() - started < 10
