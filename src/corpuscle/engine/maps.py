"""From the density of an image to its counts and its dots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import torch

from corpuscle.core.progress import SILENT, Progress
from corpuscle.data.readers.windows import Windows
from corpuscle.engine.stitch import Scale, density_by_tiles
from corpuscle.nets.net import Net
from corpuscle.tasks.peaks import Dots, find_peaks

EMPTY = np.zeros(0)
DOT_COLUMNS = {"image": pl.String, "kind": pl.String, "x": pl.Float64, "y": pl.Float64, "score": pl.Float64}


@dataclass(frozen=True, eq=False)
class Counted:
    """What a density says of one image.

    Attributes:
        count_K: the sum of each kind's density, at least 0; NaN where the image cannot be read.
        dots: of each kind, in pixels of the image.
        density_KHW: the map itself.
    """

    count_K: np.ndarray
    dots: tuple[Dots, ...]
    density_KHW: np.ndarray

    @classmethod
    def nothing(cls, kinds: int) -> Counted:
        """Of an image that cannot be read."""
        return cls(np.full(kinds, np.nan), (Dots(EMPTY, EMPTY, EMPTY),) * kinds, np.zeros((kinds, 0, 0), np.float32))

    def without_density(self) -> Counted:
        """The same, for where many images are counted."""
        return replace(self, density_KHW=np.zeros((len(self.density_KHW), 0, 0), np.float32))


def count_windows(
    net: Net, windows: Windows, scale: Scale, device: torch.device, shrunk: bool = False, progress: Progress = SILENT
) -> Counted:
    """Count what is in an image of any size, tile by tile.

    Args:
        net: gives densities.
        windows: the image.
        scale: how it becomes what the net sees.
        device: where the net is.
        shrunk: whether the windows are of the canvas, and the image has been shrunk already.
        progress: told of each tile.
    """
    seen = replace(scale, shrink=1) if shrunk else scale
    density_KHW = density_by_tiles(net, windows, seen, device, progress=progress)
    count_K = np.maximum(density_KHW.sum(axis=(1, 2), dtype=np.float64), 0)
    found = [find_peaks(density_HW, count) for density_HW, count in zip(density_KHW, count_K, strict=True)]
    return Counted(count_K, tuple(dots.in_image(net.stride, scale.shrink) for dots in found), density_KHW)


def dots_table(images: Sequence[str], counted: Sequence[Counted], kinds: Sequence[str]) -> pl.DataFrame:
    """A row a dot: image, kind, x, y, score."""
    parts = [
        pl.DataFrame({"x": dots.x_M, "y": dots.y_M, "score": dots.score_M}).select(
            pl.lit(image).alias("image"), pl.lit(kind).alias("kind"), pl.all().cast(pl.Float64)
        )
        for image, one in zip(images, counted, strict=True)
        for kind, dots in zip(kinds, one.dots, strict=True)
    ]
    return pl.concat([pl.DataFrame(schema=DOT_COLUMNS), *parts])
