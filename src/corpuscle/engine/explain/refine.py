"""From the heat of a class to a mask of its object: by a threshold alone, or with the help of the image's colours."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from corpuscle.core.records import in_8_bits
from corpuscle.metrics.localisation import largest_box

SIDE = 512  # larger images are shrunk for GrabCut, whose time grows with the pixels
MARGIN = 0.15  # of the sides of the hot region's box, by which it is widened
SURE = 0.8  # of the heat between the threshold and the most: from there on a pixel is the object's
ROUNDS = 4  # of GrabCut

Refinement = Callable[[np.ndarray, np.ndarray, float], np.ndarray]


def plain(image_HWC: np.ndarray, heat_HW: np.ndarray, threshold: float) -> np.ndarray:
    """mask_HW of what is at least as hot as the threshold."""
    return heat_HW >= threshold


def otsu(image_HWC: np.ndarray, heat_HW: np.ndarray, threshold: float) -> np.ndarray:
    """mask_HW of what differs from the colour of the cold pixels, in the box of the hot ones.

    How much is enough is Otsu's threshold (1979) over the box.
    """
    import cv2

    hot_HW = heat_HW >= threshold
    if hot_HW.all() or not hot_HW.any():
        return hot_HW
    lab_HWC = cv2.cvtColor(in_8_bits(image_HWC), cv2.COLOR_RGB2LAB).astype(np.float32)
    away_HW = np.linalg.norm(lab_HWC - np.median(lab_HWC[~hot_HW], axis=0), axis=2).clip(0, 255).astype(np.uint8)
    left, top, width, height = _widened(largest_box(hot_HW), hot_HW.shape)
    part_HW = np.ascontiguousarray(away_HW[top : top + height, left : left + width])
    level, _ = cv2.threshold(part_HW, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    mask_HW = np.zeros_like(hot_HW)
    mask_HW[top : top + height, left : left + width] = part_HW > level
    return _touched_by(mask_HW, hot_HW)


def grabcut(image_HWC: np.ndarray, heat_HW: np.ndarray, threshold: float) -> np.ndarray:
    """mask_HW by GrabCut (Rother et al. 2004), begun from the heat: hottest is sure, far from hot is background."""
    import cv2

    hot_HW = heat_HW >= threshold
    if hot_HW.all() or not hot_HW.any():
        return hot_HW
    scale = min(1.0, SIDE / max(hot_HW.shape))
    size = max(1, round(hot_HW.shape[1] * scale)), max(1, round(hot_HW.shape[0] * scale))
    small_HWC = cv2.resize(in_8_bits(image_HWC), size, interpolation=cv2.INTER_AREA)
    small_HW = cv2.resize(heat_HW.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    start_HW = np.full(small_HW.shape, cv2.GC_BGD, np.uint8)
    left, top, width, height = _widened(largest_box(small_HW >= threshold), small_HW.shape)
    start_HW[top : top + height, left : left + width] = cv2.GC_PR_BGD
    start_HW[small_HW >= threshold] = cv2.GC_PR_FGD
    start_HW[small_HW >= threshold + SURE * (1 - threshold)] = cv2.GC_FGD
    if not (start_HW == cv2.GC_BGD).any() or not (start_HW & 1).any():  # it wants pixels of both sorts
        return hot_HW
    cv2.setRNGSeed(0)  # its colour clusters are drawn at random
    model, other = np.zeros((1, 65)), np.zeros((1, 65))
    bgr_HWC = np.ascontiguousarray(small_HWC[..., ::-1])
    cv2.grabCut(bgr_HWC, start_HW, (0, 0, 0, 0), model, other, ROUNDS, cv2.GC_INIT_WITH_MASK)
    return cv2.resize(start_HW & 1, hot_HW.shape[::-1], interpolation=cv2.INTER_NEAREST).astype(bool)


REFINEMENTS: dict[str, Refinement] = {"none": plain, "otsu": otsu, "grabcut": grabcut}


def dice(one_HW: np.ndarray, other_HW: np.ndarray) -> float:
    """Twice the shared pixels over all of both; NaN where both are empty.

    >>> dice(np.array([True, True, False]), np.array([True, False, False])) == 2 / 3
    True
    """
    both = int(one_HW.sum()) + int(other_HW.sum())
    return 2 * int((one_HW & other_HW).sum()) / both if both else float("nan")


def _widened(box: tuple[int, int, int, int], shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    left, top, width, height = box
    more_x, more_y = round(MARGIN * width) + 1, round(MARGIN * height) + 1
    right, bottom = min(left + width + more_x, shape[1]), min(top + height + more_y, shape[0])
    left, top = max(left - more_x, 0), max(top - more_y, 0)
    return left, top, right - left, bottom - top


def _touched_by(mask_HW: np.ndarray, hot_HW: np.ndarray) -> np.ndarray:
    """The regions of a mask that hold a hot pixel."""
    import cv2

    _, region_HW = cv2.connectedComponents(mask_HW.astype(np.uint8), connectivity=8)
    touched = np.setdiff1d(region_HW[hot_HW], [0])
    found: np.ndarray = np.isin(region_HW, touched)
    return found
