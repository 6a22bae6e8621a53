"""A whole slide as a small raster: its thumbnail, the tissue on it, and masks that others have drawn of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from corpuscle.core.errors import CorpuscleError
from corpuscle.data.prepare import shrunk
from corpuscle.data.readers.slides import SlideWindows

BAND_PIXELS = 1 << 24  # of a level that are read at once
CELLS_A_TILE = 8  # along the side of a tile, at least, if the levels allow
LARGEST = 3072  # longer side of a thumbnail
COLOURLESS, COLOURED = 12, 32  # saturation below which nothing is tissue, and above which all is
DARKEST = 40  # brightness below which noise looks coloured, and nothing is tissue
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


@dataclass(frozen=True)
class Shares:
    """Where the values of a mask lie.

    Attributes:
        of: a value to the share of each square that has it, share_HW.
        downsample: pixels of level 0 along a square.
    """

    of: Mapping[int, np.ndarray]
    downsample: float

    @property
    def size_HW(self) -> tuple[int, int]:
        """Squares down and across."""
        height, width = next(iter(self.of.values())).shape
        return height, width


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

    saturation_HW = cv2.cvtColor(picture.array, cv2.COLOR_RGB2HSV)[..., 1].copy()
    saturation_HW[picture.array.max(axis=2) < DARKEST] = 0
    saturation_HW = cv2.medianBlur(saturation_HW, 3)
    otsu, _ = cv2.threshold(saturation_HW, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    mask_HW = (saturation_HW > np.clip(otsu, COLOURLESS, COLOURED)).astype(np.uint8)
    _, spot_HW, stats, _ = cv2.connectedComponentsWithStats(mask_HW)
    large = stats[:, cv2.CC_STAT_AREA] >= SPECK * (side / picture.downsample) ** 2
    large[0] = False  # the glass
    found_HW: np.ndarray = large[spot_HW]
    return found_HW


def values_of(mask: SlideWindows, side: int) -> Shares:
    """Where each value of a mask lies; side as in `thumbnail`, in pixels of the mask.

    Raises:
        UnreadableImage: it is damaged.
        CorpuscleError: it is in colour, has been through JPEG, or its small levels are averages of the large ones.
    """
    level, factor = _level_and_factor(mask, side)
    bands: list[dict[int, np.ndarray]] = []
    found: dict[int, tuple[int, int]] = {}
    for number, band_HWC in enumerate(_bands(mask, level, factor)):
        if (band_HWC != band_HWC[..., :1]).any():
            raise CorpuscleError(
                f"{mask.path}: is in colour, a mask of one value a layer was expected; save it as grey"
            )
        value_HW = band_HWC[..., 0]
        top = number * _rows_a_band(mask, level, factor)
        for value in np.flatnonzero(np.bincount(value_HW.ravel())).tolist():
            if value not in found:
                y, x = divmod(int((value_HW == value).argmax()), value_HW.shape[1])
                found[value] = top + y, x
        if len(found) > MOST_VALUES:
            raise CorpuscleError(
                f"{mask.path}: has {len(found)} different values, at most {MOST_VALUES} were expected; save it without "
                "JPEG, and smaller levels by the nearest neighbour"
            )
        bands.append({value: _share(value_HW == value, factor) for value in found})
    invented = [value for value, place in found.items() if level and not _is_there(mask, level, place, value)]
    if invented:
        shown = ", ".join(map(str, sorted(invented)))
        raise CorpuscleError(
            f"{mask.path}: has the values {shown} in a smaller level alone, which was averaged; save smaller levels by "
            "the nearest neighbour, or none"
        )
    shares = {
        value: np.concatenate([band.get(value, np.zeros_like(next(iter(band.values())))) for band in bands])
        for value in sorted(found)
    }
    return Shares(shares, mask.downsamples[level] * factor)


def _share(own_HW: np.ndarray, factor: int) -> np.ndarray:
    """Share of each square of factor x factor pixels that is true; beyond the border nothing is."""
    import cv2

    bottom, right = (-length % factor for length in own_HW.shape)
    padded_HW = np.pad(own_HW.astype(np.float32), ((0, bottom), (0, right)))
    size = padded_HW.shape[1] // factor, padded_HW.shape[0] // factor
    return cv2.resize(padded_HW, size, interpolation=cv2.INTER_AREA) if factor > 1 else padded_HW


def _is_there(mask: SlideWindows, level: int, place: tuple[int, int], value: int) -> bool:
    """Whether level 0 has a value around a pixel of another level."""
    scale = mask.downsamples[level]
    top, left = (max(0, int((where - 1) * scale)) for where in place)
    side = math.ceil(3 * scale)
    around_HWC = mask.read(top, left, min(side, mask.height - top), min(side, mask.width - left))
    return bool((around_HWC[..., 0] == value).any())


def _level_and_factor(slide: SlideWindows, side: int) -> tuple[int, int]:
    wanted = max(side / CELLS_A_TILE, max(slide.height, slide.width) / LARGEST, 1)
    level = slide.level_for(wanted)
    return level, max(1, int(wanted / slide.downsamples[level]))


def _bands(slide: SlideWindows, level: int, factor: int) -> Iterator[np.ndarray]:
    """The rows of a level from top to bottom, cut at multiples of a factor."""
    height, width = slide.level_size(level)
    rows = _rows_a_band(slide, level, factor)
    for top in range(0, height, rows):
        yield slide.read_level(level, top, 0, min(rows, height - top), width)


def _rows_a_band(slide: SlideWindows, level: int, factor: int) -> int:
    return max(1, BAND_PIXELS // slide.level_size(level)[1] // factor) * factor
