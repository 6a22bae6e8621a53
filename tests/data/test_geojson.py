"""Points that go to QuPath and come back."""

from __future__ import annotations

import json

import polars as pl
import pytest

from corpuscle.core.errors import DataFault
from corpuscle.data.geojson import COLOURS, read_points_geojson, write_points_geojson

POINTS = pl.DataFrame(
    {"x": [0.0, 12.25, 7.1], "y": [0.0, 3.5, 599.0], "kind": ["cell", "platelet", "cell"], "score": [0.9, 0.5, None]}
)


def qupath(*features, **more):
    return json.dumps({"type": "FeatureCollection", "features": list(features), **more})


def feature(kind, coordinates, **properties):
    return {"type": "Feature", "geometry": {"type": kind, "coordinates": coordinates}, "properties": properties}


def test_points_come_back_as_they_were(tmp_path):
    write_points_geojson(tmp_path / "a.geojson", POINTS)
    assert read_points_geojson(tmp_path / "a.geojson").equals(POINTS)
    write_points_geojson(tmp_path / "b.geojson", POINTS.drop("score"))
    assert read_points_geojson(tmp_path / "b.geojson").equals(POINTS.drop("score"))


def test_an_image_without_a_cell_gives_a_file_without_a_point(tmp_path):
    write_points_geojson(tmp_path / "none.geojson", POINTS.clear())
    assert json.loads((tmp_path / "none.geojson").read_text()) == {"type": "FeatureCollection", "features": []}
    assert read_points_geojson(tmp_path / "none.geojson").schema == POINTS.drop("score").schema


def test_the_file_is_what_qupath_reads(tmp_path):
    write_points_geojson(tmp_path / "a.geojson", POINTS, kinds=["white", "cell", "platelet"], object_type="annotation")
    first, second, third = json.loads((tmp_path / "a.geojson").read_text())["features"]
    assert first["geometry"] == {"type": "Point", "coordinates": [0.5, 0.5]}, "QuPath counts from the pixel's corner"
    assert first["properties"] == {
        "objectType": "annotation",
        "classification": {"name": "cell", "color": list(COLOURS[1])},
        "measurements": {"score": 0.9},
    }
    assert second["properties"]["classification"]["color"] == list(COLOURS[2])
    assert "measurements" not in third["properties"]


def test_points_drawn_together_in_qupath_are_taken_apart(tmp_path):
    path = tmp_path / "drawn.geojson"
    drawn = feature("MultiPoint", [[1.5, 2.5], [3.5, 4.75]], objectType="annotation", classification={"name": "b"})
    path.write_text(qupath(drawn, feature("Point", [10.5, 0.5], objectType="annotation")))
    expected = pl.DataFrame({"x": [1.0, 3.0, 10.0], "y": [2.0, 4.25, 0.0], "kind": ["b", "b", "cell"]})
    assert read_points_geojson(path).equals(expected)


def test_every_object_that_is_no_point_is_named(tmp_path):
    path = tmp_path / "mixed.geojson"
    good = feature("Point", [1, 1])
    path.write_text(qupath(good, feature("Polygon", [[[0, 0], [1, 0], [1, 1]]]), {"type": "Feature"}, 7))
    with pytest.raises(DataFault) as caught:
        read_points_geojson(path)
    said = [str(fault) for fault in caught.value.faults]
    assert len(said) == 3
    assert "object 2: is a Polygon, a Point was expected; export points" in said[0]
    assert "object 3: is no feature" in said[1] and "object 4: is no feature" in said[2]


@pytest.mark.parametrize(
    ("content", "says"),
    [("{", "is not JSON"), ('{"type": "Topology"}', "no list of GeoJSON features"), ("3", "no list"), (None, "cannot")],
)
def test_another_file_is_refused(tmp_path, content, says):
    path = tmp_path / "other.geojson"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataFault, match=says):
        read_points_geojson(path)


def test_a_file_that_cannot_be_written_whole_leaves_the_old_one(tmp_path):
    path = tmp_path / "a.geojson"
    write_points_geojson(path, POINTS)
    before = path.read_bytes()
    with pytest.raises(KeyError):
        write_points_geojson(path, POINTS, kinds=["cell"])
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
