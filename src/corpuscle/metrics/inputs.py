"""What can be scored: probabilities and targets, checked once at the door."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from corpuscle.core.errors import CorpuscleError

ROUNDING = 1e-3  # how far a sample's probabilities may be from summing to one: half precision, rounded tables


@dataclass(frozen=True, eq=False)
class Scorable:
    """What was said of N samples and what is true.

    Attributes:
        probs_NK: probabilities in float64, each at least 0, a row summing to 1.
        target_N: true classes 0 … K-1.
    """

    probs_NK: np.ndarray
    target_N: np.ndarray

    @property
    def num_classes(self) -> int:
        """Columns of the probabilities, whether the targets hold them or not."""
        return self.probs_NK.shape[1]

    @cached_property
    def present_K(self) -> np.ndarray:
        """Which classes the targets hold."""
        return np.bincount(self.target_N, minlength=self.num_classes) > 0

    @cached_property
    def prediction_N(self) -> np.ndarray:
        """The class of greatest probability, the first of equals."""
        return self.probs_NK.argmax(axis=1)

    @cached_property
    def right_N(self) -> np.ndarray:
        """Which predictions are true."""
        return self.prediction_N == self.target_N

    @cached_property
    def confidence_N(self) -> np.ndarray:
        """The probability of the prediction."""
        return self.probs_NK.max(axis=1)

    @cached_property
    def step_KN(self) -> np.ndarray:
        """For each class, the place of each sample on a stair of rising probability, as low as AUROC allows.

        Equal probabilities share a step; so do neighbours that are all of the class, or all not, since their order
        does not matter. The stairs of all classes together have about 2 N steps and not K N.
        """
        step_KN = np.empty(self.probs_NK.shape[::-1], dtype=np.intp)
        for k, p_N in enumerate(self.probs_NK.T):
            level_N = np.unique(p_N, return_inverse=True)[1].reshape(-1)
            true_N = self.target_N == k
            kind_L = (np.bincount(level_N, true_N) > 0) + 2 * (np.bincount(level_N, ~true_N) > 0)
            rises_L = (kind_L[1:] != kind_L[:-1]) | (kind_L[1:] == 3)
            step_KN[k] = np.cumsum(np.r_[0, rises_L])[level_N]
        return step_KN


def checked(probs_NK: np.ndarray, target_N: np.ndarray) -> Scorable:
    """Take what can be scored and refuse the rest.

    Raises:
        CorpuscleError: what is wrong, and with which sample.
    """
    probs_NK, target_N = np.asarray(probs_NK, dtype=np.float64), np.asarray(target_N)
    if probs_NK.ndim != 2 or target_N.shape != probs_NK.shape[:1]:
        expected = "probabilities (samples, classes) and targets (samples,)"
        raise CorpuscleError(f"scores need {expected}, got {probs_NK.shape} and {target_N.shape}; pass a row a sample")
    if probs_NK.size == 0:
        raise CorpuscleError(f"scores need samples and classes, got {probs_NK.shape}; check that the part has images")
    if not np.issubdtype(target_N.dtype, np.integer):
        raise CorpuscleError(f"targets must be integers, got {target_N.dtype}; number the classes in name order")
    finite_N = np.isfinite(probs_NK).all(axis=1)
    _refuse(~finite_N, probs_NK, "probabilities must be finite", "the net diverged: lower the learning rate")
    wrong_N = (np.abs(probs_NK.sum(axis=1) - 1) > ROUNDING) | (probs_NK < 0).any(axis=1)
    _refuse(wrong_N, probs_NK, "probabilities must be at least 0 and sum to 1", "pass the softmax of the logits")
    last = probs_NK.shape[1] - 1
    unknown_N = (target_N < 0) | (target_N > last)
    _refuse(unknown_N, target_N, f"targets must be 0 to {last}", "leave out samples without a known class")
    return Scorable(probs_NK, target_N.astype(np.intp))


def _refuse(wrong_N: np.ndarray, values: np.ndarray, expected: str, remedy: str) -> None:
    if wrong_N.any():
        row = int(wrong_N.argmax())
        first = f"first: sample {row}, {np.round(values[row], 4).tolist()}"
        raise CorpuscleError(f"{expected}, got {wrong_N.sum()} of {len(wrong_N)} that are not ({first}); {remedy}")
