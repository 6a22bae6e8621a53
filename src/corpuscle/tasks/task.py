"""The promise of a task: what the net should say, the loss, what its output means, and how that is judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import polars as pl
from torch import Tensor

from corpuscle.data.masks import Masks
from corpuscle.data.prepare import PreparePlan
from corpuscle.data.table import Table
from corpuscle.data.targets import Targets
from corpuscle.metrics.overlap import Overlap
from corpuscle.nets.net import Net

Calibration = Mapping[str, Any]


@dataclass(frozen=True)
class Watch:
    """The column of the log that says which epoch was best."""

    column: str
    direction: Literal["max", "min"]

    def better(self, new: float, old: float | None) -> bool:
        """Whether a new value beats the old one; anything beats none."""
        if new != new:
            return False
        return old is None or (new > old if self.direction == "max" else new < old)


@dataclass(frozen=True)
class Judging:
    """How final scores are computed.

    Attributes:
        seed, resamples: of the bootstrap behind each interval.
    """

    seed: int = 0
    resamples: int = 1000


@dataclass(frozen=True)
class Held:
    """What a net said of images that were held out, beside what is true.

    Attributes:
        table: rows of these images alone.
        said_NK: numbers of each image, as the task decodes them: probabilities, counts, areas and then counts, or how
            well the image was made again or its views found.
        found: dots that were found: `image`, `kind`, `x`, `y`, `score`; None where the net gives none.
        overlaps: of the true and the said mask of each image, where the net gives masks.
    """

    table: Table
    said_NK: np.ndarray
    found: pl.DataFrame | None = None
    overlaps: Sequence[Overlap] = ()


class Task(Protocol):
    """What a task promises the engine.

    Attributes:
        watch: the column of the log that says which epoch was best.
        counts_whole_images: a number said of an image holds for one of the size that was learned.
        learns_masks: the truth is a mask.
        learns_images: the truth is what the net saw.
        learns_labels: the truth is something that a person said of the image.
        views: varied pictures of an image that stand in a batch together; of several the net tells its features.
    """

    watch: Watch
    counts_whole_images: bool
    learns_masks: bool
    learns_images: bool
    learns_labels: bool
    views: int

    def num_outputs(self, classes: Sequence[str]) -> int:
        """Width of the head."""
        ...

    def check(self, table: Table) -> None:
        """See that a data set is one for this task.

        Raises:
            CorpuscleError: it is for another; says which.
        """
        ...

    def targets(self, table: Table, plan: PreparePlan, net: Net, masks: Masks | None = None) -> Targets:
        """What the net should say of each row; `masks` are the true ones of a table that has them."""
        ...

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """The scalar to be minimised, averaged over the batch."""
        ...

    def decode(self, output: Tensor, seen: Tensor | None = None) -> np.ndarray:
        """What the output means: said_NK; `seen` is the image_NCHW that the net saw."""
        ...

    def sums(self, output: Tensor, target: Tensor) -> dict[str, Any]:
        """Plain numbers and lists that add up over batches and processes; `images` is one of them."""
        ...

    def scores(self, sums: dict[str, Any]) -> dict[str, float]:
        """Numbers of a row of the log beside the loss; each is a column once `train_` or `val_` stands before it."""
        ...

    def calibrate(self, held: Held | None) -> Calibration:
        """What makes the numbers honest, learned on the validation part if there is one; plain JSON, for the card."""
        ...

    def columns(self, said_NK: np.ndarray, classes: Sequence[str], calibration: Calibration) -> pl.DataFrame:
        """What is told to a person of each image, calibrated; no rows where there are no images."""
        ...

    def predictions(self, held: Held, calibration: Calibration) -> pl.DataFrame:
        """A row an image that was held out: what is true beside what was said."""
        ...

    def judge(self, held: Held, calibration: Calibration, how: Judging) -> dict[str, Any]:
        """Every score with its interval: a part of metrics.json."""
        ...

    def headline(self, calibration: Calibration, classes: Sequence[str]) -> dict[str, Any]:
        """What stands above the parts in metrics.json."""
        ...
