"""Losses of a density whose sum is a count: against a density drawn from points, or against the count alone."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

UNIT = 25.0  # about the pixels of a density that an object covers: brings the loss near one
SIDES = (4, 16)
SHARE = 0.2


def density_loss(density_NKhw: Tensor, target_NKhw: Tensor) -> Tensor:
    """Squared error of the density, and of the counts in square windows of it.

    A net can be near the density everywhere and still off in the count, by a little of the same sign in each pixel. So
    windows of 4 and of 16 pixels a side are judged as well: the squared error of their count over their pixels, which
    is the squared error of a pixel where errors are independent.

    Source: the pixels are those of Xie, Noble and Zisserman, Microscopy cell counting with fully convolutional
    regression networks, 2015.
    """
    error_NKhw = (density_NKhw - target_NKhw) * UNIT
    loss = error_NKhw.square().mean()
    for side in SIDES:
        loss = loss + SHARE * (side * F.avg_pool2d(error_NKhw, side, ceil_mode=True)).square().mean()
    return loss


def count_loss(count_NK: Tensor, target_NK: Tensor) -> Tensor:
    """Absolute error of the counts in units of their own scatter, were it Poisson's."""
    return ((count_NK - target_NK).abs() / (target_NK + 1.0).sqrt()).mean()
