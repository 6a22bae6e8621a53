"""The images of a run that are kept with their masks: what is true, what was said, and where the two differ."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from corpuscle.core.legend import IGNORED, Colour
from corpuscle.core.seeds import generator_for
from corpuscle.report.pictures import jpeg_uri
from corpuscle.report.run_data import RunData

SIDE = 448  # pixels of a picture's longer side
TINT = 0.45  # of a class's colour over the image
RIM = 200  # pixels of a picture's longer side to one of an outline's width
DIM = 0.4  # brightness left to the image where masks differ
NEAREST = Image.Resampling.NEAREST
DIFFERENCES: dict[str, Colour] = {
    "missed": (240, 228, 66),
    "invented": (86, 180, 233),
    "of another class": (213, 94, 0),
}
"""What a wrong pixel is: an object called background, background called an object, one class called another."""


@dataclass(frozen=True, eq=False)
class Example:
    """One image that is kept with its masks, all at the size in which they are shown.

    Attributes:
        image: its name.
        dice: over the classes that it shows; None where it is not known.
        picture_HW3: as the net saw it.
        true_HW, said_HW: class numbers; the true ones may be IGNORED.
        classes, colours: by number.
    """

    image: str
    dice: float | None
    picture_HW3: np.ndarray
    true_HW: np.ndarray
    said_HW: np.ndarray
    classes: Sequence[str]
    colours: Sequence[Colour]

    @property
    def file(self) -> str:
        """The image's file name without its folders."""
        return self.image.replace("\\", "/").rsplit("/", 1)[-1]

    @property
    def size_HW(self) -> tuple[int, int]:
        """Height and width in which it is shown."""
        return self.true_HW.shape[0], self.true_HW.shape[1]

    @cached_property
    def views(self) -> dict[str, tuple[str, str]]:
        """What a view shows to its picture as a data URI and the picture in words."""
        wrong = ", ".join(f"{100 * share:.1f} % {what}" for what, share in self.wrong.items())
        return {
            "image": (_uri(self.picture_HW3), f"{self.file} as the net saw it"),
            "true": (_uri(self._covered(self.true_HW)), f"true mask of {self.file}: {self._named(self.true_HW)}"),
            "predicted": (
                _uri(self._covered(self.said_HW)),
                f"predicted mask of {self.file}: {self._named(self.said_HW)}",
            ),
            "differences": (_uri(self._differing()), f"where the masks of {self.file} differ: {wrong} of the pixels"),
        }

    @cached_property
    def wrong(self) -> dict[str, float]:
        """The share of the judged pixels that are wrong, by what they are."""
        judged = max(int((self.true_HW != IGNORED).sum()), 1)
        return {what: float(mask_HW.sum()) / judged for what, mask_HW in self._wrong_masks().items()}

    def _wrong_masks(self) -> dict[str, np.ndarray]:
        """Where pixels are wrong, in the order of `DIFFERENCES`."""
        wrong_HW = (self.true_HW != IGNORED) & (self.true_HW != self.said_HW)
        masks = (wrong_HW & (self.said_HW == 0), wrong_HW & (self.true_HW == 0))
        return dict(zip(DIFFERENCES, (*masks, wrong_HW & ~masks[0] & ~masks[1]), strict=True))

    def _covered(self, mask_HW: np.ndarray) -> np.ndarray:
        """The image under the colours of its objects, each with its outline; what is not judged is veiled."""
        covered_HW3 = self.picture_HW3.astype(float)
        covered_HW3[mask_HW == IGNORED] = 0.5 * covered_HW3[mask_HW == IGNORED] + 64
        palette_I3 = np.zeros((IGNORED + 1, 3))
        palette_I3[: len(self.colours)] = self.colours
        object_HW = (mask_HW != 0) & (mask_HW != IGNORED)
        colour_HW3 = palette_I3[mask_HW]
        covered_HW3[object_HW] += TINT * (colour_HW3 - covered_HW3)[object_HW]
        rim_HW = object_HW & _rim(mask_HW)
        covered_HW3[rim_HW] = colour_HW3[rim_HW]
        return covered_HW3.round().astype(np.uint8)

    def _differing(self) -> np.ndarray:
        """The image dim and grey, and over it each wrong pixel in the colour of its fault."""
        grey_HW1 = self.picture_HW3.mean(axis=2, keepdims=True)
        shown_HW3 = np.repeat(DIM * grey_HW1, 3, axis=2)
        for what, mask_HW in self._wrong_masks().items():
            shown_HW3[mask_HW] = DIFFERENCES[what]
        return shown_HW3.round().astype(np.uint8)

    def _named(self, mask_HW: np.ndarray) -> str:
        """The classes of a mask but the background, the largest first."""
        pixels_I = np.bincount(mask_HW.ravel(), minlength=IGNORED + 1)[: len(self.classes)]
        order = [k for k in np.argsort(-pixels_I, kind="stable") if k and pixels_I[k]]
        return ", ".join(self.classes[k] for k in order) or "background alone"


