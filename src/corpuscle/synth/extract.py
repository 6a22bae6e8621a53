"""Cells cut from plain crops and from boxes, where no mask is known."""

from __future__ import annotations

import cv2
import numpy as np
from scipy import ndimage

from corpuscle.synth.cutouts import Cut, by_mask

SIDE = 128  # pixels a plain crop is cut out at; finer costs much time and moves no edge
REACH, FAR = 1.2, 2.0  # radii of the nucleus around it: as far the cell may well reach, and farther no cell does
BLUR = 1.0  # pixels of light blur, against grain
SMOOTH = 0.25  # radii of the cell over which its outline is smoothed: no cell has thinner arms
SOLID = 0.91  # share of its convex hull that a cell fills; bare nuclei and pairs of cells fill less
GROWN = 0.12  # share of a box that is looked at around it
LIKE_BOX = 0.6  # least overlap (intersection over union) of a box with that of what was found in it
STAINED = 70  # percentile of the stain in a box that is the object's own, whatever corners of paper it has

FAINT = 12  # levels of green between paper and what may be a cell

PAPER = "nothing stands out from the paper"
CUT_OFF = "reaches the border of its image"
TOUCHES = "touches a neighbour"
HOLLOW = "is no compact cell"


def by_threshold(image_HWC: np.ndarray) -> Cut | str:
    """Cut the white cell or platelet in the middle of a plain crop.

    Otsu's thresholds find the nucleus and what is not paper; from there GrabCut, which knows the neighbours' colours
    from what lies far from the nucleus, finds the edge of the cell.

    Args:
        image_HWC: uint8 RGB.

    Returns:
        The cut, or in words why there is none.
    """
    height, width = image_HWC.shape[:2]
    factor = min(SIDE / max(height, width), 1.0)
    small_HWC = cv2.resize(image_HWC, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    small_HW = _grabbed(small_HWC)
    if small_HW is None:
        return PAPER
    inside_HW = cv2.resize(small_HW.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR) > 0.5
    return _judged(image_HWC, inside_HW)


def by_box(image_HWC: np.ndarray, stain_HW: np.ndarray, box: tuple[int, int, int, int]) -> Cut | str:
    """Cut what a box holds, at half of its stain.

    Args:
        image_HWC: uint8 RGB, the whole image.
        stain_HW: of the whole image; see `stain_of`.
        box: left, top, right and bottom pixel of the object.

    Returns:
        The cut, or in words why there is none: it touches a neighbour or the border, or does not fit its box.
    """
    left, top, right, bottom = box
    height, width = stain_HW.shape
    if left < 2 or top < 2 or right > width - 3 or bottom > height - 3:
        return CUT_OFF
    across, down = max(int(GROWN * (right - left)), 3), max(int(GROWN * (bottom - top)), 3)
    window = slice(max(top - down, 0), bottom + down + 1), slice(max(left - across, 0), right + across + 1)
    level = np.percentile(stain_HW[top : bottom + 1, left : right + 1], STAINED) / 2
    found_HW = ndimage.binary_fill_holes(ndimage.binary_opening(stain_HW[window] > level, iterations=2))
    box_HW = np.zeros(stain_HW.shape, bool)
    box_HW[top : bottom + 1, left : right + 1] = True
    object_HW = _heaviest(found_HW, box_HW[window])
    if not object_HW.any():
        return PAPER
    if _at_border(object_HW):
        return TOUCHES
    inside_HW = np.zeros(stain_HW.shape, bool)
    inside_HW[window] = _smoothed(object_HW)
    rows, columns = np.flatnonzero(inside_HW.any(1)), np.flatnonzero(inside_HW.any(0))
    if _overlap((columns[0], rows[0], columns[-1], rows[-1]), box) < LIKE_BOX:
        return "does not fill its box"
    return _judged(image_HWC, inside_HW)


def stain_of(image_HWC: np.ndarray) -> np.ndarray:
    """How unlike the colour of the empty slide each pixel is; stain_HW float32, 0 is paper."""
    blurred_HWC = cv2.GaussianBlur(image_HWC, (0, 0), BLUR)
    dark_HW = 255 - blurred_HWC[..., 1]
    lab_HWC = cv2.cvtColor(blurred_HWC, cv2.COLOR_RGB2LAB).astype(np.float32)
    paper_HW = dark_HW <= _otsu(dark_HW)
    stain_HW: np.ndarray = np.linalg.norm(lab_HWC - np.median(lab_HWC[paper_HW], axis=0), axis=-1)
    return stain_HW


def _grabbed(image_HWC: np.ndarray) -> np.ndarray | None:
    """The cell in the middle of a small crop; None where there is nothing."""
    dark_HW = 255 - cv2.GaussianBlur(image_HWC, (0, 0), BLUR)[..., 1]
    stained_HW = dark_HW > _otsu(dark_HW)
    if not stained_HW.any() or np.mean(dark_HW[stained_HW]) - np.mean(dark_HW[~stained_HW]) < FAINT:
        return None
    nuclei_HW = dark_HW > _otsu(dark_HW[stained_HW])
    if not nuclei_HW.any():
        return None
    nucleus_HW = _lobes(nuclei_HW)
    radius = np.sqrt(nucleus_HW.sum() / np.pi)
    hull_HW = np.zeros(nucleus_HW.shape, np.uint8)
    cv2.fillConvexPoly(hull_HW, cv2.convexHull(cv2.findNonZero(nucleus_HW.astype(np.uint8))), 1)
    distance_HW = cv2.distanceTransform(1 - hull_HW, cv2.DIST_L2, 5)
    stain_HW = np.clip(1.5 * stain_of(image_HWC), 0, 255).astype(np.uint8)
    likely_HW = (distance_HW < REACH * radius) & (stain_HW > _otsu(stain_HW[~nuclei_HW]))

    sure_HW = cv2.erode(nucleus_HW.astype(np.uint8), np.ones((3, 3))) > 0
    label_HW = np.full(nucleus_HW.shape, cv2.GC_PR_BGD, np.uint8)
    label_HW[likely_HW | (hull_HW > 0)] = cv2.GC_PR_FGD
    label_HW[sure_HW] = cv2.GC_FGD
    label_HW[distance_HW > FAR * radius + 2] = cv2.GC_BGD
    label_HW[_frame(label_HW.shape)] = cv2.GC_BGD
    kinds = set(np.unique(label_HW))
    if not kinds & {cv2.GC_BGD, cv2.GC_PR_BGD} or not kinds & {cv2.GC_FGD, cv2.GC_PR_FGD}:
        return None
    cv2.setRNGSeed(0)  # its mixtures start from random colours
    bgr_HWC = np.ascontiguousarray(image_HWC[..., ::-1])
    cv2.grabCut(bgr_HWC, label_HW, (0, 0, 0, 0), np.zeros((1, 65)), np.zeros((1, 65)), 2, cv2.GC_INIT_WITH_MASK)
    cell_HW = ndimage.binary_fill_holes((label_HW == cv2.GC_FGD) | (label_HW == cv2.GC_PR_FGD))
    cell_HW = _heaviest(ndimage.binary_opening(cell_HW, iterations=2), _middle(cell_HW.shape))
    return _smoothed(cell_HW) if cell_HW.any() else None


def _lobes(nuclei_HW: np.ndarray) -> np.ndarray:
    """The nucleus in the middle, with the lobes that lie within 0.6 of its radius."""
    opened_HW = ndimage.binary_opening(nuclei_HW)
    seed_HW = _heaviest(opened_HW if opened_HW.any() else nuclei_HW, _middle(nuclei_HW.shape))
    near_HW = ndimage.distance_transform_edt(~seed_HW) < 0.6 * np.sqrt(seed_HW.sum() / np.pi)
    number_HW, _ = ndimage.label(nuclei_HW)
    lobes_HW = np.isin(number_HW, np.setdiff1d(number_HW[near_HW], [0]))
    return lobes_HW if lobes_HW.sum() <= 3 * seed_HW.sum() else seed_HW


def _heaviest(inside_HW: np.ndarray, weight_HW: np.ndarray) -> np.ndarray:
    """The connected part that weighs most; the whole where there is none."""
    number_HW, count = ndimage.label(inside_HW)
    if not count:
        return inside_HW
    kept_HW: np.ndarray = number_HW == 1 + np.argmax(ndimage.sum_labels(weight_HW, number_HW, range(1, count + 1)))
    return kept_HW


def _middle(shape: tuple[int, ...]) -> np.ndarray:
    """A weight that falls from the middle of an image to its border."""
    y, x = (np.exp(-(((np.arange(length) - (length - 1) / 2) / (0.25 * min(shape))) ** 2)) for length in shape)
    weight_HW: np.ndarray = y[:, None] * x
    return weight_HW


def _smoothed(inside_HW: np.ndarray) -> np.ndarray:
    """Without notches and arms that are thin beside the whole."""
    radius = max(int(SMOOTH * np.sqrt(inside_HW.sum() / np.pi)), 1)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    wide_HW = np.pad(inside_HW, radius + 1).astype(np.uint8)
    even_HW = cv2.morphologyEx(cv2.morphologyEx(wide_HW, cv2.MORPH_CLOSE, disc), cv2.MORPH_OPEN, disc)
    inner = slice(radius + 1, -radius - 1)
    smooth_HW = _heaviest(ndimage.binary_fill_holes(even_HW)[inner, inner], inside_HW)
    return smooth_HW if smooth_HW.any() else inside_HW


def _judged(image_HWC: np.ndarray, inside_HW: np.ndarray) -> Cut | str:
    if _at_border(inside_HW):
        return CUT_OFF
    hull = cv2.convexHull(cv2.findNonZero(inside_HW.astype(np.uint8)))
    hull_HW = cv2.fillConvexPoly(np.zeros(inside_HW.shape, np.uint8), hull, 1)
    if inside_HW.sum() < SOLID * hull_HW.sum():
        return HOLLOW
    return by_mask(image_HWC, inside_HW) or PAPER


def _at_border(inside_HW: np.ndarray) -> bool:
    return bool(inside_HW[[0, -1]].any() or inside_HW[:, [0, -1]].any())


def _frame(shape: tuple[int, ...]) -> np.ndarray:
    """The two outermost pixels all around."""
    return np.pad(np.zeros((max(shape[0] - 4, 0), max(shape[1] - 4, 0)), bool), 2, constant_values=True)[
        : shape[0], : shape[1]
    ]


def _overlap(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> float:
    """Intersection over union of two boxes of whole pixels."""
    across = max(min(a[2], b[2]) - max(a[0], b[0]) + 1, 0)
    down = max(min(a[3], b[3]) - max(a[1], b[1]) + 1, 0)
    area_a, area_b = ((one[2] - one[0] + 1) * (one[3] - one[1] + 1) for one in (a, b))
    return across * down / (area_a + area_b - across * down)


def _otsu(values: np.ndarray) -> float:
    """Otsu's threshold; that of equal values is their own, so that nothing lies above it."""
    threshold, _ = cv2.threshold(np.ascontiguousarray(values.reshape(1, -1)), 0, 255, cv2.THRESH_OTSU)
    return max(float(threshold), float(values.min()))
