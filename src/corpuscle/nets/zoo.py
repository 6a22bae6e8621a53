"""Nets by name: the choices a net is built from, and the builder. Nothing here imports torch before it builds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from corpuscle.core.errors import CorpuscleError, nearest
from corpuscle.core.settings import Settings

if TYPE_CHECKING:
    from torch import nn

    from corpuscle.nets.net import Net
    from corpuscle.nets.resnet import ResNet
    from corpuscle.nets.unet import UNet


class NetPlan(Settings):
    """What a net is made of; plain JSON, so that the card can hold it."""

    model: str = Field(
        default="resnet18",
        description="encoder: resnet18, 34, 50, 101, 152, any timm name (timm/NAME), or unet, which gives maps",
    )
    head: Literal["linear", "mlp", "deep", "density"] = Field(
        default="linear",
        description="layers between the features and the outputs; deep is five layers of twice the features' width, "
        "density (with unet alone) gives a map whose sum is the count",
    )
    hidden: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        default=(256,), min_length=1, description="widths of the mlp head's hidden layers"
    )
    activation: Literal["relu", "gelu"] = Field(default="relu", description="activation of the mlp head")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="share of features dropped in the head while training")
    norm: Literal["batch", "group"] = Field(default="batch", description="norm layers of the resnets")
    widths: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = Field(
        default=(32, 64, 128), min_length=1, max_length=6, description="channels of each level of the unet"
    )
    stride: Literal[1, 2, 4] = Field(default=2, description="pixels of the input to one of the unet's map")
    weights: str = Field(
        default="none",
        description="where the encoder starts: none (random), imagenet (published weights), a file, or a run's folder",
    )


def _resnet(plan: NetPlan, depth: int) -> ResNet:
    from corpuscle.nets.resnet import ResNet

    return ResNet(depth, plan.norm)


ENCODERS: dict[str, Callable[[NetPlan], ResNet]] = {
    "resnet18": partial(_resnet, depth=18),
    "resnet34": partial(_resnet, depth=34),
    "resnet50": partial(_resnet, depth=50),
    "resnet101": partial(_resnet, depth=101),
    "resnet152": partial(_resnet, depth=152),
}


def _unet(plan: NetPlan) -> UNet:
    from corpuscle.nets.unet import UNet

    return UNet(plan.widths, plan.stride)


MAPPERS: dict[str, Callable[[NetPlan], UNet]] = {"unet": _unet}


def is_timms(model: str) -> bool:
    """Whether a model is not one of ours."""
    return model not in ENCODERS and model not in MAPPERS


def check_plan(plan: NetPlan) -> None:
    """See that a net can be built, without building it (timm is imported only for names that are not ours).

    Raises:
        CorpuscleError: an unknown model, with the nearest names; a head, a norm or weights that it cannot have.
    """
    if (plan.model in MAPPERS) != (plan.head == "density"):
        head = "density" if plan.model in MAPPERS else "linear"
        raise CorpuscleError(
            f"net.head=density expects net.model=unet, and unet no other head, got model {plan.model} with head "
            f"{plan.head}; pass --set net.head={head}, or another --model"
        )
    if plan.model in MAPPERS and plan.weights == "imagenet":
        raise CorpuscleError(
            f"net.weights=imagenet expects a net with published weights, {plan.model} has none; "
            "pass none, a file, or the folder of a run"
        )
    if plan.model in ENCODERS:
        return
    from corpuscle.nets import timm_encoder

    if is_timms(plan.model) and not timm_encoder.knows(plan.model):
        known = [*ENCODERS, *MAPPERS, *timm_encoder.names(like=plan.model)]
        raise CorpuscleError(
            f"'{plan.model}' is no model of Corpuscle's or timm's. {nearest(plan.model.removeprefix('timm/'), known)}"
        )
    if plan.norm != "batch":
        raise CorpuscleError(
            f"net.norm={plan.norm} is for {', '.join(ENCODERS)}, the model is {plan.model}; leave net.norm at batch, "
            "or choose one of those with --model"
        )


def build(plan: NetPlan, num_outputs: int, size: int) -> Net:
    """Build a net with random weights, drawn from torch's global generator.

    Args:
        size: height and width of its images in pixels; encoders of a fixed size are built for it.

    Raises:
        CorpuscleError: an unknown model, or one that cannot take images of this size.

    >>> build(NetPlan(model="resnet18"), num_outputs=5, size=64).num_features
    512
    """
    from corpuscle.nets import timm_encoder
    from corpuscle.nets.head import HEADS
    from corpuscle.nets.net import Net

    check_plan(plan)
    encoder: nn.Module
    if not is_timms(plan.model):
        ours: ResNet | UNet = (ENCODERS.get(plan.model) or MAPPERS[plan.model])(plan)
        encoder, num_features = ours, ours.num_features
    else:
        encoder = timm_encoder.build(plan.model, size)
        num_features = timm_encoder.measure(encoder, plan.model, size)
    return Net(encoder, HEADS[plan.head](plan, num_features, num_outputs), num_features, plan, size)
