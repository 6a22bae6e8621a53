"""The shared records: what a reader gives and what a score is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np


@dataclass(frozen=True)
class Encoding:
    """How a file of its own holds an image.

    Attributes:
        format: by its first bytes, as Pillow names it (JPEG, PNG, TIFF).
        bytes: of the whole file.
        quantization: of a JPEG's luminance, 64 numbers row by row; empty otherwise.
        camera: maker and model by its EXIF tags, None where they are missing.
    """

    format: str
    bytes: int
    quantization: tuple[int, ...] = ()
    camera: str | None = None


@dataclass(frozen=True)
class Pixels:
    """One decoded image.

    Attributes:
        array_HWC: three channels (red, green, blue), uint8 or uint16; the full range of the type is black to white.
        mpp: microns per pixel, where the file says so.
        note: what had to be done to the file's own mode, in words ('palette to RGB'), empty if nothing.
        encoding: of its file; None where that holds other images too, and for slides.
    """

    array_HWC: np.ndarray
    mpp: float | None = None
    note: str = ""
    encoding: Encoding | None = None


def in_8_bits(array_HWC: np.ndarray) -> np.ndarray:
    """The pixels of an image as uint8, for what knows no other type.

    >>> in_8_bits(np.array([0, 255, 256, 65535], np.uint16)).tolist()
    [0, 0, 1, 255]
    """
    return (array_HWC >> 8).astype(np.uint8) if array_HWC.dtype == np.uint16 else array_HWC


@dataclass(frozen=True)
class Score:
    """A number with its interval.

    Attributes:
        value: the score on all samples; NaN where it is not defined.
        low, high: ends of the 95 % interval; NaN where it cannot be had.
        n: number of samples it rests on.
        groups: number of groups (patients, slides) that were resampled for the interval.
        direction: whether more or less is better.
    """

    value: float
    low: float
    high: float
    n: int
    groups: int
    direction: Literal["max", "min"]

    def __str__(self) -> str:
        return f"{self.value:.4f} ({self.low:.4f} to {self.high:.4f})"

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, in which what is not defined is null."""
        return {name: None if value != value else value for name, value in asdict(self).items()}
