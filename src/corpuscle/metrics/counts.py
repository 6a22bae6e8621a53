"""The counts that every score of a classifier is computed from, for many weightings of the samples at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from corpuscle.metrics.calibration import BINS, SMALLEST, bin_of
from corpuscle.metrics.inputs import Scorable


@dataclass(frozen=True, eq=False)
class Counts:
    """Sums over samples, each counted as often as its group in each of B weightings.

    Attributes:
        part: the samples.
        group_N: their groups 0 … G-1.
        weight_GB: how often each group counts.
    """

    part: Scorable
    group_N: np.ndarray
    weight_GB: np.ndarray

    def total(self, row_N: np.ndarray, num_rows: int, value_N: np.ndarray) -> np.ndarray:
        """Weighted sum (R, B) of a value over the samples of each row 0 … R-1."""
        shape = (num_rows, len(self.weight_GB))
        return sparse.csr_array((value_N.astype(float), (row_N, self.group_N)), shape=shape) @ self.weight_GB

    @cached_property
    def confusion_KKB(self) -> np.ndarray:
        """True class by predicted class."""
        part, k = self.part, self.part.num_classes
        cell_N = part.target_N * k + part.prediction_N
        return self.total(cell_N, k * k, np.ones(len(cell_N))).reshape(k, k, -1)

    @cached_property
    def right_KB(self) -> np.ndarray:
        """Samples of each class that were named rightly."""
        return np.einsum("kkb->kb", self.confusion_KKB)

    @cached_property
    def support_KB(self) -> np.ndarray:
        """Samples of each class."""
        return self.confusion_KKB.sum(axis=1)

    @cached_property
    def predicted_KB(self) -> np.ndarray:
        """Samples given to each class."""
        return self.confusion_KKB.sum(axis=0)

    @cached_property
    def weight_B(self) -> np.ndarray:
        """Number of samples."""
        return self.support_KB.sum(axis=0)

    @cached_property
    def recall_KB(self) -> np.ndarray:
        """NaN for a class without a sample."""
        return ratio(self.right_KB, self.support_KB)

    @cached_property
    def precision_KB(self) -> np.ndarray:
        """NaN for a class that no sample was given to."""
        return ratio(self.right_KB, self.predicted_KB)

    @cached_property
    def f1_KB(self) -> np.ndarray:
        """NaN for a class without a sample."""
        f1_KB = ratio(2 * self.right_KB, self.support_KB + self.predicted_KB)
        return np.where(self.support_KB > 0, f1_KB, np.nan)

    @cached_property
    def auroc_KB(self) -> np.ndarray:
        """Each class against the rest: share of pairs in the right order, ties half (Mann & Whitney)."""
        return np.stack([self._auroc_B(k) for k in range(self.part.num_classes)])

    def _auroc_B(self, k: int) -> np.ndarray:
        step_N = self.part.step_KN[k]
        true_N = self.part.target_N == k
        true_RB = self.total(step_N, step_N.max() + 1, true_N)
        other_RB = self.total(step_N, step_N.max() + 1, ~true_N)
        below_RB = np.cumsum(other_RB, axis=0) - other_RB / 2
        return ratio(np.einsum("rb,rb->b", true_RB, below_RB), true_RB.sum(axis=0) * other_RB.sum(axis=0))

    @cached_property
    def surprise_B(self) -> np.ndarray:
        """Sum of -log p of the true class."""
        p_N = self.part.probs_NK[np.arange(len(self.part.target_N)), self.part.target_N]
        return self.total(np.zeros_like(self.group_N), 1, -np.log(np.maximum(p_N, SMALLEST)))[0]

    @cached_property
    def gap_MB(self) -> np.ndarray:
        """In each bin of confidence: those that are right, less the sum of confidences, over all samples."""
        return self.total(bin_of(self.part.confidence_N), BINS, self._surplus_N) / self.weight_B

    @cached_property
    def drift_MB(self) -> np.ndarray:
        """How far each bin's gap is from the one in which each sample counts once."""
        bin_N = bin_of(self.part.confidence_N)
        return self.gap_MB - np.bincount(bin_N, self._surplus_N, minlength=BINS)[:, None] / len(bin_N)

    @cached_property
    def _surplus_N(self) -> np.ndarray:
        return self.part.right_N - self.part.confidence_N


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, NaN where the whole is zero."""
    return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0)
