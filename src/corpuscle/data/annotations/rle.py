"""Runs of pixels, as COCO and CVAT write masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from corpuscle.data.annotations.areas import outlines
from corpuscle.data.annotations.record import Ring

MOST = 2 * 10**8  # pixels of a mask; no image that is read whole has more


def mask_of_runs(counts: Sequence[int], height: int, width: int, by_columns: bool) -> np.ndarray:
    """The mask that runs of pixels off and on, in turns and off first, make: mask_HW bool.

    Args:
        counts: lengths of the runs; what they leave over at the end is off.
        height, width: of the mask.
        by_columns: runs go down the columns, as in COCO, rather than along the rows.

    Raises:
        ValueError: they are no lengths, or longer than the mask, or the mask has no size.
    """
    if not (isinstance(height, int) and isinstance(width, int) and 0 < height * width <= MOST):
        raise ValueError(f"has a mask of {width} x {height} pixels")
    run_R = np.asarray(counts)
    if run_R.ndim != 1 or run_R.dtype.kind not in "iu" or (run_R.size and run_R.min() < 0):
        raise ValueError("has runs that are not whole numbers from 0 on")
    if run_R.sum() > height * width:
        raise ValueError(f"has runs of {run_R.sum()} pixels in a mask of {width} x {height}")
    pixel_P = np.zeros(height * width, bool)
    on_P = np.repeat(np.arange(len(run_R)) % 2 == 1, run_R)
    pixel_P[: len(on_P)] = on_P
    return pixel_P.reshape(width, height).T if by_columns else pixel_P.reshape(height, width)


def counts_of_text(text: str) -> list[int]:
    """The lengths of runs that pycocotools writes as text: five bits a letter, from the third on as differences.

    Raises:
        ValueError: it is no such text.
    """
    counts: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64:
            raise ValueError(f"has runs with the letter {letter!r}, which is none of COCO's")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    if shift:
        raise ValueError("has runs that are cut short")
    return counts


def pieces_of(mask_HW: np.ndarray, left: float = 0, top: float = 0) -> Iterator[tuple[Ring, tuple[Ring, ...]]]:
    """The outline and the holes of each island of a mask whose corner lies at some place of its image.

    Raises:
        ValueError: the mask is empty.
    """
    if not mask_HW.any():
        raise ValueError("has a mask without a pixel")
    for outline, holes in outlines(np.ascontiguousarray(mask_HW)):
        rings = [tuple((x + left, y + top) for x, y in ring) for ring in (outline, *holes)]
        yield rings[0], tuple(rings[1:])
