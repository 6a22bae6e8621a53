"""The only door to timm: encoders by name, the sizes they can take, and their published weights."""

from __future__ import annotations

import logging
import sys
import urllib.error
import urllib.request
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from corpuscle.core.errors import CorpuscleError
from corpuscle.nets.pool import POOLS
from corpuscle.nets.tensors import Tensors, Weights

PREFIX = "timm/"
PUBLISHED_FILE = "model.safetensors"
SECONDS_TO_ANSWER = 10


def knows(model: str) -> bool:
    """Whether timm has an encoder of this name; a tag after a dot has to be one of its published weights.

    >>> knows("timm/vit_tiny_patch16_224"), knows("resnet50.no_such_tag")
    (True, False)
    """
    import timm

    name = model.removeprefix(PREFIX)
    return name in timm.list_pretrained() if "." in name else timm.is_model(name)


def names(like: str) -> list[str]:
    """All names of timm's; with their tags if `like` has one."""
    import timm

    return timm.list_pretrained() if "." in like.removeprefix(PREFIX) else timm.list_models()


def build(model: str, size: int, pool: str = "avg") -> nn.Module:
    """A timm encoder with random weights: image_NCHW to features_NC.

    Args:
        model: its name.
        size: height and width of its images.
        pool: a name in `POOLS`; `avg` leaves the encoder to pool in its own way, which for most is the average.

    Raises:
        CorpuscleError: the encoder is made for images of another size and cannot be built for this one, or is to be
            pooled and has no maps (at the first image where only that tells).
    """
    if pool == "avg":
        return _create(model, size, pretrained=False)
    try:
        encoder = _create(model, size, pretrained=False, global_pool="")
    except (AssertionError, TypeError, ValueError) as error:
        raise _no_maps(model, pool, str(error).strip().partition("\n")[0]) from error
    if pool == "none":
        encoder.stride = encoder.feature_info[-1]["reduction"]  # type: ignore[index]
    encoder.register_forward_hook(partial(_pooled, model, pool, POOLS[pool]()))  # a wrapper would rename the tensors
    return encoder


def maps(encoder: nn.Module, image_NCHW: Tensor, pool: str) -> Tensor | None:
    """The maps_NChw that an encoder pools, None where it has none: tokens are not maps."""
    see = encoder.forward if pool != "avg" else getattr(encoder, "forward_features", None)
    last = see(image_NCHW) if callable(see) else None
    return last if isinstance(last, Tensor) and _are_maps(encoder, last) else None


def features(encoder: nn.Module, maps_NChw: Tensor, pool: str) -> Tensor:
    """features_NC of the maps, as the encoder makes them itself."""
    features_NC: Tensor = encoder.forward_head(maps_NChw) if pool == "avg" else POOLS[pool]()(maps_NChw)  # type: ignore[operator]
    return features_NC


def measure(encoder: nn.Module, model: str, size: int) -> int:
    """The number of features, from one empty image.

    Raises:
        CorpuscleError: the encoder cannot take images of this size.
    """
    try:
        with torch.no_grad():
            features_NC: Tensor = encoder.eval()(torch.zeros(1, 3, size, size))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise _wrong_size(model, size, str(error).strip().partition("\n")[0]) from error
    encoder.train()
    if features_NC.ndim != 2 and not hasattr(encoder, "stride"):
        raise CorpuscleError(
            f"{model} expected features of two axes, got {features_NC.ndim}; choose a model that pools its features"
        )
    return features_NC.shape[1]


def published(model: str, size: int) -> Weights:
    """The published weights of an encoder, from the local cache or the network, fitted to the size by timm.

    Raises:
        CorpuscleError: there are none, or they cannot be fetched.
    """
    name = model.removeprefix(PREFIX)
    config = _config(name)
    address = _address(config)
    if not address:
        raise CorpuscleError(f"timm publishes no weights for {model}; pass --weights FILE, or --weights none")
    overlay: dict[str, Any] = {}
    if config.hf_hub_id:
        import huggingface_hub

        cached = huggingface_hub.try_to_load_from_cache(config.hf_hub_id, config.hf_hub_filename or PUBLISHED_FILE)
        if isinstance(cached, str):
            overlay = {"file": cached, "custom_load": False}
    try:
        if not overlay:
            _see_that_it_answers(address)
        encoder = _create(model, size, pretrained=True, pretrained_cfg_overlay=overlay)
    except OSError as error:
        reason = str(getattr(error, "reason", error)).strip().partition("\n")[0]
        raise CorpuscleError(
            f"the published weights of {model} expected the network, got '{reason}'; "
            f"fetch {address} where there is one, and pass --weights FILE"
        ) from error
    return Weights(encoder.state_dict(), config.mean, config.std, f"published weights of {model} ({address})")


