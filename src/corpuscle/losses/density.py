"""Losses of a density whose sum is a count: against a density drawn from points, or against the count alone."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

UNIT = 100.0


def density_loss(density_NKhw: Tensor, target_NKhw: Tensor) -> Tensor:
    """Mean squared error of the density.

    Source: Xie, Noble and Zisserman, Microscopy cell counting with fully convolutional regression networks, 2015.
    """
    return F.mse_loss(density_NKhw * UNIT, target_NKhw * UNIT)


def count_loss(count_NK: Tensor, target_NK: Tensor) -> Tensor:
    """Absolute error of the counts in units of their own scatter, were it Poisson's."""
    return ((count_NK - target_NK).abs() / (target_NK + 1.0).sqrt()).mean()
