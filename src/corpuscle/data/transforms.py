"""Augmentation as one affine warp and one colour matrix an image, both composed before any pixel is touched."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from corpuscle.core.settings import Settings

GREY = np.array([0.299, 0.587, 0.114])  # luma weights of ITU-R BT.601
YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])  # hue turns in its I-Q plane


class AugmentPlan(Settings):
    """What is varied in training. Every value is the width of a uniform draw."""

    rotate: float = Field(180.0, ge=0.0, le=180.0, description="largest turn in degrees, either way; 180 is any angle")
    flip: Literal["none", "horizontal", "vertical", "both"] = Field(
        "both", description="mirrorings, each by even chance"
    )
    zoom: float = Field(0.2, ge=0.0, lt=1.0, description="scale is drawn from 1/(1+zoom) to 1+zoom, evenly in its log")
    shift: float = Field(0.06, ge=0.0, le=0.5, description="largest shift either way, as a share of the side")
    brightness: float = Field(0.15, ge=0.0, lt=1.0, description="factor on all channels, up to this much more or less")
    contrast: float = Field(0.15, ge=0.0, lt=1.0, description="factor on the distance from mid-grey")
    saturation: float = Field(0.15, ge=0.0, lt=1.0, description="factor on the distance from the pixel's own grey")
    hue: float = Field(8.0, ge=0.0, le=180.0, description="largest turn of the hue in degrees (YIQ plane)")
    quarter_turns: bool = Field(
        False, description="turn by whole quarters alone, as often as any, so that no object leaves a square picture"
    )
    crop: int = Field(
        0, ge=0, le=2048, description="side of the square that is cut out of each canvas at random; 0 keeps it whole"
    )


NO_AUGMENT = AugmentPlan(rotate=0, flip="none", zoom=0, shift=0, brightness=0, contrast=0, saturation=0, hue=0)


def draw_warp(plan: AugmentPlan, canvas_HW: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Compose the drawn turn, mirrorings, scale and shift, in random order, about a centre.

    The centre is that of the canvas; where a crop is cut, any from which the crop, before it is turned and scaled,
    stays within the canvas.

    Returns:
        matrix_23 that takes a pixel of the canvas to a pixel of the output.
    """
    angle = np.deg2rad(rng.uniform(-plan.rotate, plan.rotate))
    if plan.quarter_turns:
        square = canvas_HW[0] == canvas_HW[1] or plan.crop
        angle = np.pi / 2 * rng.integers(4) if square else np.pi * rng.integers(2)
    scale = np.exp(rng.uniform(-1.0, 1.0) * np.log1p(plan.zoom))
    mirror_x = -1.0 if plan.flip in ("horizontal", "both") and rng.random() < 0.5 else 1.0
    mirror_y = -1.0 if plan.flip in ("vertical", "both") and rng.random() < 0.5 else 1.0
    shift_2 = rng.uniform(-plan.shift, plan.shift, 2) * (plan.crop or canvas_HW[1], plan.crop or canvas_HW[0])
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    parts = [turn, np.diag([mirror_x, 1.0]), np.diag([1.0, mirror_y])]
    linear_22 = np.eye(2)
    for place in rng.permutation(len(parts)):
        linear_22 = linear_22 @ parts[place]
    centre_2 = (np.array(canvas_HW[::-1]) - 1) / 2
    if not plan.crop:
        return np.column_stack([linear_22, centre_2 - linear_22 @ centre_2 + shift_2])
    room_2 = np.maximum(np.array(canvas_HW[::-1]) - plan.crop, 0) / 2
    from_2 = centre_2 + rng.uniform(-1.0, 1.0, 2) * room_2
    return np.column_stack([linear_22, (plan.crop - 1) / 2 - linear_22 @ from_2 + shift_2])


