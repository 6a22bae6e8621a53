"""Which two pictures are views of one image: learning without labels.

Chen et al., A simple framework for contrastive learning of visual representations (SimCLR), ICML 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from corpuscle.core.errors import CorpuscleError
from corpuscle.data.masks import Masks
from corpuscle.data.prepare import PreparePlan
from corpuscle.data.table import Table
from corpuscle.data.targets import Numbers
from corpuscle.losses.contrast import cosines, nt_xent, others
from corpuscle.metrics.means import PAIRED, as_part, score_means
from corpuscle.nets.net import Net
from corpuscle.nets.zoo import MAP_HEADS
from corpuscle.tasks.task import Calibration, Held, Judging, Watch
from corpuscle.tasks.zoo import ContrastPlan

DIGITS = 6


class Contrast:
    """Contrastive learning. Output: projected_NC, the first views of a batch and then the second ones.

    What is said of an image by itself are the encoder's features; of one that was held out, how well its views are
    found among those of its batch.
    """

    watch = Watch("val_loss", "min")
    counts_whole_images = False
    learns_masks = False
    learns_images = False
    learns_labels = False
    views = 2

    def __init__(self, plan: ContrastPlan) -> None:
        self.plan = plan

    def num_outputs(self, classes: Sequence[str]) -> int:
        """The width of the projection."""
        return self.plan.width

    def check(self, table: Table) -> None:
        """Take any images."""

    def targets(self, table: Table, plan: PreparePlan, net: Net, masks: Masks | None = None) -> Numbers:
        """None: the truth is which views belong together.

        Raises:
            CorpuscleError: a net that gives maps.
        """
        if net.plan.head in (*MAP_HEADS, "image"):
            raise CorpuscleError(
                f"task=contrast expects net.head=mlp or linear, got {net.plan.head}; pass --recipe contrast, or --set "
                "net.head=mlp"
            )
        return Numbers(np.zeros(len(table), np.int64))

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """NT-Xent, the mean over all views."""
        return nt_xent(output, self.plan.temperature).mean()

    def decode(self, output: Tensor, seen: Tensor | None = None) -> np.ndarray:
        """features_NC in double precision."""
        return output.double().cpu().numpy()

    def paired(self, output: Tensor) -> np.ndarray:
        """said_N2 of the images of a batch: the loss of their views, and the share of these whose nearest neighbour in
        the batch is the other view of the same image."""
        found = cosines(output).argmax(dim=1) == others(output)
        said_2N2 = torch.stack([nt_xent(output, self.plan.temperature), found.float()], dim=1)
        return said_2N2.unflatten(0, (self.views, -1)).mean(dim=0).double().cpu().numpy()

    def sums(self, output: Tensor, target: Tensor) -> dict[str, Any]:
        """Views, and how many of them were found."""
        found = cosines(output).argmax(dim=1) == others(output)
        return {"images": len(output), "found": int(found.sum())}

    def scores(self, sums: dict[str, Any]) -> dict[str, float]:
        """The share of the views whose nearest neighbour in the batch is the other view of the same image."""
        return {"retrieval": sums["found"] / sums["images"]}

    def calibrate(self, held: Held | None) -> Calibration:
        """Nothing: no number is told to a person."""
        return {}

    def columns(self, said_NK: np.ndarray, classes: Sequence[str], calibration: Calibration) -> pl.DataFrame:
        """`f_0` and so on: the encoder's features."""
        return pl.DataFrame({f"f_{k}": said_NK[:, k].round(DIGITS) for k in range(said_NK.shape[1])})

    def predictions(self, held: Held, calibration: Calibration) -> pl.DataFrame:
        """`loss` and `retrieval` of the views of each image."""
        rows = held.table.frame.select("image", "split", "group")
        said_NK = held.said_NK.reshape(-1, len(PAIRED))
        told = {name: said_NK[:, k].round(DIGITS) for k, name in enumerate(PAIRED)}
        return pl.concat([rows, pl.DataFrame(told)], how="horizontal")

    def judge(self, held: Held, calibration: Calibration, how: Judging) -> dict[str, Any]:
        """The mean of both over the images; they depend on the batch an image was seen in."""
        group_N = held.table.frame["group"].to_list()
        return as_part(score_means(held.said_NK, group_N, PAIRED, seed=how.seed, resamples=how.resamples))

    def headline(self, calibration: Calibration, classes: Sequence[str]) -> dict[str, Any]:
        """Nothing."""
        return {}
