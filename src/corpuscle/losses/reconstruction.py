"""Losses of a picture against the one it was made from: pixel by pixel, and by its structure."""

from __future__ import annotations

from functools import cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

SIDE, DEVIATION = 11, 1.5  # of the Gaussian window, in pixels
STEADY_MEAN, STEADY_SPREAD = 0.01**2, 0.03**2  # C1 and C2 for values from 0 to 1


def pixel_loss(image_NCHW: Tensor, true_NCHW: Tensor, how: Literal["l1", "mse"]) -> Tensor:
    """The mean absolute or squared difference of the pixels."""
    return F.l1_loss(image_NCHW, true_NCHW) if how == "l1" else F.mse_loss(image_NCHW, true_NCHW)


def ssim(image_NCHW: Tensor, true_NCHW: Tensor) -> Tensor:
    """ssim_N, the structural similarity of values from 0 to 1: 1 for equal pictures, 0 for unrelated ones.

    The mean over the colours and over all places of an 11 × 11 Gaussian window within the picture.

    Source: Wang et al., Image quality assessment: from error visibility to structural similarity, 2004; as a loss: Zhao
    et al., Loss functions for image restoration with neural networks, 2017.
    """
    count, colours = image_NCHW.shape[:2]
    a, b = image_NCHW.float(), true_NCHW.float()
    means = _blurred(torch.cat([a, b, a * a, b * b, a * b]).flatten(0, 1)).unflatten(0, (5, count, colours))
    mean_a, mean_b, square_a, square_b, both = means
    product, spread = mean_a * mean_b, both - mean_a * mean_b
    squares = mean_a.square() + mean_b.square()
    mean_part = (2 * product + STEADY_MEAN) / (squares + STEADY_MEAN)
    spread_part = (2 * spread + STEADY_SPREAD) / (square_a + square_b - squares + STEADY_SPREAD)
    return (mean_part * spread_part).mean(dim=(1, 2, 3))


def _blurred(image_NHW: Tensor) -> Tensor:
    """The weighted mean in each window that lies within the image: two products with a band matrix."""
    down = _window(image_NHW.shape[1], image_NHW.device)
    across = _window(image_NHW.shape[2], image_NHW.device)
    return down @ image_NHW @ across.T


@cache
def _window(side: int, device: torch.device) -> Tensor:
    """weight_PS of the S places of a side in each of the P windows along it."""
    with torch.inference_mode(False):  # else what is kept from a validation could not be learned through
        weight = torch.exp(-(torch.arange(SIDE, dtype=torch.float64) - SIDE // 2).square() / (2 * DEVIATION**2))
        window_PS = torch.zeros(side - SIDE + 1, side, dtype=torch.float64)
        for place in range(len(window_PS)):
            window_PS[place, place : place + SIDE] = weight / weight.sum()
        return window_PS.float().to(device)
