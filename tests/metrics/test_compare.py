from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from corpuscle.core.errors import CorpuscleError
from corpuscle.metrics.classification import score
from corpuscle.metrics.compare import paired_count_difference, paired_difference


@pytest.fixture
def two() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two nets that find the same samples hard, the first a little better."""
    random = np.random.default_rng(0)
    target_N = random.integers(3, size=400)
    shared_NK = random.normal(size=(400, 3)) + np.eye(3)[target_N]
    a_NK, b_NK = (shared_NK + extra * np.eye(3)[target_N] + 0.2 * random.normal(size=(400, 3)) for extra in (0.25, 0.0))
    return special.softmax(a_NK, axis=1), special.softmax(b_NK, axis=1), target_N


@pytest.mark.parametrize("name", ["accuracy", "auroc", "nll"])
def test_the_paired_difference_is_narrower_than_separate_intervals_suggest(name: str, two: tuple) -> None:
    a_NK, b_NK, target_N = two
    found = paired_difference(name, a_NK, b_NK, target_N)
    a, b = (score(probs_NK, target_N, classes="xyz").scores[name] for probs_NK in (a_NK, b_NK))
    assert found.value == pytest.approx(a.value - b.value)
    assert found.high - found.low < 0.8 * np.hypot(a.high - a.low, b.high - b.low)
    assert not found.low <= 0 <= found.high
    assert (a.high > b.low) and (b.high > a.low)  # the separate intervals overlap, and do not show it


def test_the_difference_turns_its_sign_with_its_order(two: tuple) -> None:
    a_NK, b_NK, target_N = two
    forth, back = (paired_difference("f1_macro", *pair, target_N) for pair in ((a_NK, b_NK), (b_NK, a_NK)))
    assert forth.value == -back.value
    assert [forth.low, forth.high] == pytest.approx([-back.high, -back.low], abs=5e-3)


def test_a_net_does_not_differ_from_itself(two: tuple) -> None:
    found = paired_difference("kappa", two[0], two[0], two[2])
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_the_difference_is_resampled_by_group(two: tuple) -> None:
    copies = np.repeat(np.arange(400), 4)
    a_NK, b_NK, target_N = (array[copies] for array in two)
    alone = paired_difference("accuracy", a_NK, b_NK, target_N)
    grouped = paired_difference("accuracy", a_NK, b_NK, target_N, [f"slide {n}" for n in copies])
    assert grouped.groups == 400
    assert grouped.high - grouped.low > 1.6 * (alone.high - alone.low)


def test_the_same_seed_gives_the_same_interval(two: tuple) -> None:
    assert paired_difference("ece", *two, seed=5) == paired_difference("ece", *two, seed=5)
    assert paired_difference("ece", *two, seed=5) != paired_difference("ece", *two, seed=6)


def test_an_unknown_score_is_answered_with_the_nearest(two: tuple) -> None:
    with pytest.raises(CorpuscleError, match=r"'acuracy' is not a score\. Did you mean accuracy"):
        paired_difference("acuracy", *two)


def test_nets_of_other_classes_are_not_compared(two: tuple) -> None:
    a_NK, b_NK, target_N = two
    with pytest.raises(CorpuscleError, match="both need the same classes, got 3 and 4 of them"):
        paired_difference("accuracy", a_NK, np.pad(b_NK, ((0, 0), (0, 1))), target_N)


# --- counts


@pytest.fixture
def counters() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two counters of two kinds that are wrong on the same images, the first a little less."""
    random = np.random.default_rng(0)
    true_NK = random.poisson((20, 6), size=(150, 2))
    hard_NK = random.normal(size=(150, 2)) * 3
    a_NK, b_NK = (true_NK + share * hard_NK + 0.3 * random.normal(size=(150, 2)) for share in (0.85, 1.0))
    return np.maximum(a_NK, 0), np.maximum(b_NK, 0), true_NK


LOOPS = {
    "mae": lambda said_N, true_N: np.mean([abs(said - true) for said, true in zip(said_N, true_N, strict=True)]),
    "rmse": lambda said_N, true_N: np.sqrt(np.mean([(s - t) ** 2 for s, t in zip(said_N, true_N, strict=True)])),
    "bias": lambda said_N, true_N: np.mean([said - true for said, true in zip(said_N, true_N, strict=True)]),
    "r": lambda said_N, true_N: np.corrcoef(said_N, true_N)[0, 1],
}


@pytest.mark.parametrize("name", LOOPS)
def test_the_difference_of_counters_is_that_of_a_plain_loop_over_totals_and_so_is_its_spread(
    name: str, counters: tuple
) -> None:
    a_NK, b_NK, true_NK = counters
    group_N = [f"s{n // 3}" for n in range(150)]
    found = paired_count_difference(name, a_NK, b_NK, true_NK, group_N)
    totals = [value_NK.sum(axis=1) for value_NK in (a_NK, b_NK, true_NK)]

    def difference(rows: np.ndarray) -> float:
        a_N, b_N, true_N = (total_N[rows] for total_N in totals)
        return float(LOOPS[name](a_N, true_N) - LOOPS[name](b_N, true_N))

    assert found.value == pytest.approx(difference(np.arange(150)), abs=1e-9)
    random = np.random.default_rng(1)
    draws = [
        difference(np.concatenate([np.arange(3) + 3 * group for group in random.integers(50, size=50)]))
        for _ in range(1000)
    ]
    low, high = np.quantile(draws, [0.025, 0.975])
    assert [found.low, found.high] == pytest.approx([low, high], abs=0.3 * (high - low))
    assert (found.n, found.groups) == (150, 50)


def test_the_better_counter_is_told_though_separate_intervals_overlap(counters: tuple) -> None:
    a_NK, b_NK, true_NK = counters
    forth, back = (paired_count_difference("mae", *pair, true_NK) for pair in ((a_NK, b_NK), (b_NK, a_NK)))
    assert forth.high < 0 < back.low and forth.direction == "min"
    assert forth.value == -back.value
    same = paired_count_difference("kappa", a_NK, a_NK, true_NK)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_counters_of_other_images_and_unknown_scores_are_refused(counters: tuple) -> None:
    a_NK, b_NK, true_NK = counters
    with pytest.raises(CorpuscleError, match=r"'maes' is not a score of counts alone\. Did you mean mae"):
        paired_count_difference("maes", *counters)
    with pytest.raises(
        CorpuscleError, match=r"scores need predicted and true counts .*, got \(149, 2\) and \(150, 2\)"
    ):
        paired_count_difference("mae", a_NK, b_NK[1:], true_NK)


@pytest.mark.parametrize("name", ["coverage", "width", "dot_f1"])
def test_scores_of_intervals_and_of_dots_cannot_be_had_from_counts_alone(name: str, counters: tuple) -> None:
    with pytest.raises(
        CorpuscleError, match=f"'{name}' is not a score of counts alone. Known: mae, rmse, r, r2, bias, kappa$"
    ):
        paired_count_difference(name, *counters)
