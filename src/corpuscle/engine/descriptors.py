"""Descriptors of an image that need no net and no training: covariances of colours and edges, and textures, in rings.

Rings around the centre make them the same for an image that is turned by quarters or mirrored, and tell a cell in the
middle from what surrounds it.
"""

from __future__ import annotations

from functools import cache

import numpy as np

SIZE = 128  # side of the canvas in pixels
SCALES = (128, 64, 32)
EDGES = (0.0, 0.15, 0.3, 0.45, 0.7)  # where each ring begins, as a share of half the side
LIGHTEST = 100.0  # L* of white
RIDGE = 1e-5  # makes the covariance of a flat ring invertible
AROUND = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))  # neighbours in turn
BRIGHTER = 1.0  # of 255: a neighbour that differs by less is noise


def descriptors(canvas_HWC: np.ndarray) -> tuple[np.ndarray, ...]:
    """Vectors of one image, a family each: covariances of colours and filters, and binary patterns.

    O. Tuzel, F. Porikli, P. Meer, Region covariance, ECCV 2006 (as logarithms: V. Arsigny et al. 2006).
    T. Ojala, M. Pietikäinen, T. Mäenpää, Multiresolution rotation invariant texture classification, PAMI 2002.

    Args:
        canvas_HWC: of `SIZE` × `SIZE`, uint8 or uint16.
    """
    import cv2

    lab_HWC = lab_of(canvas_HWC)
    bytes_HWC = (_unit(canvas_HWC) * 255).round().astype(np.uint8)
    lab8_HWC = cv2.cvtColor(bytes_HWC, cv2.COLOR_RGB2LAB).astype(np.float32)
    covariances, patterns = [], []
    for side in SCALES:
        ring_HW = rings(side)
        maps_MP = _maps(shrunk(lab_HWC, side)).reshape(-1, side * side)
        covariances += [_log_covariance(maps_MP[:, ring_HW.ravel() == ring]) for ring in range(len(EDGES))]
        patterns.append(_patterns(shrunk(lab8_HWC, side), ring_HW))
    return tuple(np.concatenate(family).astype(np.float32) for family in (covariances, patterns))


@cache
def rings(side: int) -> np.ndarray:
    """The ring of each pixel of a square, 0 in the middle."""
    at_S = (np.arange(side) + 0.5) / side * 2 - 1
    return np.digitize(np.hypot(at_S[:, None], at_S[None]), EDGES) - 1


def lab_of(canvas_HWC: np.ndarray) -> np.ndarray:
    """L*a*b* of a canvas, white being 1."""
    import cv2

    return cv2.cvtColor(_unit(canvas_HWC), cv2.COLOR_RGB2LAB) / np.float32(LIGHTEST)


def _unit(canvas_HWC: np.ndarray) -> np.ndarray:
    return canvas_HWC.astype(np.float32) / np.float32(np.iinfo(canvas_HWC.dtype).max)


def shrunk(array_HWC: np.ndarray, side: int) -> np.ndarray:
    """An image made smaller by the mean of its pixels."""
    import cv2

    if side == len(array_HWC):
        return array_HWC
    return cv2.resize(array_HWC, (side, side), interpolation=cv2.INTER_AREA)


def _maps(lab_HWC: np.ndarray) -> np.ndarray:
    """maps_MHW: the channels, how fast they change, and what is brighter or darker than its surroundings."""
    import cv2

    light_HW = np.ascontiguousarray(lab_HWC[..., 0])
    wide, narrow = _disc(3), _disc(2)
    colours = [np.ascontiguousarray(lab_HWC[..., channel]) for channel in (1, 2)]
    steep = [np.hypot(cv2.Sobel(of, -1, 1, 0), cv2.Sobel(of, -1, 0, 1)) for of in (light_HW, *colours)]
    spots = [cv2.morphologyEx(light_HW, how, wide) for how in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT)]
    spots += [cv2.morphologyEx(of, cv2.MORPH_TOPHAT, narrow) for of in colours]
    return np.stack([light_HW, *colours, *steep, cv2.Laplacian(light_HW, -1), *spots])


def _disc(radius: int) -> np.ndarray:
    """A round neighbourhood that stays the same when it is turned, which OpenCV's ellipse does not."""
    at_S = np.arange(-radius, radius + 1)
    return (np.hypot(at_S[:, None], at_S[None]) <= radius + 0.5).astype(np.uint8)


def _log_covariance(maps_MP: np.ndarray) -> np.ndarray:
    """The upper triangle of the logarithm of a covariance, so that distances are those of the whole matrix."""
    level_M, axes_MM = np.linalg.eigh(np.cov(maps_MP) + RIDGE * np.eye(len(maps_MP)))
    log_MM = (axes_MM * np.log(np.maximum(level_M, RIDGE / 2))) @ axes_MM.T
    row, column = np.triu_indices(len(log_MM))
    return log_MM[row, column] * np.where(row == column, 1, np.sqrt(2))


def _patterns(lab_HWC: np.ndarray, ring_HW: np.ndarray) -> np.ndarray:
    """Square roots of histograms of uniform binary patterns, in three zones of each channel."""
    height, width = lab_HWC.shape[:2]
    zone_HW = np.digitize(ring_HW[1:-1, 1:-1], (2, 4))
    histograms = []
    for channel_HW in np.moveaxis(lab_HWC, 2, 0):
        centre_HW = channel_HW[1:-1, 1:-1] + BRIGHTER
        around = [channel_HW[1 + y : height - 1 + y, 1 + x : width - 1 + x] for y, x in AROUND]
        above_8HW = np.stack(around) > centre_HW
        changes_HW = (above_8HW != np.roll(above_8HW, 1, axis=0)).sum(0)
        code_HW = np.where(changes_HW <= 2, above_8HW.sum(0), 9)
        for zone in range(3):
            inside_P = code_HW[zone_HW == zone]
            histograms.append(np.bincount(inside_P, minlength=10) / len(inside_P))
    return np.sqrt(np.concatenate(histograms))
