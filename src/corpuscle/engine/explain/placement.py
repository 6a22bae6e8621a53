"""Where the pixels of a canvas come from, so that a map of the canvas can be laid over the image itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from corpuscle.data.prepare import PreparePlan, prepare, without_border

MULTIPLE = 32  # sides of an image at its own size are filled up to it: no net here halves an image more often

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Placed:
    """A canvas, and how it lies on its image.

    Attributes:
        canvas_HWC: what the net sees.
        size: height and width of the image.
        seen: top, left, height and width of the part of the image that the canvas shows; may reach beyond the image.
        lies: top, left, height and width of that part on the canvas.
    """

    canvas_HWC: np.ndarray
    size: tuple[int, int]
    seen: Box
    lies: Box

    def laid_back(self, map_hw: np.ndarray) -> np.ndarray:
        """A map of the canvas, of any resolution, as map_HW of the image; its least value where the net saw nothing."""
        import cv2

        canvas_HW = cv2.resize(map_hw.astype(np.float32), self.canvas_HWC.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        top, left, height, width = self.lies
        part_HW = np.ascontiguousarray(canvas_HW[top : top + height, left : left + width])
        top, left, height, width = self.seen
        method = cv2.INTER_AREA if height * width < part_HW.size else cv2.INTER_LINEAR
        part_HW = cv2.resize(part_HW, (width, height), interpolation=method)
        map_HW = np.full(self.size, part_HW.min(), np.float32)
        part_HW = part_HW[: self.size[0] - top, : self.size[1] - left]
        map_HW[top : top + part_HW.shape[0], left : left + part_HW.shape[1]] = part_HW
        return map_HW


def place(image_HWC: np.ndarray, plan: PreparePlan, at: Literal["canvas", "native"] = "canvas") -> Placed:
    """Prepare an image as `prepare` does, or leave it at its own size, and keep how the canvas lies on it."""
    import cv2

    height, width = size = image_HWC.shape[:2]
    if at == "native":
        down, right = -height % MULTIPLE, -width % MULTIPLE
        canvas_HWC = cv2.copyMakeBorder(image_HWC, 0, down, 0, right, cv2.BORDER_REPLICATE)
        whole = (0, 0, *canvas_HWC.shape[:2])
        return Placed(canvas_HWC, size, whole, whole)
    canvas_HWC = prepare(image_HWC, plan)
    if plan.fit == "keep":
        high, wide = canvas_HWC.shape[:2]
        factor = max(plan.shrink, 1)
        return Placed(canvas_HWC, size, (0, 0, high * factor, wide * factor), (0, 0, high, wide))
    seen = _seen(image_HWC, plan)
    inner = plan.size, plan.size
    if plan.fit == "pad":
        scale = plan.size / max(seen[2:])
        inner = max(1, round(seen[2] * scale)), max(1, round(seen[3] * scale))
    return Placed(canvas_HWC, size, seen, ((plan.size - inner[0]) // 2, (plan.size - inner[1]) // 2, *inner))


def _seen(image_HWC: np.ndarray, plan: PreparePlan) -> Box:
    """The part of an image that is left when border, margin and overhang are cut off."""
    box = (0, 0, *image_HWC.shape[:2])
    if plan.trim_border:
        inner_HWC = without_border(image_HWC)  # a view: how far it begins behind the image tells where it lies
        row, column = divmod(inner_HWC.ctypes.data - image_HWC.ctypes.data, image_HWC.strides[0])
        box = (row, column // image_HWC.strides[1], *inner_HWC.shape[:2])
    box = _centre(box, *(max(1, round(side * plan.centre_crop)) for side in box[2:]))
    return _centre(box, min(box[2:]), min(box[2:])) if plan.fit == "crop" else box


def _centre(box: Box, high: int, wide: int) -> Box:
    top, left, height, width = box
    return top + (height - high) // 2, left + (width - wide) // 2, high, wide
