"""Confident learning: which labels disagree with held-out predictions, and how surely (Northcutt et al. 2021).

C. Northcutt, L. Jiang, I. Chuang, Confident learning: estimating uncertainty in dataset labels, JAIR 70.
The numbers are those of cleanlab's `find_label_issues` by noise rate, its default.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from corpuscle.metrics.inputs import checked

SLACK = 1e-6  # a probability that equals the threshold but for rounding is confident


@dataclass(frozen=True, eq=False)
class Confident:
    """What held-out predictions say of N labels of K classes.

    Attributes:
        joint_KK: how many images of a given class (row) belong to a class (column), by the confident predictions.
        suspected_N: labels that are probably wrong.
        suggested_N: the likeliest class but the given one.
        self_confidence_N: the probability of the given class.
        margin_N: that probability less that of the suggested class; the lower, the worse the label.
    """

    joint_KK: np.ndarray
    suspected_N: np.ndarray
    suggested_N: np.ndarray
    self_confidence_N: np.ndarray
    margin_N: np.ndarray

    @property
    def ranked(self) -> np.ndarray:
        """Places of the suspected labels, the worst first."""
        place_M = np.flatnonzero(self.suspected_N)
        return place_M[np.argsort(self.margin_N[place_M], kind="stable")]


def confident_learning(probs_NK: np.ndarray, label_N: np.ndarray) -> Confident:
    """Compare labels with predictions of a model that has not seen them.

    Args:
        probs_NK: held-out probabilities of each class.
        label_N: given classes 0 … K-1, at least one image each.

    Raises:
        CorpuscleError: probabilities or labels that cannot be scored.
    """
    part = checked(probs_NK, label_N)
    joint_KK = confident_joint(part.probs_NK, part.target_N)
    row_N = np.arange(len(part.target_N))
    self_N = part.probs_NK[row_N, part.target_N]
    others_NK = part.probs_NK.copy()
    others_NK[row_N, part.target_N] = -1.0
    suspected_N = _by_noise_rate(part.probs_NK, part.target_N, joint_KK) & (part.prediction_N != part.target_N)
    return Confident(joint_KK, suspected_N, others_NK.argmax(axis=1), self_N, self_N - others_NK.max(axis=1))


def confident_joint(probs_NK: np.ndarray, label_N: np.ndarray) -> np.ndarray:
    """How many images of each given class (row) belong to each class (column), in whole numbers; rows sum to the class.

    An image counts where its probability reaches the mean self-confidence of that class's images; of several such
    classes the likeliest.
    """
    classes = probs_NK.shape[1]
    number_K = np.bincount(label_N, minlength=classes)
    own_N = probs_NK[np.arange(len(label_N)), label_N]
    threshold_K = np.bincount(label_N, own_N, classes) / np.maximum(number_K, 1)
    threshold_K[number_K == 0] = np.inf  # a class without an image takes none
    confident_NK = np.where(probs_NK >= threshold_K - SLACK, probs_NK, -1.0)
    sure_N = confident_NK.max(axis=1) >= 0
    counts_KK = np.zeros((classes, classes))
    np.add.at(counts_KK, (label_N[sure_N], confident_NK[sure_N].argmax(axis=1)), 1)
    counts_KK[np.diag_indices(classes)] = np.maximum(counts_KK.diagonal(), 1)
    return np.array([_whole(row_K, number) for row_K, number in zip(counts_KK, number_K, strict=True)])


def _whole(row_K: np.ndarray, total: int) -> np.ndarray:
    """A row scaled to its total, in whole numbers: the largest remainders are rounded up."""
    scaled_K = row_K / row_K.sum() * total
    whole_K = np.floor(scaled_K).astype(int)
    short = total - whole_K.sum()
    whole_K[np.argsort(whole_K - scaled_K, kind="stable")[:short]] += 1
    return whole_K


def _by_noise_rate(probs_NK: np.ndarray, label_N: np.ndarray, joint_KK: np.ndarray) -> np.ndarray:
    """Of each pair of given and other class as many images as the joint says, those that lean most to the other."""
    suspected_N = np.zeros(len(label_N), bool)
    for given, other in zip(*np.nonzero(joint_KK), strict=True):
        if given == other:
            continue
        place_M = np.flatnonzero(label_N == given)
        lean_M = probs_NK[place_M, other] - probs_NK[place_M, given]
        suspected_N[place_M[np.argsort(-lean_M, kind="stable")[: joint_KK[given, other]]]] = True
    return suspected_N
