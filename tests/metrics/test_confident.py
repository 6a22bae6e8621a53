"""Confident learning against the numbers of cleanlab 2.9.0 (Northcutt et al. 2021)."""

from __future__ import annotations

import numpy as np
import pytest

from corpuscle.core.errors import CorpuscleError
from corpuscle.metrics.confident import confident_joint, confident_learning

LABELS = np.array([0, 0, 0, 1, 0, 0, 0, 0, 0, 2, 1, 2, 1, 1, 2, 2, 1, 1, 1, 2, 0, 2, 2, 0])
PROBS = np.array(
    [
        *([0.06, 0.10, 0.84], [0.05, 0.76, 0.19], [0.03, 0.95, 0.02], [0.75, 0.18, 0.07], [0.77, 0.09, 0.14]),
        *([0.89, 0.04, 0.07], [0.68, 0.19, 0.13], [0.88, 0.04, 0.08], [0.77, 0.21, 0.02], [0.19, 0.16, 0.65]),
        *([0.12, 0.49, 0.39], [0.17, 0.15, 0.68], [0.31, 0.48, 0.21], [0.35, 0.37, 0.28], [0.26, 0.35, 0.39]),
        *([0.15, 0.19, 0.66], [0.49, 0.39, 0.12], [0.02, 0.89, 0.09], [0.50, 0.22, 0.28], [0.23, 0.31, 0.46]),
        *([0.98, 0.01, 0.01], [0.04, 0.02, 0.94], [0.18, 0.08, 0.74], [0.53, 0.06, 0.41]),
    ]
)


def test_the_joint_is_that_of_cleanlab() -> None:
    # compute_confident_joint(LABELS, PROBS)
    assert confident_joint(PROBS, LABELS).tolist() == [[7, 2, 1], [2, 5, 0], [0, 0, 7]]


def test_suspects_and_their_order_are_those_of_cleanlab() -> None:
    # find_label_issues(LABELS, PROBS, return_indices_ranked_by="normalized_margin")
    found = confident_learning(PROBS, LABELS)
    assert found.ranked.tolist() == [2, 0, 1, 3, 18]
    assert found.suggested_N[[2, 0, 1, 3, 18]].tolist() == [1, 2, 1, 0, 0]
    assert found.self_confidence_N[2] == pytest.approx(0.03)
    assert found.margin_N[2] == pytest.approx(0.03 - 0.95)


def test_labels_that_agree_with_the_predictions_are_not_suspected() -> None:
    agreeing = confident_learning(PROBS, PROBS.argmax(axis=1))
    assert not agreeing.suspected_N.any()
    assert agreeing.joint_KK.sum() == len(PROBS)


def test_a_class_without_an_image_takes_none() -> None:
    probs_NK = np.array([[0.6, 0.1, 0.3], [0.1, 0.6, 0.3], [0.2, 0.1, 0.7]])
    joint_KK = confident_joint(probs_NK, np.array([0, 1, 1]))
    assert joint_KK[:, 2].tolist() == [0, 0, 0]
    assert joint_KK.sum(axis=1).tolist() == [1, 2, 0]


def test_probabilities_that_are_none_are_refused() -> None:
    with pytest.raises(CorpuscleError, match=r"sum to 1, got 1 of 2 .*first: sample 1, \[0\.9, 0\.9\]"):
        confident_learning(np.array([[0.5, 0.5], [0.9, 0.9]]), np.array([0, 1]))
