from __future__ import annotations

import numpy as np
import pytest

from corpuscle.core.errors import CorpuscleError
from corpuscle.metrics.inputs import checked

GOOD = np.array([[0.5, 0.5], [0.25, 0.75], [1.0, 0.0]])
TARGET = np.array([0, 1, 0])


def _with(row: int, values: list[float]) -> np.ndarray:
    probs_NK = GOOD.copy()
    probs_NK[row] = values
    return probs_NK


@pytest.mark.parametrize(
    ("probs_NK", "target_N", "message"),
    [
        (_with(1, [np.nan, 1]), TARGET, r"probabilities must be finite, got 1 of 3 .*sample 1, \[nan, 1.0\]"),
        (_with(2, [np.inf, 0]), TARGET, r"probabilities must be finite, got 1 of 3 .*sample 2"),
        (_with(2, [0.5, 0.6]), TARGET, r"at least 0 and sum to 1, got 1 of 3 .*sample 2, \[0.5, 0.6\].*softmax"),
        (_with(0, [1.5, -0.5]), TARGET, r"at least 0 and sum to 1, got 1 of 3 .*sample 0, \[1.5, -0.5\]"),
        (GOOD, np.array([0, 2, -1]), r"targets must be 0 to 1, got 2 of 3 that are not \(first: sample 1, 2\)"),
        (GOOD, np.array([0.0, 1.0, 0.0]), "targets must be integers, got float64"),
        (GOOD, TARGET[:2], r"got \(3, 2\) and \(2,\); pass a row a sample"),
        (GOOD[:, 0], TARGET, r"got \(3,\) and \(3,\)"),
        (GOOD[:0], TARGET[:0], r"scores need samples and classes, got \(0, 2\)"),
    ],
)
def test_what_cannot_be_scored_is_refused_in_one_line(probs_NK: np.ndarray, target_N: np.ndarray, message: str) -> None:
    with pytest.raises(CorpuscleError, match=message) as caught:
        checked(probs_NK, target_N)
    assert "\n" not in str(caught.value)


def test_probabilities_in_half_precision_pass() -> None:
    random = np.random.default_rng(0)
    probs_NK = random.dirichlet(np.ones(8), size=200)
    assert checked(probs_NK.astype(np.float16), np.zeros(200, dtype=np.uint8)).probs_NK.dtype == np.float64
