"""Shapes in GeoJSON as QuPath exports them, a file an image."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from corpuscle.data.annotations.record import Annotations, Shape, classes_in
from corpuscle.data.annotations.sheets import Book, Sheet, marked, points_of, ring_of
from corpuscle.data.geojson import UNNAMED
from corpuscle.data.regions.qupath import EXPORT, layer_of
from corpuscle.data.sources.disk import absolute, listing, suffix_of
from corpuscle.data.sources.plan import SourcePlan

SHAPE, BOX = "shape", "box"  # in the metadata of a box, which GeoJSON does not tell from an outline
READ = "Point, MultiPoint, Polygon and MultiPolygon are read"


def read_qupath(path: Path, plan: SourcePlan) -> Annotations:
    """The shapes of a folder of images, each beside a GeoJSON file of its name, or of one such file."""
    root = absolute(path if path.is_dir() else path.parent)
    inside = listing(root)
    files = {Path(name).stem: name for name in inside.files if suffix_of(name) == ".geojson"}
    if path.is_file():
        files = {path.stem: path.name}
    images: dict[str, list[str]] = {}
    for name in inside.images:
        images.setdefault(Path(name).stem, []).append(name)
    book = Book()
    for stem, names in images.items() if path.is_dir() else ():
        if stem not in files:
            remedy = "add it, with an empty FeatureCollection if the image holds no object, or remove the image"
            book.fault(names[0], f"has no {stem}.geojson", remedy)
    sheets = []
    for stem, name in files.items():
        ours = images.get(stem, [])
        if len(ours) != 1:
            what = f"could belong to {' or '.join(ours)}" if ours else "has no image of its name"
            book.fault(name, what, "put one image of that name beside it")
            continue
        sheets.append(Sheet(ours[0], shapes_in(root / name, book), name, name))
    found = marked(sheets, root, book)
    return Annotations(root, found, classes_in(found), tuple(book.notes), tuple(book.faults))


def shapes_in(file: Path, book: Book) -> tuple[Shape, ...]:
    """The shapes of one file, and a fault for each object that is none."""
    try:
        content = json.loads(file.read_bytes())
    except OSError as error:
        book.fault(file.name, f"cannot be read ({error.strerror})", "restore it")
        return ()
    except (ValueError, RecursionError) as error:
        book.fault(file.name, f"is not JSON ({error})", EXPORT)
        return ()
    features = content.get("features") if isinstance(content, dict) else content
    if not isinstance(features, list):
        book.fault(file.name, "is JSON, but has no list of GeoJSON features", EXPORT)
        return ()
    shapes: list[Shape] = []
    for number, feature in enumerate(features, 1):
        where = f"{file.name}, object {number}"
        try:
            shapes += _shapes(feature, number, where)
        except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
            what = str(error) if type(error) is ValueError else "is no feature with a geometry of points or areas"
            book.fault(where, what, EXPORT)
    return tuple(shapes)


def _shapes(feature: Any, number: int, where: str) -> Iterator[Shape]:
    geometry, properties = feature["geometry"], feature.get("properties") or {}
    label = layer_of(properties.get("classification")) or UNNAMED
    kind, places = geometry["type"], geometry["coordinates"]
    if kind in ("Point", "MultiPoint"):
        for place in points_of([places] if kind == "Point" else places):
            yield Shape("point", label, (place,), where=where)
    elif kind in ("Polygon", "MultiPolygon"):
        areas = [places] if kind == "Polygon" else places
        for rings in areas or [()]:
            if not rings:
                raise ValueError("has no corners")
            outline, *holes = (ring_of(points_of(ring)) for ring in rings)
            instance = number if len(areas) > 1 else None
            if (properties.get("metadata") or {}).get(SHAPE) == BOX and len(outline) == 4:
                left, top, right, bottom = Shape("polygon", label, outline).box
                yield Shape("box", label, ((left, top), (right, bottom)), instance=instance, where=where)
                continue
            yield Shape("polygon", label, outline, tuple(holes), instance, where=where)
    else:
        raise ValueError(f"is a {kind}, which is neither a point nor an area; {READ}")
