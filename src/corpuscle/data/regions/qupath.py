"""Annotations of QuPath, exported as GeoJSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from corpuscle.core.errors import Fault
from corpuscle.data.geojson import geometries_in
from corpuscle.data.regions.region import CLOSED, Drawn, Region, region_of, unreadable

AREAS = ("Polygon", "MultiPolygon")
MARKS = ("Point", "MultiPoint", "LineString", "MultiLineString")
EXPORT = "export it from QuPath again, as GeoJSON"


def read_qupath(path: Path) -> Drawn:
    """The regions of a FeatureCollection or of a plain list of features; the layer is the name of the class.

    A ring must end where it begins, as GeoJSON says; one that does not is a line.
    """
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        return unreadable(path, f"cannot be read ({error.strerror})", "restore it")
    except ValueError as error:
        return unreadable(path, f"is not JSON ({error})", EXPORT)
    features = content.get("features") if isinstance(content, dict) else content
    if not isinstance(features, list):
        return unreadable(path, "is JSON, but has no list of GeoJSON features", EXPORT)
    if any(_kind(feature) in AREAS for feature in features):  # points and lines beside them are marks, not areas
        features = [feature for feature in features if _kind(feature) not in MARKS]
    regions: list[Region] = []
    faults: list[Fault] = []
    for number, feature in enumerate(features, start=1):
        where = f"{path}, object {number}"
        try:
            regions += _regions(feature, where)
        except (AttributeError, KeyError, TypeError, IndexError, ValueError) as error:
            reason = str(error) if type(error) is ValueError else "is no feature with a geometry of areas"
            if "float" in reason or "inhomogeneous" in reason:
                reason = "has a corner that is not two numbers"
            faults.append(Fault(where, reason, CLOSED))
    return Drawn(tuple(regions), tuple(faults))


def _regions(feature: Any, where: str) -> Iterator[Region]:
    geometry, properties = feature["geometry"], feature.get("properties") or {}
    layer = layer_of(properties.get("classification"))
    for kind, rings in geometries_in(geometry):
        if kind not in AREAS:
            raise ValueError(f"is a {kind}, a Polygon or MultiPolygon was expected")
        for ring in rings:
            if ring and ring[0] != ring[-1]:
                raise ValueError(f"is open: it begins at {ring[0]} and ends at {ring[-1]}")
        yield region_of(layer, rings, where)


def _kind(feature: Any) -> Any:
    geometry = feature.get("geometry") if isinstance(feature, dict) else None
    return geometry.get("type") if isinstance(geometry, dict) else None


def layer_of(classification: Any) -> str:
    """The name of a class, which QuPath has written as an object with a name or with names, and others as a word."""
    if isinstance(classification, dict):
        classification = classification.get("name") or ": ".join(map(str, classification.get("names") or ()))
    return str(classification or "")
