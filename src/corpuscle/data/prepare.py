"""From an image of any size to the canvas that the net sees; the same in training, evaluation and use."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from corpuscle.core.settings import Settings

BORDER_LEVEL = 0.06  # of full white; the dark surround of a fundus photograph is noise below this
BORDER_SHARE = 0.02  # a row or column belongs to the picture when this share of it is brighter


class PreparePlan(Settings):
    """How an image becomes a canvas. The card carries these values, so that use equals training."""

    size: int = Field(0, ge=0, le=2048, description="side of the canvas in pixels; 0 chooses by the images' sizes")
    fit: Literal["pad", "crop", "stretch", "keep"] = Field(
        "pad",
        description="a picture that is not square: pad it (nothing lost), crop its centre, or stretch it; keep: "
        "no square canvas, each picture keeps its size, divided by prepare.shrink",
    )
    shrink: Literal[0, 1, 2, 4, 8] = Field(
        0, description="with fit=keep: pixels of the image to one of the canvas; 0 chooses by how near objects lie"
    )
    centre_crop: float = Field(1.0, gt=0.0, le=1.0, description="share of the sides that is kept around the centre")
    trim_border: bool = Field(False, description="cut off a black surround first, as fundus photographs have it")


def prepare(array_HWC: np.ndarray, plan: PreparePlan) -> np.ndarray:
    """Bring one image to the canvas.

    Args:
        array_HWC: uint8 or uint16, three channels.
        plan: with its size chosen.

    Returns:
        canvas_SSC of the same type; S is `plan.size`. Shrinking averages over areas, so no detail aliases. With
        fit=keep, canvas_HWC of the picture's own size divided by `plan.shrink`.
    """
    if plan.fit == "keep":
        return shrunk(array_HWC, plan.shrink)
    if plan.trim_border:
        array_HWC = without_border(array_HWC)
    return onto_canvas(array_HWC, plan)


def onto_canvas(array: np.ndarray, plan: PreparePlan, nearest: bool = False) -> np.ndarray:
    """Crop, scale and pad one image, or its mask in the same way.

    Args:
        array: HWC or HW, without a surround.
        plan: with its size chosen; fit is not keep.
        nearest: give each pixel the value at its middle, as numbers of classes need it, instead of a mean.
    """
    import cv2

    if plan.centre_crop < 1.0:
        array = _centre(array, *(max(1, round(side * plan.centre_crop)) for side in array.shape[:2]))
    height, width = array.shape[:2]
    if plan.fit == "crop":
        array = _centre(array, min(height, width), min(height, width))
    if plan.fit == "pad":
        scale = plan.size / max(height, width)
        inner_HW = max(1, round(height * scale)), max(1, round(width * scale))
    else:
        inner_HW = plan.size, plan.size
    shrinks = inner_HW[0] * inner_HW[1] < array.shape[0] * array.shape[1]
    method = cv2.INTER_NEAREST_EXACT if nearest else cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    canvas = cv2.resize(np.ascontiguousarray(array), inner_HW[::-1], interpolation=method)
    top, left = (plan.size - inner_HW[0]) // 2, (plan.size - inner_HW[1]) // 2
    bottom, right = plan.size - inner_HW[0] - top, plan.size - inner_HW[1] - left
    if top or left or bottom or right:
        around = cv2.BORDER_CONSTANT if plan.trim_border else cv2.BORDER_REPLICATE  # black again where it was black
        canvas = cv2.copyMakeBorder(canvas, top, bottom, left, right, around, value=(0, 0, 0))
    return canvas


def shrunk(array_HWC: np.ndarray, factor: int) -> np.ndarray:
    """Average squares of factor × factor pixels; what is missing of the last row and column repeats the border.

    A pixel depends on its own square alone, so an image cut at multiples of the factor shrinks to the same pixels.
    """
    import cv2

    if factor <= 1:
        return array_HWC
    height, width = array_HWC.shape[:2]
    bottom, right = -height % factor, -width % factor
    if bottom or right:
        array_HWC = cv2.copyMakeBorder(array_HWC, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
    size = array_HWC.shape[1] // factor, array_HWC.shape[0] // factor
    return cv2.resize(np.ascontiguousarray(array_HWC), size, interpolation=cv2.INTER_AREA)


def without_border(array_HWC: np.ndarray) -> np.ndarray:
    """The image without its black surround; an image that is dark all over is returned whole."""
    bright_HW = array_HWC.max(axis=2) > BORDER_LEVEL * np.iinfo(array_HWC.dtype).max
    rows = np.flatnonzero(bright_HW.mean(axis=1) > BORDER_SHARE)
    columns = np.flatnonzero(bright_HW.mean(axis=0) > BORDER_SHARE)
    if not len(rows) or not len(columns):
        return array_HWC
    return array_HWC[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _centre(array_HWC: np.ndarray, height: int, width: int) -> np.ndarray:
    top, left = (array_HWC.shape[0] - height) // 2, (array_HWC.shape[1] - width) // 2
    return array_HWC[top : top + height, left : left + width]
