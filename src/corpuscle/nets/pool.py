"""From maps_NChw to features_NC: the average, the maximum, and the log-sum-exp between the two."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

SHARPNESS = 5.0  # r of the log-sum-exp: at 0 it is the average, at infinity the maximum


class AveragePool(nn.Module):
    """The mean over the places: every place counts, so a map lights up the whole object."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.AdaptiveAvgPool2d(1)

    def forward(self, maps_NChw: Tensor) -> Tensor:
        return self.mean(maps_NChw).flatten(1)


class MaxPool(nn.Module):
    """The maximum over the places: the most telling place alone counts, wherever it lies and however small it is."""

    def forward(self, maps_NChw: Tensor) -> Tensor:
        return maps_NChw.amax(dim=(2, 3))  # ties share the gradient, so the order of the places is never seen


class LogSumExpPool(nn.Module):
    """log(mean(exp(r x))) / r over the places: the telling places count most, and the others a little.

    Pinheiro and Collobert, From image-level to pixel-level labeling with convolutional networks, CVPR 2015.

    >>> round(LogSumExpPool(sharpness=5.0)(torch.tensor([[[[0.0, 1.0]]]])).item(), 3)
    0.863
    """

    def __init__(self, sharpness: float = SHARPNESS) -> None:
        super().__init__()
        self.sharpness = sharpness

    def forward(self, maps_NChw: Tensor) -> Tensor:
        places = maps_NChw.shape[2] * maps_NChw.shape[3]
        sums_NC = torch.logsumexp(self.sharpness * maps_NChw.float(), dim=(2, 3))  # bf16 would round r x to whole steps
        return (sums_NC - math.log(places)) / self.sharpness


POOLS: dict[str, Callable[[], nn.Module]] = {
    "avg": AveragePool,
    "max": MaxPool,
    "lse": LogSumExpPool,
    "none": nn.Identity,
}
