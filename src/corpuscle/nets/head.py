"""Heads: from features_NC to outputs_NK."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from corpuscle.nets.zoo import NetPlan

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU}


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


def linear(plan: NetPlan, num_features: int, num_outputs: int) -> Head:
    """Dropout and one linear layer."""
    return Head(nn.Dropout(plan.dropout), nn.Linear(num_features, num_outputs))


def mlp(plan: NetPlan, num_features: int, num_outputs: int) -> Head:
    """Hidden layers with an activation and dropout each, then one linear layer."""
    layers: list[nn.Module] = []
    for num_inputs, width in pairwise((num_features, *plan.hidden)):
        layers += [nn.Linear(num_inputs, width), ACTIVATIONS[plan.activation](), nn.Dropout(plan.dropout)]
    return Head(*layers, nn.Linear(plan.hidden[-1], num_outputs))


HEADS: dict[str, Callable[[NetPlan, int, int], Head]] = {"linear": linear, "mlp": mlp}
