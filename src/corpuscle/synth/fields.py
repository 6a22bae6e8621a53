"""Backgrounds: plasma with red cells, from which scenes are cut."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np

from corpuscle.core.seeds import generator_for
from corpuscle.synth.canvas import Canvas, mask_of
from corpuscle.synth.plan_compose import ComposePlan
from corpuscle.synth.sprites import Sprite

TEXTURES = 6
"""Different pieces of plasma; each is also used upside down."""

BLURRED = 0.41 * 256 / math.sqrt(12)
"""Deviation of even bytes after a blur of 0.7 pixels."""


@dataclass(frozen=True)
class Field:
    """One background.

    Attributes:
        image_HWC: uint8 RGB.
        lain_HW: uint16; 0 is plasma, else number and class as on a canvas; object m of the arrays below is m + 1.
        kind_M: uint8, the number in the legend of each red cell's class.
        box_M4: int32, left, top, width and height of what is seen of each.
        seen_M: int32, pixels that are seen of each.
    """

    image_HWC: np.ndarray
    lain_HW: np.ndarray
    kind_M: np.ndarray
    box_M4: np.ndarray
    seen_M: np.ndarray

    @cached_property
    def edges_4M(self) -> np.ndarray:
        """Left, top, right and bottom of what is seen of each; the pixels right and bottom are no longer of it."""
        return np.ascontiguousarray(np.hstack([self.box_M4[:, :2], self.box_M4[:, :2] + self.box_M4[:, 2:]]).T)

    @property
    def mask_HW(self) -> np.ndarray:
        return mask_of(self.lain_HW)

    @property
    def num_bytes(self) -> int:
        return self.image_HWC.nbytes + self.lain_HW.nbytes


class Placed(NamedTuple):
    """Where a red cell is to lie: the sprite, its kind, and the places to try, each a middle in pixels."""

    sprite: Sprite
    kind: int
    middles: list[list[float]]


def draw_plasma(number: int, plasma_3: np.ndarray, plan: ComposePlan, seed: int) -> np.ndarray:
    """A piece of plasma: nearly even, with a camera's noise; image_HWC of a field's size."""
    rng = generator_for(seed, "plasma", number)
    side = plan.field_size
    waves = max(4, side // 60)
    uneven_HWC = plasma_3 * (1 + rng.normal(0, 0.008, (waves, waves, 3)))
    image_HWC = cv2.resize(uneven_HWC.astype(np.float32), (side, side))
    # a lens blurs what a camera sees, so that neighbours are alike
    even_HWC = np.frombuffer(rng.bytes(image_HWC.size), np.uint8).reshape(image_HWC.shape)
    share = plan.grain / BLURRED
    cv2.scaleAdd(cv2.GaussianBlur(even_HWC, (5, 5), 0.7).astype(np.float32), share, image_HWC, image_HWC)
    return cv2.convertScaleAbs(image_HWC, beta=-127.5 * share)


def draw_field(plasma_HWC: np.ndarray, cells: list[Placed], overlap: float) -> Field:
    """Lay red cells on plasma, each at the first of its places where it may lie; others are left out.

    Args:
        plasma_HWC: is copied.
        cells: in the order in which they are laid.
        overlap: as of `Canvas.lay`.
    """
    canvas = Canvas(plasma_HWC.copy(), np.zeros(plasma_HWC.shape[:2], np.uint16))
    for cell in cells:
        tall, wide = cell.sprite.inside_HW.shape
        for x, y in cell.middles:
            if canvas.lay(cell.sprite, cell.kind, int(x - wide / 2), int(y - tall / 2), overlap):
                break
    canvas.settle()
    return Field(
        canvas.image_HWC,
        canvas.lain_HW,
        np.array(list(canvas.kind_of.values()), np.uint8),
        np.array(list(canvas.box_of.values()), np.int32).reshape(-1, 4),
        np.array(list(canvas.seen_of.values()), np.int32),
    )
