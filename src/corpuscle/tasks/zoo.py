"""Tasks by name, and what a user may choose of them. Nothing here imports torch before a task is built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from corpuscle.core.errors import CorpuscleError, nearest
from corpuscle.core.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from corpuscle.tasks.task import Task


class CountPlan(Settings):
    """How objects are counted."""

    sigma: float = Field(
        0,
        ge=0,
        le=50,
        description="deviation of the blob that a dot becomes, pixels of the canvas; 0: by near neighbours",
    )
    level: float = Field(0.9, gt=0.5, lt=1, description="share of the images whose interval should hold their count")
    distance: float = Field(
        0,
        ge=0,
        description="farthest a found dot may lie from a true one, pixels of the image; 0: half the distance "
        "of near neighbours",
    )


class SegmentPlan(Settings):
    """How pixels are classified."""

    loss: tuple[Literal["cross_entropy", "dice", "focal"], ...] = Field(
        ("cross_entropy", "dice"), min_length=1, description="losses that are added up"
    )
    smallest: int = Field(
        20, ge=1, description="pixels of the canvas; islands of a class that are smaller are not counted as objects"
    )
    tolerance: float = Field(
        2.0, gt=0, description="pixels of the canvas by which a boundary may be off and still count as found"
    )


class ReconstructPlan(Settings):
    """How an image is made again from its features."""

    pixel: Literal["l1", "mse"] = Field("l1", description="difference of the pixels: absolute or squared")
    structure: float = Field(
        0.5, ge=0, le=1, description="share of 1 - SSIM in the loss, the rest is the difference of the pixels"
    )


class ContrastPlan(Settings):
    """How two views of an image are told from those of others."""

    temperature: float = Field(0.2, gt=0, le=10, description="of the softmax over the likenesses of views")
    width: int = Field(128, ge=2, le=4096, description="numbers of the projection in which views are compared")


Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Choices:
    """What tasks are made of, whichever it is.

    Attributes:
        count: how objects are counted.
        segment: how pixels are classified.
        label_smoothing: share of a class target that is spread over all classes.
        weight_K: factor on the loss of each class; None weighs every image alike.
        reconstruct: how images are made again.
        contrast: how views are told apart.
        mean, std: normalisation of what the net sees.
    """

    count: CountPlan = field(default_factory=CountPlan)
    segment: SegmentPlan = field(default_factory=SegmentPlan)
    label_smoothing: float = 0.0
    weight_K: Tensor | None = None
    reconstruct: ReconstructPlan = field(default_factory=ReconstructPlan)
    contrast: ContrastPlan = field(default_factory=ContrastPlan)
    mean: Triple = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)


def _classify(choices: Choices) -> Task:
    from corpuscle.tasks.classify import Classify

    return Classify(choices.label_smoothing, choices.weight_K)


def _count(choices: Choices) -> Task:
    from corpuscle.tasks.count import Count

    return Count(choices.count)


def _segment(choices: Choices) -> Task:
    from corpuscle.tasks.segment import Segment

    return Segment(choices.segment, choices.weight_K)


def _reconstruct(choices: Choices) -> Task:
    from corpuscle.tasks.reconstruct import Reconstruct

    return Reconstruct(choices.reconstruct, choices.mean, choices.std)


def _contrast(choices: Choices) -> Task:
    from corpuscle.tasks.contrast import Contrast

    return Contrast(choices.contrast)


def _cluster(choices: Choices) -> Task:
    from corpuscle.tasks.cluster import Cluster

    return Cluster()


TASKS: dict[str, Callable[[Choices], Task]] = {
    "classify": _classify,
    "cluster": _cluster,
    "contrast": _contrast,
    "count": _count,
    "reconstruct": _reconstruct,
    "segment": _segment,
}


def build_task(name: str, choices: Choices = Choices()) -> Task:
    """The task of a name.

    Raises:
        CorpuscleError: nobody knows it.

    >>> build_task("classify").watch.column
    'val_recall'
    """
    if name not in TASKS:
        raise CorpuscleError(f"'{name}' is not a task. {nearest(name, TASKS)}; install a Corpuscle that knows it")
    return TASKS[name](choices)