def examples(run: RunData) -> list[Example]:
    """The kept images of the part whose numbers count; those whose files are gone or do not fit are left out."""
    part = run.main_part
    items = [item for item in run.examples.get("items", ()) if part and item.get("part") == part.name]
    found = (_example(run, item) for item in items)
    return [one for one in found if one is not None]


def sample(kept: Sequence[Example], limit: int, seed: int = 0) -> list[Example]:
    """A random choice in the order they were kept."""
    chosen = generator_for(seed, "report", "masks").permutation(len(kept))[:limit]
    return [kept[place] for place in sorted(chosen)]


def lowest(kept: Sequence[Example], limit: int) -> list[Example]:
    """Those with the lowest Dice, lowest first; perfect ones are left out."""
    judged = [one for one in kept if one.dice is not None and one.dice < 1]
    return sorted(judged, key=lambda one: one.dice or 0.0)[:limit]


def _example(run: RunData, item: dict[str, Any]) -> Example | None:
    paths = [run.folder / "examples" / Path(str(item.get(name, ""))).name for name in ("picture", "true", "said")]
    try:
        picture_HW3, true_HW, said_HW = _opened(paths)
    except (OSError, ValueError):
        return None
    if not picture_HW3.shape[:2] == true_HW.shape == said_HW.shape:
        return None
    dice = item.get("dice")
    dice = float(dice) if isinstance(dice, int | float) else None
    return Example(str(item.get("image")), dice, picture_HW3, true_HW, said_HW, run.classes, run.colours)


def _opened(paths: Sequence[Path]) -> list[np.ndarray]:
    """A picture and two masks, at most `SIDE` pixels long; classes are never mixed by it."""
    arrays = []
    for path in paths:
        with Image.open(path) as image:
            is_mask = path != paths[0]
            shown = Image.fromarray(np.asarray(image).astype(np.uint8)) if is_mask else image.convert("RGB")
        scale = min(1.0, SIDE / max(shown.size))
        size = (max(1, round(scale * shown.width)), max(1, round(scale * shown.height)))
        arrays.append(np.asarray(shown.resize(size, NEAREST if is_mask else Image.Resampling.LANCZOS)))
    return arrays


def _rim(mask_HW: np.ndarray) -> np.ndarray:
    """The pixels of each region that lie beside another one."""
    height, width = mask_HW.shape
    rim_HW, reach = np.zeros(mask_HW.shape, bool), max(1, round(max(height, width) / RIM))
    padded = np.pad(mask_HW, reach, mode="edge")
    for y, x in itertools.product(range(2 * reach + 1), repeat=2):
        if abs(y - reach) + abs(x - reach) <= reach:
            rim_HW |= padded[y : y + height, x : x + width] != mask_HW
    return rim_HW


def _uri(array_HW3: np.ndarray) -> str:
    return jpeg_uri(array_HW3, SIDE)
