"""Points as GeoJSON that QuPath opens and writes, one object a point."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import polars as pl

from corpuscle.core.errors import DataFault, Fault
from corpuscle.core.files import write_text

CORNER = 0.5  # QuPath's origin is the corner of the first pixel, ours its centre
DECIMALS = 3  # of coordinates, in pixels
COLOURS = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
    (0, 0, 0),
)  # that people who see red and green alike can tell apart: Okabe and Ito, Color Universal Design, 2008
UNNAMED = "cell"  # kind of a point without a class
EXPORT = "export points alone from QuPath, as a FeatureCollection"


def write_points_geojson(
    path: Path,
    points: pl.DataFrame,
    kinds: Sequence[str] | None = None,
    object_type: Literal["annotation", "detection"] = "detection",
) -> None:
    """Write points so that QuPath opens them over the image, whole or not at all.

    Args:
        path: the file to be.
        points: `x`, `y` (pixels of the image; the centre of the top left one is 0, 0), `kind` and, where there is one,
            `score`, which becomes a measurement. The file counts from the corner of that pixel, as QuPath does.
        kinds: all kinds there are, so that each has the same colour in every file; None takes those that occur.
        object_type: what QuPath makes of them; it is at ease with many detections, and lets people edit annotations.

    Raises:
        CorpuscleError: the place cannot be written.
    """
    names = sorted(points["kind"].unique()) if kinds is None else kinds
    classes = {name: {"name": name, "color": COLOURS[k % len(COLOURS)]} for k, name in enumerate(names)}
    features = []
    for row in points.iter_rows(named=True):
        place = [round(row["x"] + CORNER, DECIMALS), round(row["y"] + CORNER, DECIMALS)]
        properties: dict[str, Any] = {"objectType": object_type, "classification": classes[row["kind"]]}
        if row.get("score") is not None:
            properties["measurements"] = {"score": row["score"]}
        geometry = {"type": "Point", "coordinates": place}
        features.append({"type": "Feature", "geometry": geometry, "properties": properties})
    lines = ",\n".join(json.dumps(feature, ensure_ascii=False, separators=(",", ":")) for feature in features)
    write_text(path, f'{{"type":"FeatureCollection","features":[\n{lines}\n]}}\n')


def read_points_geojson(path: Path) -> pl.DataFrame:
    """Read points that were written by `write_points_geojson`, or drawn in QuPath and exported.

    Returns:
        `x`, `y`, `kind` (cell where the point has no class) and, if any point has a score, `score`.

    Raises:
        DataFault: not GeoJSON, or objects that are not points; all of them at once.
    """
    rows: list[dict[str, Any]] = []
    faults: list[Fault] = []
    for number, feature in enumerate(_features(path), start=1):
        try:
            rows += _points(feature)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            reason = str(error) if type(error) is ValueError else "is no feature with a geometry of points"
            faults.append(Fault(f"{path}, object {number}", reason, EXPORT))
    if faults:
        raise DataFault(faults)
    schema = {"x": pl.Float64(), "y": pl.Float64(), "kind": pl.String(), "score": pl.Float64()}
    points = pl.DataFrame(rows, schema=schema)
    return points if points["score"].is_not_null().any() else points.drop("score")


def geometries_in(geometry: Any) -> Iterator[tuple[str, Any]]:
    """The single geometries of one, whatever they are gathered in: the type as written, and the places.

    >>> list(geometries_in({"type": "MultiPoint", "coordinates": [[1, 2], [3, 4]]}))
    [('MultiPoint', [1, 2]), ('MultiPoint', [3, 4])]

    Raises:
        KeyError, TypeError: it is none.
    """
    kind = geometry["type"]
    if kind == "GeometryCollection":
        for one in geometry["geometries"]:
            yield from geometries_in(one)
    elif kind.startswith("Multi"):
        yield from ((kind, places) for places in geometry["coordinates"])
    else:
        yield kind, geometry["coordinates"]


def _features(path: Path) -> list[Any]:
    """The objects of a file, a FeatureCollection or a plain list of them."""
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise DataFault([Fault(str(path), f"cannot be read ({error.strerror})", "restore it")]) from error
    except ValueError as error:
        raise DataFault([Fault(str(path), f"is not JSON ({error})", EXPORT)]) from error
    features = content.get("features") if isinstance(content, dict) else content
    if not isinstance(features, list):
        raise DataFault([Fault(str(path), "is JSON, but has no list of GeoJSON features", EXPORT)])
    return features


def _points(feature: Any) -> Iterator[dict[str, Any]]:
    """A row a point of one object; QuPath keeps points that were drawn together as one object."""
    geometry, properties = feature["geometry"], feature.get("properties") or {}
    if geometry["type"] not in ("Point", "MultiPoint"):
        raise ValueError(f"is a {geometry['type']}, a Point was expected")
    places = [geometry["coordinates"]] if geometry["type"] == "Point" else geometry["coordinates"]
    kind = (properties.get("classification") or {}).get("name", UNNAMED)
    score = (properties.get("measurements") or {}).get("score")
    for place in places:
        x, y = (round(float(value) - CORNER, DECIMALS) for value in place[:2])
        yield {"x": x, "y": y, "kind": str(kind), "score": score}
