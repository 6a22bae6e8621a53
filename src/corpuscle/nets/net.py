"""A net: an encoder and a head that can be used apart."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from corpuscle.nets.head import Head
from corpuscle.nets.joined import Joined
from corpuscle.nets.zoo import MAP_HEADS, NetPlan


class Net(nn.Module):
    """image_NCHW to outputs_NK; `net.head(net.features(image))` is the same in two steps.

    Attributes:
        encoder: image_NCHW to features_NC.
        head: features_NC to outputs_NK, in fp32 whatever autocast says.
        num_features: C of features_NC.
        plan, size: what it was built from.
        joined: frozen encoders, whose features stand behind the encoder's own; None where there are none.
    """

    def __init__(
        self,
        encoder: nn.Module,
        head: Head,
        num_features: int,
        plan: NetPlan,
        size: int,
        joined: Joined | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.num_features = num_features
        self.plan = plan
        self.size = size
        self.joined = joined

    @property
    def gives_maps(self) -> bool:
        """Whether the output is a map, image_NCHW of any size to densities_NKhw or logits_NKHW."""
        return self.plan.head in MAP_HEADS

    @property
    def gives_masks(self) -> bool:
        """Whether the map says of each pixel what class it is of."""
        return self.plan.head == "mask"

    @property
    def stride(self) -> int:
        """Pixels of the image to one of the map."""
        return cast(int, self.encoder.stride) if self.gives_maps and not self.gives_masks else 1

    @property
    def multiple(self) -> int:
        """Height and width of an image must be a multiple of it."""
        if self.plan.head == "image":
            return cast(int, self.head.stride)
        return cast(int, self.encoder.multiple) if self.gives_maps else 1

    @property
    def reach(self) -> int:
        """A pixel of the map depends on none that is further from those it lies on, or hardly so."""
        drawn_out = cast(int, self.encoder.stride) if self.gives_masks else 0
        return cast(int, self.encoder.reach) + drawn_out

    def features(self, image_NCHW: Tensor, beside_NC: Tensor | None = None) -> Tensor:
        """What the head takes.

        Args:
            image_NCHW: the images.
            beside_NC: what the frozen encoders say of them; computed where it is not known.
        """
        own_NC = self.encoder(image_NCHW)
        if beside_NC is None and self.joined is not None:
            beside_NC = self.joined(image_NCHW)
        return own_NC if beside_NC is None else torch.cat([own_NC, beside_NC], dim=1)

    def forward(self, image_NCHW: Tensor, beside_NC: Tensor | None = None) -> Tensor:
        return self.head(self.features(image_NCHW, beside_NC))

    @property
    def turned_alike(self) -> bool:
        """Whether mirrored and turned images have the same features, so that one view is enough."""
        return bool(getattr(self.encoder, "turned_alike", False)) and self.joined is None

    def common_scale(self, std_C: np.ndarray) -> np.ndarray:
        """The deviations by which features are scaled: one for all those of an encoder whose features are `alike`.

        Args:
            std_C: deviation of each feature, of this net's encoder first and then of each frozen one.
        """
        std_C, start = std_C.copy(), 0
        blocks = [(self.encoder, self.num_features)]
        blocks += [(frozen.encoder, frozen.num_features) for frozen in self.joined or ()]
        for encoder, width in blocks:
            if getattr(encoder, "alike", False):
                std_C[start : start + width] = np.sqrt(np.square(std_C[start : start + width]).mean())
            start += width
        return std_C

    def learner(self) -> Net:
        """The part that learns, sharing its weights: nothing in training goes over frozen encoders, whose features come
        beside the images. A net without any is its own learner."""
        if self.joined is None:
            return self
        return Net(self.encoder, self.head, self.num_features, self.plan, self.size)
