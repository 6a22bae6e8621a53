"""The card: a net's passport, saved beside its weights, without which nobody can use them. No pickle in this path."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.files import digest_of, write_bytes, write_json
from corpuscle.core.settings import Settings, validated
from corpuscle.nets.zoo import NetPlan, build

if TYPE_CHECKING:
    import torch

    from corpuscle.nets.net import Net
    from corpuscle.nets.tensors import Tensors

FORMAT = 2
CARD = "card.json"
WEIGHTS = "weights.safetensors"

Positive = Annotated[float, Field(gt=0)]


class Card(Settings):
    """Everything that a prediction needs to know about a net."""

    format: int = Field(default=FORMAT, ge=1, description="version of this file's layout")
    corpuscle: str = Field(default="", description="version that saved it")
    task: str = Field(description="what the outputs mean: the task's name")
    classes: tuple[str, ...] = Field(description="class names in the order of the outputs")
    net: NetPlan = Field(description="what the net is made of")
    num_outputs: int = Field(ge=1, description="outputs of the head")
    size: int = Field(ge=0, description="height and width of the net's input in pixels; 0 where it takes any")
    channels: Literal["RGB"] = Field(default="RGB", description="order of the net's input channels")
    prepare: dict[str, Any] = Field(default_factory=dict, description="how an image becomes the net's input")
    read: dict[str, Any] = Field(default_factory=dict, description="limits of the reader")
    mean: tuple[float, float, float] = Field(description="subtracted from each channel (values from 0 to 1)")
    std: tuple[Positive, Positive, Positive] = Field(description="each channel is divided by it after that")
    views: Literal[1, 4, 8] = Field(default=1, description="mirrored and turned views whose predictions are averaged")
    calibration: dict[str, Any] = Field(
        default_factory=dict, description="what makes the numbers honest, learned on held-out images: the task's own"
    )
    trained_on: dict[str, Any] = Field(default_factory=dict, description="the data, in words and numbers")
    weights_digest: str = Field(default="", description="128-bit BLAKE2b of weights.safetensors, in hexadecimal")


@dataclass(frozen=True)
class LoadedRun:
    """A net in evaluation mode, and its card."""

    net: Net
    card: Card


def save(folder: Path, net: Net, card: Card) -> Card:
    """Write a net and its card, each whole or not at all, the card last; gives the card back with the weights' digest.

    Raises:
        CorpuscleError: the folder cannot be written or the disk is full.
    """
    from corpuscle.nets.tensors import pack

    content = pack(net.state_dict())
    card = card.model_copy(update={"corpuscle": version("corpuscle"), "weights_digest": digest_of(content)})
    write_bytes(folder / WEIGHTS, content)
    write_json(folder / CARD, card.model_dump(mode="json"))
    return card


def load(folder: Path, device: str | torch.device = "cpu") -> LoadedRun:
    """The net of a run and its card; torch's random generator is left as it was.

    Raises:
        CorpuscleError: no run there, or a card and weights that are damaged or do not belong together.
    """
    import torch

    from corpuscle.nets.tensors import differences, first_of

    card = read_card(folder)
    tensors = read_weights(folder, card)
    with torch.random.fork_rng(devices=[]):
        net = build(card.net, card.num_outputs, card.size)
    if faults := differences(net.state_dict(), tensors):
        raise CorpuscleError(
            f"{folder / WEIGHTS} does not fit the net of its card ({card.net.model}, {card.num_outputs} outputs): "
            f"{first_of(faults)}; copy the run again, or train it again"
        )
    net.load_state_dict(tensors)
    return LoadedRun(net.to(device).eval(), card)


def read_card(folder: Path) -> Card:
    """The card of a run.

    Raises:
        CorpuscleError: no run there, or a card that is damaged or of a newer format.
    """
    path = folder / CARD
    if not path.is_file():
        raise CorpuscleError(
            f"{folder} is not the folder of a finished run (it has no {CARD}); "
            "pass the folder that training named with --out"
        )
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        came = values["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorpuscleError(
            f"{path} cannot be read as a card ({error}); copy the run again, or train it again"
        ) from error
    if came == 1:  # knew classification alone
        values |= {"format": FORMAT, "calibration": {"temperature": values.pop("temperature", 1.0)}}
    if isinstance(came, int) and came > FORMAT:
        raise CorpuscleError(
            f"{path} has format {came}, Corpuscle {version('corpuscle')} reads up to {FORMAT}; install a newer one"
        )
    try:
        return validated(Card, values)
    except CorpuscleError as error:
        lines = "; ".join(str(error).splitlines())
        raise CorpuscleError(f"{path} is damaged: {lines}; copy the run again, or train it again") from None


def read_weights(folder: Path, card: Card) -> Tensors:
    """The tensors of a run, seen to be those its card was saved with.

    Raises:
        CorpuscleError: they are missing, damaged, or of another run.
    """
    from corpuscle.nets.tensors import unpack

    path = folder / WEIGHTS
    if not path.is_file():
        raise CorpuscleError(f"{folder} has a {CARD} but no {WEIGHTS}; copy the run again with all its files")
    content = path.read_bytes()
    tensors = unpack(content, path)
    if (digest := digest_of(content)) != card.weights_digest:
        raise CorpuscleError(
            f"{path} does not match its card: expected digest {card.weights_digest or 'none'}, got {digest}; "
            "one of the two is from another run: copy both again"
        )
    return tensors
