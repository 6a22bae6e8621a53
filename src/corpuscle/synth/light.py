"""Stain and lamp that differ from scene to scene."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

EVEN = 200  # value of a lamp that neither brightens nor darkens; 255 is the brightest
BRIGHTEST, DARKEST = 0.54, 0.7  # most that a lamp can differ, so that all of it lies from 0 to 255
SAME = np.eye(3, dtype=np.float32)
OWN_AND_OTHERS = (1 + 2 * SAME) / 3  # how much a dye's strength varies, and how much it mixes


def vary_light(image_HWC: np.ndarray, stain: float, illumination: float, rng: np.random.Generator) -> np.ndarray:
    """The same scene in another stain and under another lamp.

    The light that dyes take away is scaled and mixed a little between the colours (Beer-Lambert to the first
    order), then comes a lamp with its own colour, a slope, and darker corners.

    Args:
        image_HWC: uint8 RGB.
        stain: deviation of the dyes' strength; a third of it for what goes from colour to colour and for the lamp's.
        illumination: deviation of the lamp's fall from border to border; its strength deviates by half of it. A lamp
            that 8 bits do not hold is tamed as a whole.
        rng: drawn from alike whatever is varied.
    """
    drawn = rng.standard_normal(16, dtype=np.float32)
    if stain:
        matrix_34 = np.empty((3, 4), np.float32)
        matrix_34[:, :3] = SAME + stain * drawn[:9].reshape(3, 3) * OWN_AND_OTHERS
        matrix_34[:, 3] = 255 * (1 - matrix_34[:, :3].sum(1))
        matrix_34 *= 1 + stain / 3 * drawn[9:12, None]
        image_HWC = cv2.transform(image_HWC, matrix_34)
    if illumination:
        lamp_HWC = _lamp(image_HWC.shape[:2], *(illumination * drawn[12:]).tolist())
        image_HWC = cv2.multiply(image_HWC, lamp_HWC, lamp_HWC, scale=1 / EVEN)
    return image_HWC


def _lamp(shape: tuple[int, ...], strength: float, right: float, down: float, corners: float) -> np.ndarray:
    """A lamp, alike in all colours: what it is along a column plus what it is along a row; lamp_HWC uint8."""
    tame = min(1.0, BRIGHTEST / (abs(strength) + abs(right) + abs(down) + 1e-9))
    strength, right, down, corners = tame * strength, tame * right, tame * down, min(abs(corners), DARKEST)
    least = abs(down) + corners  # so that nothing along the column is below 0
    column_3 = np.array([least, down, -corners], np.float32)
    row_3 = np.array([2 + strength - least + 1 / EVEN, right, -corners], np.float32)
    column_H = (EVEN / 2 * column_3 @ _powers(shape[0], 1)).astype(np.uint8)
    row_W = (EVEN / 2 * row_3 @ _powers(shape[1], 3)).astype(np.uint8)
    return (column_H[:, None] + row_W).reshape(*shape, 3)


@lru_cache(maxsize=8)
def _powers(count: int, colours: int) -> np.ndarray:
    """Powers 0 to 2 of places from -1 to 1, each place as often as there are colours."""
    place_N = np.repeat(np.linspace(-1, 1, count, dtype=np.float32), colours)
    return np.stack([np.ones_like(place_N), place_N, place_N**2])
