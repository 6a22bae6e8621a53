"""Images with another background, composed as they are asked for from a canvas and its mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from corpuscle.core.seeds import generator_for
from corpuscle.data.cache import Canvases
from corpuscle.data.masks import Masks

SOFT = 1.0  # deviation in pixels of the canvas over which an object fades into its new background
SMALLEST = 0.02  # share of the canvas that an object, and what is around it, must at least have


@dataclass(frozen=True)
class Objects:
    """Where the objects of masks are.

    Attributes:
        masks: prepared as the canvases are, by place.
        classes: numbers of the classes that are the object.
    """

    masks: Masks
    classes: tuple[int, ...]

    def __getitem__(self, place: int) -> np.ndarray:
        """object_HW, bool."""
        return np.isin(self.masks[place], self.classes)

    def usable(self, place: int) -> bool:
        """Whether there is an object on the canvas, and something around it."""
        return SMALLEST <= float(self[place].mean()) <= 1 - SMALLEST


@dataclass(frozen=True)
class MadeOf:
    """What a made image is made of.

    Attributes:
        place: of the canvas it is made of.
        kind: of its background: removed, replaced, swapped; empty where it is a copy.
        donor: place of the canvas whose background it gets, with swapped.
        seed: of what is drawn, with replaced.
    """

    place: int
    kind: str = ""
    donor: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class SteppedCanvases:
    """Canvases of images, and behind them those that are made of them.

    Attributes:
        canvases: of images.
        made: what each image beyond these is made of, in order.
        first: place of the first of them.
        objects: of the images, where backgrounds change.
        mean_C: what stands in the place of a background that is removed, in the range of the canvases.
        around_MC: mean colours of the backgrounds of some training images, which replace others.
    """

    canvases: Canvases
    made: Sequence[MadeOf]
    first: int
    objects: Objects | None = None
    mean_C: np.ndarray | None = None
    around_MC: np.ndarray | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.canvases.dtype

    def __getitem__(self, place: int) -> np.ndarray:
        if place < self.first:
            return self.canvases[place]
        made = self.made[place - self.first]
        canvas_HWC = self.canvases[made.place]
        if not made.kind:
            return canvas_HWC
        assert self.objects is not None
        behind_HWC = self._behind(made, canvas_HWC.shape[:2])
        return on_background(canvas_HWC, self.objects[made.place], behind_HWC)

    def _behind(self, made: MadeOf, size_HW: tuple[int, ...]) -> np.ndarray:
        """The new background, float32."""
        if made.donor is not None and self.objects is not None:
            canvas_HWC, object_HW = self.canvases[made.donor], self.objects[made.donor]
            return resized(filled(canvas_HWC, object_HW), size_HW)
        assert self.mean_C is not None and self.around_MC is not None
        if made.kind == "replaced":
            return smooth_field(self.around_MC, size_HW, generator_for(made.seed, "field"))
        return np.broadcast_to(self.mean_C.astype(np.float32), (*size_HW, 3))


def on_background(canvas_HWC: np.ndarray, object_HW: np.ndarray, behind_HWC: np.ndarray) -> np.ndarray:
    """The object of a canvas before another background, its edge faded over a pixel or two; of the canvas's type."""
    import cv2

    share_HW1 = cv2.GaussianBlur(object_HW.astype(np.float32), (0, 0), SOFT)[..., None]
    mixed_HWC = behind_HWC + share_HW1 * (canvas_HWC.astype(np.float32) - behind_HWC)
    return np.rint(mixed_HWC).astype(canvas_HWC.dtype)


def filled(canvas_HWC: np.ndarray, object_HW: np.ndarray) -> np.ndarray:
    """A canvas without its object: where it was, what is around it goes on smoothly, float32.

    Colours are averaged over ever larger squares, those of the object left out, until each square has some; each pixel
    of the object then takes those of the smallest square that has any (pull and push, Gortler et al. 1996).
    """
    import cv2

    hole_HW = cv2.dilate(object_HW.astype(np.uint8), np.ones((5, 5), np.uint8))  # its fading edge is the object's too
    weight_HW = 1.0 - hole_HW.astype(np.float32)
    levels = [np.dstack([canvas_HWC * weight_HW[..., None], weight_HW])]
    while min(levels[-1].shape[:2]) > 1:
        height, width = (max(1, side // 2) for side in levels[-1].shape[:2])
        levels.append(cv2.resize(levels[-1], (width, height), interpolation=cv2.INTER_AREA))
    *finer, coarsest = levels
    filled_HWC = coarsest[..., :3] / np.maximum(coarsest[..., 3:], 1e-6)
    for level in reversed(finer):
        filled_HWC = level[..., :3] + (1 - level[..., 3:]) * resized(filled_HWC, level.shape[:2])
    return filled_HWC


def smooth_field(around_MC: np.ndarray, size_HW: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    """A field that goes from one of some colours to another in a drawn direction, float32."""
    first_C, last_C = around_MC[random.integers(len(around_MC), size=2)].astype(np.float32)
    angle = random.uniform(0, 2 * np.pi)
    y_H, x_W = (np.linspace(-1, 1, side, dtype=np.float32) for side in size_HW)
    way_HW = (np.cos(angle) * x_W[None, :] + np.sin(angle) * y_H[:, None]) / np.float32(2 * np.sqrt(2)) + 0.5
    return first_C + way_HW[..., None].astype(np.float32) * (last_C - first_C)


def resized(array_HWC: np.ndarray, size_HW: tuple[int, ...]) -> np.ndarray:
    """An image at another size, its values between the pixels' own."""
    import cv2

    if array_HWC.shape[:2] == tuple(size_HW):
        return array_HWC
    return cv2.resize(array_HWC, (size_HW[1], size_HW[0]), interpolation=cv2.INTER_LINEAR).reshape(*size_HW, -1)
