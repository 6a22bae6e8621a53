"""Shapes as COCO holds them: one JSON file, or one a part, with images, annotations and categories."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from corpuscle.data.annotations.areas import filled
from corpuscle.data.annotations.record import Annotations, Marked, Shape
from corpuscle.data.annotations.rings import DECIMALS, area_of, rounded

FILE = "annotations.json"  # where no image is in a part; else it is called like its part


def write_coco(annotations: Annotations, folder: Path) -> tuple[str, ...]:
    """An annotation an object; outlines with holes as runs of pixels, for COCO has no holes."""
    categories = {name: number for number, name in enumerate(annotations.classes, 1)}
    parts: dict[str, list[Marked]] = {}
    for one in annotations.images:
        parts.setdefault(f"{one.split}.json" if one.split else FILE, []).append(one)
    runs = 0
    for name, images in parts.items():
        drawn = [_annotation(pieces, one) for one in images for pieces in one.objects()]
        runs += sum(isinstance(item.get("segmentation"), dict) for item in drawn)
        (folder / name).write_text(_content(images, drawn, categories), encoding="utf-8")
    return (f"objects with holes written as runs of whole pixels: {runs}",) if runs else ()


def _content(images: Sequence[Marked], drawn: Sequence[Mapping[str, Any]], categories: Mapping[str, int]) -> str:
    """The file, an annotation a line."""
    numbers = [number for number, one in enumerate(images, 1) for _ in one.objects()]
    listed = {
        "images": [
            {"id": number, "file_name": one.image, "width": one.width, "height": one.height}
            for number, one in enumerate(images, 1)
        ],
        "annotations": [
            {"id": place, "image_id": number, "category_id": categories[item["label"]]}
            | {key: value for key, value in item.items() if key != "label"}
            for place, (number, item) in enumerate(zip(numbers, drawn, strict=True), 1)
        ],
        "categories": [{"id": number, "name": name} for name, number in categories.items()],
    }
    blocks = [
        f'"{key}": [\n' + ",\n".join(json.dumps(item, ensure_ascii=False) for item in items) + "\n]"
        for key, items in listed.items()
    ]
    return "{" + ",\n".join(blocks) + "}\n"


def _annotation(pieces: Sequence[Shape], one: Marked) -> dict[str, Any]:
    edges = np.array([shape.box for shape in pieces])
    left, top = edges[:, :2].min(axis=0).tolist()
    right, bottom = edges[:, 2:].max(axis=0).tolist()
    box = [round(value, DECIMALS) for value in (left, top, right - left, bottom - top)]
    held: dict[str, Any] = {"label": pieces[0].label, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
    if pieces[0].kind == "box":
        return held
    if any(shape.holes for shape in pieces):
        counts = _runs(pieces, one)
        drawn: Any = {"size": [one.height, one.width], "counts": counts}
        return held | {"area": sum(counts[1::2]), "segmentation": drawn}
    drawn = [[value for corner in rounded(shape.xy) for value in corner] for shape in pieces]
    return held | {"area": round(sum(abs(area_of(shape.xy)) for shape in pieces), DECIMALS), "segmentation": drawn}


def _runs(pieces: Sequence[Shape], one: Marked) -> list[int]:
    """Lengths of runs of pixels off and on, in turns and off first, down the columns."""
    mask_HW = np.zeros((one.height, one.width), bool)
    for shape in pieces:
        at, inside_HW = filled((shape.xy, *shape.holes), mask_HW.shape)
        mask_HW[at] |= inside_HW
    pixel_P = mask_HW.T.ravel()
    ends_R = np.flatnonzero(np.diff(np.concatenate([[False], pixel_P, [not pixel_P[-1]]])))
    counts: list[int] = np.diff(np.concatenate([[0], ends_R])).tolist()
    return counts
