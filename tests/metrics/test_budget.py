"""Means over seeds hold other images and other seeds, and labels are read off the curve and nowhere else."""

import math

import numpy as np
import pytest

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.records import Score
from corpuscle.metrics.budget import labels_for, mean_over_seeds, paired_over_seeds, with_seeds
from corpuscle.metrics.classification import score
from corpuscle.metrics.compare import paired_difference


def nets(seeds, images, accuracy, random, spread=0.0, hard_N=None):
    """probs_SN2 of nets that are right on about a share of the images, and agree on which are hard."""
    hard_N = random.random(images) if hard_N is None else hard_N
    target_N = np.zeros(images, int)
    share_S = accuracy + spread * random.standard_normal((seeds, 1))
    right_SN = 0.7 * hard_N + 0.3 * random.random((seeds, images)) < share_S
    return np.stack([0.2 + 0.6 * right_SN, 0.8 - 0.6 * right_SN], axis=-1), target_N


def test_one_seed_is_scored_as_a_run_is():
    probs_SNK, target_N = nets(1, 200, 0.8, np.random.default_rng(0))
    found = mean_over_seeds("accuracy", probs_SNK, target_N)
    plain = score(probs_SNK[0], target_N, classes=["a", "b"]).scores["accuracy"]
    assert (found.value, found.low, found.high) == pytest.approx((plain.value, plain.low, plain.high))


def test_the_mean_is_that_of_the_seeds_and_lies_in_its_interval():
    probs_SNK, target_N = nets(3, 150, 0.7, np.random.default_rng(1), 0.05)
    each = [score(probs_NK, target_N, classes=["a", "b"]).scores["accuracy"].value for probs_NK in probs_SNK]
    found = mean_over_seeds("accuracy", probs_SNK, target_N)
    assert found.value == pytest.approx(np.mean(each)) and found.low < found.value < found.high
    assert (found.n, found.groups) == (150, 150)


def test_seeds_that_differ_widen_an_interval_and_groups_do():
    random = np.random.default_rng(2)
    hard_N = random.random(300)
    alike, target_N = nets(3, 300, 0.8, random, 0.0, hard_N)
    apart, _ = nets(3, 300, 0.8, random, 0.1, hard_N)
    width = [found.high - found.low for found in (mean_over_seeds("accuracy", p, target_N) for p in (alike, apart))]
    assert width[1] > 1.5 * width[0]
    groups = [str(place) for place in np.argsort(np.argsort(hard_N)) // 30]  # a group is hard as a whole
    grouped = mean_over_seeds("accuracy", alike, target_N, groups)
    assert grouped.groups == 10 and grouped.high - grouped.low > 1.5 * width[0]


def test_a_paired_difference_of_one_seed_is_that_of_two_runs():
    random = np.random.default_rng(3)
    hard_N = random.random(200)
    a, target_N = nets(1, 200, 0.8, random, 0, hard_N)
    b, _ = nets(1, 200, 0.7, random, 0, hard_N)
    found, plain = paired_over_seeds("accuracy", a, b, target_N), paired_difference("accuracy", a[0], b[0], target_N)
    assert (found.value, found.low, found.high) == pytest.approx((plain.value, plain.low, plain.high))


def test_what_the_seeds_share_leaves_their_difference():
    random = np.random.default_rng(4)
    hard_N = random.random(300)
    a, target_N = nets(3, 300, 0.8, random, 0, hard_N)
    b, _ = nets(3, 300, 0.7, random, 0, hard_N)
    gain = paired_over_seeds("accuracy", a, b, target_N)
    apart = [mean_over_seeds("accuracy", probs_SNK, target_N) for probs_SNK in (a, b)]
    assert gain.value == pytest.approx(apart[0].value - apart[1].value) and gain.low > 0
    assert gain.high - gain.low < max(one.high - one.low for one in apart) + min(one.high - one.low for one in apart)


def test_what_cannot_be_compared_is_refused():
    probs_SNK, target_N = nets(2, 20, 0.8, np.random.default_rng(5))
    with pytest.raises(
        CorpuscleError, match=r"both need the same seeds, images and classes, got \(2, 20, 2\) and \(1,"
    ):
        paired_over_seeds("accuracy", probs_SNK, probs_SNK[:1], target_N)
    with pytest.raises(CorpuscleError, match=r"'acuracy' is not a score\. Did you mean accuracy"):
        mean_over_seeds("acuracy", probs_SNK, target_N)


def test_an_interval_ends_where_the_score_does():
    plain = Score(0.98, 0.95, 0.99, 100, 100, "max")
    wide = with_seeds(plain, np.array([0.96, 0.98, 1.0]), (0.0, 1.0))
    assert wide.high == 1.0 and wide.low < 0.95
    assert with_seeds(plain, np.array([0.98])) == plain


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0.0, 0.02, 0.06])
def test_the_interval_holds_the_truth_as_often_as_it_says(spread):
    random, held, tries = np.random.default_rng(6), 0, 250
    truth = np.mean([nets(1, 4000, 0.8, random, spread)[0][0, :, 0].mean() for _ in range(400)])
    for _ in range(tries):
        probs_SNK, target_N = nets(3, 150, 0.8, random, spread)
        found = mean_over_seeds("accuracy", probs_SNK, target_N)
        held += found.low <= (truth - 0.2) / 0.6 <= found.high
    assert held / tries > 0.92


def curve(*values, half=0.1):
    return [Score(value, value - half, value + half, 100, 100, "max") for value in values]


def test_labels_lie_straight_between_the_points_over_their_logarithm():
    needed = labels_for(0.8, [10, 100, 1000], curve(0.5, 0.7, 0.9))
    assert (needed.low, needed.labels, needed.high) == pytest.approx((100, math.sqrt(1e5), 1000))


def test_what_is_not_reached_is_not_made_up():
    needed = labels_for(0.95, [10, 100], curve(0.5, 0.9))
    assert math.isinf(needed.labels) and math.isinf(needed.high)
    assert needed.low == pytest.approx(10 ** (1 + (0.95 - 0.6) / 0.4))
    assert math.isinf(labels_for(1.2, [10, 100], curve(0.5, 0.9)).low)


def test_what_the_smallest_budget_reaches_needs_no_more():
    needed = labels_for(0.4, [10, 100], curve(0.5, 0.9))
    assert (needed.labels, needed.low, needed.high, needed.least) == (10, 10, 10, 10)


def test_a_point_without_an_interval_is_passed_over_by_its_ends():
    scores = [*curve(0.5), Score(0.7, math.nan, math.nan, 100, 3, "max"), *curve(0.9)]
    needed = labels_for(0.7, [10, 100, 1000], scores)
    assert needed.labels == 100 and needed.low == pytest.approx(10 * 100 ** (0.1 / 0.4))
