"""A net: an encoder and a head that can be used apart."""

from __future__ import annotations

from torch import Tensor, nn

from corpuscle.nets.head import Head
from corpuscle.nets.zoo import NetPlan


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

    def forward(self, image_NCHW: Tensor) -> Tensor:
        return self.head(self.encoder(image_NCHW))
