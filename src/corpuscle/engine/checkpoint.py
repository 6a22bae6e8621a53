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
        done: every stage is over.
    """

    stage: int = 0
    epoch: int = 0
    step: int = 0
    done: bool = False


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
        seconds: spent so far.
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


def save_state(path: Path, state: State, net: nn.Module, optimizer: Optimizer | None, scaler: Any = None) -> None:
    """Write the state; a kill at any moment leaves the old file or the new one.

    Raises:
        CorpuscleError: the disk is full or the folder cannot be written.
    """
    from safetensors.torch import save_file

    tensors = {f"net.{name}": value for name, value in net.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in state.best_weights.items()}
    tensors |= {f"average.{name}": value for name, value in state.average.items()}
    plain: dict[str, Any] = {"groups": []}
    if optimizer is not None:
        content = optimizer.state_dict()
        plain["groups"] = [{k: v for k, v in group.items() if k != "params"} for group in content["param_groups"]]
        for number, slots in content["state"].items():
            tensors |= {f"optim.{number}.{name}": slot for name, slot in slots.items() if slot is not None}
    if scaler is not None:
        plain["scaler"] = scaler.state_dict()
    plain |= {"place": asdict(state.place), "history": state.history, "running": state.running}
    plain |= {"best": state.best, "seconds": state.seconds}
    own = {name: value.detach().to("cpu", copy=True).contiguous() for name, value in tensors.items()}
    with whole_file(path) as part:
        save_file(own, part, metadata={"state": json.dumps(plain)})


def load_state(path: Path, device: torch.device) -> tuple[State, Weights, dict[str, Any]]:
    """Read a state back.

    Returns:
        The state, all tensors by their name in the file, and the plain values of optimiser and scaler.

    Raises:
        CorpuscleError: the file is not a whole checkpoint.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", device="cpu") as content:
            plain = json.loads((content.metadata() or {})["state"])
            tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, ValueError) as error:
        raise CorpuscleError(
            f"{path} is not a whole checkpoint ({error}); remove it to begin this training anew"
        ) from None
    state = State(
        place=Place(**plain.pop("place")),
        history=plain.pop("history"),
        running=plain.pop("running"),
        best=plain.pop("best"),
        seconds=plain.pop("seconds"),
        best_weights=under("best", tensors, torch.device("cpu")),
        average=under("average", tensors, device),
    )
    return state, tensors, plain


def under(prefix: str, tensors: Weights, device: torch.device) -> Weights:
    """The tensors whose names begin with a prefix, without it."""
    return {n.removeprefix(f"{prefix}."): t.to(device) for n, t in tensors.items() if n.startswith(f"{prefix}.")}


def restore_optimizer(optimizer: Optimizer, tensors: Weights, plain: dict[str, Any]) -> None:
    """Put the optimiser back where it was when the state was saved."""
    content = optimizer.state_dict()
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in under("optim", tensors, torch.device("cpu")).items():
        number, slot = name.split(".", 1)
        slots.setdefault(int(number), {})[slot] = value
    groups = [
        {**saved, "params": group["params"]}
        for saved, group in zip(plain["groups"], content["param_groups"], strict=True)
    ]
    optimizer.load_state_dict({"state": slots, "param_groups": groups})
