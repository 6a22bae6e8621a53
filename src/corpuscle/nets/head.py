"""Heads: from features_NC to outputs_NK, or from feature maps to densities or to the classes of pixels."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from corpuscle.nets.zoo import NetPlan

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU}
DEEP_LAYERS = 5
PIXELS_AN_OBJECT = 100.0


class Head(nn.Sequential):
    """Layers that compute in the precision of their weights, whatever autocast says.

    A head costs next to nothing, and logits rounded to bf16 would tie probabilities and blunt the calibration.
    """

    def forward(self, features_NC: Tensor) -> Tensor:
        features_NC = features_NC.to(next(self.parameters()).dtype)
        device = features_NC.device.type
        if not torch.is_autocast_enabled(device):  # an exported graph stays free of the switch below
            return super().forward(features_NC)
        with torch.autocast(device, enabled=False):
            return super().forward(features_NC)


def linear(plan: NetPlan, num_features: int, num_outputs: int, stride: int) -> Head:
    """Dropout and one linear layer."""
    return Head(nn.Dropout(plan.dropout), nn.Linear(num_features, num_outputs))


def mlp(plan: NetPlan, num_features: int, num_outputs: int, stride: int) -> Head:
    """Hidden layers with an activation and dropout each, then one linear layer."""
    layers: list[nn.Module] = []
    for num_inputs, width in pairwise((num_features, *plan.hidden)):
        layers += [nn.Linear(num_inputs, width), ACTIVATIONS[plan.activation](), nn.Dropout(plan.dropout)]
    return Head(*layers, nn.Linear(plan.hidden[-1], num_outputs))


def deep(plan: NetPlan, num_features: int, num_outputs: int, stride: int) -> Head:
    """Five hidden layers, each twice as wide as the features, with ReLU and dropout, then one linear layer."""
    width = 2 * num_features
    layers: list[nn.Module] = []
    for num_inputs in (num_features, *[width] * (DEEP_LAYERS - 1)):
        layers += [nn.Linear(num_inputs, width), nn.ReLU(), nn.Dropout(plan.dropout)]
    return Head(*layers, nn.Linear(width, num_outputs))


class Share(nn.Module):
    """Takes a fixed share of what comes in."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        return x * self.share


def density(plan: NetPlan, num_features: int, num_outputs: int, stride: int) -> Head:
    """A 1x1 convolution from features_NChw to density_NKhw, whose sum over hw is the count.

    It starts near zero, which is what most of an image holds, and in the unit of a density: objects a pixel of the
    input, of which each object has about a hundred.
    """
    last = nn.Conv2d(num_features, num_outputs, 1)
    nn.init.normal_(last.weight, std=0.01)
    nn.init.zeros_(last.get_parameter("bias"))
    return Head(nn.Dropout2d(plan.dropout), last, Share(stride**2 / PIXELS_AN_OBJECT))


class MaskHead(Head):
    """Layers in whatever precision autocast says: there are as many logits as pixels, and their loss is in fp32."""

    def forward(self, features_NC: Tensor) -> Tensor:
        return nn.Sequential.forward(self, features_NC)


def mask(plan: NetPlan, num_features: int, num_outputs: int, stride: int) -> Head:
    """A 1x1 convolution from features_NChw to logits_NKhw, drawn out to the size of the image."""
    layers: list[nn.Module] = [nn.Dropout2d(plan.dropout), nn.Conv2d(num_features, num_outputs, 1)]
    if stride > 1:
        layers.append(nn.Upsample(scale_factor=stride, mode="bilinear"))
    return MaskHead(*layers)


HEADS: dict[str, Callable[[NetPlan, int, int, int], Head]] = {
    "linear": linear,
    "mlp": mlp,
    "deep": deep,
    "density": density,
    "mask": mask,
}
