"""The state of a training in one file, whole or not at all, without pickle."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.files import whole_file

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Place:
    """Where a training stands: the next step to be done.

    Attributes:
        stage, epoch, step: counted from 0; the epoch within the stage, the step within the epoch.
    """

    stage: int = 0
    epoch: int = 0
    step: int = 0


@dataclass
class State:
    """What a training carries from step to step, beside its weights.

    Attributes:
        place: the next step.
        history: a row of the log for each finished epoch.
        running: sums over the epoch under way.
        best: value of the watched column at the best epoch so far.
        best_weights: of that epoch.
        average: moving average of the weights.
        seconds: spent up to the last checkpoint.
    """

    place: Place = field(default_factory=Place)
    history: list[dict[str, Any]] = field(default_factory=list)
    running: dict[str, Any] = field(default_factory=dict)
    best: float | None = None
    best_weights: Weights = field(default_factory=dict)
    average: Weights = field(default_factory=dict)
    seconds: float = 0.0

    def at(self, **changes: Any) -> None:
        """Move to another place."""
        self.place = replace(self.place, **changes)


def save_state(
    path: Path, state: State, net: nn.Module, optimizer: Optimizer | None = None, scaler: Any = None
) -> None:
    """Write the state; a kill at any moment leaves the old file or the new one.

    Args:
        path: the checkpoint.
        state, net: what is kept in any case.
        optimizer, scaler: of the stage under way; None between two stages, for each begins with its own.

    Raises:
        CorpuscleError: the disk is full or the folder cannot be written.
    """
    from safetensors.torch import save_file

    tensors = {f"net.{name}": value for name, value in net.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in state.best_weights.items()}
    tensors |= {f"average.{name}": value for name, value in state.average.items()}
    if optimizer is not None:
        for number, slots in optimizer.state_dict()["state"].items():
            tensors |= {f"optim.{number}.{name}": slot for name, slot in slots.items() if slot is not None}
    plain: dict[str, Any] = {"place": asdict(state.place), "history": state.history, "running": state.running}
    plain |= {"best": state.best, "seconds": state.seconds, "scaler": scaler.state_dict() if scaler is not None else {}}
    own = {name: value.detach().to("cpu", copy=True).contiguous() for name, value in tensors.items()}
    with whole_file(path) as part:
        save_file(own, part, metadata={"state": json.dumps(plain)})


@dataclass(frozen=True)
class Loaded:
    """A checkpoint that has been read.

    Attributes:
        state: but for what the optimiser carries.
        net, optim: tensors by name; those of the optimiser as `<number of the parameter>.<name>`.
        scaler: its plain values.
    """

    state: State
    net: Weights
    optim: Weights
    scaler: dict[str, Any]


def load_state(path: Path) -> Loaded:
    """Read a state back.

    Raises:
        CorpuscleError: the file is not a whole checkpoint.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", device="cpu") as content:
            plain = json.loads((content.metadata() or {})["state"])
            tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
        scaler = plain.pop("scaler")
        state = State(**plain | {"place": Place(**plain["place"])})
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CorpuscleError(
            f"{path} is not a whole checkpoint ({error}); remove it to begin this training anew"
        ) from None
    state.best_weights, state.average = under("best", tensors), under("average", tensors)
    return Loaded(state, under("net", tensors), under("optim", tensors), scaler)


def under(prefix: str, tensors: Weights) -> Weights:
    """The tensors whose names begin with a prefix, without it."""
    return {n.removeprefix(f"{prefix}."): t for n, t in tensors.items() if n.startswith(f"{prefix}.")}


def laid_as(pattern: Tensor, value: Tensor) -> Tensor:
    """The value on the pattern's device and laid out in memory like it: what walks memory meets the same neighbours.

    A file holds tensors in the order of their axes, a net its filters channels last.
    """
    return torch.empty_like(pattern, dtype=value.dtype).copy_(value)


def restore_optimizer(optimizer: Optimizer, optim: Weights) -> None:
    """Put the optimiser back where it was when the state was saved."""
    content = optimizer.state_dict()
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in optim.items():
        number, slot = name.split(".", 1)
        slots.setdefault(int(number), {})[slot] = value
    optimizer.load_state_dict({"state": slots, "param_groups": content["param_groups"]})
    for parameter, state in optimizer.state.items():
        same = {name: laid_as(parameter, slot) for name, slot in state.items() if slot.shape == parameter.shape}
        state.update(same)
