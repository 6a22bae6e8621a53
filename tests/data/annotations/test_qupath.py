"""Areas in GeoJSON beside their images. Points and faults of files: tests/data/test_sources_counts.py."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from corpuscle.data.annotations.qupath import read_qupath
from corpuscle.data.masks import read_mask
from corpuscle.data.sources import SourcePlan, scan

SQUARE, HOLE, FAR = ([[x, y] for x, y in ((a, a), (b, a), (b, b), (a, b), (a, a))] for a, b in ((1, 7), (3, 5), (8, 9)))


def put(root: Path, *features: tuple[str, object, str | None]) -> Path:
    Image.new("RGB", (20, 10)).save(root / "a.png")
    written = [
        {
            "type": "Feature",
            "geometry": {"type": kind, "coordinates": places},
            "properties": {"classification": {"name": label}} if label else {},
        }
        for kind, places, label in features
    ]
    (root / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": written}))
    return root


def test_areas_have_holes_and_pieces(tmp_path):
    put(tmp_path, ("Polygon", [SQUARE, HOLE], "tumour"), ("MultiPolygon", [[SQUARE], [FAR]], None))
    found = read_qupath(tmp_path, SourcePlan())
    area, one, two = found.images[0].shapes
    assert (area.label, area.box, len(area.holes)) == ("tumour", (1, 1, 7, 7), 1) and area.instance is None
    assert (one.label, two.box) == ("cell", (8, 8, 9, 9)) and one.instance == two.instance == 2
    table = scan(tmp_path, SourcePlan(kind="gland"))
    assert table.classes == ("gland", "tumour") and table.frame["counts"].to_list() == [[1, 1]]
    assert table.points.rows() == [("a.png", 3.5, 3.5, "tumour"), ("a.png", 4.5, 4.5, "gland")]


def test_a_hole_is_left_out_of_the_mask(tmp_path):
    put(tmp_path, ("Polygon", [SQUARE, HOLE], "tumour"), ("Point", [15, 5], "cell"))
    table = scan(tmp_path, SourcePlan(masks="beside"))
    mask_HW = read_mask(table.path_of(table.frame["mask"][0]), table.legend)
    assert mask_HW[1:7, 1:7].sum() == 36 - 4 == mask_HW.sum() and not mask_HW[3:5, 3:5].any()
    assert table.notes == ("left out: 1 points, which cover no area",)


def test_lines_and_places_that_are_none_are_faults(tmp_path):
    put(tmp_path, ("LineString", SQUARE, None), ("Polygon", [SQUARE[:2]], None), ("Point", ["x", 1], None))
    export = "export it from QuPath again, as GeoJSON"
    read = "Point, MultiPoint, Polygon and MultiPolygon are read"
    assert [str(fault) for fault in read_qupath(tmp_path, SourcePlan()).faults] == [
        f"a.geojson, object 1: is a LineString, which is neither a point nor an area; {read}; {export}",
        f"a.geojson, object 2: has 2 corners, an outline has 3 at least; {export}",
        f"a.geojson, object 3: has a point that is not two numbers; {export}",
    ]
