"""Images of any size, a rectangle at a time; the only door to OpenSlide."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.ExifTags import Base as Tag
from PIL.TiffImagePlugin import TiffImageFile

from corpuscle.data.readers.image import PLAUSIBLE_MPP, REPLACE, ReadPlan, UnreadableImage
from corpuscle.data.readers.read import is_member, read_pixels

if TYPE_CHECKING:
    from openslide import OpenSlide

CUT = "cut it into tiles"  # the image reader's advice; here tiles are read as they are
TILED = "save it as a tiled TIFF of 8 bits, grey or RGB, which is read piece by piece"
SQUARE = 0.01  # a pixel's sides may differ by this share, as slide scanners state them


class Windows(Protocol):
    """An upright image that is read a rectangle at a time.

    Attributes:
        height, width: in pixels.
        mpp: microns per pixel, where the file says so.
    """

    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def mpp(self) -> float | None: ...

    def read(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        """A rectangle inside the image: array_HWC, red, green and blue, uint8 or uint16."""


@dataclass(frozen=True)
class ArrayWindows:
    """An image that is in memory already.

    Attributes:
        array_HWC: three channels, uint8 or uint16.
        mpp: microns per pixel, where known.
    """

    array_HWC: np.ndarray
    mpp: float | None = None

    @property
    def height(self) -> int:
        return int(self.array_HWC.shape[0])

    @property
    def width(self) -> int:
        return int(self.array_HWC.shape[1])

    def read(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        """A rectangle of the array, not a copy."""
        return self.array_HWC[top : top + height, left : left + width]


@dataclass(frozen=True)
class SlideWindows:
    """A slide or tiled TIFF that OpenSlide has open, at its full resolution.

    Attributes:
        path: of the file.
        slide: open; several threads may read at once, another process opens its own.
    """

    path: Path
    slide: OpenSlide

    @property
    def height(self) -> int:
        return int(self.slide.dimensions[1])

    @property
    def width(self) -> int:
        return int(self.slide.dimensions[0])

    @property
    def mpp(self) -> float | None:
        x, y = (float(self.slide.properties.get(f"openslide.mpp-{axis}", "nan")) for axis in "xy")
        if not math.isclose(x, y, rel_tol=SQUARE):
            return None
        return x if PLAUSIBLE_MPP[0] <= x <= PLAUSIBLE_MPP[1] else None

    def read(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        """A rectangle over white, which is what a scanner left out.

        Raises:
            UnreadableImage: the tiles there are damaged.
        """
        import openslide

        try:
            region = self.slide.read_region((left, top), 0, (width, height))
        except openslide.OpenSlideError as error:
            where = f"its pixels at row {top}, column {left} cannot be decoded ({error})"
            raise UnreadableImage(self.path, where, REPLACE) from error
        region_HWC = np.asarray(region)
        if region_HWC[..., 3].min() == 255:
            return np.ascontiguousarray(region_HWC[..., :3])
        over = Image.new("RGB", region.size, "white")
        over.paste(region, mask=region.getchannel("A"))
        return np.array(over)


@contextlib.contextmanager
def open_windows(path: Path, plan: ReadPlan = ReadPlan()) -> Iterator[Windows]:  # noqa: B008 (frozen)
    """Open an image of any size, to be read a rectangle at a time.

    Slides and tiled TIFFs of 8 bits are never decoded whole, and `plan.max_pixels` does not hold for them. Every other
    file (another format or page, more bits, transparency, a turn by EXIF) is decoded whole by the image reader. Where
    both could read a file, the pixels are the same.

    Args:
        path: an image, a row of an HDF5 file, a tiled TIFF or a slide of any format that OpenSlide knows.
        plan: limits and choices of the image reader.

    Raises:
        UnreadableImage: missing, damaged, not an image, or too large to be decoded whole.
    """
    slide = _slide(path) if plan.page == 0 and not is_member(path) else None
    if slide is None:
        try:
            pixels = read_pixels(path, plan)
        except UnreadableImage as error:
            raise UnreadableImage(path, error.what, error.remedy.replace(CUT, TILED)) from error
        yield ArrayWindows(pixels.array_HWC, pixels.mpp)
        return
    with slide:
        yield SlideWindows(path, slide)


def _slide(path: Path) -> OpenSlide | None:
    """The file opened by OpenSlide, or None where the image reader is the one to ask."""
    import openslide

    try:
        kind = openslide.OpenSlide.detect_format(path)
        if kind is None or (kind == "generic-tiff" and not _is_plain(path)):
            return None
        return openslide.OpenSlide(path)
    except (openslide.OpenSlideError, UnicodeError) as error:
        raise UnreadableImage(path, f"OpenSlide cannot open it ({error})", REPLACE) from error


def _is_plain(path: Path) -> bool:
    """Whether a TIFF is upright and has 8 bits of grey or RGB, which OpenSlide reads as they are."""
    try:
        with path.open("rb") as file:
            image = TiffImageFile(file)  # not `Image.open`, which warns of many pixels
            bits, turn = image.tag_v2.get(Tag.BitsPerSample, (1,)), image.tag_v2.get(Tag.Orientation, 1)
            return image.mode in ("L", "RGB") and max(bits) == 8 and turn == 1 and "transparency" not in image.info
    except (OSError, SyntaxError, UnidentifiedImageError):
        return False  # the image reader says what is wrong with it
