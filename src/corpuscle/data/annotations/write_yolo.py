"""Shapes as YOLO reads them: `data.yaml`, and a text file an image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

from corpuscle.data.annotations.record import Annotations, Marked, Part, Shape
from corpuscle.data.annotations.yolo import IMAGES, label_of

DECIMALS = 8  # of the shares of a side


def write_yolo(annotations: Annotations, folder: Path) -> tuple[str, ...]:
    """The classes and folders in `data.yaml`; boxes as middle and size, polygons as corners."""
    number_of = {name: place for place, name in enumerate(annotations.classes)}
    for one in annotations.images:
        file = folder / label_of(one.image)
        file.parent.mkdir(parents=True, exist_ok=True)
        rows = [f"{number_of[shape.label]} {_shares(shape, one)}\n" for shape in one.shapes]
        file.write_text("".join(rows), encoding="utf-8")
    there = {one.split for one in annotations.images}
    folders = {part: f"{IMAGES}/{part}" for part in get_args(Part) if part in there} or {"train": IMAGES}
    names = [f"  {place}: {json.dumps(name, ensure_ascii=False)}" for name, place in number_of.items()]
    lines = [*(f"{part}: {place}" for part, place in folders.items()), "names:", *names]
    (folder / "data.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return () if there != {None} else ("data.yaml calls all images train, for none is in a part",)


def _shares(shape: Shape, one: Marked) -> str:
    if shape.kind == "box":
        left, top, right, bottom = shape.box
        pairs = [((left + right) / 2, (top + bottom) / 2), (right - left, bottom - top)]
    else:
        pairs = list(shape.xy)
    values = [value / side for pair in pairs for value, side in zip(pair, (one.width, one.height), strict=True)]
    return " ".join(f"{value:.{DECIMALS}f}" for value in values)
