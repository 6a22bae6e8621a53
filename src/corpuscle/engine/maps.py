"""From what a net says of every place of an image to what is told of it: counts and dots, or areas and objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import torch

from corpuscle.core.progress import SILENT, Progress
from corpuscle.data.readers.windows import Windows
from corpuscle.engine.stitch import Scale, density_by_tiles, mask_by_tiles
from corpuscle.nets.net import Net
from corpuscle.tasks.peaks import Dots, find_peaks
from corpuscle.tasks.regions import measured

DOT_COLUMNS = {"image": pl.String, "kind": pl.String, "x": pl.Float64, "y": pl.Float64, "score": pl.Float64}


@dataclass(frozen=True, eq=False)
class Looked:
    """What a map says of one image.

    Attributes:
        said_K: the sum of each kind's density, at least 0; or of a mask the pixels of each class and then its objects.
        dots: of each kind, in pixels of the image; none of a mask.
        map: density_KHW or mask_HW of the canvas.
    """

    said_K: np.ndarray
    dots: tuple[Dots, ...]
    map: np.ndarray

    def without_map(self) -> Looked:
        """The same, for where many images are looked at."""
        return replace(self, map=np.zeros(0, self.map.dtype))


@dataclass(frozen=True)
class Eye:
    """A net that gives maps, and how it is shown an image.

    Attributes:
        net: gives densities or masks.
        scale: how an image becomes what the net sees.
        device: where the net is.
        num_classes: of a mask, with the background.
        smallest: islands of a mask that have fewer pixels are no objects.
    """

    net: Net
    scale: Scale
    device: torch.device
    num_classes: int
    smallest: int = 1

    def look(self, windows: Windows, shrunk: bool = False, progress: Progress = SILENT) -> Looked:
        """Look at an image of any size, tile by tile.

        Args:
            windows: the image.
            shrunk: whether the windows are of the canvas, and the image has been shrunk already.
            progress: told of each tile.
        """
        scale = replace(self.scale, shrink=1) if shrunk else self.scale
        if self.net.gives_masks:
            mask_HW = mask_by_tiles(self.net, windows, scale, self.device, progress=progress)
            return Looked(measured(mask_HW, self.num_classes, self.smallest), (), mask_HW)
        density_KHW = density_by_tiles(self.net, windows, scale, self.device, progress=progress)
        count_K = np.maximum(density_KHW.sum(axis=(1, 2), dtype=np.float64), 0)
        found = [find_peaks(density_HW, count) for density_HW, count in zip(density_KHW, count_K, strict=True)]
        dots = tuple(one.in_image(self.net.stride, self.scale.shrink) for one in found)
        return Looked(count_K, dots, density_KHW)


def dots_table(images: Sequence[str], looked: Sequence[Looked | None], kinds: Sequence[str]) -> pl.DataFrame:
    """A row a dot: image, kind, x, y, score; None is an image that cannot be read."""
    parts = [
        pl.DataFrame({"x": dots.x_M, "y": dots.y_M, "score": dots.score_M}).select(
            pl.lit(image).alias("image"), pl.lit(kind).alias("kind"), pl.all().cast(pl.Float64)
        )
        for image, one in zip(images, looked, strict=True)
        if one is not None
        for kind, dots in zip(kinds, one.dots, strict=True)
    ]
    return pl.concat([pl.DataFrame(schema=DOT_COLUMNS), *parts])
