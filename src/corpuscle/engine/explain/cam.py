"""Where a classifier looks: the map of a class over an image, from the last maps of its encoder.

Class activation maps: Zhou et al., Learning deep features for discriminative localization, CVPR 2016; Grad-CAM:
Selvaraju et al., Grad-CAM: visual explanations from deep networks via gradient-based localization, ICCV 2017.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import torch
from torch import Tensor, nn

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.settings import validated
from corpuscle.data.prepare import PreparePlan
from corpuscle.engine.explain.placement import Placed, place
from corpuscle.engine.predict import dihedral
from corpuscle.metrics.localisation import normalised
from corpuscle.nets import timm_encoder
from corpuscle.nets.card import Card
from corpuscle.nets.net import Net
from corpuscle.nets.zoo import is_timms

Method = Literal["cam", "gradcam"]
At = Literal["canvas", "native"]

MOST_PIXELS = 16_000_000  # of an image at its own size: its first maps alone take 2 GB
PROBE = 64  # side of the image that tells whether a net of no fixed size has maps


class LastMaps(nn.Module):
    """image_NCHW to the maps_NChw that the encoder pools; None where it pools none."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.encoder, self.plan = net.encoder, net.plan

    def forward(self, image_NCHW: Tensor) -> Tensor | None:
        if is_timms(self.plan.model):
            return timm_encoder.maps(self.encoder, image_NCHW, self.plan.pool)
        maps: Callable[[Tensor], Tensor] | None = getattr(self.encoder, "maps", None)
        return None if maps is None else maps(image_NCHW)


class Steps(nn.Module):
    """A net in two steps, between which its last maps can be taken; the outputs are the net's own.

    Attributes:
        maps: the first step, a layer that captum can listen to.
    """

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net
        self.maps = LastMaps(net)

    def features(self, maps_NChw: Tensor) -> Tensor:
        """features_NC, pooled as the encoder pools."""
        if is_timms(self.net.plan.model):
            return timm_encoder.features(self.net.encoder, maps_NChw, self.net.plan.pool)
        return cast(Tensor, self.net.encoder.pool(maps_NChw))  # type: ignore[operator]

    def forward(self, image_NCHW: Tensor) -> Tensor:
        return self.net.head(self.features(self.maps(image_NCHW)))


@dataclass(frozen=True)
class Looked:
    """An image that a net has looked at.

    Attributes:
        placed: its canvas.
        said_K: the raw probability of each class, the mean over the views.
        views: the canvas as the net saw it, image_1CHW, mirrored and turned.
        maps: maps_1Chw of each view.
    """

    placed: Placed
    said_K: np.ndarray
    views: tuple[Tensor, ...]
    maps: tuple[Tensor, ...]


