"""A net: an encoder and a head that can be used apart."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from corpuscle.nets.head import Head
from corpuscle.nets.zoo import MAP_HEADS, NetPlan


class Net(nn.Module):
    """image_NCHW to outputs_NK; `net.head(net.encoder(image))` is the same in two steps.

    Attributes:
        encoder: image_NCHW to features_NC.
        head: features_NC to outputs_NK, in fp32 whatever autocast says.
        num_features: C of features_NC.
        plan, size: what it was built from.
    """

    def __init__(self, encoder: nn.Module, head: Head, num_features: int, plan: NetPlan, size: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.num_features = num_features
        self.plan = plan
        self.size = size

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
        return cast(int, self.encoder.multiple) if self.gives_maps else 1

    @property
    def reach(self) -> int:
        """A pixel of the map depends on none that is further from those it lies on, or hardly so."""
        drawn_out = cast(int, self.encoder.stride) if self.gives_masks else 0
        return cast(int, self.encoder.reach) + drawn_out

    def forward(self, image_NCHW: Tensor) -> Tensor:
        return self.head(self.encoder(image_NCHW))
