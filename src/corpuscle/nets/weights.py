"""Start an encoder from weights that exist: published ones by name, a file, or a run's folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from corpuscle.core.errors import CorpuscleError, nearest
from corpuscle.nets import smp_body, timm_encoder
from corpuscle.nets.card import CARD, WEIGHTS, Card, read_card, read_weights
from corpuscle.nets.net import Net
from corpuscle.nets.smp_body import IMAGENET_MEAN, IMAGENET_STD, is_smps
from corpuscle.nets.tensors import Tensors, Triple, Weights, differences, digest_of_tensors, first_of, read_tensors
from corpuscle.nets.zoo import CODEBOOK, ENCODERS, NO_ENCODER, RESNETS, NetPlan, has_decoder, is_timms

PREFIXES = ("", "encoder.", "module.", "module.encoder.", "backbone.", "model.")
CLASSIFIERS = ("fc.", "classifier.", "head.", "head_dist.", "last_linear.")  # left behind: the head starts anew


@dataclass(frozen=True)
class LoadedWeights:
    """What an encoder was started from.

    Attributes:
        source: in words, with the path or the address.
        digest: of the encoder's tensors, the same however their file was packed.
        num_tensors: how many were loaded: all that the encoder has.
        mean, std: normalisation (of values from 0 to 1) of the images the weights have seen; use the same.
    """

    source: str
    digest: str
    num_tensors: int
    mean: Triple
    std: Triple


def load_weights(net: Net, source: str) -> LoadedWeights:
    """Fill a net's encoder, every tensor of it; the head stays as it is.

    Args:
        source: `imagenet` (the model's published weights), a `.safetensors`, `.pth` or `.pt` file, or a run's folder.

    Raises:
        CorpuscleError: nothing there, not readable, or weights of another net.
    """
    found = _find(net, source)
    expected = _learned(net.encoder.state_dict())
    tensors = _encoder_part(_learned(found.tensors), expected)
    if differences(expected, tensors) and is_timms(net.plan.model):
        tensors = _learned(timm_encoder.adapted(net.encoder, tensors))
    tensors = {name: tensor for name, tensor in tensors.items() if name in expected or not name.startswith(CLASSIFIERS)}
    if faults := differences(expected, tensors):
        remedy = _remedy(net.plan, tensors, found.plan)
        raise CorpuscleError(f"{found.source} are not for {_words(net.plan)}: {first_of(faults)}; {remedy}")
    net.encoder.load_state_dict(tensors)
    return LoadedWeights(found.source, digest_of_tensors(tensors), len(tensors), found.mean, found.std)


def _find(net: Net, source: str) -> Weights:
    if source == "imagenet":
        if is_timms(net.plan.model):
            return timm_encoder.published(net.plan.model, net.size)
        if is_smps(net.plan.model):
            return smp_body.published(net.plan.model)
        return _published_resnet(net.plan)
    path = Path(source)
    if path.name == WEIGHTS and (path.parent / CARD).is_file():
        path = path.parent
    if path.is_dir():
        card = read_card(path)
        seen = "" if card.size in (0, net.size) else f" (of images of {card.size} pixels, these have {net.size})"
        source = f"weights of the run {path}{_alone(path, card)}{seen}"
        return Weights(read_weights(path, card), card.mean, card.std, source, card.net)
    if not path.exists() and not path.suffix:
        hint = nearest(source, ["none", "imagenet"])
        raise CorpuscleError(f"--weights expected none, imagenet, a file or a run's folder, got '{source}'. {hint}")
    mean, std = IMAGENET_MEAN, IMAGENET_STD
    if is_timms(net.plan.model):
        mean, std = timm_encoder.normalisation(net.plan.model)
    return Weights(read_tensors(path), mean, std, f"weights of {path}")


def _alone(path: Path, card: Card) -> str:
    """What of a run that joins encoders its weights are.

    Raises:
        CorpuscleError: it has no encoder of its own.
    """
    if not card.net.joined:
        return ""
    inner = ", ".join(one.run for one in card.net.joined)
    if card.net.model == NO_ENCODER:
        raise CorpuscleError(
            f"--weights expected a run with an encoder of its own, {path} only joins those of {inner}; name these in "
            "net.joined"
        )
    return f" (its own {card.net.model} alone; net.joined takes the others, of {inner})"


def _published_resnet(plan: NetPlan) -> Weights:
    """The first published weights of each depth: one training for all five, and without the label smoothing of the
    second that makes fixed features transfer worse (Kornblith et al., NeurIPS 2021)."""
    import torchvision

    if plan.norm != "batch":
        raise CorpuscleError(
            f"the published weights of {plan.model} are for batch norm, net.norm is {plan.norm}; "
            "pass --set net.norm=batch, or --weights FILE"
        )
    entry = torchvision.models.get_model_weights(plan.model)["IMAGENET1K_V1"]
    try:
        tensors = dict(entry.get_state_dict(progress=True, check_hash=True))
    except OSError as error:
        raise CorpuscleError(
            f"the published weights of {plan.model} expected the network, got '{getattr(error, 'reason', error)}'; "
            f"fetch {entry.url} where there is one, and pass --weights FILE"
        ) from error
    except RuntimeError as error:
        raise CorpuscleError(f"{entry.url} came damaged ({error}); give the same command again") from error
    return Weights(tensors, IMAGENET_MEAN, IMAGENET_STD, f"published weights of {plan.model} ({entry.url})")


def _encoder_part(tensors: Tensors, expected: Tensors) -> Tensors:
    """The tensors under the prefix that gives most of the expected names, without it."""
    prefix = max(PREFIXES, key=lambda prefix: sum(prefix + name in tensors for name in expected))
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _remedy(plan: NetPlan, tensors: Tensors, known: NetPlan | None) -> str:
    owners = [known] if known else [one for one in _resnets() if not differences(_outline(one), tensors)]
    for owner in owners:
        flags = [f"--model {owner.model}"] if owner.model != plan.model else []
        flags += [f"--set net.norm={owner.norm}"] if owner.norm != plan.norm else []
        flags += [f"--set net.words={owner.words}"] if owner.model == CODEBOOK and owner.words != plan.words else []
        if flags and not has_decoder(owner.model):
            return f"they are of {_words(owner)}: pass {' '.join(flags)}"
    return "pass the --model they belong to, or other --weights"


def _resnets() -> Iterator[NetPlan]:
    for model in RESNETS:
        yield NetPlan(model=model, norm="batch")
        yield NetPlan(model=model, norm="group")


def _outline(plan: NetPlan) -> Tensors:
    with torch.device("meta"):
        return _learned(ENCODERS[plan.model](plan, 0).state_dict())


def _learned(tensors: Tensors) -> Tensors:
    """Without the batch counters, which older files lack and nothing reads."""
    return {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}


def _words(plan: NetPlan) -> str:
    return f"{plan.model} with {plan.norm} norm" if plan.model in RESNETS else plan.model
