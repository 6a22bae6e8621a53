"""Shapes in GeoJSON as QuPath exports them, a file an image."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from corpuscle.data.annotations.record import Annotations, Shape, classes_in
from corpuscle.data.annotations.sheets import Book, Sheet, marked, part_of, points_of, ring_of
from corpuscle.data.geojson import UNNAMED, geometries_in
from corpuscle.data.regions.qupath import EXPORT, layer_of
from corpuscle.data.sources.disk import absolute, listing, suffix_of
from corpuscle.data.sources.folders import PARTS
from corpuscle.data.sources.plan import SourcePlan

SHAPE, BOX = "shape", "box"  # in the metadata of a box, which GeoJSON does not tell from an outline
READ = "Point, MultiPoint, Polygon, MultiPolygon and collections of these are read"
POINTS, AREAS = ("Point", "MultiPoint"), ("Polygon", "MultiPolygon")
BOX_CORNERS = 4
NO_NAME = re.compile(r"|Path\w+Object")  # QuPath 0.2 wrote the kind of each feature as its id
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
SHARED = "features that share an id were taken for pieces of one object"
NUCLEI = "left out: the nuclei that QuPath outlined inside of cells; export these as objects to read them"


def geojson_folders(root: Path) -> tuple[str, ...]:
    """The folders that hold GeoJSON files: the root, else those of its parts; named from the root."""
    parts = [name for name in listing(root).folders if name.lower() in PARTS]
    found = [name for name in ("", *parts) if any(map(_is_geojson, listing(root / name).files))]
    return ("",) if "" in found else tuple(found)


def read_qupath(path: Path, plan: SourcePlan) -> Annotations:
    """The shapes of a folder of images, each beside a GeoJSON file of its name, or of one such file.

    Where there are folders called train, val and test instead, these are parts.
    """
    book, sheets = Book(), list[Sheet]()
    root = absolute(path if path.is_dir() else path.parent)
    for folder in geojson_folders(root) if path.is_dir() else ("",):
        inside, prefix = listing(root / folder), f"{folder}/" * bool(folder)
        files = {Path(name).stem: name for name in inside.files if _is_geojson(name)}
        files = {path.stem: path.name} if path.is_file() else files
        images: dict[str, list[str]] = {}
        for name in inside.images:
            images.setdefault(Path(name).stem, []).append(name)
        for stem, names in images.items() if path.is_dir() else ():
            if stem not in files:
                remedy = "add it, with an empty FeatureCollection if the image holds no object, or remove the image"
                book.fault(prefix + names[0], f"has no {stem}.geojson", remedy)
        for stem, name in files.items():
            ours, name = images.get(stem, []), prefix + name
            if len(ours) != 1:
                what = f"could belong to {' or '.join(ours)}" if ours else "has no image of its name"
                book.fault(name, what, "put one image of that name beside it")
                continue
            sheets.append(Sheet(prefix + ours[0], shapes_in(root / name, name, book), name, name, part_of(name)))
    found = marked(sheets, root, book)
    return Annotations(root, found, classes_in(found), tuple(book.notes), tuple(book.faults))


def _is_geojson(name: str) -> bool:
    return suffix_of(name) == ".geojson"


def shapes_in(file: Path, name: str, book: Book) -> tuple[Shape, ...]:
    """The shapes of one file, and a fault for each object that is none; `name` is what messages call it."""
    try:
        content = json.loads(file.read_bytes())
    except OSError as error:
        book.fault(name, f"cannot be read ({error.strerror})", "restore it")
        return ()
    except (ValueError, RecursionError) as error:
        book.fault(name, f"is not JSON ({error})", EXPORT)
        return ()
    features = content.get("features") if isinstance(content, dict) else content
    if not isinstance(features, list):
        book.fault(name, "is JSON, but has no list of GeoJSON features", EXPORT)
        return ()
    first_of = _several(features)
    shapes: list[Shape] = []
    for number, feature in enumerate(features, 1):
        where = f"{name}, object {number}"
        try:
            shapes += _shapes(feature, number, first_of.get(_id_of(feature)), where)
        except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
            what = str(error) if type(error) is ValueError else "is no feature with a geometry of points or areas"
            book.fault(where, what, EXPORT)
    nuclei = any(isinstance(one, dict) and one.get("nucleusGeometry") for one in features)
    for note, is_so in ((NUCLEI, nuclei), (SHARED, bool(first_of))):
        if is_so and note not in book.notes:
            book.notes.append(note)
    return tuple(shapes)


def _several(features: Sequence[Any]) -> dict[str, int]:
    """The ids that several features share, which are pieces of one object, to the number of their first.

    What all of them have is no name of an object unless it can be no other's, and nor is the class of QuPath's that
    older ones wrote.
    """
    places: dict[str, list[int]] = {}
    for number, feature in enumerate(features, 1):
        places.setdefault(_id_of(feature), []).append(number)
    shared = {key: numbers for key, numbers in places.items() if len(numbers) > 1 and not NO_NAME.fullmatch(key)}
    return {key: nums[0] for key, nums in shared.items() if len(nums) < len(features) or UUID.fullmatch(key)}


def _id_of(feature: Any) -> str:
    found = feature.get("id") if isinstance(feature, dict) else None
    return str(found) if isinstance(found, int | str) else ""


def _shapes(feature: Any, number: int, several: int | None, where: str) -> Iterator[Shape]:
    """The shapes of a feature; `several` is the number of their object where other features have pieces of it too."""
    properties = feature.get("properties") or {}
    label = layer_of(properties.get("classification")) or UNNAMED
    is_box = (properties.get("metadata") or {}).get(SHAPE) == BOX
    found = list(geometries_in(feature["geometry"]))
    if not found or not all(places for _, places in found):
        raise ValueError("has no corners")
    areas = sum(kind in AREAS for kind, _ in found)
    instance = several or (number if areas > 1 else None)
    for kind, places in found:
        if kind in POINTS:
            yield Shape("point", label, tuple(points_of([places])), where=where)
        elif kind not in AREAS:
            raise ValueError(f"is a {kind}, which is neither a point nor an area; {READ}")
        else:
            outline, *holes = (ring_of(points_of(ring)) for ring in places)
            if is_box and len(outline) == BOX_CORNERS:
                left, top, right, bottom = Shape("polygon", label, outline).box
                yield Shape("box", label, ((left, top), (right, bottom)), instance=instance, where=where)
            else:
                yield Shape("polygon", label, outline, tuple(holes), instance, where=where)
