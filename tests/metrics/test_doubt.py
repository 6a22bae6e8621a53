"""Which labels are probably wrong."""

from __future__ import annotations

import numpy as np
import pytest

from corpuscle.core.errors import CorpuscleError
from corpuscle.metrics.doubt import WRONG, doubts

SURE, UNSURE = [0.9, 0.05, 0.05], [0.45, 0.5, 0.05]


def held_out(number: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Predictions as sure as they are right: of each ten of a class nine are labelled so."""
    label_N = np.array([row % 3 if row % 10 else (row + 1) % 3 for row in range(number)])
    return np.array([np.roll(SURE, row % 3) for row in range(number)]), label_N


def test_labels_against_a_sure_prediction_are_suspected_with_the_predicted_class() -> None:
    probs_NK, label_N = held_out()
    found = doubts(probs_NK, label_N)
    assert sorted(found.ranked.tolist()) == list(range(0, 200, 10))
    assert (found.suggested_N[::10] == np.arange(0, 200, 10) % 3).all()
    np.testing.assert_allclose(found.probs_NK.sum(axis=1), 1)


def test_how_likely_a_label_is_right_follows_by_bayes() -> None:
    probs_NK, label_N = held_out()
    found, own = doubts(probs_NK, label_N), 0.05
    expected = own * (1 - WRONG) / (own * (1 - WRONG) + (1 - own) * WRONG / 2)
    assert found.self_confidence_N[0] == pytest.approx(expected, abs=0.05)


def test_an_unsure_prediction_says_nothing_against_a_label() -> None:
    probs_NK, label_N = held_out()
    probs_NK[1], label_N[1] = UNSURE, 0
    assert 1 not in doubts(probs_NK, label_N).ranked


def test_of_copies_with_different_labels_the_one_the_model_is_against_is_suspected() -> None:
    probs_NK, label_N = held_out()
    probs_NK[[1, 2]], label_N[[1, 2]] = [0.6, 0.3, 0.1], [0, 1]
    assert not {1, 2} & set(doubts(probs_NK, label_N).ranked.tolist())
    found = doubts(probs_NK, label_N, [np.array([1, 2])])
    assert found.self_confidence_N[2] < 0.5 < found.self_confidence_N[1]
    assert found.suggested_N[2] == 0 and found.self_confidence_N[[1, 2]].sum() == pytest.approx(1, abs=0.02)


def test_of_three_copies_two_outvote_the_third() -> None:
    probs_NK, label_N = held_out()
    probs_NK[[1, 2, 3]], label_N[[1, 2, 3]] = [0.6, 0.3, 0.1], [0, 1, 1]
    found = doubts(probs_NK, label_N, [np.array([1, 2, 3])])
    assert found.self_confidence_N[1] < 0.2 and (found.self_confidence_N[[2, 3]] > 0.8).all()


def test_copies_of_one_label_count_once() -> None:
    probs_NK, label_N = held_out()
    label_N[[1, 4]] = 0
    alone = doubts(probs_NK, label_N)
    same = doubts(probs_NK, label_N, [np.array([1, 4])])
    np.testing.assert_allclose(same.self_confidence_N, alone.self_confidence_N)
    assert {1, 4} <= set(same.ranked.tolist())


def test_predictions_that_know_nothing_suspect_nothing() -> None:
    random = np.random.default_rng(0)
    probs_NK, label_N = random.dirichlet(np.ones(4), 400), random.integers(0, 4, 400)
    assert not doubts(probs_NK, label_N).suspected_N.any()


def test_probabilities_that_are_none_are_refused() -> None:
    with pytest.raises(CorpuscleError, match=r"sum to 1, got 1 of 2 .*first: sample 1, \[0\.9, 0\.9\]"):
        doubts(np.array([[0.5, 0.5], [0.9, 0.9]]), np.array([0, 1]))
