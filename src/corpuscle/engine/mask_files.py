"""Masks and their objects as files: indexed PNGs in the colours of the classes, and 16-bit numbers of the objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.files import write_bytes, write_json
from corpuscle.core.settings import validated
from corpuscle.data.prepare import PreparePlan
from corpuscle.data.readers.image import ReadPlan
from corpuscle.data.readers.windows import open_windows
from corpuscle.engine.png import png
from corpuscle.engine.predict import unlike_names
from corpuscle.tasks.regions import Regions, regions_of
from corpuscle.tasks.segment import colours_of

if TYPE_CHECKING:
    from corpuscle.engine.predict import Predictor

MASKS, INSTANCES = "masks", "instances"
MOST = np.iinfo(np.uint16).max  # objects that 16 bits can number


def mask_writer(folder: Path, paths: Sequence[Path], predictor: Predictor) -> Callable[[int, np.ndarray], None]:
    """Write the legend, and give what writes the mask of each image in the pixels of the image.

    What is given raises a CorpuscleError where an image has more objects than 16 bits can number.

    Args:
        folder: gets `legend.json`, `masks/NAME.png` (indexed, in the colours of the classes) and `instances/NAME.png`.
        paths: of the images.
        predictor: says what the values mean.
    """
    card = predictor.card
    classes, names = card.classes, unlike_names([str(path) for path in paths])
    colours, smallest = colours_of(card.calibration, classes), card.calibration["smallest"]
    shrink, read = validated(PreparePlan, card.prepare).shrink, validated(ReadPlan, card.read)
    write_json(folder / "legend.json", {"classes": list(classes), "colours": [list(colour) for colour in colours]})

    def write(place: int, mask_HW: np.ndarray) -> None:
        size_HW = mask_HW.shape
        if shrink > 1:
            with open_windows(paths[place], read) as windows:
                size_HW = windows.height, windows.width
        instance_HW = _in_16_bits(regions_of(mask_HW, len(classes), smallest), paths[place])
        for kind, array_HW, palette in ((MASKS, mask_HW, colours), (INSTANCES, instance_HW, ())):
            drawn_HW = array_HW.repeat(shrink, axis=0).repeat(shrink, axis=1)[: size_HW[0], : size_HW[1]]
            write_bytes(folder / kind / f"{names[place]}.png", png(np.ascontiguousarray(drawn_HW), palette))

    return write


def _in_16_bits(regions: Regions, path: Path) -> np.ndarray:
    """The number of the object at each pixel.

    Raises:
        CorpuscleError: there are more than 16 bits can number.
    """
    if (number := len(regions.kind_M)) > MOST:
        raise CorpuscleError(
            f"{path}: expected at most {MOST} objects, which 16 bits can number, the mask has {number}; cut the image "
            "into parts, or train with a larger segment.smallest"
        )
    return regions.instance_HW.astype(np.uint16)
