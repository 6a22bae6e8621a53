"""How fast this processor convolves in fp32 and in bf16: the ceiling of what bf16 can give a training.

The four 3 × 3 convolutions of ResNet-18 at 224 pixels, batch 32, channels last, forward and both halves of backward;
each is repeated and its shortest time is taken. No training can gain more over fp32 by bf16 than this ratio.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from record import Record, arguments, measured

if TYPE_CHECKING:
    import torch

SHAPES = ((64, 56), (128, 28), (256, 14), (512, 7))  # channels, side


def shortest(work: Callable[[], object], repeats: int) -> float:
    """Seconds of the fastest of some repeats, after one that is not counted."""
    work()
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def seconds_of(channels: int, side: int, batch: int, kind: torch.dtype, repeats: int) -> float:
    """Seconds of one convolution and of its two gradients."""
    import torch

    made = [torch.randn(batch, channels, side, side), torch.randn(channels, channels, 3, 3)]
    image, weight = (tensor.to(kind).contiguous(memory_format=torch.channels_last) for tensor in made)
    grad, rest = torch.randn_like(image), (None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [True, True, False])
    forward = shortest(lambda: torch.nn.functional.conv2d(image, weight, padding=1), repeats)
    backward = shortest(lambda: torch.ops.aten.convolution_backward(grad, image, weight, *rest), repeats)
    return forward + backward


def measure(options: argparse.Namespace, record: Record) -> None:
    """Time each convolution in both kinds of arithmetic."""
    import torch

    from corpuscle.engine.device import keep_freed_memory

    keep_freed_memory()
    torch.set_num_threads(options.threads)
    batch, repeats = (2, 2) if options.quick else (32, options.repeats)
    kinds = {"fp32": torch.float32, "bf16": torch.bfloat16}
    spent = {name: sum(seconds_of(*shape, batch, kind, repeats) for shape in SHAPES) for name, kind in kinds.items()}
    gflop = sum(3 * 2 * batch * side**2 * channels**2 * 9 / 1e9 for channels, side in SHAPES)
    ratio = {"fp32": "", "bf16": spent["fp32"] / spent["bf16"]}
    for name, seconds in spent.items():
        record.add(
            arithmetic=name, batch=batch, seconds=seconds, gflop_per_s=gflop / seconds, times_as_fast=ratio[name]
        )


def main() -> None:
    """Measure once."""
    parser = arguments(__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    measured("arithmetic", options, measure)


if __name__ == "__main__":
    main()
