"""Masks: the class of each pixel, and in 16 bits the number of its object; outlines go along the edges of pixels."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.legend import BACKGROUND, IGNORED, colours_for
from corpuscle.data.annotations.areas import filled
from corpuscle.data.annotations.record import PART_OF, Annotations, Marked, Shape
from corpuscle.data.annotations.rle import pieces_of
from corpuscle.data.annotations.sheets import Book, Sheet, marked
from corpuscle.data.masks import read_mask, read_values
from corpuscle.data.readers.image import UnreadableImage
from corpuscle.data.sources import scan
from corpuscle.data.sources.masks import MASK_FOLDERS
from corpuscle.data.sources.plan import SourcePlan
from corpuscle.data.sources.sheet import plain

IMAGES, MASKS, INSTANCES, LEGEND = "images", "masks", "instances", "legend.json"
MOST_CLASSES, MOST_OBJECTS = IGNORED - 1, np.iinfo(np.uint16).max


def read_masks(path: Path, plan: SourcePlan) -> Annotations:
    """The islands of each class; where a folder `instances` lies beside that of the masks, its numbers part objects."""
    table = scan(path, plan)
    assert table.legend is not None
    book = Book([note for note in table.notes if note != f"left out: folder '{INSTANCES}'"])
    if labels := table.frame["label"].count():
        book.notes.append(f"left out: the labels of {labels} whole images")
    rows = table.frame.drop_nulls("mask").select("image", "mask", "split").rows()
    sheets, passed = [], 0
    for image, mask, split in rows:
        try:
            mask_HW = read_mask(table.path_of(mask), table.legend)
            passed += int((mask_HW == IGNORED).sum())
            mask_HW[mask_HW == IGNORED] = 0
            shapes = tuple(_shapes(mask_HW, table.root, mask, table.legend.classes))
        except UnreadableImage as error:
            book.fault(mask, error.what, error.remedy)
            continue
        sheets.append(Sheet(image, shapes, mask, mask, PART_OF.get(split)))
    if passed:
        book.notes.append(f"left out: {passed} pixels to ignore, which become background")
    if unlabelled := len(table) - len(rows):
        book.notes.append(f"left out: {unlabelled} images without a mask")
    images = marked(sheets, table.root, book)
    return Annotations(table.root, images, table.legend.classes[1:], tuple(book.notes), tuple(book.faults))


def write_masks(annotations: Annotations, folder: Path) -> tuple[str, ...]:
    """An indexed PNG and the numbers of its objects an image, and a legend; a note where objects cover one another."""
    classes = (BACKGROUND, *(name for name in annotations.classes if name != BACKGROUND))
    if len(classes) > MOST_CLASSES:
        raise CorpuscleError(
            f"masks hold at most {MOST_CLASSES - 1} classes, these are {len(classes) - 1}; convert to another format"
        )
    colours = colours_for(classes)
    legend = {"classes": list(classes), "colours": [list(colour) for colour in colours]}
    (folder / LEGEND).write_text(json.dumps(legend, ensure_ascii=False) + "\n", encoding="utf-8")
    covered = lost = 0
    for one in annotations.images:
        mask_HW, instance_HW, over, gone = _drawn(one, classes)
        covered, lost = covered + over, lost + gone
        for kind, array_HW in ((MASKS, mask_HW), (INSTANCES, instance_HW)):
            place = folder / one.image.replace(f"{IMAGES}/", f"{kind}/", 1)
            place = place.with_suffix(".png")
            place.parent.mkdir(parents=True, exist_ok=True)
            drawn = Image.fromarray(array_HW)
            if kind == MASKS:
                drawn.putpalette(list(itertools.chain(*colours)))
            drawn.save(place)
    told = {"that cover parts of others, whose pixels they take": covered, "left without a pixel": lost}
    return tuple(f"objects {what}: {number}" for what, number in told.items() if number)


def _shapes(mask_HW: np.ndarray, root: Path, mask: str, classes: Sequence[str]) -> Iterator[Shape]:
    """The outlines of each class, island by island, or object by object where these are numbered."""
    from scipy.ndimage import find_objects

    number_HW = _numbers(root, mask)
    if number_HW is None:
        number_HW = np.zeros(mask_HW.shape, np.uint16)
    elif number_HW.shape != mask_HW.shape:
        what = f"is {mask_HW.shape[1]} x {mask_HW.shape[0]} pixels, that in {INSTANCES} is"
        what += f" {number_HW.shape[1]} x {number_HW.shape[0]}"
        raise UnreadableImage(mask, what, f"restore it, or remove the folder {INSTANCES}")
    key_HW = number_HW.astype(np.int64) * len(classes) + mask_HW  # an object of two classes is one of each
    key_K, place_HW = np.unique(key_HW, return_inverse=True)
    place_HW = place_HW.reshape(mask_HW.shape) + 1
    for place, (key, at) in enumerate(zip(key_K.tolist(), find_objects(place_HW), strict=True), 1):
        number, kind = divmod(key, len(classes))
        pieces = list(pieces_of(place_HW[at] == place, at[1].start, at[0].start)) if kind else []
        for outline, holes in pieces:
            instance = place if number and len(pieces) > 1 else None
            yield Shape("polygon", classes[kind], outline, holes, instance, where=mask)


def _numbers(root: Path, mask: str) -> np.ndarray | None:
    """The number of the object at each pixel, from the folder beside that of the masks; None where there is none."""
    folders = [place for place in PurePosixPath(mask).parents if plain(place.name) in MASK_FOLDERS]
    if not folders:
        return None
    file = root / folders[0].parent / INSTANCES / PurePosixPath(mask).relative_to(folders[0])
    return read_values(file).value_HW if file.is_file() else None


def _drawn(one: Marked, classes: Sequence[str]) -> tuple[np.ndarray, np.ndarray, int, int]:
    """The mask, the numbers of its objects, how many of these cover others, and how many have no pixel left."""
    objects = one.objects()
    if len(objects) > MOST_OBJECTS:
        raise CorpuscleError(
            f"{one.image}: expected at most {MOST_OBJECTS} objects, which 16 bits can number, it has {len(objects)}; "
            "convert to another format"
        )
    mask_HW = np.zeros((one.height, one.width), np.uint8)
    number_HW = np.zeros((one.height, one.width), np.uint16)
    covering = 0
    for number, pieces in enumerate(objects, 1):
        over = False
        for shape in pieces:
            at, inside_HW = filled((shape.xy, *shape.holes), number_HW.shape)
            over |= bool((~np.isin(number_HW[at], (0, number)) & inside_HW).any())
            mask_HW[at][inside_HW] = classes.index(shape.label)
            number_HW[at][inside_HW] = number
        covering += over
    return mask_HW, number_HW, covering, len(objects) - len(np.unique(number_HW[number_HW > 0]))
