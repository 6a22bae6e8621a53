"""Heads: from features_NC to outputs_NK, or from feature maps to densities or to the classes of pixels."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import chain, pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from corpuscle.nets.resnet import NORMS, conv

if TYPE_CHECKING:
    from corpuscle.nets.zoo import NetPlan

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU}
DEEP_LAYERS = 5
PIXELS_AN_OBJECT = 100.0
TEMPERATURE = 0.07  # of the votes of neighbours
LEAST_VOTE = math.exp(-1 / TEMPERATURE)  # of an image that is as unlike as can be
LEAST_SHARE = 1e-6  # of the votes, for a class that has none: its logarithm stays finite
NARROWEST, WIDEST = 32, 256  # maps of a layer that makes an image


class Head(nn.Sequential):
    """Layers that compute in the precision of their weights, whatever autocast says.

    A head costs next to nothing, and logits rounded to bf16 would tie probabilities and blunt the calibration.
    """

    def forward(self, features_NC: Tensor) -> Tensor:
        features_NC = features_NC.to(next(chain(self.parameters(), self.buffers())).dtype)
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


class Neighbours(nn.Module):
    """Images that are remembered, of which the nearest vote for their classes, by the cosine of their features.

    A vote weighs exp(cosine / 0.07). Output: the log of each class's share of the votes, as logits_NK.

    Args:
        memory: M, how many are remembered.
        num_features: C.
        num_outputs: K.
        count: how many vote, or all where fewer are remembered.

    Attributes:
        features_MC: of length 1.
        class_M: class numbers.
        skip: of the nearest that have no vote; 1 where an image would vote for itself.

    Source: Wu et al. 2018 (CVPR), Caron et al. 2021 (ICCV).
    """

    features_MC: Tensor
    class_M: Tensor

    def __init__(self, memory: int, num_features: int, num_outputs: int, count: int) -> None:
        super().__init__()
        self.register_buffer("features_MC", torch.zeros(memory, num_features))
        self.register_buffer("class_M", torch.zeros(memory, dtype=torch.long))
        self.num_outputs = num_outputs
        self.count = count
        self.skip = 0

    def remember(self, features_MC: Tensor, class_M: Tensor) -> None:
        """Take other images in the place of those before."""
        self.features_MC.copy_(functional.normalize(features_MC, dim=1))
        self.class_M.copy_(class_M)

    def forward(self, features_NC: Tensor) -> Tensor:
        cosine_NM = functional.normalize(features_NC, dim=1) @ self.features_MC.T
        nearest = cosine_NM.topk(min(self.count + self.skip, len(self.class_M)), dim=1)
        weight_NV = torch.exp(nearest.values[:, self.skip :] / TEMPERATURE)
        votes_NK = features_NC.new_zeros(len(features_NC), self.num_outputs)
        votes_NK = votes_NK.scatter_add(1, self.class_M[nearest.indices[:, self.skip :]], weight_NV)
        all_N1 = votes_NK.sum(dim=1, keepdim=True).clamp_min(LEAST_VOTE)
        return torch.log((votes_NK / all_N1).clamp_min(LEAST_SHARE))


def neighbours(plan: NetPlan, num_features: int, num_outputs: int, stride: int) -> Head:
    """The nearest of the training images vote."""
    return Head(Neighbours(plan.memory, num_features, num_outputs, plan.neighbours))


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


class ImageHead(MaskHead):
    """Layers in whatever precision autocast says, from maps_NChw to image_NKHW.

    Attributes:
        stride: pixels of the image to one of the maps, along a side.
    """

    def __init__(self, *layers: nn.Module, stride: int) -> None:
        super().__init__(*layers)
        self.stride = stride


def image(plan: NetPlan, num_features: int, num_outputs: int, stride: int) -> ImageHead:
    """Convolutions from maps_NChw to image_NKHW, each after the maps were made twice as large."""
    layers: list[nn.Module] = []
    num_inputs = num_features
    for halving in range(1, stride.bit_length()):
        width = min(max(num_features >> halving, NARROWEST), WIDEST)
        layers += [nn.Upsample(scale_factor=2), conv(num_inputs, width, 3), NORMS[plan.norm](width), nn.ReLU()]
        num_inputs = width
    return ImageHead(*layers, nn.Conv2d(num_inputs, num_outputs, 3, padding=1), stride=stride)


class AsItIs(Head):
    """What the encoder says, in fp32."""

    def forward(self, features_NC: Tensor) -> Tensor:
        return features_NC.float()


def nothing(plan: NetPlan, num_features: int, num_outputs: int, stride: int) -> Head:
    """No layers."""
    return AsItIs()


HEADS: dict[str, Callable[[NetPlan, int, int, int], Head]] = {
    "linear": linear,
    "mlp": mlp,
    "deep": deep,
    "density": density,
    "mask": mask,
    "image": image,
    "neighbours": neighbours,
    "none": nothing,
}
