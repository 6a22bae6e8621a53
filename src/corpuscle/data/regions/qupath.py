"""Annotations of QuPath, exported as GeoJSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from corpuscle.core.errors import Fault
from corpuscle.data.regions.region import CLOSED, Drawn, Region, region_of, unreadable

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
    if geometry["type"] not in ("Polygon", "MultiPolygon"):
        raise ValueError(f"is a {geometry['type']}, a Polygon or MultiPolygon was expected")
    areas = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
    layer = (properties.get("classification") or {}).get("name") or ""
    for rings in areas:
        for ring in rings:
            if ring and ring[0] != ring[-1]:
                raise ValueError(f"is open: it begins at {ring[0]} and ends at {ring[-1]}")
        yield region_of(str(layer), rings, where)
