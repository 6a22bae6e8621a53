"""A small classifier whose last maps are fine enough to say where a thing lies, learned from the image's class alone.

Class activation maps: Zhou et al., Learning deep features for discriminative localization, CVPR 2016; global max
pooling: Oquab et al., Is object localization for free?, CVPR 2015.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from corpuscle.nets.pool import POOLS

WIDTHS = (32, 64, 128, 256)  # of the layers that halve the image
LAST_WIDTHS = ((512, 3), (256, 1), (512, 3))  # width and kernel of those that follow


def conv(num_inputs: int, num_outputs: int, kernel: int) -> nn.Sequential:
    """A convolution that keeps the size, and a ReLU."""
    return nn.Sequential(nn.Conv2d(num_inputs, num_outputs, kernel, padding=kernel // 2), nn.ReLU(inplace=True))


class Localiser(nn.Module):
    """Seven convolutional layers, to which a linear head is the eighth: image_NCHW (three channels) to features_NC.

    Args:
        pool: a name in `POOLS`.

    Attributes:
        num_features: C of features_NC.
        stride: pixels of the image to one of the last maps, along a side.

    >>> import torch
    >>> Localiser().maps(torch.zeros(1, 3, 224, 224)).shape
    torch.Size([1, 512, 14, 14])
    """

    stride = 2 ** len(WIDTHS)

    def __init__(self, pool: str = "max") -> None:
        super().__init__()
        self.halving = nn.Sequential()
        for num_inputs, width in pairwise((3, *WIDTHS)):
            self.halving.append(nn.Sequential(conv(num_inputs, width, 3), nn.BatchNorm2d(width), nn.MaxPool2d(2)))
        self.last = nn.Sequential()
        num_inputs = WIDTHS[-1]
        for width, kernel in LAST_WIDTHS:
            self.last.append(conv(num_inputs, width, kernel))
            num_inputs = width
        self.num_features = num_inputs
        self.pool = POOLS[pool]()
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.get_parameter("bias"))

    def maps(self, image_NCHW: Tensor) -> Tensor:
        """The last feature maps, one sixteenth of the image's size, before pooling."""
        return self.last(self.halving(image_NCHW))

    def forward(self, image_NCHW: Tensor) -> Tensor:
        return self.pool(self.maps(image_NCHW))
