"""Layout of boxes in COCO: one JSON file with images, annotations and categories."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from corpuscle.core.errors import Fault
from corpuscle.data.sources.boxes import Box, middles_of
from corpuscle.data.sources.disk import absolute
from corpuscle.data.sources.found import Found, points_frame
from corpuscle.data.sources.marks import find_named, json_in, read_json
from corpuscle.data.sources.plan import SourcePlan
from corpuscle.data.sources.points import unnamed
from corpuscle.data.sources.sizes import sizes_of
from corpuscle.data.table import COLUMNS

LISTS = ("images", "annotations", "categories")


@dataclass
class _Notebook:
    """What is said of a file while it is read."""

    name: str
    notes: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def fault(self, place: str, what: str, remedy: str) -> None:
        self.faults.append(Fault(f"{self.name} {place}".strip(), what, remedy))


def is_coco(content: Any) -> bool:
    """Whether the content of a JSON file is COCO's."""
    return isinstance(content, dict) and {"images", "annotations"} <= content.keys()


def scan_coco(path: Path, plan: SourcePlan) -> Found:
    """One row per image of a COCO file, and of those for validation and test that the plan names."""
    if path.is_dir():
        path = json_in(path)
    parts: dict[Path, str | None] = {absolute(path): "train" if plan.valid or plan.test else None}
    parts |= {absolute(named): part for part, named in (("val", plan.valid), ("test", plan.test)) if named}
    root = absolute(plan.root or path.parent)
    found = [_scan_one(file, part, root, plan) for file, part in parts.items()]
    frame = pl.concat([one.frame for one in found])
    return Found(
        frame,
        root,
        (*(note for one in found for note in one.notes), *unnamed(frame, root)),
        tuple(fault for one in found for fault in one.faults),
        pl.concat([one.points for one in found if one.points is not None]),
    )


def _scan_one(file: Path, part: str | None, root: Path, plan: SourcePlan) -> Found:
    book = _Notebook(file.name)
    content = read_json(file)
    held = content if isinstance(content, dict) else {}
    for name in LISTS:
        if not isinstance(held.get(name), list):
            book.fault("", f"has no list '{name}'", "write it as COCO does")
    if book.faults:
        return Found(pl.DataFrame(schema=COLUMNS), root, (), tuple(book.faults), points_frame([]))
    listed = _images(held["images"], book)
    names = list(listed.values())
    from_root = plan if plan.root or file.parent == root else plan.model_copy(update={"root": root})
    _, places = find_named(names, file, from_root)
    images = dict(zip(listed, places, strict=True))
    for number, image in images.items():
        if image is None:
            remedy = "mend the name, or name its folder with --set data.root=FOLDER"
            book.fault(f"image {number}", f"'{listed[number]}' does not exist in {root}", remedy)
    there = [image for image in images.values() if image]
    sizes = dict(zip(there, sizes_of([root / image for image in there]), strict=True))
    _size_faults(held["images"], images, sizes, book)
    boxes = _boxes(held, images, book)
    points = middles_of(boxes, sizes, plan, book.notes, book.faults)
    rows = [(image, None, None, part, file.name, None) for image in images.values()]
    frame = pl.DataFrame(rows, schema=COLUMNS, orient="row")
    return Found(frame, root, tuple(book.notes), tuple(book.faults), points)


def _images(items: list[Any], book: _Notebook) -> dict[Any, str]:
    """The name of each image by its number."""
    listed: dict[Any, str] = {}
    names: set[str] = set()
    for place, item in enumerate(items, 1):
        number, name = (item.get("id"), item.get("file_name")) if isinstance(item, dict) else (None, None)
        if not isinstance(number, int | str) or not isinstance(name, str):
            book.fault(f"images[{place}]", "has no id and file_name", "write both")
        elif number in listed or name in names:
            book.fault(f"image {number}", f"'{name}' is listed twice, or its id is", "keep one of them")
        else:
            listed[number] = name
            names.add(name)
    return listed


def _size_faults(
    items: list[Any],
    images: Mapping[Any, str | None],
    sizes: Mapping[str, tuple[int, int] | None],
    book: _Notebook,
) -> None:
    for item in items:
        number = item.get("id") if isinstance(item, dict) else None
        image = images.get(number) if isinstance(number, int | str) else None
        size = sizes.get(image or "")
        said = (item.get("width"), item.get("height")) if image else (None, None)
        if size and all(said) and said != size:
            what = f"is said to be {said[0]} x {said[1]} pixels, {image} is {size[0]} x {size[1]}"
            book.fault(f"image {number}", what, "draw the boxes on this image, or restore the other")


def _boxes(held: Mapping[str, Any], images: Mapping[Any, str | None], book: _Notebook) -> list[Box]:
    kinds = {
        item["id"]: str(item.get("name") or "")
        for item in held["categories"]
        if isinstance(item, dict) and isinstance(item.get("id"), int | str)
    }
    for number, kind in kinds.items():
        if not kind:
            book.fault(f"category {number}", "has no name", "write the name of its class")
    boxes, crowds = [], 0
    for place, item in enumerate(held["annotations"], 1):
        item = item if isinstance(item, dict) else {}
        item = {name: value for name, value in item.items() if name == "bbox" or not isinstance(value, list | dict)}
        where, box = f"annotation {item.get('id', place)}", item.get("bbox")
        sound = isinstance(box, list) and len(box) == 4 and all(map(_is_number, box))
        if not sound:
            book.fault(where, f"bbox {json.dumps(box)[:60]} is not four numbers", "write [x, y, width, height]")
        if item.get("image_id") not in images:
            book.fault(where, f"no image has the id {item.get('image_id')}", "add the image, or remove the annotation")
        elif item.get("category_id") not in kinds:
            known = ", ".join(f"{number} {kind}" for number, kind in list(kinds.items())[:12])
            what = f"no category has the id {item.get('category_id')} (known: {known or 'none'})"
            book.fault(where, what, "add the category, or mend the id")
        elif item.get("iscrowd"):
            crowds += 1
        elif sound and isinstance(box, list):
            left, top = box[0] - 0.5, box[1] - 0.5  # COCO puts 0, 0 at the corner of the image
            kind, image = kinds[item["category_id"]], images[item["image_id"]]
            edges = left, top, left + box[2], top + box[3]
            boxes.append(Box(image, kind, *edges, f"bbox {box}", f"{book.name} {where}"))
    if crowds:
        book.notes.append(f"left out: {crowds} boxes of crowds, whose objects cannot be counted")
    unused = sorted(set(kinds.values()) - {box.kind for box in boxes})
    if unused:
        book.notes.append(f"{book.name}: no box of {', '.join(unused[:12])}")
    return boxes


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