def normalisation(model: str) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and standard deviation (of values from 0 to 1) of the images that the published weights have seen."""
    config = _config(model.removeprefix(PREFIX))
    return config.mean, config.std


def adapted(encoder: nn.Module, tensors: Tensors) -> Tensors:
    """Published tensors in the encoder's own names and sizes, by timm's own conversion where the encoder has one.

    Position embeddings are resampled to the encoder's image size. What cannot be converted comes back as it was.
    """
    convert = getattr(sys.modules[type(encoder).__module__], "checkpoint_filter_fn", None)
    if convert is None:
        return tensors
    try:
        return convert(dict(tensors), encoder)
    except (RuntimeError, KeyError, AttributeError, TypeError, ValueError):  # weights of some other net
        return tensors


def _create(model: str, size: int, **args: Any) -> nn.Module:
    import timm

    name = model.removeprefix(PREFIX)
    config = _config(name)
    if config.fixed_input_size and size != config.input_size[-1]:
        args["img_size"] = size
    logging.getLogger("timm").setLevel(logging.ERROR)  # its notes on dropped classifiers are no news here
    try:
        encoder = timm.create_model(name, num_classes=0, **args)
    except (AssertionError, TypeError, ValueError) as error:
        if "img_size" not in args:
            raise
        raise _wrong_size(model, size, str(error).strip().partition("\n")[0]) from error
    step = getattr(getattr(encoder, "patch_embed", None), "patch_size", None)
    if isinstance(step, tuple) and size % step[0]:  # timm would leave out the last rows and columns in silence
        near = size // step[0] * step[0]
        raise _wrong_size(model, size, f"it takes multiples of {step[0]}, such as {near or step[0]}")
    return encoder


def _config(name: str) -> Any:
    import timm

    return timm.get_pretrained_cfg(name)


def _address(config: Any) -> str:
    if config.hf_hub_id:
        from huggingface_hub import hf_hub_url

        return hf_hub_url(config.hf_hub_id, config.hf_hub_filename or PUBLISHED_FILE)
    return config.url or ""


def _see_that_it_answers(address: str) -> None:
    """Ask once: the hub's own client tries for most of a minute, and tells of each try."""
    try:
        urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=SECONDS_TO_ANSWER).close()
    except urllib.error.HTTPError:
        return  # the network is there; the client knows better what this answer means


def _pooled(model: str, pool: str, layer: nn.Module, encoder: nn.Module, args: Any, last: Tensor) -> Tensor:
    """The hook that pools what an unpooled encoder gives."""
    if not _are_maps(encoder, last):
        raise _no_maps(model, pool, f"features of {' × '.join(map(str, last.shape[1:]))}")
    pooled_NC: Tensor = layer(last)
    return pooled_NC


def _are_maps(encoder: nn.Module, last: Tensor) -> bool:
    """Whether the axes are image, channel, row and column."""
    return last.ndim == 4 and last.shape[1] in (encoder.num_features, getattr(encoder, "head_hidden_size", None))


def _no_maps(model: str, pool: str, came: str) -> CorpuscleError:
    return CorpuscleError(
        f"net.pool={pool} expects an encoder that ends in maps (channels, rows, columns), {model} gives {came}; "
        "leave net.pool at avg, or choose another --model"
    )


def _wrong_size(model: str, size: int, reason: str) -> CorpuscleError:
    native = _config(model.removeprefix(PREFIX)).input_size[-1]
    return CorpuscleError(
        f"{model} cannot take images of {size} pixels ({reason}); pass --size {native}, as published, "
        "or choose another --model"
    )
