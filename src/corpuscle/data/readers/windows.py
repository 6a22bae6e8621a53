"""Images of any size, a rectangle at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from corpuscle.data.readers.image import ReadPlan, UnreadableImage
from corpuscle.data.readers.read import is_member, read_pixels
from corpuscle.data.readers.slides import TILED, SlideWindows, opened

CUT = "cut it into tiles"  # the image reader's advice; here tiles are read as they are


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
    slide = opened(path) if plan.page == 0 and not is_member(path) else None
    if slide is None:
        try:
            pixels = read_pixels(path, plan)
        except UnreadableImage as error:
            raise UnreadableImage(
                path, error.what, error.remedy.replace(CUT, f"{TILED}, which is read piece by piece")
            ) from error
        yield ArrayWindows(pixels.array_HWC, pixels.mpp)
        return
    with slide:
        yield SlideWindows(path, slide)
