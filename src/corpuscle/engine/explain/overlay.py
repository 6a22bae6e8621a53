"""Heat as colours, over its image, and what was said written on it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from corpuscle.core.files import write_bytes
from corpuscle.engine.png import png

if TYPE_CHECKING:
    from PIL import ImageFont

COLOURS = "viridis"  # its steps look alike everywhere, as in the report
LEAST_COVER, MOST_COVER = 0.25, 0.65  # of the image by the colours, where it is cold and where it is hot
LARGEST = 2048  # side of a picture: it is looked at
SMALLEST = 320  # side of a picture with words on it
BAND, INK, FRAME = (20, 24, 28), (255, 255, 255), (255, 216, 77)
BAND_COVER = 0.72

Box = tuple[int, int, int, int]


def coloured(heat_HW: np.ndarray) -> np.ndarray:
    """Heat from 0 to 1 as colours_HW3, uint8."""
    import matplotlib as mpl

    colours_HW4 = mpl.colormaps[COLOURS](np.clip(heat_HW, 0, 1), bytes=True)
    return np.ascontiguousarray(colours_HW4[..., :3])


def laid_over(image_HWC: np.ndarray, heat_HW: np.ndarray) -> np.ndarray:
    """The image under the colours of its heat, uint8; the hotter, the less of the image is seen."""
    cover_HW1 = (LEAST_COVER + (MOST_COVER - LEAST_COVER) * np.clip(heat_HW, 0, 1))[..., None]
    mixed_HWC = image_HWC * (1 - cover_HW1) + coloured(heat_HW) * cover_HW1
    return np.rint(mixed_HWC).astype(np.uint8)


def with_words(image_HWC: np.ndarray, words: str, box: Box | None = None) -> np.ndarray:
    """The image, enlarged where it is small, with a line of words below its top and a frame around a box."""
    from PIL import Image, ImageDraw

    factor = max(1, -(-SMALLEST // max(image_HWC.shape[:2])))
    height, width = (side * factor for side in image_HWC.shape[:2])
    image = Image.fromarray(image_HWC).resize((width, height), Image.Resampling.LANCZOS)
    if box is not None:
        left, top, wide, high = (factor * side for side in box)
        edges = (left, top, left + wide - 1, top + high - 1)
        line = max(2, min(height, width) // 120)
        draw = ImageDraw.Draw(image)
        draw.rectangle(edges, outline=BAND, width=2 * line)  # a dark edge, seen on bright ground
        draw.rectangle(edges, outline=FRAME, width=line)
    written = fitting(words, width - 12, max(12, min(height, width) // 16))
    tall = round(1.6 * written.size)
    band = Image.new("RGB", (width, tall), BAND)
    above = Image.blend(image.crop((0, 0, width, tall)), band, BAND_COVER)
    ImageDraw.Draw(above).text((width / 2, tall / 2), words, INK, written, anchor="mm")
    image.paste(above)
    return np.asarray(image)


def fitting(words: str, width: int, size: int) -> ImageFont.FreeTypeFont:
    """A font in which the words are at most so wide, and at most of the size."""
    while size > 6 and font(size).getlength(words) > width:
        size -= 1
    return font(size)


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which has the letters of most alphabets and comes with matplotlib."""
    import matplotlib as mpl
    from PIL import ImageFont

    return ImageFont.truetype(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)


def for_the_eye(array: np.ndarray) -> np.ndarray:
    """An image or its heat, thinned where it is larger than a picture should be."""
    import cv2

    scale = LARGEST / max(array.shape[:2])
    if scale >= 1:
        return array
    size = max(1, round(array.shape[1] * scale)), max(1, round(array.shape[0] * scale))
    return cv2.resize(np.ascontiguousarray(array), size, interpolation=cv2.INTER_AREA)


def write_png(path: Path, array: np.ndarray) -> None:
    """Write an image or a mask, uint8, whole or not at all."""
    write_bytes(path, png(np.ascontiguousarray(array)))
