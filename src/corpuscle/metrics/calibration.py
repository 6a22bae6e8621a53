"""How far a net's confidence can be believed, and the one number that mends it (Guo et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from corpuscle.metrics.inputs import Scorable, checked

BINS = 15  # of equal width, as in Guo et al.
SMALLEST = float(np.finfo(np.float32).tiny)  # a softmax in float32 gives zero below it; its logarithm is -87
COLDEST, HOTTEST = 0.05, 20.0


@dataclass(frozen=True)
class Bin:
    """The n > 0 samples whose confidence lies in (low, high]: their mean confidence and the share that is right."""

    low: float
    high: float
    confidence: float
    accuracy: float
    n: int


def bin_of(confidence_N: np.ndarray) -> np.ndarray:
    """The bin 0 … BINS-1 of each confidence; a bin holds its upper edge.

    >>> bin_of(np.array([0.0, 1 / 15, 0.5, 1.0])).tolist()
    [0, 0, 7, 14]
    """
    return np.clip(np.ceil(confidence_N * BINS) - 1, 0, BINS - 1).astype(np.intp)


def reliability(part: Scorable) -> tuple[Bin, ...]:
    """The reliability diagram: confidence against accuracy; bins without a sample are left out."""
    bin_N = bin_of(part.confidence_N)
    return tuple(
        Bin(
            low=place / BINS,
            high=(place + 1) / BINS,
            confidence=float(part.confidence_N[bin_N == place].mean()),
            accuracy=float(part.right_N[bin_N == place].mean()),
            n=int((bin_N == place).sum()),
        )
        for place in np.unique(bin_N).tolist()
    )


def fit_temperature(probs_NK: np.ndarray, target_N: np.ndarray) -> float:
    """The temperature that makes a held-out part likeliest, between 0.05 and 20; above 1 where a net is too sure.

    One pretended sample of no class in particular is added (as Platt 1999 does for sigmoids): without it a part
    that is classified without error would ask for certainty.

    Raises:
        CorpuscleError: probabilities or targets that cannot be scored.
    """
    part = checked(probs_NK, target_N)
    log_NK, rows = _log(part.probs_NK), np.arange(len(part.target_N))

    def loss(log_temperature: float) -> float:
        cooled_NK = special.log_softmax(log_NK / np.exp(log_temperature), axis=1)
        return float(-cooled_NK[rows, part.target_N].sum() - cooled_NK.mean())

    found = optimize.minimize_scalar(loss, bounds=(np.log(COLDEST), np.log(HOTTEST)), method="bounded")
    return float(np.exp(found.x))


def apply_temperature(probs_NK: np.ndarray, temperature: float) -> np.ndarray:
    """softmax(log p / T) in float64; the order of the classes stays.

    >>> apply_temperature(np.array([[0.8, 0.2]]), 2.0).round(3).tolist()
    [[0.667, 0.333]]
    """
    return special.softmax(_log(probs_NK) / temperature, axis=1)


def _log(probs_NK: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(np.asarray(probs_NK, dtype=np.float64), SMALLEST))
