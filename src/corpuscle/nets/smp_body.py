"""The only door to segmentation-models-pytorch: its decoders by name, on any of its encoders."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

from corpuscle.core.errors import CorpuscleError, nearest
from corpuscle.nets.tensors import Triple, Weights

PREFIX = "smp/"
PROBE = 256  # side of the empty image by which a net is measured
LEAST_MULTIPLE = 32
REACH = 160  # margin of a tile in pixels: deeper nets see further, but what lies there hardly shows
IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)


def is_smps(model: str) -> bool:
    """Whether a model is named as one of segmentation-models-pytorch's."""
    return model.startswith(PREFIX)


def check(model: str) -> None:
    """See that there are such a decoder and encoder, without building them.

    Raises:
        CorpuscleError: an unknown one, with the nearest names.
    """
    import segmentation_models_pytorch as smp

    decoder, dash, encoder = model.removeprefix(PREFIX).partition("-")
    decoders, encoders = list(smp.MODEL_ARCHITECTURES_MAPPING), smp.encoders.get_encoder_names()
    if not dash or decoder not in decoders:
        raise CorpuscleError(
            f"'{model}' expected smp/DECODER-ENCODER, such as smp/unet-resnet18, got the decoder '{decoder}'. "
            f"{nearest(decoder, decoders)}"
        )
    if encoder not in encoders and not encoder.startswith("tu-"):
        raise CorpuscleError(
            f"'{model}' expected an encoder of segmentation-models-pytorch, or a timm one as tu-NAME, got '{encoder}'. "
            f"{nearest(encoder, encoders)}"
        )


def build(model: str, weights: str | None = None) -> nn.Module:
    """Encoder and decoder: image_NCHW to features_NChw, h and w the image's divided by its `stride`.

    What is built has, as our own U-net, `stride`, `multiple` (of which the sides of an image must be one), `reach` (a
    feature hardly depends on pixels that are further) and `num_features`.

    Args:
        model: smp/DECODER-ENCODER.
        weights: published ones of the encoder by name; None starts from nothing.

    Raises:
        CorpuscleError: the two cannot be joined.
    """
    import segmentation_models_pytorch as smp

    decoder, _, encoder = model.removeprefix(PREFIX).partition("-")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            net: nn.Module = smp.create_model(decoder, encoder, encoder_weights=weights)
        net.add_module("segmentation_head", nn.Identity())
        with torch.no_grad():
            features_NChw: Tensor = net.eval()(torch.zeros(1, 3, PROBE, PROBE))
    except (KeyError, ValueError, RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise CorpuscleError(f"{model} cannot be built ({reason}); choose another decoder or encoder") from error
    net.train()
    measured = {
        "num_features": features_NChw.shape[1],
        "stride": PROBE // features_NChw.shape[-1],
        "multiple": max(LEAST_MULTIPLE, int(getattr(net.encoder, "output_stride", LEAST_MULTIPLE))),
        "reach": REACH,
    }
    for name, value in measured.items():
        setattr(net, name, value)
    return net


def published(model: str) -> Weights:
    """The net with the published ImageNet weights of its encoder, fetched by its own library.

    Raises:
        CorpuscleError: there are none, or they cannot be fetched.
    """
    try:
        net = build(model, weights="imagenet")
    except OSError as error:
        raise CorpuscleError(
            f"the published weights of {model} expected the network, got '{error}'; pass --weights FILE, or none"
        ) from error
    return Weights(net.state_dict(), IMAGENET_MEAN, IMAGENET_STD, f"published weights of the encoder of {model}")
