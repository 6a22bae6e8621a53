"""Areas in GeoJSON beside their images. Points and faults of files: tests/data/test_sources_counts.py."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from corpuscle.core.errors import DataFault
from corpuscle.data.annotations.convert import convert
from corpuscle.data.annotations.qupath import read_qupath
from corpuscle.data.masks import read_mask
from corpuscle.data.sources import SourcePlan, scan

SQUARE, HOLE, FAR = ([[x, y] for x, y in ((a, a), (b, a), (b, b), (a, b), (a, a))] for a, b in ((1, 7), (3, 5), (8, 9)))


def feature(kind: str, places: object, label: str | None, **others: object) -> dict[str, object]:
    """A feature; `places` are the geometries of a collection."""
    geometry = {"type": kind, "geometries" if kind == "GeometryCollection" else "coordinates": places}
    properties = {"classification": {"name": label}} if label else {}
    return {"type": "Feature", "geometry": geometry, "properties": properties} | others


def put(root: Path, *features: tuple[str, object, str | None] | dict[str, object]) -> Path:
    Image.new("RGB", (20, 10)).save(root / "a.png")
    written = [one if isinstance(one, dict) else feature(*one) for one in features]
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


def collection(*geometries: tuple[str, object]) -> list[dict[str, object]]:
    return [{"type": kind, "coordinates": places} for kind, places in geometries]


INNER = [[x, y] for x, y in ((3, 3), (4, 3), (4, 5), (3, 5), (3, 3))]  # an island within the hole
MANY = ("GeometryCollection", collection(("Polygon", [SQUARE, HOLE]), ("MultiPolygon", [[INNER], [FAR]])), "tumour")


def test_a_collection_of_areas_is_one_object_with_its_holes_and_the_islands_in_them(tmp_path):
    put(tmp_path, MANY, ("GeometryCollection", collection(("Point", [15, 5])), "cell"))
    assert scan(tmp_path).points.rows() == [("a.png", 4.5, 4.5, "tumour"), ("a.png", 14.5, 4.5, "cell")]
    table = scan(tmp_path, SourcePlan(masks="beside"))
    mask_HW = read_mask(table.path_of(table.frame["mask"][0]), table.legend)
    expected_HW = np.zeros((10, 20), np.uint8)
    expected_HW[1:7, 1:7] = 1
    expected_HW[3:5, 3:5] = [1, 0]
    expected_HW[8, 8] = 1
    assert (mask_HW == expected_HW).all()


@pytest.mark.parametrize("to", ["qupath", "coco", "labelme", "cvat", "yolo", "masks"])
def test_an_object_of_several_areas_stays_one_in_every_format_pixel_by_pixel(to, tmp_path):
    (tmp_path / "in").mkdir()
    put(tmp_path / "in", MANY)
    written = convert(tmp_path / "in", to, tmp_path / "out", "copy", SourcePlan())
    assert written.objects == {"polygon": 1}
    plan = SourcePlan(masks="beside")
    first, second = (scan(tmp_path / name, plan) for name in ("in", "out"))
    masks = [read_mask(table.path_of(table.frame["mask"][0]), table.legend) for table in (first, second)]
    assert (masks[0] == masks[1]).all() and masks[0].sum() == 36 - 2 + 1


def test_features_that_share_an_id_are_one_object(tmp_path):
    key = "4f2a1c1e-0d5b-4c3e-9f59-0a8f6d0f1b11"
    divided = [feature("Polygon", [ring], "tumour", id=key) for ring in (SQUARE, FAR)]
    table = scan(put(tmp_path, *divided))
    assert table.points.rows() == [("a.png", 4.5, 4.5, "tumour")]
    assert table.notes[0] == "features that share an id were taken for pieces of one object"
    exploded = [feature("Polygon", [ring], "tumour", id=str(k)) for k, ring in enumerate((SQUARE, FAR, FAR))]
    assert scan(put(tmp_path, *exploded[:2], exploded[1])).points.height == 2
    for alike in ("PathCellObject", "1"):
        old = [feature("Polygon", [ring], "tumour", id=alike) for ring in (SQUARE, FAR)]
        assert scan(put(tmp_path, *old)).points.height == 2
    other = feature("Polygon", [FAR], "stroma", id=key)
    assert scan(put(tmp_path, divided[0], other)).classes == ("stroma", "tumour")


def test_nuclei_inside_of_cells_are_left_out_with_a_word(tmp_path):
    nucleus = {"type": "Polygon", "coordinates": [HOLE]}
    table = scan(put(tmp_path, feature("Polygon", [SQUARE], None, nucleusGeometry=nucleus)))
    assert table.points.height == 1
    assert table.notes[0] == (
        "left out: the nuclei that QuPath outlined inside of cells; export these as objects to read them"
    )


def test_a_hole_is_left_out_of_the_mask(tmp_path):
    put(tmp_path, ("Polygon", [SQUARE, HOLE], "tumour"), ("Point", [15, 5], "cell"))
    table = scan(tmp_path, SourcePlan(masks="beside"))
    mask_HW = read_mask(table.path_of(table.frame["mask"][0]), table.legend)
    assert mask_HW[1:7, 1:7].sum() == 36 - 4 == mask_HW.sum() and not mask_HW[3:5, 3:5].any()
    assert table.notes == ("left out: 1 points, which cover no area",)


def test_lines_and_places_that_are_none_are_faults(tmp_path):
    line = ("GeometryCollection", collection(("Polygon", [SQUARE]), ("LineString", SQUARE)), None)
    put(tmp_path, line, ("Polygon", [SQUARE[:2]], None), ("Point", ["x", 1], None), ("MultiPolygon", [], None))
    export = "export it from QuPath again, as GeoJSON"
    read = "Point, MultiPoint, Polygon, MultiPolygon and collections of these are read"
    assert [str(fault) for fault in read_qupath(tmp_path, SourcePlan()).faults] == [
        f"a.geojson, object 1: is a LineString, which is neither a point nor an area; {read}; {export}",
        f"a.geojson, object 2: has 2 corners, an outline has 3 at least; {export}",
        f"a.geojson, object 3: has a point that is not two numbers; {export}",
        f"a.geojson, object 4: has no corners; {export}",
    ]


def test_images_in_a_folder_of_their_own_are_told_where_they_should_lie(tmp_path):
    put(tmp_path, ("Polygon", [SQUARE], None))
    (tmp_path / "images").mkdir()
    (tmp_path / "a.png").rename(tmp_path / "images" / "a.png")
    with pytest.raises(DataFault, match=r"^a\.geojson: has no image of its name; put one image of that name beside"):
        scan(tmp_path)


def test_folders_called_train_val_and_test_are_parts(tmp_path):
    for part in ("train", "valid"):
        (tmp_path / part).mkdir()
        put(tmp_path / part, ("Polygon", [SQUARE], "tumour"))
    (tmp_path / "notes").mkdir()
    table = scan(tmp_path)
    assert table.layout == "images and GeoJSON files"
    assert table.frame.select("image", "split").rows() == [("train/a.png", "train"), ("valid/a.png", "val")]
    masks = scan(tmp_path, SourcePlan(masks="beside"))
    assert read_mask(masks.path_of(masks.frame["mask"][1]), masks.legend).sum() == 36
    (tmp_path / "valid" / "a.geojson").write_text("{")
    with pytest.raises(DataFault, match=r"^valid/a\.geojson: is not JSON \(.*\); export it from QuPath again"):
        scan(tmp_path)
