"""Which labels are probably wrong: by a model that has not seen the image, and by the labels of its copies.

The held-out probability of the label, its self-confidence, ranks it, as in confident learning (C. Northcutt, L. Jiang,
I. Chuang, JAIR 70, 2021). How likely a label is wrong follows by Bayes' rule, so that more must speak against it than
another class that is a little likelier. That paper's own cut, which counts the confident errors of each pair of
classes, listed more than twice as many right labels on fundus photographs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from corpuscle.metrics.calibration import apply_temperature, fit_temperature

WRONG = 0.05  # share of wrong labels that is assumed; with it the doubts rise and fall, their order hardly changes
LEAST_DOUBT = 0.1  # chosen on planted errors; the doubts are cautious, most of what is listed was wrong
LEAST_PROBABILITY = 1e-12


@dataclass(frozen=True, eq=False)
class Doubts:
    """What N labels of K classes are worth.

    Attributes:
        probs_NK: probability of each class, the given label, that of copies and the model all heard.
        self_confidence_N: of the given class: the probability that the label is right.
        suggested_N: the likeliest class but the given one.
        suspected_N: labels that are wrong by one chance in ten at least.
    """

    probs_NK: np.ndarray
    self_confidence_N: np.ndarray
    suggested_N: np.ndarray
    suspected_N: np.ndarray

    @property
    def ranked(self) -> np.ndarray:
        """Places of the suspected labels, the worst first."""
        place_M = np.flatnonzero(self.suspected_N)
        return place_M[np.argsort(self.self_confidence_N[place_M], kind="stable")]


def doubts(probs_NK: np.ndarray, label_N: np.ndarray, copies: Sequence[np.ndarray] = ()) -> Doubts:
    """Weigh labels against predictions of a model that has not seen them.

    Copies show one thing, so that of different labels at least one is wrong. Labels that agree count once: a copy's is
    mostly that of its original, given again without a look.

    Args:
        probs_NK: held-out probabilities of each class; their temperature is fitted here.
        label_N: given classes 0 … K-1.
        copies: places of images that are nearly the same, no place in two sets.

    Raises:
        CorpuscleError: probabilities or labels that cannot be scored.
    """
    cool_NK = apply_temperature(probs_NK, fit_temperature(probs_NK, label_N))
    model_NK = np.log(np.maximum(cool_NK, LEAST_PROBABILITY))
    said_KK = _log_chances(model_NK.shape[1])
    log_NK = model_NK + said_KK[label_N]
    for place_M in copies:
        label_M = label_N[place_M]
        heard_M = label_M if len(set(label_M)) > 1 else label_M[:1]
        log_NK[place_M] = model_NK[place_M].mean(axis=0) + said_KK[heard_M].sum(axis=0)
    together_NK = special.softmax(log_NK, axis=1)
    row_N = np.arange(len(label_N))
    self_N = together_NK[row_N, label_N]
    others_NK = together_NK.copy()
    others_NK[row_N, label_N] = -1.0
    return Doubts(together_NK, self_N, others_NK.argmax(axis=1), self_N <= 1 - LEAST_DOUBT)


def _log_chances(classes: int) -> np.ndarray:
    """Logarithm of how likely each label (row) is given to each class (column), any wrong one as likely as another."""
    chance_KK = np.full((classes, classes), WRONG / max(classes - 1, 1))
    chance_KK[np.diag_indices(classes)] = 1 - WRONG
    return np.log(chance_KK)
