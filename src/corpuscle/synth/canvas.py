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
        self._cut: set[int] = set()  # of which the box and the pixels may be less
        self._covered: set[int] = set()

    def take(self, numbers: list[int], kinds: list[int], boxes: list[Box], areas: list[int], cut: list[int]) -> None:
        """Know of objects that lie there already, of which so much is seen; of those that are cut, less may be."""
        self.kind_of = dict(zip(numbers, kinds, strict=True))
        self.box_of = dict(zip(numbers, boxes, strict=True))
        self.area_of = dict(zip(numbers, areas, strict=True))
        self.seen_of = self.area_of.copy()
        self._cut.update(cut)

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
        if x1 - x0 < wide or y1 - y0 < tall:
            sprite = sprite.part(x0 - left, y0 - top, x1 - left, y1 - top)
        area, inside_HW, below_HW = sprite.area, sprite.inside_HW, self.lain_HW[y0:y1, x0:x1]
        if not area or (cv2.countNonZero(below_HW) and not self._cover(below_HW, sprite, overlap)):
            return False
        window_HWC = self.image_HWC[y0:y1, x0:x1]
        cv2.multiply(window_HWC, sprite.through_HWC, window_HWC, scale=1 / 255)
        if sprite.light_HWC is not None:
            cv2.add(window_HWC, sprite.light_HWC, window_HWC)
        self.last = number = self.last + 1
        here_HW = np.empty(inside_HW.shape, np.uint16)
        here_HW.fill(packed(number, kind))
        cv2.copyTo(here_HW, inside_HW, below_HW)
        dx, dy, box_W, box_H = sprite.box
        self.kind_of[number], self.box_of[number] = kind, (x0 + dx, y0 + dy, box_W, box_H)
        self.area_of[number] = self.seen_of[number] = area
        return True

    def settle(self) -> None:
        """Bring the boxes of what was cut or covered in part to what is seen."""
        for number in self._covered | self._cut:
            self._measure(number)
        self._covered.clear()
        self._cut.clear()

    def _measure(self, number: int) -> None:
        """Bring the box and the pixels of an object to what is seen of it."""
        left, top, width, height = self.box_of[number]
        here_HW = self.lain_HW[top : top + height, left : left + width]
        seen_HW = (here_HW == packed(number, self.kind_of[number])).view(np.uint8)
        dx, dy, width, height = cv2.boundingRect(seen_HW)
        self.box_of[number], self.seen_of[number] = (left + dx, top + dy, width, height), cv2.countNonZero(seen_HW)

    def _cover(self, below_HW: np.ndarray, sprite: Sprite, overlap: float) -> bool:
        """Take what an object hides from those below it, unless that is more than is allowed of any of them."""
        covered_HW = cv2.copyTo(below_HW, sprite.inside_HW)
        if cv2.countNonZero(covered_HW) > overlap * sprite.area:
            return False
        count = np.bincount(covered_HW[covered_HW > 0] & MOST)
        hidden = [(number, int(count[number])) for number in count.nonzero()[0].tolist()]
        for number, pixels in hidden:
            if number in self._cut:
                self._measure(number)
                self.area_of[number] = self.seen_of[number]
                self._cut.discard(number)
            if self.seen_of[number] - pixels < (1 - overlap) * self.area_of[number]:
                return False
        for number, pixels in hidden:
            self.seen_of[number] -= pixels
            self._covered.add(number)
        return True


def packed(number: int, kind: int) -> int:
    """What a pixel says of the object on it."""
    return kind << KIND_BITS | number


def mask_of(lain_HW: np.ndarray) -> np.ndarray:
    """The class of each pixel; mask_HW uint8."""
    return np.right_shift(lain_HW, KIND_BITS, out=np.empty(lain_HW.shape, np.uint8), casting="unsafe")
