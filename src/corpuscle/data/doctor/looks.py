"""What is measured of an image in the pass that reads it anyway: how its file holds it, and how it looks.

Everything is measured on the image shrunk to a common size, so that images of several sizes can be held against one
another, and a large one costs little beside its decoding.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

import numpy as np
import polars as pl

from corpuscle.core.records import Encoding, Pixels, in_8_bits
from corpuscle.data.doctor.signature import signature_of

SIDE = 384  # pixels of the longer side that is looked at; smaller images are as they are
BLACK, WHITE = 2, 253  # grey levels up to which, and from which on, a pixel is clipped
RIM = 0.02  # of the shorter side, that the border's colour is taken from
REBLUR = 15  # pixels that the second blurring averages over; 9 in the paper, more tell strong blurs better apart
FLAT = 6  # grey levels between which all pixels of a bar lie: JPEG leaves ripples of two or three
EDGE, BEHIND = 12, 8  # grey levels by which the picture differs from its bar, and lines (a JPEG block) until it does
ACROSS = 0.75  # of the side along which it does so; a round picture in a black surround begins at one point
LUMINANCE = (
    *(16, 11, 10, 16, 24, 40, 51, 61),
    *(12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56),
    *(14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77),
    *(24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101),
    *(72, 92, 95, 98, 112, 100, 103, 99),
)  # quantisation of quality 50, JPEG standard (ITU-T T.81), table K.1

BARS = ("bar_top", "bar_bottom", "bar_left", "bar_right")
BORDER = ("border_red", "border_green", "border_blue")
LOOKS: dict[str, Any] = {
    "format": pl.String,  # by its first bytes; null where an image has no file of its own, as the next three
    "file_bytes": pl.Int64,
    "quality": pl.Int64,  # of a JPEG, 1 to 100
    "camera": pl.String,
    "brightness": pl.Float64,  # mean of grey, 0 to 1
    "contrast": pl.Float64,  # standard deviation of grey
    "black": pl.Float64,  # share of the pixels that are clipped
    "white": pl.Float64,
    "sharpness": pl.Float64,  # 0 to 1
    **dict.fromkeys(BARS, pl.Float64),  # share of the height, or of the width
    **dict.fromkeys(BORDER, pl.Float64),  # mean colour of the outermost pixels, 0 to 1
    "signature": pl.Binary,
}  # columns of a survey; null where an image cannot be read


def looks_of(pixels: Pixels) -> dict[str, Any]:
    """The measures of one image, plain values by the names of `LOOKS`; about 0.5 ms for 360 × 363 pixels."""
    import cv2

    shrunk_HWC = _shrunk(pixels.array_HWC)
    small_HWC = in_8_bits(shrunk_HWC)
    grey_HW = cv2.cvtColor(small_HWC, cv2.COLOR_RGB2GRAY)
    whole_HW = grey_HW if small_HWC is shrunk_HWC else cv2.cvtColor(shrunk_HWC, cv2.COLOR_RGB2GRAY)
    full = 65535 if whole_HW.dtype == np.uint16 else 255  # all bits: of sixteen a camera may use the lowest ten
    mean, deviation = (float(value[0, 0]) / full for value in cv2.meanStdDev(whole_HW))
    return {
        **_of_file(pixels.encoding),
        "brightness": mean,
        "contrast": deviation,
        "black": np.count_nonzero(grey_HW <= BLACK) / grey_HW.size,
        "white": np.count_nonzero(grey_HW >= WHITE) / grey_HW.size,
        "sharpness": sharpness(grey_HW),
        **dict(zip(BARS, bars(grey_HW), strict=True)),
        **dict(zip(BORDER, _border(small_HWC), strict=True)),
        "signature": signature_of(whole_HW),
    }


def sharpness(grey_HW: np.ndarray) -> float:
    """How much of the change from pixel to pixel is lost by blurring: most of a sharp picture's, little of a blurred.

    1 less the blur of F. Crété-Roffet et al., The blur effect: perception and estimation with a new no-reference
    perceptual blur metric, SPIE 6492 (2007). Unlike the variance of the Laplacian it follows neither the contrast nor
    how much there is to see. 0 where nothing changes.
    """
    import cv2

    lost = []
    for down, window in ((True, (1, REBLUR)), (False, (REBLUR, 1))):
        before, after = (_changes(one_HW, down) for one_HW in (grey_HW, cv2.blur(grey_HW, window)))
        total = cv2.sumElems(before)[0]
        lost.append(cv2.sumElems(cv2.subtract(before, after))[0] / total if total else 0.0)
    return float(min(lost))


def bars(grey_HW: np.ndarray) -> tuple[float, float, float, float]:
    """What is even and of one colour from side to side: share of the height above, below, of the width left, right.

    Nothing where it fades into the picture, as a plain background does: a bar ends at once.
    """
    across_WH = grey_HW.T
    return _bar(grey_HW), _bar(grey_HW[::-1]), _bar(across_WH), _bar(across_WH[::-1])


@lru_cache
def quality_of(quantization: tuple[int, ...]) -> int | None:
    """The quality whose table, as the IJG's library scales it, is nearest to that of a JPEG; None of other tables.

    >>> quality_of(LUMINANCE), quality_of(())
    (50, None)
    """
    if len(quantization) != len(LUMINANCE):
        return None
    off_Q = np.square(_tables_QN() - np.array(quantization)).sum(axis=1)
    return int(off_Q.argmin()) + 1


@cache
def _tables_QN() -> np.ndarray:
    """The table of each quality from 1 to 100."""
    quality_Q1 = np.arange(1, 101)[:, None]
    percent_Q1 = np.where(quality_Q1 < 50, 5000 // quality_Q1, 200 - 2 * quality_Q1)
    return np.clip((np.array(LUMINANCE) * percent_Q1 + 50) // 100, 1, 255)


def _of_file(encoding: Encoding | None) -> dict[str, Any]:
    if encoding is None:
        return dict.fromkeys(("format", "file_bytes", "quality", "camera"))
    return {
        "format": encoding.format,
        "file_bytes": encoding.bytes,
        "quality": quality_of(encoding.quantization),
        "camera": encoding.camera,
    }


def _shrunk(array_HWC: np.ndarray) -> np.ndarray:
    import cv2

    height, width = array_HWC.shape[:2]
    if max(height, width) <= SIDE:
        return array_HWC
    size = [max(1, round(side * SIDE / max(height, width))) for side in (width, height)]
    return cv2.resize(array_HWC, size, interpolation=cv2.INTER_AREA)


def _changes(grey_HW: np.ndarray, down: bool) -> np.ndarray:
    import cv2

    return cv2.absdiff(grey_HW[1:], grey_HW[:-1]) if down else cv2.absdiff(grey_HW[:, 1:], grey_HW[:, :-1])


def _bar(grey_LP: np.ndarray) -> float:
    """Share of the lines, from the first on, that are a bar."""
    if np.ptp(grey_LP[0]) > FLAT:
        return 0.0
    low_L = np.minimum.accumulate(grey_LP.min(axis=1)).astype(int)
    high_L = np.maximum.accumulate(grey_LP.max(axis=1)).astype(int)
    even = int(np.count_nonzero(high_L - low_L <= FLAT))
    behind_LP = grey_LP[even : even + BEHIND + 1].astype(int)
    differs_LP = np.abs(behind_LP - (low_L[0] + high_L[0]) / 2) > EDGE
    ends_L = np.flatnonzero(differs_LP.mean(axis=1) >= ACROSS)
    return (even + int(ends_L[0])) / len(grey_LP) if len(ends_L) else 0.0


def _border(small_HWC: np.ndarray) -> list[float]:
    """Mean of each channel around the picture, 0 to 1."""
    import cv2

    wide = max(1, round(RIM * min(small_HWC.shape[:2])))
    rims = small_HWC[:wide], small_HWC[-wide:], small_HWC[wide:-wide, :wide], small_HWC[wide:-wide, -wide:]
    pixels = sum(rim_HWC.shape[0] * rim_HWC.shape[1] for rim_HWC in rims)
    total_4 = np.sum([cv2.sumElems(rim_HWC) for rim_HWC in rims if rim_HWC.size], axis=0)
    return [float(total) / pixels / 255 for total in total_4[:3]]
