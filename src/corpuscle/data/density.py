"""The density that a net learns from points: one unit of mass an object, spread over its middle."""

from __future__ import annotations

import numpy as np

from corpuscle.core.errors import CorpuscleError


def render(point_M3: np.ndarray, num_kinds: int, size_HW: tuple[int, int], stride: int, sigma: float) -> np.ndarray:
    """Draw a Gaussian of mass 1 for each point of the canvas; what would leave the canvas is folded back into it.

    Args:
        point_M3: x and y in pixels of the canvas, (0, 0) being the centre of its first pixel, and the number of the
            kind; points outside the canvas are left out.
        num_kinds: K.
        size_HW: of the canvas, a multiple of the stride.
        stride: canvas pixels to a pixel of the density.
        sigma: standard deviation in canvas pixels; 0 leaves the mass on the pixels next to the point.

    Returns:
        density_KHw, float32, whose sum is the number of points inside.

    Raises:
        CorpuscleError: a canvas that is not a multiple of the stride.

    Source: Lempitsky and Zisserman, Learning to count objects in images, NIPS 2010.

    >>> point_M3 = np.array([[0.0, 0.0, 0], [5.2, 3.0, 0], [9.0, 3.0, 0]])
    >>> float(render(point_M3, 1, (8, 8), stride=2, sigma=3.0).sum().round(4))
    2.0
    """
    import cv2

    height, width = size_HW
    if height % stride or width % stride:
        raise CorpuscleError(
            f"a density of stride {stride} expects a canvas whose sides are a multiple of it, got {height} x {width}; "
            f"choose an augment.crop that is"
        )
    density_KHW = np.zeros((num_kinds, height // stride, width // stride), np.float32)
    x_M, y_M = point_M3[:, 0], point_M3[:, 1]
    inside_M = (x_M >= -0.5) & (x_M < width - 0.5) & (y_M >= -0.5) & (y_M < height - 0.5)
    _splat(point_M3[inside_M], stride, density_KHW)
    if sigma > 0:
        for density_HW in density_KHW:
            cv2.GaussianBlur(density_HW, (0, 0), sigma / stride, dst=density_HW, borderType=cv2.BORDER_REFLECT)
    return density_KHW


def _splat(point_M3: np.ndarray, stride: int, density_KHW: np.ndarray) -> None:
    """Share each point's mass among the four pixels around it, so that its centre is kept to a part of a pixel."""
    last_2 = np.array(density_KHW.shape[:0:-1]) - 1
    place_M2 = np.clip((point_M3[:, :2] + 0.5) / stride - 0.5, 0, last_2)
    near_M2 = np.floor(place_M2).astype(np.intp)
    far_share_M2 = place_M2 - near_M2
    kind_M = point_M3[:, 2].astype(np.intp)
    for far_x in (False, True):
        for far_y in (False, True):
            far_2 = np.array([far_x, far_y])
            x_M, y_M = np.minimum(near_M2 + far_2, last_2).T
            mass_M = np.where(far_2, far_share_M2, 1 - far_share_M2).prod(axis=1)
            np.add.at(density_KHW, (kind_M, y_M, x_M), mass_M)