def draw_colour(plan: AugmentPlan, rng: np.random.Generator) -> np.ndarray:
    """Compose the drawn hue, saturation, contrast and brightness, in this order.

    Returns:
        matrix_34 on red, green and blue from 0 to 1; the last column is added.
    """
    brightness, contrast, saturation = (
        1.0 + rng.uniform(-width, width) for width in (plan.brightness, plan.contrast, plan.saturation)
    )
    angle = np.deg2rad(rng.uniform(-plan.hue, plan.hue))
    turn_33 = np.eye(3)
    turn_33[1:, 1:] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    hue_33 = np.linalg.inv(YIQ) @ turn_33 @ YIQ
    saturation_33 = saturation * np.eye(3) + (1.0 - saturation) * np.tile(GREY, (3, 1))
    linear_33 = brightness * contrast * saturation_33 @ hue_33
    offset_3 = np.full(3, brightness * (1.0 - contrast) * 0.5)
    return np.column_stack([linear_33, offset_3])


def normalised(colour_34: np.ndarray, mean_3: np.ndarray, std_3: np.ndarray, full: float) -> np.ndarray:
    """Fold the scale of the stored values and the normalisation into a colour matrix.

    Args:
        colour_34: on values from 0 to 1.
        mean_3, std_3: of the training images, on values from 0 to 1.
        full: stored value of white: 255 or 65535.

    Returns:
        matrix_34, float32, that takes stored values to what the net expects.
    """
    linear_33 = colour_34[:, :3] / full / std_3[:, None]
    offset_3 = (colour_34[:, 3] - mean_3) / std_3
    return np.column_stack([linear_33, offset_3]).astype(np.float32)


def warp(canvas_HWC: np.ndarray, matrix_23: np.ndarray, out_HWC: np.ndarray | None = None) -> np.ndarray:
    """Apply one affine warp, into `out_HWC` if given; what comes from outside the canvas is its mirror image."""
    import cv2

    height, width = (canvas_HWC if out_HWC is None else out_HWC).shape[:2]
    flags, border = cv2.INTER_LINEAR, cv2.BORDER_REFLECT_101
    return cv2.warpAffine(canvas_HWC, matrix_23, (width, height), out_HWC, flags=flags, borderMode=border)


def warp_mask(mask_HW: np.ndarray, matrix_23: np.ndarray, out_HW: tuple[int, int]) -> np.ndarray:
    """The same warp of a mask: each pixel takes the class of the nearest one."""
    import cv2

    if mask_HW.shape == out_HW and np.array_equal(matrix_23, np.eye(2, 3)):
        return mask_HW
    flags, border = cv2.INTER_NEAREST, cv2.BORDER_REFLECT_101
    return cv2.warpAffine(mask_HW, matrix_23, out_HW[::-1], flags=flags, borderMode=border)


def moved(point_M3: np.ndarray, matrix_23: np.ndarray) -> np.ndarray:
    """Points (x, y, and whatever belongs to them) after a warp."""
    xy_M2 = point_M3[:, :2] @ matrix_23[:, :2].T + matrix_23[:, 2]
    return np.column_stack([xy_M2, point_M3[:, 2:]])


def mirrored(point_M3: np.ndarray, canvas_HW: tuple[int, int], reach: float) -> np.ndarray:
    """The points of a canvas and those of its mirror images around it, as `warp` shows them beyond its border.

    Args:
        point_M3: x, y, and whatever belongs to them; the points of the last row or column are their own mirror images.
        canvas_HW: size of the canvas.
        reach: how far beyond the border they are looked for, in pixels.
    """
    both_M3 = point_M3
    for axis, side in ((0, canvas_HW[1]), (1, canvas_HW[0])):
        last, place_M = side - 1, both_M3[:, axis]
        if not last:
            continue
        turned_M3 = both_M3[(place_M > 0.5) & (place_M < last - 0.5)]
        found = [both_M3]
        for period in range(-int(reach // (2 * last)) - 1, int(reach // (2 * last)) + 2):
            copies = [_along(axis, turned_M3, -1, 2 * last * period)]
            if period:
                copies.append(_along(axis, both_M3, 1, 2 * last * period))
            found += [one[(one[:, axis] >= -reach) & (one[:, axis] <= last + reach)] for one in copies]
        both_M3 = np.concatenate(found)
    return both_M3


def _along(axis: int, point_M3: np.ndarray, sign: int, shift: int) -> np.ndarray:
    changed_M3 = point_M3.copy()
    changed_M3[:, axis] = sign * point_M3[:, axis] + shift
    return changed_M3
