"""Pixels and the numbers of what lies on them, laid one object after the other."""

from __future__ import annotations

import cv2
import numpy as np

from corpuscle.synth.sprites import Sprite

KIND_BITS = 4
"""Lowest bits of a pixel, which hold the class of the object on it; its own number, up to 4095, lies above them."""

Box = tuple[int, int, int, int]
"""Left, top, width and height."""


class Canvas:
    """An image on which objects are laid; what is laid later lies on top.

    Args:
        image_HWC: uint8, is changed.
        lain_HW: uint16, 0 where nothing lies, else number and class of the uppermost object, see `KIND_BITS`; is
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
        right, bottom = left + wide, top + tall
        if left < 0 or top < 0 or right > width or bottom > height:
            x0, y0 = max(left, 0), max(top, 0)
            part = sprite.part(x0 - left, y0 - top, min(right, width) - left, min(bottom, height) - top)
            return part.area > 0 and self.lay(part, kind, x0, y0, overlap)
        here, value = (slice(top, bottom), slice(left, right)), packed(self.last + 1, kind)
        below_HW = self.lain_HW[here]
        if not cv2.hasNonZero(below_HW):
            np.bitwise_and(sprite.inside_HW, value, below_HW)
        elif not self._cover(below_HW, sprite, value, overlap):
            return False
        window_HWC = self.image_HWC[here]
        under_HWC = window_HWC.copy()  # fetches rows that lie far apart together; arithmetic would wait for each
        if sprite.light_HWC is None:
            cv2.multiply(under_HWC, sprite.through_HWC, window_HWC, 1 / 255)
        else:
            cv2.multiply(under_HWC, sprite.through_HWC, under_HWC, 1 / 255)
            cv2.add(under_HWC, sprite.light_HWC, window_HWC)
        self.last = number = self.last + 1
        dx, dy, box_W, box_H = sprite.box
        self.kind_of[number], self.box_of[number] = kind, (left + dx, top + dy, box_W, box_H)
        self.area_of[number] = self.seen_of[number] = sprite.area
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

    def _cover(self, below_HW: np.ndarray, sprite: Sprite, value: int, overlap: float) -> bool:
        """Put an object's value over those below it, unless it would hide more than is allowed of any of them."""
        covered_HW = cv2.bitwise_and(below_HW, sprite.inside_HW)
        covered = cv2.countNonZero(covered_HW)
        if covered > overlap * sprite.area or (covered and not self._hide(covered_HW, covered, overlap)):
            return False
        np.bitwise_xor(covered_HW, sprite.inside_HW & value, covered_HW)
        cv2.bitwise_xor(below_HW, covered_HW, below_HW)
        return True

    def _hide(self, covered_HW: np.ndarray, covered: int, overlap: float) -> bool:
        """Take those pixels from the objects that are seen there, unless that is more than is allowed of any."""
        uppermost = int(cv2.norm(covered_HW, cv2.NORM_INF))
        if cv2.norm(covered_HW, cv2.NORM_L1) == covered * uppermost:  # one object alone, as mostly
            hidden = [(uppermost >> KIND_BITS, covered)]
        else:
            count = np.bincount((covered_HW >> KIND_BITS).ravel())
            hidden = [(number, int(count[number])) for number in count.nonzero()[0].tolist() if number]
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
    return number << KIND_BITS | kind


def mask_of(lain_HW: np.ndarray) -> np.ndarray:
    """The class of each pixel; mask_HW uint8."""
    mask_HW = lain_HW.astype(np.uint8)
    mask_HW &= 2**KIND_BITS - 1
    return mask_HW
