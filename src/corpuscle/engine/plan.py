"""What is derived from the data and the machine, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from corpuscle.data.fingerprint import Normalisation
from corpuscle.engine.device import Machine
from corpuscle.engine.experiment import Experiment

SIZE_STEP, SMALLEST, LARGEST = 32, 64, 128


@dataclass(frozen=True)
class Derived:
    """Values that the settings left open, and why each is what it is."""

    batch_size: int
    normalisation: Normalisation
    weight_K: np.ndarray | None
    reasons: dict[str, Any]


def choose_size(median_side: int) -> tuple[int, str]:
    """The side of the canvas where none was asked for, and why.

    Args:
        median_side: median over the images of their shorter side, in pixels.
    """
    size = min(max(median_side // SIZE_STEP * SIZE_STEP, SMALLEST), LARGEST)
    return (
        size,
        f"the images' shorter sides have a median of {median_side}; from {SMALLEST} to {LARGEST} is a good start",
    )


def derive(
    experiment: Experiment,
    size_why: str,
    machine: Machine,
    target_N: np.ndarray,
    measured: Normalisation,
    published: Normalisation | None,
) -> Derived:
    """Settle what depends on the data.

    Args:
        experiment: the settings, with the size chosen.
        size_why: the reason of the size.
        machine: what computes.
        target_N: class numbers of the training part.
        measured: normalisation of the training part.
        published: what the starting weights were trained with, if they come with one.
    """
    batch_size, why_batch = experiment.fit.batch_size, "as set"
    if len(target_N) < batch_size:
        batch_size, why_batch = len(target_N), f"the training part has {len(target_N)} images"
    normalisation, why_norm = measured, "mean and deviation of the training part"
    if published is not None:
        normalisation, why_norm = published, "what the starting weights were trained with"
    weight_K, why_weights = None, "as set: every image counts alike"
    if experiment.fit.balance != "none":
        weight_K = balanced_weights(target_N)
        how = "in the loss" if experiment.fit.balance == "weights" else "by how often it is drawn"
        why_weights = f"one over the class's share of the training part, {how}"
    reasons = {
        "prepare.size": {"value": experiment.prepare.size, "why": size_why},
        "fit.batch_size": {"value": batch_size, "why": why_batch},
        "normalisation": {"value": [list(normalisation.mean), list(normalisation.std)], "why": why_norm},
        "class weights": {"value": None if weight_K is None else weight_K.round(4).tolist(), "why": why_weights},
        "device": {"value": str(machine.device), "why": machine.why["device"]},
        "precision": {"value": machine.precision, "why": machine.why["precision"]},
        "workers": {"value": machine.workers, "why": machine.why["workers"]},
    }
    return Derived(batch_size, normalisation, weight_K, reasons)


def balanced_weights(target_N: np.ndarray) -> np.ndarray:
    """weight_K that makes every class count alike, with mean one over the images (scikit-learn's 'balanced')."""
    count_K = np.bincount(target_N)
    return len(target_N) / (len(count_K) * np.maximum(count_K, 1))
