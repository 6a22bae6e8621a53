"""What encoders without steps share: the image shrunk to a common size, and rings around its centre."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

SHRUNK = 48  # pixels of the shorter side of the shrunk image, nearly


def shrunk(image_NCHW: Tensor) -> Tensor:
    """The image, each pixel the mean of as many as bring it near the common size.

    >>> shrunk(torch.zeros(2, 3, 96, 192)).shape
    torch.Size([2, 3, 48, 96])
    """
    factor = max(1, round(min(image_NCHW.shape[2:]) / SHRUNK))
    return functional.avg_pool2d(image_NCHW.float(), factor)


def ring_of(height: int, width: int, radii: Sequence[float]) -> Tensor:
    """ring_hw: 0 in the middle of a map, and one more beyond each radius, in half sides.

    >>> ring_of(3, 3, (0.35, 0.7)).tolist()
    [[2, 1, 2], [1, 0, 1], [2, 1, 2]]
    """
    down_h, across_w = ((torch.arange(side) + 0.5) * 2 / side - 1 for side in (height, width))
    radius_hw = torch.hypot(down_h[:, None], across_w[None])
    return torch.bucketize(radius_hw, torch.tensor(radii), right=True)
