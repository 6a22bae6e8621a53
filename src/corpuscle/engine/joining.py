"""Frozen encoders of earlier runs in a new one: read and checked all at once, and their features computed once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from corpuscle.core.errors import CorpuscleError, DataFault, Fault
from corpuscle.core.progress import Progress
from corpuscle.data.fingerprint import Normalisation
from corpuscle.data.loader import Beside, Features, Images
from corpuscle.engine.experiment import Experiment
from corpuscle.engine.features import OF_HEADS, Passing, encoder_features
from corpuscle.nets.card import read_card, read_weights
from corpuscle.nets.head import Head
from corpuscle.nets.joined import Frozen
from corpuscle.nets.net import Net
from corpuscle.nets.tensors import Tensors, differences, digest_of_tensors, first_of
from corpuscle.nets.zoo import NO_ENCODER, JoinedPlan, NetPlan, build, build_encoder, has_decoder

if TYPE_CHECKING:
    from corpuscle.tasks.task import Task

ENCODER = "encoder."


def with_joined(experiment: Experiment, task: Task) -> Experiment:
    """The experiment with all that is known of the encoders its net joins; a net of no others trains its head alone.

    Raises:
        CorpuscleError: the task learns no labels.
        DataFault: every run that cannot be joined, each with its remedy.
    """
    if not experiment.net.joined:
        return experiment
    if not task.learns_labels:
        raise CorpuscleError(
            f"net.joined expects a task that learns labels, got {experiment.task}; leave net.joined out, or choose "
            "another --recipe"
        )
    known = tuple(found for found, _ in read_all(experiment.net, experiment.prepare.size))
    changes: dict[str, Any] = {"net": experiment.net.model_copy(update={"joined": known})}
    if experiment.net.model == NO_ENCODER:
        heads = (s.model_copy(update={"train": "head"}) if s.train == "all" else s for s in experiment.stages)
        changes |= {"stages": tuple(heads)}
    return experiment.model_copy(update=changes)


def build_joined(plan: NetPlan, num_outputs: int, size: int, progress: Progress) -> Net:
    """A net as `build` gives it, its frozen encoders filled from their runs.

    Raises:
        DataFault: every run that cannot be joined, each with its remedy.
    """
    read = read_all(plan, size)
    net = build(plan, num_outputs, size)
    for (frozen, one), (_, tensors) in zip(_pairs(net), read, strict=True):
        frozen.encoder.load_state_dict(tensors)
        sizes = "" if one.size == size else f"; it learned from images of {one.size} pixels, these have {size}"
        progress.say(f"joined: the encoder of {one.run} ({one.known_net.model}, {frozen.num_features} features{sizes})")
    return net


def read_all(plan: NetPlan, size: int) -> list[tuple[JoinedPlan, Tensors]]:
    """What is known of each encoder that a net joins, and its tensors.

    Args:
        plan: of the net.
        size: of its images in pixels; 0 where it is not known yet.

    Raises:
        DataFault: every run that cannot be joined, each with its remedy.
    """
    read, faults = [], []
    runs_of: dict[str, list[str]] = {}
    for one in plan.joined:
        try:
            found, tensors = read_encoder(one)
            if size:
                check_size(found, tensors, size)
        except CorpuscleError as error:
            what, _, remedy = str(error).partition("; ")
            faults.append(Fault("net.joined", what, remedy))
            continue
        read.append((found, tensors))
        runs_of.setdefault(found.digest, []).append(found.run)
    twice = (" and ".join(runs) for runs in runs_of.values() if len(runs) > 1)
    faults += [Fault("net.joined", f"{runs} hold the same encoder", "name it once") for runs in twice]
    if faults:
        raise DataFault(faults)
    return read


def read_encoder(one: JoinedPlan) -> tuple[JoinedPlan, Tensors]:
    """What is known of the encoder of an earlier run, and its tensors.

    Raises:
        CorpuscleError: no run there, a damaged one, one that has changed since, or one without features to join.
    """
    folder = Path(one.run)
    card = read_card(folder)
    if card.net.joined:
        inner = ", ".join(before.run for before in card.net.joined)
        raise CorpuscleError(f"expected a run of one encoder, {one.run} joins {inner} itself; name these in its place")
    if has_decoder(card.net.model):
        raise CorpuscleError(
            f"expected a run whose encoder gives features, {one.run} is of {card.net.model}, which gives maps; "
            "name a run of another model, such as resnet18"
        )
    weights = read_weights(folder, card)
    tensors = {name.removeprefix(ENCODER): value for name, value in weights.items() if name.startswith(ENCODER)}
    digest = digest_of_tensors(tensors)
    if one.digest and one.digest != digest:
        raise CorpuscleError(
            f"{one.run} holds another encoder than before (digest {one.digest}, now {digest}); restore that run, or "
            "name its folder alone in net.joined, with a new --out"
        )
    pool = "avg" if card.net.pool == "none" else card.net.pool  # features of one that gave maps are their mean
    net = NetPlan(**card.net.model_dump(exclude=OF_HEADS | {"joined", "pool"}), pool=pool)
    found = JoinedPlan(run=one.run, net=net, size=card.size, mean=card.mean, std=card.std, digest=digest)
    return found, tensors


def check_size(one: JoinedPlan, tensors: Tensors, size: int) -> None:
    """See that an encoder takes images of a size; convolutional ones take any.

    Raises:
        CorpuscleError: it takes those of its own run alone.
    """
    remedy = f"pass --size {one.size}, or leave it out of net.joined"
    try:
        with torch.random.fork_rng(devices=[]):
            encoder, _ = build_encoder(one.known_net, size)
    except CorpuscleError as error:
        raise CorpuscleError(f"{one.run}: {str(error).partition('; ')[0]}; {remedy}") from error
    if faults := differences(encoder.state_dict(), tensors):
        raise CorpuscleError(
            f"the encoder of {one.run} ({one.known_net.model}) learned from images of {one.size} pixels and takes no "
            f"others, these have {size} ({first_of(faults, shown=1)}); {remedy}"
        )


def settle_joined(net: Net, normal: Normalisation, images: Images, places: np.ndarray, how: Passing) -> None:
    """Teach the frozen encoders how this net's images are normalised, and the scale of their own features.

    Args:
        net: with its frozen encoders filled.
        normal: normalisation of its images.
        images: as they are, not varied.
        places: of the training part.
        how: see `Passing`.
    """
    for frozen, one in _pairs(net):
        frozen.see_through((one.mean, one.std), (normal.mean, normal.std))
        frozen.measure(_raw(net, frozen, one, images, places, how)[0])


def beside_of(net: Net, images: Images, places: np.ndarray, how: Passing, views: int = 1) -> Beside | None:
    """What the frozen encoders say of images: of each as it is, and of varied views of it where more than one is asked
    for; None where the net joins none."""
    if net.joined is None:
        return None
    features_VNC = _beside(net, replace(images, augment=None), places, how, 1)
    if views > 1:
        features_VNC = torch.cat([features_VNC, _beside(net, images, places, how, views - 1)])
    return Beside(features_VNC, _rows(places))


def joined_features(net: Net, images: Images, places: np.ndarray, how: Passing, views: int = 1) -> Features:
    """A data set of what the head takes, in the place of the images; every encoder sees the same views."""
    parts = []
    if net.num_features:
        parts.append(encoder_features(net, images, places, how, views))
    if net.joined is not None:
        parts.append(_beside(net, images, places, how, views))
    return Features(_abreast(parts), _rows(places), images.targets)


def _beside(net: Net, images: Images, places: np.ndarray, how: Passing, views: int) -> Tensor:
    """beside_VNC of images."""
    raw = (_raw(net, frozen, one, images, places, how, views) for frozen, one in _pairs(net))
    return _abreast([frozen.scaled(raw_VNC) for frozen, raw_VNC in zip(net.joined or (), raw, strict=True)])


def _abreast(parts: list[Tensor]) -> Tensor:
    """features_VNC side by side, of as many views as all of them have."""
    views = min(len(part) for part in parts)
    return parts[0] if len(parts) == 1 else torch.cat([part[:views] for part in parts], dim=2)


def _raw(
    net: Net, frozen: Frozen, one: JoinedPlan, images: Images, places: np.ndarray, how: Passing, views: int = 1
) -> Tensor:
    """features_VNC of one encoder, as it gives them: in fp32, and of images normalised as in its own run.

    So they are the same in whatever net it stands, and lie in the cache for all of them.
    """
    alone = Net(frozen.encoder, Head(), frozen.num_features, one.known_net, net.size)
    seen = replace(images, mean_3=np.array(one.mean), std_3=np.array(one.std))
    return encoder_features(alone, seen, places, how.exact, views)


def _pairs(net: Net) -> Iterator[tuple[Frozen, JoinedPlan]]:
    return zip(net.joined or (), net.plan.joined, strict=True)


def _rows(places: np.ndarray) -> dict[int, int]:
    return {int(place): row for row, place in enumerate(places)}
