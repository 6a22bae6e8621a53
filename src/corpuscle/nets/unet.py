"""A small U-net without its last layer: from an image to feature maps of almost its size.

Ronneberger, Fischer and Brox, U-Net: convolutional networks for biomedical image segmentation, MICCAI 2015.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from corpuscle.core.errors import CorpuscleError

CONVS_DOWN, CONVS_UP = 2, 1  # convolutions a level
KERNEL = 3  # side of each
LEARNING = 100  # batches whose statistics are learned


class SteadyNorm(nn.BatchNorm2d):
    """Batch norm that keeps the statistics of its first hundred batches, so that training sees what use will see.

    Images with few objects and with many differ in their statistics. Normalised by those of its own batch, a net learns
    densities that are two in a hundred too small once the running ones are used.
    """

    def forward(self, x_NCHW: Tensor) -> Tensor:
        counter = self.num_batches_tracked
        if self.training and counter is not None and int(counter) >= LEARNING:
            return F.batch_norm(x_NCHW, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(x_NCHW)


def layer(num_inputs: int, num_outputs: int, stride: int = 1) -> nn.Sequential:
    """A convolution, norm and ReLU; each output sees its own pixels and as many around them as the stride."""
    conv = nn.Conv2d(num_inputs, num_outputs, KERNEL * stride, stride, padding=stride, bias=False)
    return nn.Sequential(conv, SteadyNorm(num_outputs), nn.ReLU(inplace=True))


def level(num_inputs: int, width: int, num_convs: int) -> nn.Sequential:
    """As many layers of one width."""
    widths = (num_inputs, *[width] * num_convs)
    return nn.Sequential(*[layer(before, after) for before, after in pairwise(widths)])


class UNet(nn.Module):
    """image_NCHW (three channels) to features_NChw; h and w are the image's divided by `stride`.

    Args:
        widths: channels of each level, from the finest; each level is half as fine as the one before it.
        stride: of the finest level.

    Attributes:
        stride: pixels of the image to one of the features.
        multiple: height and width of the image must be a multiple of it.
        reach: a feature depends on no pixel that is further than this from those it lies on (in evaluation mode).
        num_features: C of features_NChw.

    Raises:
        CorpuscleError: the image's sides are not a multiple of `multiple`.

    >>> net = UNet(widths=(16, 32), stride=2)
    >>> net.multiple, net.reach, net.num_features
    (4, 16, 16)
    """

    def __init__(self, widths: Sequence[int] = (32, 64, 128), stride: int = 2) -> None:
        super().__init__()
        steps = [stride * 2**depth for depth in range(len(widths))]
        self.stride, self.multiple, self.num_features = stride, steps[-1], widths[0]
        down = CONVS_DOWN * sum(steps)
        up = (CONVS_UP + 1) * sum(steps[:-1])  # a coarse pixel is as wide as two fine ones: one more on a side
        self.reach = down + up
        first = nn.Sequential(layer(3, widths[0], stride), level(widths[0], widths[0], CONVS_DOWN - 1))
        self.down = nn.ModuleList([first, *[level(fine, coarse, CONVS_DOWN) for fine, coarse in pairwise(widths)]])
        self.lift = nn.ModuleList([nn.Conv2d(coarse, fine, 1, bias=False) for fine, coarse in pairwise(widths)])
        self.up = nn.ModuleList([level(2 * width, width, CONVS_UP) for width in widths[:-1]])
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, image_NCHW: Tensor) -> Tensor:
        height, width = image_NCHW.shape[-2:]
        if height % self.multiple or width % self.multiple:
            raise CorpuscleError(
                f"the net expects images whose sides are a multiple of {self.multiple}, got {height} x {width}; "
                "pad them, or choose another crop"
            )
        x_NCHW = image_NCHW
        skips: list[Tensor] = []
        for depth, block in enumerate(self.down):
            x_NCHW = block(F.max_pool2d(x_NCHW, 2) if depth else x_NCHW)
            skips.append(x_NCHW)
        for lift, block, skip_NCHW in reversed(list(zip(self.lift, self.up, skips[:-1], strict=True))):
            coarse_NCHW = F.interpolate(lift(x_NCHW), scale_factor=2, mode="nearest")
            x_NCHW = block(torch.cat([coarse_NCHW, skip_NCHW], dim=1))
        return x_NCHW