class Explainer:
    """Makes the map of any class over any image.

    Args:
        net: in evaluation mode, on its device.
        card: says how images are prepared.
        method: `cam`, exact where one linear layer follows the pooled maps; `gradcam` for any head.
        at: whether the net sees the canvas that it was trained with, or the image at its own size.

    Raises:
        CorpuscleError: a net that says no classes, joins encoders, has no maps, or whose head `cam` cannot see through.
    """

    def __init__(self, net: Net, card: Card, method: Method = "cam", at: At = "canvas") -> None:
        self.net, self.card, self.method, self.at = net, card, method, at
        self.plan = validated(PreparePlan, card.prepare)
        self.steps = Steps(net).eval()
        _check(self.steps, card, method)
        self.device = next(net.parameters()).device

    def look(self, image_HWC: np.ndarray) -> Looked:
        """Let the net see an image of any size, uint8 or uint16.

        Raises:
            CorpuscleError: it is too large to be seen at its own size, or the net takes one size alone.
        """
        height, width = image_HWC.shape[:2]
        if self.at == "native" and height * width > MOST_PIXELS:
            raise CorpuscleError(
                f"--at native expects up to {MOST_PIXELS / 1e6:.0f} million pixels, got {height} × {width}; "
                "pass --at canvas, or cut the image into pieces"
            )
        placed = place(image_HWC, self.plan, self.at)
        views = dihedral(self._normalised(placed.canvas_HWC), self.card.views)
        try:
            with torch.no_grad():
                maps = [self.steps.maps(view) for view in views]
                logits = [self.net.head(self.steps.features(one)) for one in maps]
        except (AssertionError, ValueError, RuntimeError) as error:  # as timm tells of a fixed size
            if self.at == "canvas" or "memory" in str(error):
                raise
            said = str(error).partition("\n")[0].rstrip(". ")
            raise CorpuscleError(
                f"{self.net.plan.model} cannot see an image at its own size of {height} × {width} ({said}); "
                "pass --at canvas"
            ) from error
        probs_VK = torch.cat(logits).double().softmax(dim=1)
        return Looked(placed, probs_VK.mean(dim=0).cpu().numpy(), tuple(views), tuple(maps))

    def map_of(self, looked: Looked, target: int) -> np.ndarray:
        """map_hw of a class at the resolution of the net's last maps, as it comes: more is more of that class."""
        see = self._cam if self.method == "cam" else self._gradcam
        maps = [upright(see(looked, view, target), view) for view in range(len(looked.views))]
        return torch.stack(maps).mean(dim=0).float().cpu().numpy()

    def heat(self, looked: Looked, target: int) -> np.ndarray:
        """heat_HW of a class over the whole image, 0 (least) to 1 (most); Grad-CAM shows what speaks for it alone."""
        map_HW = looked.placed.laid_back(self.map_of(looked, target))
        return normalised(np.maximum(map_HW, 0) if self.method == "gradcam" else map_HW)

    def _normalised(self, canvas_HWC: np.ndarray) -> Tensor:
        share_HWC = canvas_HWC.astype(np.float32) / np.iinfo(canvas_HWC.dtype).max
        share_HWC = (share_HWC - np.array(self.card.mean, np.float32)) / np.array(self.card.std, np.float32)
        image_1CHW = torch.from_numpy(share_HWC).permute(2, 0, 1)[None]
        return image_1CHW.to(self.device, memory_format=torch.channels_last)

    def _cam(self, looked: Looked, view: int, target: int) -> Tensor:
        """The weights of the class over the maps; with average pooling the mean of it is the class's logit."""
        linear = cast(nn.Linear, self.net.head[-1])
        with torch.no_grad():
            map_hw = torch.einsum("c,chw->hw", linear.weight[target], looked.maps[view][0].to(linear.weight.dtype))
            return map_hw + linear.bias[target]

    def _gradcam(self, looked: Looked, view: int, target: int) -> Tensor:
        from captum.attr import LayerGradCam

        grad_cam = LayerGradCam(self.steps, self.steps.maps)
        map_11hw = grad_cam.attribute(looked.views[view], target=target, relu_attributions=False)
        return cast(Tensor, map_11hw)[0, 0].detach()


def upright(map_hw: Tensor, view: int) -> Tensor:
    """The map of a mirrored or turned view as that of the image itself; see `dihedral`."""
    turned = map_hw.T if view >= 4 else map_hw
    return turned.flip([(), (1,), (0,), (0, 1)][view % 4])


def _check(steps: Steps, card: Card, method: Method) -> None:
    """See that a net has maps, and that `cam` sees through its head."""
    net = steps.net
    if card.task != "classify":
        raise CorpuscleError(
            f"explain expects a run that names the class of an image, this one is of the task {card.task}; "
            "its report shows what it finds, look there or name another run"
        )
    if net.joined is not None:
        runs = ", ".join(one.run for one in net.plan.joined)
        raise CorpuscleError(
            f"explain expects a net of one encoder, this one joins those of {runs}, whose part in the answer a map of "
            "its own encoder would not show; name a run without net.joined"
        )
    side = card.size or PROBE
    random = torch.Generator().manual_seed(0)
    image_1CHW = torch.randn(1, 3, side, side, generator=random).to(next(net.parameters()).device)
    with torch.no_grad():
        maps = steps.maps(image_1CHW)
        if maps is None:
            raise CorpuscleError(
                f"explain expects an encoder that ends in maps, {net.plan.model} ends in something else; "
                "train a net that has them, such as localiser or resnet18"
            )
        if method == "gradcam":
            return
        if net.plan.head != "linear":
            raise CorpuscleError(
                f"--method cam expects net.head=linear, the run has {net.plan.head}; pass --method gradcam"
            )
        if is_timms(net.plan.model) and net.plan.pool == "avg":
            average_1C, features_1C = maps.mean(dim=(2, 3)), net.encoder(image_1CHW)
            if average_1C.shape != features_1C.shape or not torch.allclose(average_1C, features_1C, atol=1e-4):
                raise CorpuscleError(
                    f"--method cam expects features that are the mean of the last maps, {net.plan.model} has layers "
                    "between the two; pass --method gradcam"
                )
