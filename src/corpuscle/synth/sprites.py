"""Cut-outs turned, ready to be laid on pixels, and the memory they are kept in."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import cv2
import numpy as np

from corpuscle.synth.cutouts import HALF, Cutout

T = TypeVar("T")

QUARTERS = {1: cv2.ROTATE_90_COUNTERCLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_CLOCKWISE}


class Kept(Generic[T]):
    """What was made once and is kept as long as there is room; what was longest unused goes first.

    Args:
        limit: bytes in all.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.used = limit, 0
        self._held: OrderedDict[Hashable, tuple[T, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], tuple[T, int]]) -> T:
        """The thing of a key; `make` gives it and its bytes where it is not there."""
        if (found := self._held.get(key)) is not None:
            if self.used > self.limit // 2:  # else it is long until one has to go
                with self._lock:
                    if key in self._held:
                        self._held.move_to_end(key)
            return found[0]
        made, size = make()
        with self._lock:
            if key not in self._held:
                self._held[key] = made, size
                self.used += size
            while self.used > self.limit and len(self._held) > 1:
                self.used -= self._held.popitem(last=False)[1][1]
        return made

    def __getstate__(self) -> dict[str, Any]:
        return {"limit": self.limit}  # another process makes its own

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["limit"])  # type: ignore[misc]


@dataclass(frozen=True)
class Sprite:
    """A cut-out as it is laid: what is below is multiplied, then what is on top is added.

    Attributes:
        through_HWC: uint8, 255 where all of what is below is seen.
        light_HWC: uint8 that is added; None where the object only takes light away.
        inside_HW: uint16, all bits where a pixel is of the object, else none.
        area: pixels inside.
        box: left, top, width and height of what is inside.
    """

    through_HWC: np.ndarray
    light_HWC: np.ndarray | None
    inside_HW: np.ndarray
    area: int
    box: tuple[int, int, int, int]

    @property
    def num_bytes(self) -> int:
        return (
            self.through_HWC.nbytes + self.inside_HW.nbytes + (0 if self.light_HWC is None else self.through_HWC.nbytes)
        )

    def part(self, x0: int, y0: int, x1: int, y1: int) -> Sprite:
        """What lies within these columns and rows."""
        here = slice(y0, y1), slice(x0, x1)
        inside_HW, light_HWC = self.inside_HW[here], self.light_HWC
        mask_HW = inside_HW.astype(np.uint8)
        left, top, width, height = cv2.boundingRect(mask_HW)
        area, box = cv2.countNonZero(mask_HW), (left, top, width, height)
        return Sprite(self.through_HWC[here], None if light_HWC is None else light_HWC[here], inside_HW, area, box)


@dataclass(frozen=True)
class Layer:
    """A cut-out before it is turned.

    Attributes:
        pixels_HW4: uint8; colour times alpha, or for a tint the share of light let through, and alpha.
        tint: whether it only takes light away.
    """

    pixels_HW4: np.ndarray
    tint: bool


def around(cutout: Cutout) -> np.ndarray | None:
    """Colour of the plasma around a cut-out: the brighter pixels outside of it; None where none are in the crop."""
    outside_P3 = cutout.image_HWC[cutout.alpha_HW == 0]
    if len(outside_P3) < 8:
        return None
    grey_P = outside_P3.sum(1, dtype=np.int32)
    return np.median(outside_P3[grey_P >= np.quantile(grey_P, 0.6)], axis=0)


def layer_of(cutout: Cutout, plasma_3: np.ndarray, balance: bool, tint: bool, soft: float) -> Layer:
    """Make a cut-out ready.

    Args:
        cutout: as cut.
        plasma_3: colour of the scenes' background.
        balance: scale its colours so that what is around it has that colour.
        tint: keep only the light it takes away.
        soft: further blur of its edge in pixels.
    """
    own_3 = around(cutout) if balance or tint else None
    own_3 = np.asarray(plasma_3 if own_3 is None else np.maximum(own_3, 1), np.float32)
    room = int(np.ceil(3 * soft))
    border = ((room, room), (room, room))
    image_HWC = np.pad(cutout.image_HWC, (*border, (0, 0)), mode="edge").astype(np.float32)
    alpha_HW = np.pad(cutout.alpha_HW, border)
    if soft:
        alpha_HW = cv2.GaussianBlur(alpha_HW, (0, 0), soft)
    share_HW1 = alpha_HW[..., None] / np.float32(255)
    if tint:
        colour_HWC = 255 * (1 - share_HW1) + share_HW1 * np.minimum(image_HWC / own_3, 1) * 255
    else:
        gain_3 = np.clip(plasma_3 / own_3, 0.7, 1.4) if balance else 1.0
        colour_HWC = np.minimum(image_HWC * np.float32(gain_3), 255) * share_HW1
    pixels_HW4 = np.dstack([np.rint(colour_HWC), alpha_HW]).astype(np.uint8)
    return Layer(pixels_HW4, tint)


def turned(layer: Layer, turn: int, turns: int, mirror: bool) -> Sprite:
    """A layer turned by `turn` of `turns` of a whole turn, after it was mirrored or not; quarters are exact."""
    pixels_HW4 = cv2.flip(layer.pixels_HW4, 1) if mirror else layer.pixels_HW4
    quarters, rest = divmod(turn * 4, turns)
    if quarters:
        pixels_HW4 = cv2.rotate(pixels_HW4, QUARTERS[quarters])
    if rest:
        pixels_HW4 = _slanted(pixels_HW4, rest / turns * math.pi / 2, layer.tint)
    left, top, width, height = cv2.boundingRect(cv2.extractChannel(pixels_HW4, 3))
    pixels_HW4 = pixels_HW4[top : top + height, left : left + width]
    colour_HWC, alpha_HW = cv2.cvtColor(pixels_HW4, cv2.COLOR_RGBA2RGB), cv2.extractChannel(pixels_HW4, 3)
    inside_HW = (alpha_HW >= HALF).view(np.uint8)
    left, top, width, height = cv2.boundingRect(inside_HW)
    area, box = cv2.countNonZero(inside_HW), (left, top, width, height)
    inside_HW = inside_HW * np.uint16(0xFFFF)
    if layer.tint:
        return Sprite(colour_HWC, None, inside_HW, area, box)
    return Sprite(cv2.cvtColor(255 - alpha_HW, cv2.COLOR_GRAY2RGB), colour_HWC, inside_HW, area, box)


def _slanted(pixels_HW4: np.ndarray, angle: float, tint: bool) -> np.ndarray:
    """Turned against the clock by an angle in radians below a quarter, on as many pixels as that needs."""
    height, width = pixels_HW4.shape[:2]
    cos, sin = math.cos(angle), math.sin(angle)
    out_W, out_H = math.ceil(width * cos + height * sin), math.ceil(width * sin + height * cos)
    x, y = (width - 1) / 2, (height - 1) / 2
    right, down = (out_W - 1) / 2 - cos * x - sin * y, (out_H - 1) / 2 + sin * x - cos * y
    matrix_23 = np.array([[cos, sin, right], [-sin, cos, down]])
    outside = (255, 255, 255, 0) if tint else (0, 0, 0, 0)
    return cv2.warpAffine(pixels_HW4, matrix_23, (out_W, out_H), flags=cv2.INTER_LINEAR, borderValue=outside)
