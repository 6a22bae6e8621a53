"""Masks that no file holds: the areas that an annotation draws on an image, made pixels when they are read."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from corpuscle.core.errors import CorpuscleError, Fault
from corpuscle.core.legend import IGNORED, Legend
from corpuscle.data.annotations import coco, cvat, labelme, qupath, yolo
from corpuscle.data.annotations.areas import filled
from corpuscle.data.annotations.record import Shape
from corpuscle.data.annotations.rings import corners_of
from corpuscle.data.annotations.sheets import Book, Sheet
from corpuscle.data.readers.image import ReadPlan, UnreadableImage, size_of
from corpuscle.data.sources.named import read_json

PLACE = r"(?i)(\.(?:geojson|json|txt|xml))(#.+)$"  # the image, behind the name of the file that draws on it
DRAWN = re.compile(rf"^(.*){PLACE[4:]}", re.IGNORECASE)
MEND = "mend it, or leave the image out"
ALONE = ""  # the name of the image where a file tells of one alone
_one_at_a_time = threading.Lock()


def is_drawn(mask: str) -> bool:
    """Whether a mask is what an annotation draws, `FILE#IMAGE`: the image as the file calls it, or seen from there.

    >>> is_drawn("a.json#a.png"), is_drawn("labels/a.txt#../images/a.png"), is_drawn("a#1.png")
    (True, True, False)
    """
    return DRAWN.match(mask) is not None


def file_of_mask(mask: Path) -> Path:
    """The file that holds a mask, or the annotation that draws it."""
    match = DRAWN.match(str(mask))
    return Path(match[1] + match[2]) if match else mask


def read_drawn(path: Path, legend: Legend, plan: ReadPlan = ReadPlan()) -> np.ndarray:  # noqa: B008 (frozen)
    """The class of each pixel by the areas drawn on it, later ones over earlier.

    A pixel is inside where its middle is. What nothing covers is background; what a box covers and no area is ignored,
    for where in the box its object lies is not known. Points are passed over.

    Args:
        path: `FILE#IMAGE`.
        legend: names each label, as the file writes it, with the number of its class.
        plan: limits of the reader.

    Returns:
        mask_HW, uint8.

    Raises:
        UnreadableImage: it cannot be read, or has labels that the legend does not name.
    """
    match = DRAWN.match(str(path))
    if match is None:
        raise UnreadableImage(path, "is no annotation and an image in it", "name them as FILE#IMAGE")
    try:
        shapes, (width, height) = _drawn_on(file_of_mask(path), match[3][1:])
    except UnreadableImage:
        raise
    except CorpuscleError as error:
        what, _, remedy = str(error).partition("\n")[0].partition(": ")[2].partition("; ")
        raise UnreadableImage(path, what, remedy or MEND) from None
    if width * height > plan.max_pixels:
        what = f"has {width} x {height} pixels, more than the limit of {plan.max_pixels:,}"
        raise UnreadableImage(path, what, f"pass --set read.max_pixels={width * height}")
    unknown = sorted({shape.label for shape in shapes if shape.kind == "polygon"} - legend.number_of.keys())
    if unknown:
        what = f"draws areas that the legend does not name ({', '.join(unknown[:5])})"
        raise UnreadableImage(path, what, "add them to data.legend ('ignore' leaves them out), or mend the labels")
    mask_HW = np.zeros((height, width), np.uint8)
    for shape in shapes:
        if shape.kind == "box":
            place, inside_HW = filled([corners_of(shape.box)], mask_HW.shape)
            mask_HW[place][inside_HW] = IGNORED
    for shape in shapes:
        if shape.kind == "polygon":
            place, inside_HW = filled([shape.xy, *shape.holes], mask_HW.shape)
            mask_HW[place][inside_HW] = legend.number_of[shape.label]
    return mask_HW


def labels_on(path: Path) -> frozenset[str]:
    """The labels of the areas of a mask that is drawn; none where it cannot be read."""
    match = DRAWN.match(str(path))
    try:
        shapes, _ = _drawn_on(file_of_mask(path), match[3][1:]) if match else ((), (0, 0))
    except CorpuscleError:  # told with its remedy when the masks are read
        return frozenset()
    return frozenset(shape.label for shape in shapes if shape.kind == "polygon")


def _drawn_on(file: Path, image: str) -> tuple[tuple[Shape, ...], tuple[int, int]]:
    """What a file draws on an image, and the width and height of that."""
    suffix, book = file.suffix.lower(), Book()
    if suffix == ".txt":
        size = size_of(file.parent / image)
        rows = yolo.shapes_in(file, file.name, size)
        shapes, book.faults = rows.shapes, list(rows.faults)
    elif suffix == ".geojson":
        shapes, size = qupath.shapes_in(file, file.name, book), size_of(file.parent / image)
    else:
        stat = file.stat() if file.is_file() else None
        if stat is None:
            raise UnreadableImage(file, "does not exist", "restore it")
        with _one_at_a_time:  # threads would read a file of all images each for itself
            held = _held_in(file, stat.st_size, stat.st_mtime_ns)
        book.faults = list(held.faults)
        place = ALONE if ALONE in held.on else image
        shapes, said = held.on.get(place, ((), (0, 0)))
        if place not in held.on and not held.faults:
            raise UnreadableImage(file, f"tells nothing of {image}", MEND)
        size = said or size_of(file.parent / image)
    if book.faults:
        fault = book.faults[0]
        raise UnreadableImage(file, f"{fault.where}: {fault.what}", fault.remedy)
    return shapes, size


@dataclass(frozen=True)
class _Held:
    """The shapes and the size of each image that a file tells of, and what is wrong with it."""

    on: Mapping[str, tuple[tuple[Shape, ...], tuple[int, int] | None]]
    faults: tuple[Fault, ...]


@lru_cache(maxsize=8)
def _held_in(file: Path, num_bytes: int, time_ns: int) -> _Held:
    """What a JSON or XML file holds, kept as long as that stays as it is."""
    book = Book()
    if cvat.is_cvat(file):
        sheets: Sequence[Sheet] = cvat.sheets_in(file, book)
    elif coco.is_coco(file):
        held = coco.held_in(file)
        sheets, book.faults = held.sheets, list(held.faults)
    else:
        content = read_json(file)
        if not labelme.is_labelme(content):
            raise UnreadableImage(file, "is JSON of another kind, LabelMe's or COCO's was expected", MEND)
        shapes = labelme.shapes_in(content, file.name, book)
        return _Held({ALONE: (shapes, None)}, tuple(book.faults))
    return _Held({str(sheet.image): (sheet.shapes, sheet.size) for sheet in sheets}, tuple(book.faults))
