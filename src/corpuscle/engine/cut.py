"""The cells of a data set, each cut from its image by its mask, its box or by thresholds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from corpuscle.core.errors import CorpuscleError, Fault
from corpuscle.core.legend import IGNORED, Legend
from corpuscle.core.progress import SILENT, Progress
from corpuscle.core.records import in_8_bits
from corpuscle.core.threads import in_threads
from corpuscle.data.annotations.areas import filled
from corpuscle.data.annotations.formats import read_annotations
from corpuscle.data.annotations.record import Shape
from corpuscle.data.annotations.sound import of_kinds
from corpuscle.data.cache import content_of
from corpuscle.data.masks import read_mask
from corpuscle.data.readers.image import ReadPlan, UnreadableImage
from corpuscle.data.readers.read import read_pixels
from corpuscle.data.sources.plan import SourcePlan
from corpuscle.data.table import Table
from corpuscle.synth.cutouts import Cut, by_mask
from corpuscle.synth.extract import CUT_OFF, PAPER, by_box, by_threshold, stain_of

REMEDY = "draw a mask for it, or leave it out"
Objects = Mapping[str, Sequence[Sequence[Shape]]]
"""Image to its objects, each of one piece or more."""


@dataclass(frozen=True)
class Piece:
    """A cell that was cut.

    Attributes:
        cut: at the magnification of its image.
        kind: its name in a smear.
        where: image and object, for faults.
        source: the image, after the name of its data set.
        group: patient or slide, after the name of its data set; None where not known.
        content: digest of the image's pixels.
        mpp: microns a pixel, where the image says so.
        by_mask: whether a person drew its outline.
    """

    cut: Cut
    kind: str
    where: str
    source: str
    group: str | None
    content: str
    mpp: float | None
    by_mask: bool

    @property
    def diameter(self) -> float:
        """Of the disc of its area, in pixels of its image."""
        return 2 * math.sqrt(self.cut.area / math.pi)


def objects_in(path: Path, table: Table, plan: SourcePlan) -> Objects:
    """The boxes and outlines of a data set, none where each image has a label or a mask.

    Raises:
        CorpuscleError: its layout tells of no single cells.
    """
    if not table.counted:
        return {}
    found = of_kinds(read_annotations(path, plan), plan) if table.points is not None else None
    objects = {one.image: _whole(one.objects()) for one in found.images} if found else {}
    if not any(objects.values()):
        raise CorpuscleError(
            f"{table.root} holds {table.layout}, cut-outs need cells with a class each: a folder a class, a CSV with "
            "masks beside the images, or boxes or outlines (Pascal VOC, COCO, YOLO, LabelMe, CVAT, QuPath); lay the "
            "data out like that"
        )
    return objects


def _whole(objects: Sequence[Sequence[Shape]]) -> tuple[Sequence[Shape], ...]:
    """Those of some objects that are a single cell and have an extent."""
    return tuple(shapes for shapes in objects if shapes[0].kind != "point" and not shapes[0].crowd)


def kinds_of(table: Table) -> tuple[str, ...]:
    """The names of the cells of a data set."""
    if not table.segmented:
        return table.classes
    labels = table.frame["label"].drop_nulls().unique().sort().to_list()
    return tuple(labels) if labels else table.classes[1:]


def cut_table(
    table: Table, objects: Objects, name: str, names: Mapping[str, str], read: ReadPlan, progress: Progress = SILENT
) -> tuple[list[Piece], list[Fault]]:
    """Cut the cells of a data set.

    Args:
        table: its images, with the class of the cell in each.
        objects: what is drawn on them, where several cells are in each.
        name: of the data set, before the names of its images.
        names: kind in the data set to kind in a smear; others are left out.
        read: limits of the reader.
        progress: shows how far it is.

    Returns:
        The cells, and a fault for each image that cannot be read and for each cell that cannot be cut.
    """
    columns = ["image", "label", "group", "source", *(["mask"] if table.segmented else [])]
    by_label = not table.counted and table.frame["label"].is_not_null().any()
    rows = [row for row in table.frame.select(columns).iter_rows(named=True) if not by_label or row["label"] in names]

    def cut(row: dict[str, str | None]) -> list[Piece | Fault]:
        drawn = objects.get(str(row["image"]), ()) if table.counted else None
        return list(_cut_image(table, row, drawn, name, names, read))

    results = [one for many in progress.track(in_threads(cut, rows), f"cutting out {name}", len(rows)) for one in many]
    pieces = [one for one in results if isinstance(one, Piece)]
    return pieces, [one for one in results if isinstance(one, Fault)]


def _cut_image(
    table: Table,
    row: Mapping[str, str | None],
    drawn: Sequence[Sequence[Shape]] | None,
    name: str,
    names: Mapping[str, str],
    read: ReadPlan,
) -> Iterator[Piece | Fault]:
    image = str(row["image"])
    try:
        pixels = read_pixels(table.path_of(image), read)
        image_HWC = in_8_bits(pixels.array_HWC)
        ways = _found(table, row, image_HWC, names, read) if drawn is None else _drawn(drawn, image_HWC, names)
        found = list(ways)
    except UnreadableImage as error:
        yield Fault(str(error.path), error.what, error.remedy)
        return
    source, content = f"{name}/{image}", content_of(pixels.array_HWC)
    group = None if row["group"] is None else f"{name}/{row['group']}"
    for one in found:
        if isinstance(one.cut, Cut):
            yield Piece(one.cut, one.kind, one.where, source, group, content, pixels.mpp, one.by_mask)
        else:
            yield Fault(one.where, one.cut if one.cut == PAPER else f"{one.kind} {one.cut}", REMEDY)


@dataclass(frozen=True)
class _Found:
    """One object of an image: its kind in a smear, where it is told of, its cut or why there is none, and the way."""

    kind: str
    where: str
    cut: Cut | str
    by_mask: bool


def _found(
    table: Table, row: Mapping[str, str | None], image_HWC: np.ndarray, names: Mapping[str, str], read: ReadPlan
) -> Iterator[_Found]:
    image, label = str(row["image"]), row["label"]
    mask = _mask_of(table, row)
    if label is not None and mask is None:
        yield _Found(names[label], image, by_threshold(image_HWC), False)
    elif label is not None and mask is not None:
        inside_HW = _inside(mask, table.legend, read)
        yield _Found(names[label], image, _by_mask(image_HWC, _largest(inside_HW)), True)
    elif mask is not None and table.legend is not None:
        mask_HW = read_mask(mask, table.legend, read)
        for number, kind in enumerate(table.classes):
            count, number_HW = cv2.connectedComponents((mask_HW == number).astype(np.uint8))
            for part in range(1, count) if kind in names else ():
                cut = _by_mask(image_HWC, number_HW == part)
                yield _Found(names[kind], f"{image} {kind} {part}", cut, True)


def _mask_of(table: Table, row: Mapping[str, str | None]) -> Path | None:
    """The mask that the table names, else the PNG of the image's name that lies beside it."""
    if table.segmented:
        return table.path_of(str(row["mask"])) if row["mask"] else None
    path = table.path_of(str(row["image"]))
    mask = path.with_suffix(".png")
    return mask if mask != path and mask.is_file() else None


