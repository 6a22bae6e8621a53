"""What the net should say of each image: class numbers, counts, or densities and masks that go through its warp."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from corpuscle.data.density import render
from corpuscle.data.masks import Masks
from corpuscle.data.transforms import mirrored, moved, warp_mask


@dataclass(frozen=True)
class Warp:
    """How a canvas became what the net sees.

    Attributes:
        matrix_23: takes a pixel of the canvas to a pixel of the output.
        canvas_HW: size of the canvas; beyond it lies its mirror image.
        out_HW: size of the output.
    """

    matrix_23: np.ndarray
    canvas_HW: tuple[int, int]
    out_HW: tuple[int, int]

    @property
    def reach(self) -> float:
        """How far beyond the border of the canvas the output shows, in pixels of the canvas."""
        height, width = self.out_HW
        corner_42 = np.array([(x, y) for x in (-0.5, width - 0.5) for y in (-0.5, height - 0.5)])
        canvas_42 = np.linalg.solve(self.matrix_23[:, :2], (corner_42 - self.matrix_23[:, 2]).T).T
        last_2 = np.array(self.canvas_HW[::-1]) - 1
        return float(max(0.0, -canvas_42.min(), (canvas_42 - last_2).max()))


class Targets(Protocol):
    """The targets of all rows of a table, by their place."""

    def batch(self, places: Sequence[int] | np.ndarray, warps: Sequence[Warp]) -> Tensor:
        """The targets of some images, each varied by its warp; N first. Without warps: of features."""
        ...


@dataclass(frozen=True)
class Numbers:
    """A number a row, whatever the warp: class numbers, -1 where unknown."""

    number_N: np.ndarray

    def batch(self, places: Sequence[int] | np.ndarray, warps: Sequence[Warp]) -> Tensor:
        """target_N, int64."""
        return torch.from_numpy(self.number_N[np.asarray(places, dtype=np.int64)])


@dataclass(frozen=True)
class Counts:
    """How many objects of each of K kinds an image holds, where no warp takes any of them away."""

    count_NK: np.ndarray

    def batch(self, places: Sequence[int] | np.ndarray, warps: Sequence[Warp]) -> Tensor:
        """count_NK, float32; the mirror image beyond a canvas holds as many as its share of the area."""
        count_NK = self.count_NK[np.asarray(places, dtype=np.int64)].astype(np.float32)
        for row, warp in enumerate(warps):
            count_NK[row] *= np.prod(warp.out_HW) / np.prod(warp.canvas_HW)
        return torch.from_numpy(count_NK)


@dataclass(frozen=True)
class Densities:
    """Density maps whose sum is the number of objects; drawn from points that go through the same warp as the pixels.

    Attributes:
        point_M3: of each place, x and y in pixels of the canvas, and the number of the kind.
        num_kinds: K.
        stride: pixels of the net's input to one of its output.
        sigma: deviation of the blob an object becomes, in pixels of the net's input.
    """

    point_M3: Mapping[int, np.ndarray]
    num_kinds: int
    stride: int
    sigma: float

    def batch(self, places: Sequence[int] | np.ndarray, warps: Sequence[Warp]) -> Tensor:
        """density_NKhw, float32; objects of the mirror image beyond the canvas count where it is seen."""
        drawn = []
        for place, warp in zip(places, warps, strict=True):
            point_M3 = self.point_M3[int(place)]
            seen_M3 = moved(mirrored(point_M3, warp.canvas_HW, warp.reach), warp.matrix_23)
            drawn.append(render(seen_M3, self.num_kinds, warp.out_HW, self.stride, self.sigma))
        return torch.from_numpy(np.stack(drawn))


@dataclass(frozen=True)
class MaskTargets:
    """The class of each pixel; a mask goes through the same warp as its image.

    Attributes:
        masks: mask_HW of each place, of the size of its canvas.
    """

    masks: Masks

    def batch(self, places: Sequence[int] | np.ndarray, warps: Sequence[Warp]) -> Tensor:
        """mask_NHW, int64; beyond a canvas lies the mirror image of its mask."""
        seen = [
            warp_mask(self.masks[int(place)], warp.matrix_23, warp.out_HW)
            for place, warp in zip(places, warps, strict=True)
        ]
        return torch.from_numpy(np.stack(seen).astype(np.int64))
