"""Named tensors from files, and what two sets of them disagree about. No pickled code is ever run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.files import digest_of

if TYPE_CHECKING:
    from corpuscle.nets.zoo import NetPlan

Tensors = dict[str, Tensor]
Triple = tuple[float, float, float]

NESTED_UNDER = ("state_dict", "model", "model_state_dict")  # where training scripts put the weights in a checkpoint


@dataclass(frozen=True)
class Weights:
    """Tensors of an encoder.

    Attributes:
        mean, std: normalisation of the images they were trained on.
        source: in words.
        plan: of the net they are from; None where nobody knows.
    """

    tensors: Tensors
    mean: Triple
    std: Triple
    source: str
    plan: NetPlan | None = None


def read_tensors(path: Path) -> Tensors:
    """The tensors of a `.safetensors` file, or of a PyTorch file that holds nothing but tensors.

    Raises:
        CorpuscleError: the file is missing, cut short, of another kind, or would run code.
    """
    if not path.is_file():
        raise CorpuscleError(f"no file of weights at {path}; pass an existing one with --weights")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's reader has no error of its own: six types were seen on damaged files
        reason = str(error).strip().splitlines()[:1]
        raise CorpuscleError(
            f"{path} expected whole .safetensors, or the state_dict() of a PyTorch net, "
            f"got what cannot be read as either ({reason[0] if reason else type(error).__name__}); save it again"
        ) from error
    for key in NESTED_UNDER:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping):
        raise CorpuscleError(
            f"{path} expected a state_dict(), got a {type(content).__name__}; save the state_dict() alone"
        )
    return {str(name): value.detach() for name, value in content.items() if isinstance(value, Tensor)}


def unpack(content: bytes, path: Path) -> Tensors:
    """The tensors of a safetensors file that has been read.

    Raises:
        CorpuscleError: the file is cut short or of another kind.
    """
    try:
        return safetensors.torch.load(content)
    except SafetensorError as error:
        raise CorpuscleError(
            f"{path} is cut short or not a safetensors file ({error}); copy the run again, or train it again"
        ) from error


def pack(tensors: Mapping[str, Tensor]) -> bytes:
    """The bytes of a safetensors file: on the CPU, contiguous, floating numbers as fp32."""
    return safetensors.torch.save({name: _plain(tensor) for name, tensor in tensors.items()})


def digest_of_tensors(tensors: Mapping[str, Tensor]) -> str:
    """A digest that does not depend on how a file was packed, nor on the order of the names."""
    return digest_of(pack(dict(sorted(tensors.items()))))


def differences(expected: Mapping[str, Tensor], came: Mapping[str, Tensor]) -> list[str]:
    """One line for each tensor that is missing, of another shape, or not expected."""
    lines = []
    for name, tensor in expected.items():
        if name not in came:
            lines.append(f"{name} expected {tuple(tensor.shape)}, is missing")
        elif came[name].shape != tensor.shape:
            lines.append(f"{name} expected {tuple(tensor.shape)}, got {tuple(came[name].shape)}")
    return lines + [f"{name} not expected, got {tuple(came[name].shape)}" for name in came if name not in expected]


def first_of(lines: Iterable[str], shown: int = 3) -> str:
    """The first few lines and the number of the rest, as one line."""
    lines = list(lines)
    rest = f"; and {len(lines) - shown} more" if len(lines) > shown else ""
    return "; ".join(lines[:shown]) + rest


def _plain(tensor: Tensor) -> Tensor:
    dtype = torch.float32 if tensor.is_floating_point() else tensor.dtype
    # a clone, because safetensors refuses tensors that share memory
    return tensor.detach().to("cpu", dtype).clone(memory_format=torch.contiguous_format)
