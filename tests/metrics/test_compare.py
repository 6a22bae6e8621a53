from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from corpuscle.core.errors import CorpuscleError
from corpuscle.metrics.classification import score
from corpuscle.metrics.compare import paired_difference


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
