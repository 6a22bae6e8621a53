"""Cut-outs: single cells cut from images, with a soft edge, at one magnification."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

EDGE_PX = 1.5
"""Pixels over which the edge of a cut-out goes from nothing to full, as the optics of a smear blur it."""

MARGIN_PX, MARGIN = 4, 20
"""Around what is cut, so that its soft edge is whole when it is made smaller: pixels, and one part in so many."""

SMALLEST_PX = 5  # a side: less is not seen as a cell
HALF = 128  # alpha from which a pixel is of the object


@dataclass(frozen=True)
class Cutout:
    """One cell, ready to be laid on a scene.

    Attributes:
        image_HWC: uint8, a tight crop at the magnification of its bank.
        alpha_HW: uint8, 255 inside, soft at the edge, 0 outside.
        kind: what it is, by the names of the smear where it has one.
        source: the image it was cut from.
        part: train, val or test; all of one source are in one part.
        group: the patient or slide, None where it is not known.
        box: left, top, width and height of the crop in pixels of the source.
        scale: pixels of the bank a pixel of the source.
    """

    image_HWC: np.ndarray
    alpha_HW: np.ndarray
    kind: str
    source: str
    part: str
    group: str | None = None
    box: tuple[int, int, int, int] = (0, 0, 0, 0)
    scale: float = 1.0

    @property
    def area(self) -> int:
        """Pixels that are of the cell."""
        return int((self.alpha_HW >= HALF).sum())


@dataclass(frozen=True)
class Cut:
    """An object as it was cut, at the magnification of its image.

    Attributes:
        image_HWC: uint8, a tight crop with a margin.
        inside_HW: bool, the pixels that are of the object.
        left, top: the crop's corner in the image.
    """

    image_HWC: np.ndarray
    inside_HW: np.ndarray
    left: int
    top: int

    @property
    def area(self) -> int:
        """Pixels that are of the object."""
        return int(self.inside_HW.sum())

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, width and height of the crop in pixels of the image."""
        height, width = self.inside_HW.shape
        return self.left, self.top, width, height

    @property
    def extent(self) -> tuple[int, int]:
        """Height and width of the object itself in pixels of the image."""
        rows, columns = (np.flatnonzero(self.inside_HW.any(axis)) for axis in (1, 0))
        return int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


def by_mask(image_HWC: np.ndarray, inside_HW: np.ndarray) -> Cut | None:
    """Cut what a mask holds, with a margin; None where it holds nothing.

    Args:
        image_HWC: uint8 RGB.
        inside_HW: what is not 0 is of the object.
    """
    rows, columns = np.flatnonzero(inside_HW.any(1)), np.flatnonzero(inside_HW.any(0))
    if not len(rows):
        return None
    margin = MARGIN_PX + max(np.ptp(rows), np.ptp(columns)) // MARGIN
    top, left = max(rows[0] - margin, 0), max(columns[0] - margin, 0)
    crop = slice(top, rows[-1] + margin + 1), slice(left, columns[-1] + margin + 1)
    return Cut(image_HWC[crop].copy(), inside_HW[crop] > 0, int(left), int(top))


def scaled(cut: Cut, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """A cut at another magnification.

    Args:
        cut: at the magnification of its image.
        scale: pixels wanted a pixel of the image.

    Returns:
        image_HWC uint8, and alpha_HW uint8 with an edge of `EDGE_PX` pixels.
    """
    height, width = cut.inside_HW.shape
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    image_HWC = cv2.resize(cut.image_HWC, size, interpolation=how)
    # from the distance to the edge, so that the edge is as soft at every magnification
    inside_HW = np.pad(cut.inside_HW, 1).astype(np.uint8)
    distance_HW = cv2.distanceTransform(inside_HW, cv2.DIST_L2, 5) - cv2.distanceTransform(
        1 - inside_HW, cv2.DIST_L2, 5
    )
    distance_HW = (distance_HW - 0.5 * np.sign(distance_HW))[1:-1, 1:-1]
    smooth_HW = cv2.resize(cv2.GaussianBlur(distance_HW, (0, 0), 0.7), size, interpolation=cv2.INTER_LINEAR)
    alpha_HW = np.clip(0.5 + smooth_HW * scale / EDGE_PX, 0, 1)
    return image_HWC, np.round(255 * alpha_HW).astype(np.uint8)


def tight(image_HWC: np.ndarray, alpha_HW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both cropped to where alpha is not 0; both empty where it is 0 everywhere."""
    rows, columns = np.flatnonzero(alpha_HW.any(1)), np.flatnonzero(alpha_HW.any(0))
    if not len(rows):
        return image_HWC[:0, :0], alpha_HW[:0, :0]
    crop = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return image_HWC[crop].copy(), alpha_HW[crop].copy()
