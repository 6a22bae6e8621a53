"""Layouts of shapes drawn on images: their objects counted, or their areas as masks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from corpuscle.data.annotations.coco import read_coco
from corpuscle.data.annotations.cvat import read_cvat
from corpuscle.data.annotations.labelme import read_labelme
from corpuscle.data.annotations.qupath import read_qupath
from corpuscle.data.annotations.record import CENTRE, Annotations, Marked, Shape
from corpuscle.data.annotations.sheets import path_between
from corpuscle.data.annotations.voc import read_voc
from corpuscle.data.annotations.yolo import read_yolo
from corpuscle.data.geojson import UNNAMED
from corpuscle.data.sources.boxes import Box, box_around, middles_of
from corpuscle.data.sources.found import Found, points_frame
from corpuscle.data.sources.legends import legend_of_labels
from corpuscle.data.sources.plan import SourcePlan
from corpuscle.data.sources.points import unnamed
from corpuscle.data.table import COLUMNS

SCHEMA = COLUMNS | {"mask": pl.String}


def scan_voc(path: Path, plan: SourcePlan) -> Found:
    """One row per image with an XML file of Pascal VOC."""
    return _found(read_voc(path, plan), plan, {}, with_others=False)


def scan_yolo(path: Path, plan: SourcePlan) -> Found:
    """One row per image of a data set of YOLO; its boxes and outlines are the objects."""
    read = read_yolo(path, plan)
    return _found(read, plan, {str(number): name for number, name in enumerate(read.classes)})


def scan_labelme(path: Path, plan: SourcePlan) -> Found:
    """One row per image with a LabelMe file."""
    return _found(read_labelme(path, plan), plan, {})


def scan_cvat(path: Path, plan: SourcePlan) -> Found:
    """One row per image that an XML file of CVAT tells of."""
    return _found(read_cvat(path, plan), plan, {})


def scan_geojson(path: Path, plan: SourcePlan) -> Found:
    """One row per image of a folder with a GeoJSON file of its name; objects without a class are of `data.kind`."""
    read = read_qupath(path, plan)
    return _found(read, plan, {}, with_others=False)


def scan_coco(path: Path, plan: SourcePlan) -> Found:
    """One row per image of a COCO file, and of those for validation and test that the plan names."""
    return _found(read_coco(path, plan), plan, {})


def _found(read: Annotations, plan: SourcePlan, raw: Mapping[str, str], with_others: bool = True) -> Found:
    """The areas as masks where masks are wanted and there are any, else the objects.

    Args:
        read: what was drawn.
        plan: says whether masks are wanted.
        raw: what stands in the files to the class that is meant, where that is not its name.
        with_others: say which images beside these are not among them.
    """
    shapes = [shape for image in read.images for shape in image.shapes]
    areas = sum(shape.kind == "polygon" for shape in shapes)
    found = _masks(read, plan, raw) if areas and plan.masks == "beside" else _objects(read, plan)
    notes = [*read.notes, *found.notes]
    if areas and plan.masks == "auto":
        notes.append(f"{areas} of {len(shapes)} shapes are areas; --recipe segment learns these as masks")
    if with_others:
        notes += unnamed(found.frame, read.root)
    return replace(found, notes=tuple(notes))


def _objects(read: Annotations, plan: SourcePlan) -> Found:
    """A row an image; the middle of each box, and of what each area covers, is an object."""
    notes, faults = list[str](), list(read.faults)
    sizes = {image.image: (image.width, image.height) if image.width else None for image in read.images}
    boxes, crowds = list[Box](), 0
    rows: list[tuple[str | None, float, float, str, str | None]] = []
    for image in read.images:
        for shapes in image.objects():
            first = shapes[0]
            kind = _kind(first, plan)
            if first.crowd:
                crowds += 1
            elif first.kind == "point":
                (x, y) = first.xy[0]
                rows.append((image.image, x - CENTRE, y - CENTRE, kind, first.where))
            else:
                boxes.append(box_around(image.image, kind, shapes))
    if crowds:
        notes.append(f"left out: {crowds} boxes of crowds, whose objects cannot be counted")
    points = pl.concat([middles_of(boxes, sizes, plan, notes, faults), points_frame(rows)])
    frame = _frame(read, [None] * len(read.images)).drop("mask")
    return Found(frame, read.root, tuple(notes), tuple(faults), points)


def _masks(read: Annotations, plan: SourcePlan, raw: Mapping[str, str]) -> Found:
    """A row an image, whose mask is what its annotation draws."""
    kinds = Counter(shape.kind for image in read.images for shape in image.shapes)
    notes, faults = list[str](), list(read.faults)
    if kinds["box"]:
        notes.append(f"the insides of {kinds['box']} boxes, which have no outline, are neither learned nor judged")
    if kinds["point"]:
        notes.append(f"left out: {kinds['point']} points, which cover no area")
    areas = {shape.label for image in read.images for shape in image.shapes if shape.kind == "polygon"}
    names = plan.label_names | {UNNAMED: _unnamed(plan)} if plan.kind != "auto" else plan.label_names
    meaning = legend_of_labels(areas, plan.legend, names, raw)
    faults += meaning.faults
    masks = [_mask_of(image) for image in read.images]
    return Found(_frame(read, masks), read.root, tuple(notes), tuple(faults), legend=meaning.legend)


def _mask_of(image: Marked) -> str | None:
    """How the mask of an image is named: by the annotation and the image; None where nothing tells of it."""
    if not image.source or "#" in image.source:
        return image.source or None
    return f"{image.source}#{path_between(image.source, image.image)}"


def _kind(shape: Shape, plan: SourcePlan) -> str:
    return _unnamed(plan) if shape.label == UNNAMED else shape.label


def _unnamed(plan: SourcePlan) -> str:
    """What objects without a class are called."""
    return UNNAMED if plan.kind == "auto" else plan.kind


def _frame(read: Annotations, masks: Sequence[str | None]) -> pl.DataFrame:
    rows = []
    for image, mask in zip(read.images, masks, strict=True):
        split = image.split if image.source else "unlabelled"
        rows.append((image.image, None, None, split, image.source.partition("#")[0], None, mask))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")
