"""From an image of dots to where they lie: each pixel that is not black, or each blob of them, is one dot."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from corpuscle.data.readers.image import UnreadableImage, header_of

MOST = 0.25  # share of pixels that dots may cover; above it the file is a photograph or a mask
LOSSY = ("JPEG", "WEBP")


@dataclass(frozen=True)
class Dots:
    """What an image of dots says.

    Attributes:
        xy_M2: middle of each dot in pixels, from 0 at the centre of the top left one; x to the right.
        width, height: size of the image of dots, upright.
    """

    xy_M2: np.ndarray
    width: int
    height: int


def read_dots(path: Path) -> Dots:
    """Read an image of dots: grey, palette, colour or 1 bit; what is transparent counts as black.

    Where most dots are a single pixel, each pixel is a dot, and two that touch are two objects. Elsewhere pixels that
    touch by a side or a corner are one dot, at its middle.

    Raises:
        UnreadableImage: it cannot be decoded, was compressed with loss, or is covered by more than dots.
    """
    with header_of(path) as image:
        if image.format in LOSSY:
            what = f"is a {image.format} file, in which black is not kept"
            raise UnreadableImage(path, what, "save the dots as PNG, TIFF or BMP")
        upright: Image.Image = image if image.format == "TIFF" else ImageOps.exif_transpose(image)
        marked_HW = _marked(upright)
    share = marked_HW.mean()
    if share > MOST:
        what = f"is not black in {share:.0%} of its pixels, a few dots on black were expected"
        raise UnreadableImage(path, what, "mark each object by a dot on black")
    return Dots(_middles(marked_HW), marked_HW.shape[1], marked_HW.shape[0])


def _marked(image: Image.Image) -> np.ndarray:
    """Which pixels are neither black nor transparent."""
    if image.mode in ("P", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
    values_HWC = np.atleast_3d(np.asarray(image))
    has_alpha = image.mode in ("RGBA", "LA")
    marked_HW = np.zeros(values_HWC.shape[:2], dtype=bool)
    for channel in range(values_HWC.shape[2] - has_alpha):
        marked_HW |= values_HWC[..., channel] != 0
    if has_alpha:
        marked_HW &= values_HWC[..., -1] > 0
    return marked_HW


def _middles(marked_HW: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    number_HW, many = ndimage.label(marked_HW, np.ones((3, 3)))
    y_P, x_P = np.nonzero(marked_HW)
    number_P = number_HW[y_P, x_P] - 1
    pixels_M = np.bincount(number_P, minlength=many)
    if many and np.median(pixels_M) == 1:
        return np.stack([x_P, y_P], axis=1).astype(np.float64)
    return np.stack([np.bincount(number_P, of_P, many) / pixels_M for of_P in (x_P, y_P)], axis=1)
