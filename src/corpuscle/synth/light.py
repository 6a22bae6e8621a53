"""Stain and lamp that differ from scene to scene."""

from __future__ import annotations

import cv2
import numpy as np

EVEN = 200  # value of a lamp that neither brightens nor darkens; 255 is the brightest
COARSE = 16  # pixels a side of a lamp before it is enlarged
ACROSS = np.linspace(-1, 1, COARSE, dtype=np.float32)
FROM_MIDDLE = (ACROSS[:, None] ** 2 + ACROSS**2) / 2


def vary_light(image_HWC: np.ndarray, stain: float, illumination: float, rng: np.random.Generator) -> np.ndarray:
    """The same scene in another stain and under another lamp.

    The light that dyes take away is scaled and mixed a little between the colours (Beer-Lambert to the first
    order), then comes a lamp with its own colour, a slope, and darker corners.

    Args:
        image_HWC: uint8 RGB.
        stain: deviation of the dyes' strength; a third of it for what goes from colour to colour and for the lamp's.
        illumination: deviation of the lamp's strength and slope.
        rng: drawn from alike whatever is varied.
    """
    drawn = rng.standard_normal(16, dtype=np.float32)
    if stain:
        amount_33 = (
            np.eye(3, dtype=np.float32) + stain * drawn[:9].reshape(3, 3) * (1 + 2 * np.eye(3, dtype=np.float32)) / 3
        )
        lamp_31 = 1 + stain / 3 * drawn[9:12, None]
        offset_31 = 255 * (1 - amount_33.sum(1, keepdims=True))
        image_HWC = cv2.transform(image_HWC, lamp_31 * np.hstack([amount_33, offset_31]))
    if illumination:
        strength, right, down, corners = (illumination * drawn[12:]).tolist()
        lamp_HW = 1 + strength / 2 + right / 2 * ACROSS + down / 2 * ACROSS[:, None] - abs(corners) * FROM_MIDDLE
        lamp_HW = np.clip(EVEN * lamp_HW + 0.5, 0, 255).astype(np.uint8)
        lamp_HW = cv2.resize(lamp_HW, image_HWC.shape[1::-1])
        image_HWC = cv2.multiply(image_HWC, cv2.cvtColor(lamp_HW, cv2.COLOR_GRAY2RGB), scale=1 / EVEN)
    return image_HWC
