"""How far squares lie from the words of a codebook: learning without labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from torch import Tensor

from corpuscle.core.errors import CorpuscleError
from corpuscle.data.masks import Masks
from corpuscle.data.prepare import PreparePlan
from corpuscle.data.table import Table
from corpuscle.data.targets import Numbers
from corpuscle.metrics.means import CLUSTERED, as_part, score_means
from corpuscle.nets.codebook import SIDES
from corpuscle.nets.net import Net
from corpuscle.tasks.task import Calibration, Held, Judging, Watch

DIGITS = 6


class Cluster:
    """Vector quantisation. Output: distortion_NS of each size of square; what is said of an image is their mean."""

    watch = Watch("val_loss", "min")
    counts_whole_images = False
    learns_masks = False
    learns_images = False
    learns_labels = False
    views = 1

    def num_outputs(self, classes: Sequence[str]) -> int:
        """One a size of square."""
        return len(SIDES)

    def check(self, table: Table) -> None:
        """Take any images."""

    def targets(self, table: Table, plan: PreparePlan, net: Net, masks: Masks | None = None) -> Numbers:
        """None: the squares themselves are the truth.

        Raises:
            CorpuscleError: a net without words.
        """
        if net.plan.head != "none":
            raise CorpuscleError(
                f"task=cluster expects net.model=codebook with net.head=none, got {net.plan.model} with "
                f"{net.plan.head}; pass --recipe codebook"
            )
        return Numbers(np.zeros(len(table), np.int64))

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """The mean distortion."""
        return output.float().mean()

    def decode(self, output: Tensor, seen: Tensor | None = None) -> np.ndarray:
        """said_N1."""
        return output.double().mean(dim=1, keepdim=True).cpu().numpy()

    def sums(self, output: Tensor, target: Tensor) -> dict[str, Any]:
        """Images, and the summed distortion."""
        return {"images": len(output), "distortion": float(self.decode(output).sum())}

    def scores(self, sums: dict[str, Any]) -> dict[str, float]:
        """The mean distortion."""
        return {"distortion": sums["distortion"] / sums["images"]}

    def calibrate(self, held: Held | None) -> Calibration:
        """Nothing: a distance is what it is."""
        return {}

    def columns(self, said_NK: np.ndarray, classes: Sequence[str], calibration: Calibration) -> pl.DataFrame:
        """`distortion`."""
        said_NK = said_NK.reshape(-1, len(CLUSTERED))
        return pl.DataFrame({name: said_NK[:, k].round(DIGITS) for k, name in enumerate(CLUSTERED)})

    def predictions(self, held: Held, calibration: Calibration) -> pl.DataFrame:
        """How far the squares of each image lie from the words."""
        rows = held.table.frame.select("image", "split", "group")
        return pl.concat([rows, self.columns(held.said_NK, held.table.classes, calibration)], how="horizontal")

    def judge(self, held: Held, calibration: Calibration, how: Judging) -> dict[str, Any]:
        """The mean over the images."""
        group_N = held.table.frame["group"].to_list()
        return as_part(score_means(held.said_NK, group_N, CLUSTERED, seed=how.seed, resamples=how.resamples))

    def headline(self, calibration: Calibration, classes: Sequence[str]) -> dict[str, Any]:
        """Nothing."""
        return {}
