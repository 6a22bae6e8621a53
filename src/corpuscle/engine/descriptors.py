"""Descriptors of an image that need no net and no training: colours, textures and their covariances, ring by ring.

Rings around the centre make them the same for an image that is turned by quarters or mirrored, and tell a cell in the
middle from what surrounds it.
"""

from __future__ import annotations

import numpy as np

SIZE = 128  # side of the canvas in pixels
SCALES = (128, 64, 32)
EDGES = (0.0, 0.15, 0.3, 0.45, 0.7)  # where each ring begins, as a share of half the side
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
BINS, COARSE_BINS = 12, 6  # of a histogram of one channel, and of three together
LIGHTEST = 100.0  # L* of white
RIDGE = 1e-5  # makes the covariance of a flat ring invertible
AROUND = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))  # neighbours in turn
BRIGHTER = 1.0  # of 255: a neighbour that differs by less is noise


def descriptors(canvas_HWC: np.ndarray) -> tuple[np.ndarray, ...]:
    """Vectors of one image, a family each: colour histograms, statistics of filters, covariances, binary patterns.

    O. Tuzel, F. Porikli, P. Meer, Region covariance, ECCV 2006 (as logarithms: V. Arsigny et al. 2006).
    T. Ojala, M. Pietikäinen, T. Mäenpää, Multiresolution rotation invariant texture classification, PAMI 2002.

    Args:
        canvas_HWC: of `SIZE` × `SIZE`, uint8 or uint16.
    """
    import cv2

    depth = np.float32(np.iinfo(canvas_HWC.dtype).max)
    rgb_HWC = canvas_HWC.astype(np.float32) / depth
    lab_HWC = cv2.cvtColor(rgb_HWC, cv2.COLOR_RGB2LAB) / np.float32(LIGHTEST)
    bytes_HWC = (rgb_HWC * 255).round().astype(np.uint8)
    lab8_HWC = cv2.cvtColor(bytes_HWC, cv2.COLOR_RGB2LAB)
    statistics, covariances, patterns = [], [], []
    for side in SCALES:
        ring_HW = rings(side)
        maps_MP = _maps(_shrunk(lab_HWC, side)).reshape(-1, side * side)
        for ring in range(len(EDGES)):
            values_MP = np.sort(maps_MP[:, ring_HW.ravel() == ring], axis=1)
            statistics += [values_MP.mean(1), values_MP.std(1)]
            statistics += [values_MP[:, int(share * (values_MP.shape[1] - 1))] for share in QUANTILES]
            covariances.append(_log_covariance(maps_MP[:, ring_HW.ravel() == ring]))
        patterns.append(_patterns(_shrunk(lab8_HWC.astype(np.float32), side), ring_HW))
    families = _colours(bytes_HWC, lab8_HWC), *map(np.concatenate, (statistics, covariances, patterns))
    return tuple(family.astype(np.float32) for family in families)


def rings(side: int) -> np.ndarray:
    """The ring of each pixel of a square, 0 in the middle."""
    at_S = (np.arange(side) + 0.5) / side * 2 - 1
    return np.digitize(np.hypot(at_S[:, None], at_S[None]), EDGES) - 1


def _shrunk(array_HWC: np.ndarray, side: int) -> np.ndarray:
    import cv2

    if side == len(array_HWC):
        return array_HWC
    return cv2.resize(array_HWC, (side, side), interpolation=cv2.INTER_AREA)


def _colours(bytes_HWC: np.ndarray, lab_HWC: np.ndarray) -> np.ndarray:
    """Square roots of histograms: of each channel by ring, and of three together in the middle and everywhere."""
    import cv2

    hue_HW = cv2.cvtColor(bytes_HWC, cv2.COLOR_RGB2HSV_FULL)[..., :1]
    channels_HWC = np.concatenate([lab_HWC, hue_HW], axis=2).astype(int) * BINS // 256
    coarse_HWC = bytes_HWC.astype(int) * COARSE_BINS // 256
    together_HW = coarse_HWC @ np.array([COARSE_BINS**2, COARSE_BINS, 1])
    ring_HW, histograms = rings(SIZE), []
    for ring in range(len(EDGES)):
        inside_PC = channels_HWC[ring_HW == ring]
        histograms += [np.bincount(values_P, minlength=BINS) / len(inside_PC) for values_P in inside_PC.T]
    for inside_HW in (ring_HW < 2, ring_HW >= 0):
        histograms.append(np.bincount(together_HW[inside_HW], minlength=COARSE_BINS**3) / inside_HW.sum())
    return np.sqrt(np.concatenate(histograms))


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
