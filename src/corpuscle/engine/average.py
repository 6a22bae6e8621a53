"""The moving average of the weights, which is what is judged and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from corpuscle.engine.checkpoint import State


@torch.no_grad()
def move_average(net: nn.Module, decay: float, step: int, state: State) -> None:
    """Let the average follow the weights, faster at first: its decay is at most (1 + step) / (10 + step).

    Source: Polyak and Juditsky 1992; the warm-up is TensorFlow's ExponentialMovingAverage.
    """
    if not decay:
        return
    now = net.state_dict()
    if not state.average:
        state.average = {name: value.clone() for name, value in now.items()}
        return
    share = 1.0 - min(decay, (1 + step) / (10 + step))
    floats = [name for name, value in now.items() if value.is_floating_point()]
    torch._foreach_lerp_([state.average[n] for n in floats], [now[n] for n in floats], share)
    for name in now.keys() - set(floats):
        state.average[name].copy_(now[name])


def kept_weights(net: nn.Module, state: State) -> dict[str, Tensor]:
    """The weights that are judged and kept: the moving average where there is one."""
    return state.average or net.state_dict()


@torch.no_grad()
def copied(into: dict[str, Tensor], source: Mapping[str, Tensor]) -> None:
    """Copy tensors into those of the same name, made the first time: memory that is held stays where it is."""
    if into.keys() != source.keys():
        into.clear()
        into |= {name: value.clone() for name, value in source.items()}
        return
    for name, value in source.items():
        into[name].copy_(value)
