"""The image itself, out of the few numbers that an encoder leaves of it: learning without labels."""

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
from corpuscle.losses.reconstruction import pixel_loss, ssim
from corpuscle.metrics.means import REMADE, as_part, score_means
from corpuscle.nets.net import Net
from corpuscle.tasks.task import Calibration, Held, Judging, Watch
from corpuscle.tasks.zoo import ReconstructPlan, Triple

COLOURS = 3
DIGITS = 6


class Reconstruct:
    """Autoencoding. Output: image_N3HW in the net's own normalised colours; what is said: its error and its likeness.

    Args:
        plan: the loss.
        mean, std: normalisation of what the net sees, by which it becomes grey levels from 0 to 1 again.
    """

    watch = Watch("val_loss", "min")
    counts_whole_images = False
    learns_masks = False
    learns_images = True
    learns_labels = False
    views = 1

    def __init__(self, plan: ReconstructPlan, mean: Triple, std: Triple) -> None:
        self.plan = plan
        self.mean = mean
        self.std = std

    def num_outputs(self, classes: Sequence[str]) -> int:
        """Red, green and blue."""
        return COLOURS

    def check(self, table: Table) -> None:
        """Take any images."""

    def targets(self, table: Table, plan: PreparePlan, net: Net, masks: Masks | None = None) -> Numbers:
        """None: what the net saw is the truth.

        Raises:
            CorpuscleError: a net that gives no image.
        """
        if net.plan.head != "image":
            raise CorpuscleError(
                f"task=reconstruct expects net.head=image, got {net.plan.head}; pass --recipe prcc, or --set "
                "net.head=image --set net.pool=none"
            )
        return Numbers(np.zeros(len(table), np.int64))

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """The shares of the pixels' difference and of the missing likeness."""
        share, made = self.plan.structure, output.float()
        loss = (1 - share) * pixel_loss(made, target, self.plan.pixel)
        if share:
            loss = loss + share * (1 - ssim(self._grey(made), self._grey(target)).mean())
        return loss

    def decode(self, output: Tensor, seen: Tensor | None = None) -> np.ndarray:
        """said_N2: mean absolute difference from what the net saw, in grey levels from 0 to 1, and SSIM."""
        assert seen is not None
        made, true = self._grey(output.float()), self._grey(seen)
        error_N = (made - true).abs().mean(dim=(1, 2, 3))
        return torch.stack([error_N, ssim(made, true)], dim=1).double().cpu().numpy()

    def sums(self, output: Tensor, target: Tensor) -> dict[str, Any]:
        """Images, and the summed error and SSIM."""
        error, likeness = self.decode(output, target).sum(axis=0)
        return {"images": len(output), "absolute": float(error), "ssim": float(likeness)}

    def scores(self, sums: dict[str, Any]) -> dict[str, float]:
        """Mean absolute error in grey levels from 0 to 1, and mean SSIM."""
        return {"mae": sums["absolute"] / sums["images"], "ssim": sums["ssim"] / sums["images"]}

    def calibrate(self, held: Held | None) -> Calibration:
        """Nothing: a difference is what it is."""
        return {}

    def columns(self, said_NK: np.ndarray, classes: Sequence[str], calibration: Calibration) -> pl.DataFrame:
        """`mae`, in grey levels from 0 to 1, and `ssim`."""
        said_NK = said_NK.reshape(-1, len(REMADE))
        return pl.DataFrame({name: said_NK[:, k].round(DIGITS) for k, name in enumerate(REMADE)})

    def predictions(self, held: Held, calibration: Calibration) -> pl.DataFrame:
        """How well each image came back."""
        rows = held.table.frame.select("image", "split", "group")
        return pl.concat([rows, self.columns(held.said_NK, held.table.classes, calibration)], how="horizontal")

    def judge(self, held: Held, calibration: Calibration, how: Judging) -> dict[str, Any]:
        """The mean of both over the images."""
        group_N = held.table.frame["group"].to_list()
        return as_part(score_means(held.said_NK, group_N, REMADE, seed=how.seed, resamples=how.resamples))

    def headline(self, calibration: Calibration, classes: Sequence[str]) -> dict[str, Any]:
        """Nothing."""
        return {}

    def _grey(self, image_NCHW: Tensor) -> Tensor:
        """The image in grey levels from 0 to 1."""
        mean_C11, std_C11 = (image_NCHW.new_tensor(three).view(-1, 1, 1) for three in (self.mean, self.std))
        return image_NCHW * std_C11 + mean_C11
