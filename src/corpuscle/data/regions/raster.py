"""A whole slide as a small raster: its thumbnail, the tissue on it, and masks that others have drawn of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from corpuscle.core.errors import CorpuscleError
from corpuscle.data.prepare import shrunk
from corpuscle.data.readers.slides import SlideWindows

BAND_PIXELS = 1 << 24  # of a level that are read at once
CELLS_A_TILE = 8  # along the side of a tile, at least, if the levels allow
LARGEST = 3072  # longer side of a thumbnail
COLOURLESS, COLOURED = 12, 32  # saturation below which nothing is tissue, and above which all is
SPECK = 0.25  # share of a tile's area below which a spot of tissue is dust
MOST_VALUES = 32  # of a mask; more come from JPEG


@dataclass(frozen=True)
class Raster:
    """A slide made small.

    Attributes:
        array: H x W, or H x W x 3.
        downsample: pixels of level 0 along one of the raster's.
    """

    array: np.ndarray
    downsample: float


def thumbnail(slide: SlideWindows, side: int) -> Raster:
    """A slide averaged over squares, each at most an eighth of a tile's side if the slide is not too large for that.

    Args:
        slide: is read from the smallest level that will do, some rows at a time.
        side: of the tiles, in pixels of level 0.

    Raises:
        UnreadableImage: that level is damaged.
    """
    level, factor = _level_and_factor(slide, side)
    bands = [shrunk(band_HWC, factor) for band_HWC in _bands(slide, level, factor)]
    return Raster(np.concatenate(bands), slide.downsamples[level] * factor)


def tissue(picture: Raster, side: int) -> np.ndarray:
    """Where a thumbnail shows tissue, mask_HW: what is coloured (Otsu's threshold of the saturation), dust left out.

    Otsu's threshold always finds two kinds, on bare glass too; so it is kept within what glass and stains can be.
    """
    import cv2

    saturation_HW = cv2.cvtColor(picture.array, cv2.COLOR_RGB2HSV)[..., 1]
    saturation_HW = cv2.medianBlur(saturation_HW, 3)
    otsu, _ = cv2.threshold(saturation_HW, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    mask_HW = (saturation_HW > np.clip(otsu, COLOURLESS, COLOURED)).astype(np.uint8)
    _, spot_HW, stats, _ = cv2.connectedComponentsWithStats(mask_HW)
    large = stats[:, cv2.CC_STAT_AREA] >= SPECK * (side / picture.downsample) ** 2
    large[0] = False  # the glass
    found_HW: np.ndarray = large[spot_HW]
    return found_HW


def values_of(mask: SlideWindows, side: int) -> Raster:
    """The values of a mask, of every few pixels one; side as in `thumbnail`, in pixels of the mask.

    Raises:
        UnreadableImage: it is damaged.
        CorpuscleError: it is in colour, or has been through JPEG.
    """
    level, factor = _level_and_factor(mask, side)
    bands = []
    for band_HWC in _bands(mask, level, factor):
        if (band_HWC != band_HWC[..., :1]).any():
            raise CorpuscleError(
                f"{mask.path}: is in colour, a mask of one value a layer was expected; save it as grey"
            )
        bands.append(np.ascontiguousarray(band_HWC[factor // 2 :: factor, factor // 2 :: factor, 0]))
    value_HW = np.concatenate(bands)
    number = len(np.unique(value_HW))
    if number > MOST_VALUES:
        raise CorpuscleError(
            f"{mask.path}: has {number} different values, at most {MOST_VALUES} were expected; save it without JPEG"
        )
    return Raster(value_HW, mask.downsamples[level] * factor)


def _level_and_factor(slide: SlideWindows, side: int) -> tuple[int, int]:
    wanted = max(side / CELLS_A_TILE, max(slide.height, slide.width) / LARGEST, 1)
    level = slide.level_for(wanted)
    return level, max(1, int(wanted / slide.downsamples[level]))


def _bands(slide: SlideWindows, level: int, factor: int) -> Iterator[np.ndarray]:
    """The rows of a level from top to bottom, cut at multiples of a factor."""
    height, width = slide.level_size(level)
    rows = max(1, BAND_PIXELS // width // factor) * factor
    for top in range(0, height, rows):
        yield slide.read_level(level, top, 0, min(rows, height - top), width)
