"""Frozen encoders of earlier runs beside the one that learns, joined at their features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from corpuscle.nets.tensors import Triple

LEAST_STD = 0.1  # of a feature, as a share of the mean over its encoder's; one that varies less is drawn up no more


class Nothing(nn.Module):
    """The encoder of a net that has none of its own: image_NCHW to features_N0."""

    num_features = 0

    def forward(self, image_NCHW: Tensor) -> Tensor:
        return image_NCHW.new_zeros(len(image_NCHW), 0)


class Frozen(nn.Module):
    """An encoder that no longer learns: image_NCHW, as the net sees it, to features_NC of mean 0 and deviation 1.

    The scale of each feature is that of the training images; an encoder whose features are `alike` has one for all.
    Encoders of unlike origin differ in it, and the weakest would be lost beside the others; a linear head loses nothing
    by it, as it would by a norm of each image.

    Args:
        encoder: image_NCHW, normalised as its own run did, to features_NC.
        num_features: C.

    Attributes:
        gain_3, offset_3: from this net's normalisation to the encoder's.
        mean_C, std_C: of its features over the training images.
    """

    gain_3: Tensor
    offset_3: Tensor
    mean_C: Tensor
    std_C: Tensor

    def __init__(self, encoder: nn.Module, num_features: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.num_features = num_features
        self.register_buffer("gain_3", torch.ones(3))
        self.register_buffer("offset_3", torch.zeros(3))
        self.register_buffer("mean_C", torch.zeros(num_features))
        self.register_buffer("std_C", torch.ones(num_features))
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Frozen:
        """Stay in evaluation mode, whatever the net around it does."""
        return super().train(False)

    def see_through(self, own: tuple[Triple, Triple], net: tuple[Triple, Triple]) -> None:
        """Take images that are normalised as the net's.

        Args:
            own: mean and deviation (of values from 0 to 1) with which the encoder was trained.
            net: those of the net's images.
        """
        (mean_3, std_3), (net_mean_3, net_std_3) = (torch.tensor(pair, dtype=torch.float64) for pair in (own, net))
        self.gain_3.copy_((net_std_3 / std_3).float())
        self.offset_3.copy_(((net_mean_3 - mean_3) / std_3).float())

    def measure(self, raw_NC: Tensor) -> None:
        """Learn the scale of the features from those of the training images, as the encoder gives them."""
        std_C = raw_NC.double().std(dim=0, correction=0)
        if getattr(self.encoder, "alike", False):
            std_C = std_C.square().mean().sqrt().expand_as(std_C)
        self.mean_C.copy_(raw_NC.double().mean(dim=0).float())
        self.std_C.copy_(std_C.clamp(min=LEAST_STD * std_C.mean().item() or 1.0).float())

    def scaled(self, raw_NC: Tensor) -> Tensor:
        """Features as the encoder gives them, brought to mean 0 and deviation 1."""
        return (raw_NC.float() - self.mean_C.to(raw_NC.device)) / self.std_C.to(raw_NC.device)

    def forward(self, image_NCHW: Tensor) -> Tensor:
        seen_NCHW = image_NCHW * self.gain_3[:, None, None] + self.offset_3[:, None, None]
        return self.scaled(self.encoder(seen_NCHW))


class Joined(nn.Module):
    """Frozen encoders side by side: image_NCHW, as the net sees it, to features_NC of all.

    Attributes:
        num_features: C, over all encoders.
    """

    def __init__(self, frozen: Sequence[Frozen]) -> None:
        super().__init__()
        self.frozen = nn.ModuleList(frozen)
        self.num_features = sum(one.num_features for one in frozen)

    def __iter__(self) -> Iterator[Frozen]:
        return iter(cast(Sequence[Frozen], self.frozen))

    def forward(self, image_NCHW: Tensor) -> Tensor:
        return torch.cat([one(image_NCHW) for one in self.frozen], dim=1)
