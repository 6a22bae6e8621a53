"""The promise of a task: how many outputs, the loss, how an output becomes a prediction, and the number to watch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from torch import Tensor


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


class Task(Protocol):
    """What a task promises the engine."""

    watch: Watch

    def num_outputs(self, classes: tuple[str, ...]) -> int:
        """Width of the head."""
        ...

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """The scalar to be minimised, averaged over the batch."""
        ...

    def decode(self, output: Tensor) -> np.ndarray:
        """What the output means, as numbers."""
        ...

    def sums(self, decoded: np.ndarray, target_N: np.ndarray) -> dict[str, Any]:
        """Plain numbers and lists that add up over batches and processes; `images` is one of them."""
        ...

    def scores(self, sums: dict[str, Any]) -> dict[str, float]:
        """The numbers of a row of the log; each name is a column once `train_` or `val_` stands before it."""
        ...
