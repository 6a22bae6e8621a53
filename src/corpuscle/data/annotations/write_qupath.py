"""Shapes as QuPath opens them: a GeoJSON file beside each image, in its pixels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from corpuscle.data.annotations.qupath import BOX, SHAPE
from corpuscle.data.annotations.record import Annotations, Ring, Shape
from corpuscle.data.annotations.rings import corners_of, rounded
from corpuscle.data.geojson import COLOURS


def write_qupath(annotations: Annotations, folder: Path) -> tuple[str, ...]:
    """A feature an object, of several areas where it has pieces; a box is a polygon whose metadata call it one."""
    classes = {
        name: {"name": name, "color": COLOURS[place % len(COLOURS)]} for place, name in enumerate(annotations.classes)
    }
    for one in annotations.images:
        place = (folder / one.image).with_suffix(".geojson")
        place.parent.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps(_feature(pieces, classes), ensure_ascii=False) for pieces in one.objects()]
        features = ",\n".join(lines)
        place.write_text(f'{{"type": "FeatureCollection", "features": [\n{features}\n]}}\n', encoding="utf-8")
    return ()


def _feature(pieces: Sequence[Shape], classes: Mapping[str, Any]) -> dict[str, Any]:
    first = pieces[0]
    properties = {"objectType": "annotation", "classification": classes[first.label]}
    if first.kind == "point":
        places: Any = [rounded(shape.xy)[0] for shape in pieces]
    elif first.kind == "box":
        properties["metadata"] = {SHAPE: BOX}
        places = [[_closed(corners_of(shape.box))] for shape in pieces]
    else:
        places = [[_closed(ring) for ring in (shape.xy, *shape.holes)] for shape in pieces]
    name = "Point" if first.kind == "point" else "Polygon"
    geometry = {"type": f"Multi{name}", "coordinates": places} if len(pieces) > 1 else None
    geometry = geometry or {"type": name, "coordinates": places[0]}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _closed(ring: Ring) -> list[list[float]]:
    corners = rounded(ring)
    return [*corners, corners[0]]
