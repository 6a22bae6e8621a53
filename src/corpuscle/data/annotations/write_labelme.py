"""Shapes as LabelMe opens them: a JSON file beside each image."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

from corpuscle.data.annotations.record import Annotations, Shape
from corpuscle.data.annotations.rings import rounded

TYPES = {"box": "rectangle", "polygon": "polygon", "point": "point"}
VERSION = "5.5.0"  # of LabelMe, whose files these are like


def write_labelme(annotations: Annotations, folder: Path) -> tuple[str, ...]:
    """A file an image; the number of an object of several pieces is its group."""
    for one in annotations.images:
        place = (folder / one.image).with_suffix(".json")
        place.parent.mkdir(parents=True, exist_ok=True)
        content: dict[str, Any] = {
            "version": VERSION,
            "flags": {},
            "shapes": [_shape(shape) for shape in one.shapes],
            "imagePath": PurePosixPath(one.image).name,
            "imageData": None,
            "imageHeight": one.height,
            "imageWidth": one.width,
        }
        place.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    return ()


def _shape(shape: Shape) -> dict[str, Any]:
    return {
        "label": shape.label,
        "points": rounded(shape.xy),
        "group_id": shape.instance,
        "description": "",
        "shape_type": TYPES[shape.kind],
        "flags": {},
    }