def _inside(mask: Path, legend: Legend | None, read: ReadPlan) -> np.ndarray:
    """The pixels of the one object of a mask: those of any class of the legend; without one, what is not black."""
    if legend is None:
        bright_HW: np.ndarray = np.any(read_pixels(mask, read).array_HWC, axis=-1)
        return bright_HW
    mask_HW = read_mask(mask, legend, read)
    return (mask_HW != 0) & (mask_HW != IGNORED)


def _by_mask(image_HWC: np.ndarray, inside_HW: np.ndarray) -> Cut | str:
    if inside_HW.shape != image_HWC.shape[:2]:
        (tall, wide), (height, width) = inside_HW.shape, image_HWC.shape[:2]
        return f"has a mask of another size (mask {tall} × {wide} pixels, image {height} × {width})"
    if inside_HW[[0, -1]].any() or inside_HW[:, [0, -1]].any():
        return CUT_OFF
    return by_mask(image_HWC, inside_HW) or "has an empty mask"


def _drawn(objects: Sequence[Sequence[Shape]], image_HWC: np.ndarray, names: Mapping[str, str]) -> Iterator[_Found]:
    """Each object by its outline, or by its stain where it has but a box."""
    stain_HW = stain_of(image_HWC)
    height, width = stain_HW.shape
    for shapes in objects:
        first = shapes[0]
        if first.label not in names:
            continue
        if first.kind == "polygon":
            inside_HW = np.zeros((height, width), bool)
            for shape in shapes:
                at, of_piece_HW = filled([shape.xy, *shape.holes], (height, width))
                inside_HW[at] |= of_piece_HW
            yield _Found(names[first.label], first.where, _by_mask(image_HWC, inside_HW), True)
        else:
            yield from _in_boxes(shapes, image_HWC, stain_HW, names)


def _in_boxes(
    boxes: Sequence[Shape], image_HWC: np.ndarray, stain_HW: np.ndarray, names: Mapping[str, str]
) -> Iterator[_Found]:
    height, width = stain_HW.shape
    for box in boxes:
        (left, top), (right, bottom) = (map(round, corner) for corner in box.xy)
        pixels = max(left, 0), max(top, 0), min(right, width) - 1, min(bottom, height) - 1
        if pixels[0] < pixels[2] and pixels[1] < pixels[3]:
            yield _Found(names[box.label], box.where, by_box(image_HWC, stain_HW, pixels), False)


def _largest(inside_HW: np.ndarray) -> np.ndarray:
    """The largest connected part: specks of a mask are slips of the hand."""
    count, number_HW, stats, _ = cv2.connectedComponentsWithStats(inside_HW.astype(np.uint8))
    if count < 2:
        return inside_HW
    kept_HW: np.ndarray = number_HW == 1 + np.argmax(stats[1:, cv2.CC_STAT_AREA])
    return kept_HW
