"""Shapes in LabelMe: a JSON file an image."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from corpuscle.core.errors import CorpuscleError
from corpuscle.data.annotations.record import Annotations, Shape, classes_in
from corpuscle.data.annotations.rle import pieces_of
from corpuscle.data.annotations.sheets import (
    DRAW_AGAIN,
    Book,
    Sheet,
    box_of,
    ellipse,
    marked,
    part_of,
    path_from,
    points_of,
    ring_of,
)
from corpuscle.data.sources.disk import absolute, files_under, listing, suffix_of
from corpuscle.data.sources.named import read_json
from corpuscle.data.sources.plan import SourcePlan

READ = "rectangle, polygon, circle, point and mask are read"


def is_labelme(content: Any) -> bool:
    """Whether the content of a JSON file is LabelMe's."""
    return isinstance(content, dict) and isinstance(content.get("shapes"), list)


def read_labelme(path: Path, plan: SourcePlan) -> Annotations:
    """The shapes of a folder of LabelMe files and of all folders in it, or of one file; folders may be parts.

    The image is the one that `imagePath` names, as seen from its file, or has its file's name; pixels within the file
    are passed over. JSON files of other kinds are left out.
    """
    root = absolute(path if path.is_dir() else path.parent)
    names = [name for name in files_under(root) if suffix_of(name) == ".json"] if path.is_dir() else [path.name]
    book = Book()
    sheets, others = [], []
    for name in names:
        try:
            content = read_json(root / name)
        except CorpuscleError as error:
            what, _, remedy = str(error).removeprefix(f"{root / name}: ").partition("; ")
            book.fault(name, what, remedy)
            continue
        if not is_labelme(content):
            others.append(name)
            continue
        image = _image_of(root, name, content)
        if image is None:
            said = content.get("imagePath")
            book.fault(name, f"its image '{said}' does not exist", "put the image beside it, or mend imagePath")
        shapes = shapes_in(content, name, book)
        sheets.append(Sheet(image, shapes, name, name, part_of(name), _size(content)))
    if others:
        book.notes.append(f"left out: {len(others)} JSON files that are not LabelMe's (first: {others[0]})")
    images = marked(sheets, root, book)
    return Annotations(root, images, classes_in(images), tuple(book.notes), tuple(book.faults))


def shapes_in(content: Mapping[str, Any], name: str, book: Book) -> tuple[Shape, ...]:
    """The shapes of one file, and a fault for each that is none."""
    shapes: list[Shape] = []
    for number, item in enumerate(content["shapes"], 1):
        where = f"{name} shape {number}"
        label = str(item.get("label") or "").strip() if isinstance(item, dict) else ""
        if not label:
            book.fault(where, "has no label", "write its class")
            continue
        try:
            shapes += _shapes(item, label, where)
        except ValueError as error:
            book.fault(where, str(error), DRAW_AGAIN)
    return tuple(shapes)


def _shapes(item: Mapping[str, Any], label: str, where: str) -> Iterator[Shape]:
    points = points_of(item.get("points") or ())
    kind = item.get("shape_type") or "polygon"
    group = item.get("group_id")
    instance = group if isinstance(group, int) else None
    if kind == "polygon":
        yield Shape("polygon", label, ring_of(points), instance=instance, where=where)
    elif kind == "rectangle":
        if len(points) not in (2, 4):
            raise ValueError(f"is a rectangle of {len(points)} points, 2 were expected")
        xs, ys = zip(*points, strict=True)
        yield Shape("box", label, box_of([min(xs), min(ys), max(xs), max(ys)]), instance=instance, where=where)
    elif kind == "circle":
        if len(points) != 2:
            raise ValueError(f"is a circle of {len(points)} points, 2 were expected")
        (x, y), rim = points
        radius = math.dist((x, y), rim)
        yield Shape("polygon", label, ellipse(x, y, radius, radius), instance=instance, where=where)
    elif kind == "point" and points:
        yield Shape("point", label, (points[0],), instance=instance, where=where)
    elif kind == "mask" and points:
        left, top = (min(ends) for ends in zip(*points, strict=True))
        pieces = list(pieces_of(_mask(item.get("mask")), round(left), round(top)))
        if instance is None and len(pieces) > 1:
            instance = -int(where.rpartition(" ")[2])  # a number that no group has
        for outline, holes in pieces:
            yield Shape("polygon", label, outline, holes, instance, where=where)
    else:
        raise ValueError(f"is a {kind} of {len(points)} points, which is not read; {READ}")


def _mask(text: Any) -> np.ndarray:
    """The PNG of a shape that was drawn by a tool for masks."""
    import cv2

    try:
        bytes_B = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    except (binascii.Error, TypeError, ValueError):
        raise ValueError("has a mask that is not base64") from None
    mask_HW = cv2.imdecode(bytes_B, cv2.IMREAD_GRAYSCALE) if bytes_B.size else None
    if mask_HW is None:
        raise ValueError("has a mask that is no PNG")
    inside_HW: np.ndarray = mask_HW > 0
    return inside_HW


def _image_of(root: Path, name: str, content: Mapping[str, Any]) -> str | None:
    file = root / name
    said = content.get("imagePath")
    if isinstance(said, str) and said.strip():
        written = Path(said.replace("\\", "/"))
        for path in (absolute(file.parent / written), file.parent / written.name):
            if path.is_file():
                return path_from(root, path)
    beside = [one for one in listing(file.parent).images if Path(one).stem == file.stem]
    return path_from(root, file.parent / beside[0]) if len(beside) == 1 else None


def _size(content: Mapping[str, Any]) -> tuple[int, int] | None:
    width, height = content.get("imageWidth"), content.get("imageHeight")
    return (width, height) if isinstance(width, int) and isinstance(height, int) and width and height else None
