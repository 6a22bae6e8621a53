"""Pixels and the numbers of what lies on them, laid one object after the other."""

from __future__ import annotations

import cv2
import numpy as np

from corpuscle.synth.sprites import Sprite

KIND_BITS = 12
"""Bits of a pixel that hold the number of the object on it; the number of its class lies above them."""

MOST = 2**KIND_BITS - 1
"""Objects that a canvas can hold."""

Box = tuple[int, int, int, int]
"""Left, top, width and height."""


class Canvas:
    """An image on which objects are laid; what is laid later lies on top.

    Args:
        image_HWC: uint8, is changed.
        lain_HW: uint16, 0 where nothing lies, else class and number of the uppermost object, see `KIND_BITS`; is
            changed.
        last: number of the last object that lies there.
    """

    def __init__(self, image_HWC: np.ndarray, lain_HW: np.ndarray, last: int = 0) -> None:
        self.image_HWC, self.lain_HW, self.last = image_HWC, lain_HW, last
        self.kind_of: dict[int, int] = {}
        self.box_of: dict[int, Box] = {}
        self.area_of: dict[int, int] = {}  # pixels an object had when it was uppermost
        self.seen_of: dict[int, int] = {}  # pixels that are seen of it
        self._covered: set[int] = set()

    def take(self, number: int, kind: int, box: Box, area: int) -> None:
        """Know of an object that lies there already, of which so much is seen."""
        self.kind_of[number] = kind
        self.box_of[number], self.area_of[number], self.seen_of[number] = box, area, area

    def measure(self, number: int, kind: int, box: Box) -> tuple[Box, int]:
        """The box and the pixels of what is seen of an object, looked for within a box."""
        left, top, width, height = box
        seen_HW = (self.lain_HW[top : top + height, left : left + width] == packed(number, kind)).view(np.uint8)
        dx, dy, width, height = cv2.boundingRect(seen_HW)
        return (left + dx, top + dy, width, height), cv2.countNonZero(seen_HW)

    def lay(self, sprite: Sprite, kind: int, left: int, top: int, overlap: float) -> bool:
        """Lay an object with its corner there, unless it would cover more than is allowed.

        Args:
            sprite: the object.
            kind: number of its class.
            left, top: of its corner; it may reach over the border.
            overlap: largest share of it that may lie on others, and largest share of another's pixels that all
                that lies on it may cover; so of two objects no more than this share of the smaller one is doubled.
        """
        height, width = self.lain_HW.shape
        tall, wide = sprite.inside_HW.shape
        x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + wide, width), min(top + tall, height)
        part = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
        here = slice(y0, y1), slice(x0, x1)
        inside_HW, below_HW = sprite.inside_HW[part], self.lain_HW[here]
        whole = inside_HW.shape == (tall, wide)
        area = sprite.area if whole else cv2.countNonZero(inside_HW)
        covered_HW = below_HW * inside_HW
        covered = cv2.countNonZero(covered_HW)
        if not area or covered > overlap * area:
            return False
        number = self.last + 1
        hidden = _numbers_in(covered_HW) if covered else {}
        if any(self.seen_of[other] - lost < (1 - overlap) * self.area_of[other] for other, lost in hidden.items()):
            return False
        for other, pixels in hidden.items():
            self.seen_of[other] -= pixels
            self._covered.add(other)
        window_HWC = self.image_HWC[here]
        cv2.multiply(window_HWC, sprite.through_HWC[part], window_HWC, scale=1 / 255)
        if sprite.light_HWC is not None:
            cv2.add(window_HWC, sprite.light_HWC[part], window_HWC)
        here_HW = np.empty(inside_HW.shape, np.uint16)
        here_HW.fill(packed(number, kind))
        cv2.copyTo(here_HW, inside_HW, below_HW)
        dx, dy, box_W, box_H = sprite.box if whole else cv2.boundingRect(inside_HW)
        self.last = number
        self.take(number, kind, (x0 + dx, y0 + dy, box_W, box_H), area)
        return True

    def settle(self) -> None:
        """Bring the boxes of what was covered in part to what is seen."""
        for number in self._covered:
            self.box_of[number], self.seen_of[number] = self.measure(number, self.kind_of[number], self.box_of[number])
        self._covered.clear()


def packed(number: int, kind: int) -> int:
    """What a pixel says of the object on it."""
    return kind << KIND_BITS | number


def mask_of(lain_HW: np.ndarray) -> np.ndarray:
    """The class of each pixel; mask_HW uint8."""
    return np.right_shift(lain_HW, KIND_BITS, out=np.empty(lain_HW.shape, np.uint8), casting="unsafe")


def _numbers_in(lain_HW: np.ndarray) -> dict[int, int]:
    """Pixels of each object."""
    count = np.bincount((lain_HW & MOST).ravel())
    return {number: int(count[number]) for number in count.nonzero()[0].tolist() if number}
