"""What is derived from the data and the machine, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from corpuscle.core.errors import CorpuscleError
from corpuscle.data.fingerprint import Normalisation
from corpuscle.engine.device import Machine
from corpuscle.engine.experiment import Experiment

SIZE_STEP, SMALLEST, LARGEST = 32, 64, 96
SHRINKS, NEAREST = (1, 2, 4, 8), 10
FEWEST_EPOCHS, MOST_EPOCHS, IMAGES_SEEN = 30, 100, 36_000  # a small set needs more passes for as many steps
CROP_STEPS, FEWEST_OF_CROPS, MOST_OF_CROPS = 1_800, 20, 500


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


def choose_shrink(apart: float | None) -> tuple[int, str]:
    """Pixels of the image to one of the canvas where none are asked for, and why.

    Args:
        apart: median distance of near neighbours among the objects, in pixels of the image; None where it is unknown.
    """
    if apart is None:
        return 1, "nothing is known of how near objects lie to one another"
    fitting = [shrink for shrink in SHRINKS if apart / shrink >= NEAREST]
    shrink = max(fitting, default=1)
    return shrink, f"half the objects have a neighbour within {apart:.0f} pixels; at least {NEAREST} should remain"


def choose_epochs(num_train: int, images: int = 0) -> tuple[int, str]:
    """Passes over the training part where none are asked for, and why.

    Args:
        num_train: images of the training part.
        images: to see, as asked for; 0 where that is open too.
    """
    if images:
        epochs = min(max(round(images / max(num_train, 1)), 1), MOST_EPOCHS)
        return epochs, f"{num_train} training images; to see {images}, as asked for, in at most {MOST_EPOCHS} passes"
    epochs = min(max(IMAGES_SEEN // max(num_train, 1), FEWEST_EPOCHS), MOST_EPOCHS)
    return epochs, f"{num_train} training images; from {FEWEST_EPOCHS} to {MOST_EPOCHS}, to see {IMAGES_SEEN} if it can"


def choose_validation(num_train: int, num_val: int) -> int:
    """Epochs from one validation to the next that make it see no more images than learn."""
    return max(-(-num_val // max(num_train, 1)), 1)


def choose_epochs_of_crops(num_train: int, batch_size: int) -> tuple[int, str]:
    """Passes over the training part where crops of it are learned from and none are asked for, and why."""
    steps = max(num_train // batch_size, 1)
    epochs = min(max(-(-CROP_STEPS // steps), FEWEST_OF_CROPS), MOST_OF_CROPS)
    return epochs, f"{num_train} training images; about {CROP_STEPS} steps, from {FEWEST_OF_CROPS} to {MOST_OF_CROPS}"


def derive(
    experiment: Experiment,
    why: Mapping[str, str],
    machine: Machine,
    num_train: int,
    held_K: np.ndarray | None,
    measured: Normalisation,
    published: Normalisation | None,
) -> Derived:
    """Settle what depends on the data.

    Args:
        experiment: the settings, with the size and the epochs chosen.
        why: the reasons of these.
        machine: what computes.
        num_train: images of the training part.
        held_K: how much they hold of each class, as in `balanced_weights`; None where the task has no classes.
        measured: normalisation of the training part.
        published: what the starting weights were trained with, if they come with one.

    Raises:
        CorpuscleError: a process would have fewer than two images a step.
    """
    batch_size, why_batch = experiment.fit.batch_size, "as set"
    if num_train < batch_size:
        batch_size, why_batch = num_train, f"the training part has {num_train} images"
    if batch_size < 2 * machine.world:  # batch normalisation needs two
        raise CorpuscleError(
            f"{machine.world} processes expect at least {2 * machine.world} images a step, got {batch_size} "
            f"({why_batch}); start fewer processes, or raise --batch-size"
        )
    normalisation, why_norm = measured, "mean and deviation of the training part"
    if published is not None:
        normalisation, why_norm = published, "what the starting weights were trained with"
    weight_K, why_weights = None, "as set: every image counts alike"
    if experiment.fit.balance != "none":
        if held_K is None:
            raise CorpuscleError(
                f"fit.balance={experiment.fit.balance} expects classes, this task has none; leave it at none"
            )
        weight_K = balanced_weights(held_K)
        how = "in the loss" if experiment.fit.balance == "weights" else "by how often it is drawn"
        why_weights = f"one over what the training part holds of the class (of masks the root of its pixels), {how}"
    canvas = "prepare.shrink" if experiment.prepare.fit == "keep" else "prepare.size"
    reasons = {
        canvas: {"value": getattr(experiment.prepare, canvas.removeprefix("prepare.")), "why": why["size"]},
        "epochs": {"value": [stage.epochs for stage in experiment.stages], "why": why["epochs"]},
        "fit.batch_size": {"value": batch_size, "why": why_batch},
        "normalisation": {"value": [list(normalisation.mean), list(normalisation.std)], "why": why_norm},
        "class weights": {"value": None if weight_K is None else weight_K.round(4).tolist(), "why": why_weights},
        **({"augment.crop": {"value": experiment.augment.crop, "why": why["crop"]}} if "crop" in why else {}),
        "device": {"value": str(machine.device), "why": machine.why["device"]},
        "precision": {"value": machine.precision, "why": machine.why["precision"]},
        "workers": {"value": machine.workers, "why": machine.why["workers"]},
    }
    return Derived(batch_size, normalisation, weight_K, reasons)


def balanced_weights(held_K: np.ndarray) -> np.ndarray:
    """weight_K that makes every class count alike, with mean one over what is held (scikit-learn's 'balanced').

    Args:
        held_K: how much there is of each class: images, or the root of its pixels.
    """
    return held_K.sum() / (len(held_K) * np.maximum(held_K, 1))
