"""Backgrounds: plasma with red cells, from which scenes are cut."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from corpuscle.core.seeds import generator_for
from corpuscle.synth.canvas import Canvas, mask_of
from corpuscle.synth.plan_compose import ComposePlan
from corpuscle.synth.sprites import Sprite

TEXTURES = 6
"""Different pieces of plasma; each is also used upside down."""


@dataclass(frozen=True)
class Field:
    """One background.

    Attributes:
        image_HWC: uint8 RGB.
        lain_HW: uint16; 0 is plasma, else class and number as on a canvas; object m of the arrays below is m + 1.
        kind_M: uint8, the number in the legend of each red cell's class.
        box_M4: int32, left, top, width and height of what is seen of each.
        seen_M: int32, pixels that are seen of each.
    """

    image_HWC: np.ndarray
    lain_HW: np.ndarray
    kind_M: np.ndarray
    box_M4: np.ndarray
    seen_M: np.ndarray

    @property
    def mask_HW(self) -> np.ndarray:
        return mask_of(self.lain_HW)

    @property
    def num_bytes(self) -> int:
        return self.image_HWC.nbytes + self.lain_HW.nbytes


@dataclass(frozen=True)
class Placed:
    """Where a red cell is to lie: the sprite, its kind, and the places to try, each a middle in pixels."""

    sprite: Sprite
    kind: int
    middles: list[list[float]]


def draw_plasma(number: int, plasma_3: np.ndarray, plan: ComposePlan, seed: int) -> np.ndarray:
    """A piece of plasma: nearly even, with a camera's noise; image_HWC of a field's size."""
    rng = generator_for(seed, "plasma", number)
    side = plan.field_size
    waves = max(4, side // 60)
    uneven_HWC = cv2.resize(rng.normal(0, 0.008, (waves, waves, 3)).astype(np.float32), (side, side))
    image_HWC = np.asarray(plasma_3, np.float32) * (1 + uneven_HWC)
    # a lens blurs what a camera sees, so that neighbours are alike
    grain_HWC = cv2.GaussianBlur(rng.standard_normal(image_HWC.shape, dtype=np.float32), (0, 0), 0.7)
    image_HWC += np.float32(plan.grain / 0.40) * grain_HWC
    return np.clip(np.rint(image_HWC), 0, 255).astype(np.uint8)


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
