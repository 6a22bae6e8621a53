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


NO_AUGMENT = AugmentPlan(rotate=0, flip="none", zoom=0, shift=0, brightness=0, contrast=0, saturation=0, hue=0)


def draw_warp(plan: AugmentPlan, size: int, rng: np.random.Generator) -> np.ndarray:
    """Compose the drawn turn, mirrorings, scale and shift, in random order, about the centre of the canvas.

    Returns:
        matrix_23 that takes a pixel of the canvas to a pixel of the output.
    """
    angle = np.deg2rad(rng.uniform(-plan.rotate, plan.rotate))
    scale = np.exp(rng.uniform(-1.0, 1.0) * np.log1p(plan.zoom))
    mirror_x = -1.0 if plan.flip in ("horizontal", "both") and rng.random() < 0.5 else 1.0
    mirror_y = -1.0 if plan.flip in ("vertical", "both") and rng.random() < 0.5 else 1.0
    shift_2 = rng.uniform(-plan.shift, plan.shift, 2) * size
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    parts = [turn, np.diag([mirror_x, 1.0]), np.diag([1.0, mirror_y])]
    linear_22 = np.eye(2)
    for place in rng.permutation(len(parts)):
        linear_22 = linear_22 @ parts[place]
    centre_2 = np.full(2, (size - 1) / 2)
    return np.column_stack([linear_22, centre_2 - linear_22 @ centre_2 + shift_2])


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


def warp(canvas_SSC: np.ndarray, matrix_23: np.ndarray, out_SSC: np.ndarray | None = None) -> np.ndarray:
    """Apply one affine warp, into `out_SSC` if given; what comes from outside the canvas is its mirror image."""
    import cv2

    size = canvas_SSC.shape[1], canvas_SSC.shape[0]
    flags, border = cv2.INTER_LINEAR, cv2.BORDER_REFLECT_101
    return cv2.warpAffine(canvas_SSC, matrix_23, size, out_SSC, flags=flags, borderMode=border)
