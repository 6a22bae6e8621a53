"""Residual networks whose parameters carry torchvision's names, so that its published weights load.

He et al., Deep residual learning for image recognition, CVPR 2016; group norm: Wu and He, ECCV 2018.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor, nn

from corpuscle.nets.pool import POOLS

STAGE_WIDTHS = (64, 128, 256, 512)


def group_norm(channels: int) -> nn.GroupNorm:
    """Group norm of 32 groups, or of the most that divide both 32 and the channels."""
    return nn.GroupNorm(math.gcd(32, channels), channels)


NORMS: dict[str, Callable[[int], nn.Module]] = {"batch": nn.BatchNorm2d, "group": group_norm}


def conv(num_inputs: int, num_outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """A convolution without bias (the norm after it has one) that keeps the size, but for the stride."""
    return nn.Conv2d(num_inputs, num_outputs, kernel, stride, padding=kernel // 2, bias=False)


def shortcut(num_inputs: int, num_outputs: int, stride: int, norm: str) -> nn.Module:
    """The way around a block: a projection where shape or stride changes, else the input itself."""
    if stride == 1 and num_inputs == num_outputs:
        return nn.Identity()
    return nn.Sequential(conv(num_inputs, num_outputs, 1, stride), NORMS[norm](num_outputs))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    expansion = 1

    def __init__(self, num_inputs: int, width: int, stride: int, norm: str) -> None:
        super().__init__()
        self.conv1 = conv(num_inputs, width, 3, stride)
        self.bn1 = NORMS[norm](width)
        self.conv2 = conv(width, width, 3)
        self.bn2 = NORMS[norm](width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut(num_inputs, width, stride, norm)

    @property
    def last_norm(self) -> nn.Module:
        return self.bn2

    def forward(self, x_NCHW: Tensor) -> Tensor:
        out_NCHW = self.relu(self.bn1(self.conv1(x_NCHW)))
        out_NCHW = self.bn2(self.conv2(out_NCHW))
        out_NCHW += self.downsample(x_NCHW)
        return self.relu(out_NCHW)


class Bottleneck(nn.Module):
    """1x1 down, 3x3, 1x1 up by four, and a shortcut; the stride is on the 3x3, as in torchvision."""

    expansion = 4

    def __init__(self, num_inputs: int, width: int, stride: int, norm: str) -> None:
        super().__init__()
        num_outputs = width * self.expansion
        self.conv1 = conv(num_inputs, width, 1)
        self.bn1 = NORMS[norm](width)
        self.conv2 = conv(width, width, 3, stride)
        self.bn2 = NORMS[norm](width)
        self.conv3 = conv(width, num_outputs, 1)
        self.bn3 = NORMS[norm](num_outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut(num_inputs, num_outputs, stride, norm)

    @property
    def last_norm(self) -> nn.Module:
        return self.bn3

    def forward(self, x_NCHW: Tensor) -> Tensor:
        out_NCHW = self.relu(self.bn1(self.conv1(x_NCHW)))
        out_NCHW = self.relu(self.bn2(self.conv2(out_NCHW)))
        out_NCHW = self.bn3(self.conv3(out_NCHW))
        out_NCHW += self.downsample(x_NCHW)
        return self.relu(out_NCHW)


DEPTHS: dict[int, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, int, int, int]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}


class ResNet(nn.Module):
    """A residual network without its classifier: image_NCHW (three channels) to features_NC.

    Args:
        depth: 18, 34, 50, 101 or 152.
        norm: `batch`, or `group`, which does not learn the statistics of one camera.
        pool: a name in `POOLS`.
        zero_init_residual: start each block as the identity (Goyal et al. 2017), which steadies training from scratch.

    Attributes:
        num_features: C of features_NC.
        stride: pixels of the image to one of the last maps, along a side.

    >>> ResNet(50).num_features
    2048
    """

    stride = 32

    def __init__(self, depth: int, norm: str = "batch", pool: str = "avg", zero_init_residual: bool = True) -> None:
        super().__init__()
        block, num_blocks = DEPTHS[depth]
        self.num_features = STAGE_WIDTHS[-1] * block.expansion
        self.conv1 = conv(3, STAGE_WIDTHS[0], 7, stride=2)
        self.bn1 = NORMS[norm](STAGE_WIDTHS[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        num_inputs = STAGE_WIDTHS[0]
        for stage, (width, count) in enumerate(zip(STAGE_WIDTHS, num_blocks, strict=True), start=1):
            layer = nn.Sequential()
            for place in range(count):
                stride = 2 if stage > 1 and place == 0 else 1
                layer.append(block(num_inputs, width, stride, norm))
                num_inputs = width * block.expansion
            self.add_module(f"layer{stage}", layer)
        self.pool = POOLS[pool]()
        self._start(zero_init_residual)

    def _start(self, zero_init_residual: bool) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, BasicBlock | Bottleneck) and zero_init_residual:
                nn.init.zeros_(module.last_norm.get_parameter("weight"))

    def maps(self, image_NCHW: Tensor) -> Tensor:
        """The last feature maps, one thirty-second of the image's size, before pooling."""
        x_NCHW = self.maxpool(self.relu(self.bn1(self.conv1(image_NCHW))))
        for stage in range(1, len(STAGE_WIDTHS) + 1):
            x_NCHW = self.get_submodule(f"layer{stage}")(x_NCHW)
        return x_NCHW

    def forward(self, image_NCHW: Tensor) -> Tensor:
        return self.pool(self.maps(image_NCHW))
