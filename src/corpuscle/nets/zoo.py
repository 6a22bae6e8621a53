"""Nets by name: the choices a net is built from, and the builder. Nothing here imports torch before it builds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import Field, field_validator, model_validator

from corpuscle.core.errors import CorpuscleError, nearest
from corpuscle.core.settings import Settings

if TYPE_CHECKING:
    from torch import nn

    from corpuscle.nets.codebook import Codebook
    from corpuscle.nets.covariances import Covariances
    from corpuscle.nets.localiser import Localiser
    from corpuscle.nets.net import Net
    from corpuscle.nets.resnet import ResNet
    from corpuscle.nets.unet import UNet


Positive = Annotated[float, Field(gt=0)]

MAP_HEADS = ("density", "mask")
IMAGE_HEAD = "image"
NO_ENCODER = "none"
CODEBOOK, NO_HEAD = "codebook", "none"
FIXED = ("covariances",)  # encoders with nothing to learn


class NetPlan(Settings):
    """What a net is made of; plain JSON, so that the card can hold it."""

    model: str = Field(
        default="resnet18",
        description="encoder: resnet18, 34, 50, 101, 152, localiser (eight layers), codebook (visual words), "
        "covariances (of colours and edges, with nothing to learn), any timm name (timm/NAME); or what gives maps: "
        "unet, or any decoder of segmentation-models-pytorch on any encoder (smp/unet-resnet18); none with net.joined, "
        "whose features are then all there is",
    )
    head: Literal["linear", "mlp", "deep", "density", "mask", "image", "neighbours", "none"] = Field(
        default="linear",
        description="layers between the features and the outputs; deep is five layers of twice the features' width; "
        "density (with unet alone) gives a map whose sum is the count, mask (with unet or smp) each pixel's class, "
        "image (with net.pool=none) the image again; neighbours lets the nearest training images vote; none "
        "(with codebook and net.pool=none) tells how far squares lie from their words",
    )
    hidden: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        default=(256,), min_length=1, description="widths of the mlp head's hidden layers"
    )
    activation: Literal["relu", "gelu"] = Field(default="relu", description="activation of the mlp head")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="share of features dropped in the head while training")
    norm: Literal["batch", "group"] = Field(default="batch", description="norm layers of the resnets")
    pool: Literal["avg", "max", "lse", "none"] = Field(
        default="avg",
        description="how the last maps of a classifying encoder become features: their mean, their maximum, or "
        "log-sum-exp between the two; none leaves them, for net.head=image and none",
    )
    neighbours: int = Field(default=20, ge=1, description="training images that vote, with head neighbours")
    memory: int = Field(
        default=0, ge=0, description="training images that head neighbours remembers; the training says how many"
    )
    widths: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = Field(
        default=(32, 64, 128), min_length=1, max_length=6, description="channels of each level of the unet"
    )
    words: int = Field(
        default=256, ge=2, le=65_536, description="visual words of each of the codebook's sizes of square"
    )
    stride: Literal[1, 2, 4] = Field(default=2, description="pixels of the input to one of the unet's map")
    weights: str = Field(
        default="none",
        description="where the encoder starts: none (random), imagenet (published weights), a file, or a run's folder",
    )
    joined: tuple[JoinedPlan, ...] = Field(
        default=(),
        description="folders of earlier runs whose encoders, frozen, stand beside this one, joined at the features",
    )

    @field_validator("joined", mode="before")
    @classmethod
    def _one_or_many(cls, joined: Any) -> Any:
        return (joined,) if isinstance(joined, str) else joined


class JoinedPlan(Settings):
    """A frozen encoder of an earlier run. Its folder is enough: the rest is read there when a training begins, so that
    the new run does without it."""

    run: str = Field(min_length=1, description="folder of the earlier run")
    net: NetPlan | None = Field(default=None, description="what its encoder is made of")
    size: int = Field(default=0, ge=0, description="height and width of the images that it learned from, in pixels")
    mean: tuple[float, float, float] = Field(default=(0.0, 0.0, 0.0), description="of these images, from 0 to 1")
    std: tuple[Positive, Positive, Positive] = Field(default=(1.0, 1.0, 1.0), description="deviation of these images")
    digest: str = Field(default="", description="of the encoder's tensors; none was read yet where it is empty")

    @property
    def known_net(self) -> NetPlan:
        """What its encoder is made of.

        Raises:
            CorpuscleError: the run has not been read.
        """
        if self.net is None:
            raise CorpuscleError(
                f"net.joined expects runs whose encoders have been read, that of {self.run} has not; "
                "train with these settings, which reads them"
            )
        return self.net

    @model_validator(mode="before")
    @classmethod
    def _folder_alone(cls, values: Any) -> Any:
        if not isinstance(values, str | Mapping | JoinedPlan):
            raise ValueError("should be the folder of a run")
        return {"run": values} if isinstance(values, str) else values


NetPlan.model_rebuild()


def _resnet(plan: NetPlan, size: int, depth: int) -> ResNet:
    from corpuscle.nets.resnet import ResNet

    return ResNet(depth, plan.norm, plan.pool)


def _localiser(plan: NetPlan, size: int) -> Localiser:
    from corpuscle.nets.localiser import Localiser

    return Localiser(plan.pool)


def _codebook(plan: NetPlan, size: int) -> Codebook:
    from corpuscle.nets.codebook import SIDES, Codebook

    if 0 < size < max(SIDES):
        raise CorpuscleError(
            f"net.model=codebook expects images of at least {max(SIDES)} pixels, got {size}; pass --size 96, say"
        )
    return Codebook(plan.words, plan.pool)


def _covariances(plan: NetPlan, size: int) -> Covariances:
    from corpuscle.nets.covariances import Covariances

    return Covariances()


ENCODERS: dict[str, Callable[[NetPlan, int], nn.Module]] = {
    "resnet18": partial(_resnet, depth=18),
    "resnet34": partial(_resnet, depth=34),
    "resnet50": partial(_resnet, depth=50),
    "resnet101": partial(_resnet, depth=101),
    "resnet152": partial(_resnet, depth=152),
    "localiser": _localiser,
    "codebook": _codebook,
    "covariances": _covariances,
}
RESNETS = tuple(name for name in ENCODERS if name.startswith("resnet"))


def _unet(plan: NetPlan, size: int) -> UNet:
    from corpuscle.nets.unet import UNet

    return UNet(plan.widths, plan.stride)


MAPPERS: dict[str, Callable[[NetPlan, int], nn.Module]] = {"unet": _unet}


def is_timms(model: str) -> bool:
    """Whether a model is not one of ours."""
    return model not in (*ENCODERS, NO_ENCODER) and not has_decoder(model)


def has_decoder(model: str) -> bool:
    """Whether a model has a decoder, so that its features are maps nearly as large as the image."""
    return model in MAPPERS or model.startswith("smp/")


def check_plan(plan: NetPlan) -> None:
    """See that a net can be built, without building it (timm is imported only for names that are not ours).

    Raises:
        CorpuscleError: an unknown model, with the nearest names; a head, a norm or weights that it cannot have.
    """
    check_joined(plan)
    maps = has_decoder(plan.model)
    if maps != (plan.head in MAP_HEADS) or (plan.head == "density" and plan.model not in MAPPERS):
        heads = "linear" if not maps else "density" if plan.model in MAPPERS else "mask"
        raise CorpuscleError(
            "net.head=density expects net.model=unet, net.head=mask unet or smp/DECODER-ENCODER, and these no other "
            f"heads, got model {plan.model} with head {plan.head}; pass --set net.head={heads}, or another --model"
        )
    check_codebook(plan)
    check_fixed(plan)
    if (plan.model != CODEBOOK and (plan.head == IMAGE_HEAD) != (plan.pool == "none")) or (
        plan.head == IMAGE_HEAD and plan.joined
    ):
        joined = ", and encoders joined to it" if plan.joined else ""
        raise CorpuscleError(
            f"net.head=image and net.pool=none expect each other and one encoder, got head {plan.head} with pool "
            f"{plan.pool}{joined}; leave both as they are, or take them from --recipe prcc"
        )
    if plan.model in (*MAPPERS, "localiser", CODEBOOK) and plan.weights == "imagenet":
        raise CorpuscleError(
            f"net.weights=imagenet expects a net with published weights, {plan.model} has none; "
            "pass none, a file, or the folder of a run"
        )
    if plan.model in (*RESNETS, NO_ENCODER):
        return
    from corpuscle.nets import smp_body, timm_encoder

    if maps and plan.model not in MAPPERS:
        smp_body.check(plan.model)
    if is_timms(plan.model) and not timm_encoder.knows(plan.model):
        known = [*ENCODERS, *MAPPERS, *timm_encoder.names(like=plan.model)]
        raise CorpuscleError(
            f"'{plan.model}' is no model of Corpuscle's or timm's. {nearest(plan.model.removeprefix('timm/'), known)}"
        )
    if plan.norm != "batch":
        raise CorpuscleError(
            f"net.norm={plan.norm} is for {', '.join(RESNETS)}, the model is {plan.model}; leave net.norm at batch, "
            "or choose one of those with --model"
        )


def check_codebook(plan: NetPlan) -> None:
    """See that a codebook either gives features to a head or tells distances without one.

    Raises:
        CorpuscleError: a head or a pool that it cannot have, or a head of none without it.
    """
    tells = plan.pool == "none"
    if plan.model != CODEBOOK:
        if plan.head == NO_HEAD:
            raise CorpuscleError(
                f"net.head=none expects net.model=codebook, got {plan.model}; pass --recipe codebook, or "
                "--set net.head=linear"
            )
        return
    if plan.pool not in ("avg", "none") or tells != (plan.head == NO_HEAD) or plan.head == IMAGE_HEAD:
        raise CorpuscleError(
            "net.model=codebook expects net.pool=avg with a head, or none with net.head=none (--recipe codebook), got "
            f"pool {plan.pool} with head {plan.head}; pass --set net.pool=avg --set net.head=linear"
        )


def check_fixed(plan: NetPlan) -> None:
    """See that an encoder with nothing to learn is given no weights, and gives features.

    Raises:
        CorpuscleError: weights to fill it with, or a pool that it cannot have.
    """
    if plan.model not in FIXED:
        return
    if plan.weights != "none":
        raise CorpuscleError(
            f"net.weights={plan.weights} expects an encoder to fill, {plan.model} has nothing to learn; leave "
            "--weights out, or pass another --model"
        )
    if plan.pool != "avg":
        raise CorpuscleError(f"net.model={plan.model} expects net.pool=avg, got {plan.pool}; leave it out")


def check_joined(plan: NetPlan) -> None:
    """See that a net that joins encoders can have them, and that one without an encoder of its own has some.

    Raises:
        CorpuscleError: it gives maps, joins none, or has no encoder that weights could fill.
    """
    if plan.joined and has_decoder(plan.model):
        raise CorpuscleError(
            f"net.joined expects an encoder that gives features, {plan.model} gives maps; "
            "pass another --model, such as resnet18, or leave net.joined out"
        )
    if plan.model != NO_ENCODER:
        return
    if not plan.joined:
        raise CorpuscleError(
            "net.model=none expects frozen encoders, net.joined names none; pass --model resnet18, or "
            "--set net.joined=runs/earlier"
        )
    if plan.weights != "none":
        raise CorpuscleError(
            f"net.weights={plan.weights} expects an encoder to fill, net.model is none; pass --model, or --weights none"
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
    from corpuscle.nets.head import HEADS
    from corpuscle.nets.joined import Frozen, Joined
    from corpuscle.nets.net import Net

    check_plan(plan)
    encoder, num_features = build_encoder(plan, size)
    joined, width = None, num_features
    if plan.joined:
        joined = Joined([Frozen(*build_encoder(one.known_net, size)) for one in plan.joined])
        width += joined.num_features
    stride = cast(int, encoder.stride) if has_decoder(plan.model) or plan.head == IMAGE_HEAD else 1
    head = HEADS[plan.head](plan, width, num_outputs, stride)
    return Net(encoder, head, num_features, plan, size, joined)


def build_encoder(plan: NetPlan, size: int) -> tuple[nn.Module, int]:
    """An encoder with random weights, and the number of its features.

    Raises:
        CorpuscleError: it cannot take images of this size.
    """
    from corpuscle.nets import smp_body, timm_encoder
    from corpuscle.nets.joined import Nothing

    if is_timms(plan.model):
        encoder = timm_encoder.build(plan.model, size, plan.pool)
        return encoder, timm_encoder.measure(encoder, plan.model, size)
    if plan.model == NO_ENCODER:
        return Nothing(), Nothing.num_features
    ours = ENCODERS.get(plan.model) or MAPPERS.get(plan.model)
    encoder = ours(plan, size) if ours else smp_body.build(plan.model)
    return encoder, cast(int, encoder.num_features)
