"""From tables of counts, images of dots and points to a table of counts, and what is said of those that are wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from corpuscle.core.errors import CorpuscleError, DataFault
from corpuscle.data.sources import SourcePlan, scan
from corpuscle.data.table import Table


def image(path: Path, width: int = 20, height: int = 10, dots: tuple[tuple[int, int], ...] = ()) -> Path:
    """A black PNG with some pixels (x, y) in red."""
    pixels_HWC = np.zeros((height, width, 3), np.uint8)
    for x, y in dots:
        pixels_HWC[y, x, 0] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels_HWC).save(path)
    return path


def text(path: Path, content: str) -> Path:
    path.write_text(content)
    return path


def faults(path: Path, **plan: object) -> list[str]:
    """What a scan complains of."""
    with pytest.raises(DataFault) as caught:
        scan(path, SourcePlan(**plan))
    return [str(fault) for fault in caught.value.faults]


def counts(table: Table) -> dict[str, list[int] | None]:
    return dict(table.frame.select("image", "counts").rows())


def points(table: Table) -> list[tuple[object, ...]]:
    assert table.points is not None and table.points.columns == ["image", "x", "y", "kind"]
    return table.points.rows()


# ------------------------------------------------------------------------------------------------------- CSVs of counts


def test_a_csv_with_a_column_of_counts(tmp_path):
    for name in "abc":
        image(tmp_path / f"{name}.png")
    path = text(tmp_path / "t.csv", "image,Cell_Count,patient\nb.png,7.0,p\na.png,0,q\nc.png,12,p\n")
    table = scan(path)
    assert table.counted and table.points is None and table.classes == ("cell",)
    assert counts(table) == {"a.png": [0], "b.png": [7], "c.png": [12]}
    assert table.frame["label"].null_count() == 3 and table.frame["group"].to_list() == ["q", "p", "p"]
    assert table.notes[0] == "t.csv: image from 'image', group from 'patient', count from 'Cell_Count'"
    assert scan(path, SourcePlan(kind="nucleus")).classes == ("nucleus",)


def test_a_column_of_labels_means_classes_unless_the_counts_are_named(tmp_path):
    for name in "ab":
        image(tmp_path / f"{name}.png")
    path = text(tmp_path / "t.csv", "image,label,count\na.png,x,3\nb.png,y,4\n")
    table = scan(path)
    assert not table.counted and table.classes == ("x", "y")
    assert table.notes == ("t.csv: image from 'image', label from 'label'",)
    assert counts(scan(path, SourcePlan(count_column="count"))) == {"a.png": [3], "b.png": [4]}
    with pytest.raises(CorpuscleError, match="got label_column=label and count_column=count; leave one of them out"):
        scan(path, SourcePlan(count_column="count", label_column="label"))
    assert faults(path, count_column="number") == [
        "t.csv: no column 'number'; there are image, label, count (--set data.count_column=NAME)"
    ]


def test_counts_that_are_none_are_all_faults(tmp_path):
    for name in "abcde":
        image(tmp_path / f"{name}.png")
    path = text(tmp_path / "t.csv", "image,count\na.png,-3\nb.png,2.5\nc.png,many\nd.png,\ne.png,4\n")
    assert faults(path) == [
        "t.csv: column 'count' is empty in 1 of 5 rows (first: row 5, d.png); "
        "fill it, or pass --set data.unlabelled=skip",
        "t.csv row 2: the count '-3' of a.png is negative; write the number of objects, 0 or more, or remove the row",
        "t.csv row 3: the count '2.5' of b.png is not a whole number; "
        "write the number of objects, 0 or more, or remove the row",
        "t.csv row 4: the count 'many' of c.png is no count; write the number of objects, 0 or more, or remove the row",
    ]
    text(path, "image,count\nd.png,\ne.png,4\n")
    assert counts(scan(path, SourcePlan(unlabelled="skip"))) == {"e.png": [4]}


def test_an_image_counted_twice_is_dropped_if_its_rows_agree_and_a_fault_if_not(tmp_path):
    image(tmp_path / "a.png")
    path = text(tmp_path / "t.csv", "image,count\na.png,3\na.png,3\n")
    assert "left out: 1 rows whose image another row names with the same count" in scan(path).notes[-1]
    text(path, "image,count\na.png,3\na.png,4\n")
    assert faults(path) == ["a.png: is counted 3 (t.csv row 2) and 4 (t.csv row 3); keep one of these rows"]


def test_train_valid_and_unlabelled_test_csvs_of_counts(tmp_path):
    for name in "abc":
        image(tmp_path / f"{name}.png")
    text(tmp_path / "train.csv", "image,count\na.png,3\n")
    text(tmp_path / "valid.csv", "image,count\nb.png,4\n")
    text(tmp_path / "test.csv", "image\nc.png\n")
    table = scan(tmp_path)
    assert table.layout == "train, valid and test CSVs"
    assert table.frame.select("split", "counts").rows() == [("train", [3]), ("val", [4]), ("unlabelled", None)]
    assert table.known.to_list() == [True, True, False]


# ------------------------------------------------------------------------------------------------------ images of dots


def test_pairs_of_images_and_dots_in_both_manners(tmp_path):
    image(tmp_path / "001cell.png")
    image(tmp_path / "001dots.png", dots=((0, 0), (3, 4), (4, 5), (4, 4), (18, 9), (19, 9)))
    image(tmp_path / "S_1_01_000.png")
    image(tmp_path / "S_1_01_dots_000.png", dots=((7, 2),))
    table = scan(tmp_path)
    assert table.layout == "images and images of dots"
    assert counts(table) == {"001cell.png": [3], "S_1_01_000.png": [1]}
    assert points(table) == [
        ("001cell.png", 0.0, 0.0, "cell"),
        ("001cell.png", pytest.approx(11 / 3), pytest.approx(13 / 3), "cell"),
        ("001cell.png", 18.5, 9.0, "cell"),
        ("S_1_01_000.png", 7.0, 2.0, "cell"),
    ]


def test_where_dots_are_single_pixels_two_that_touch_are_two_objects(tmp_path):
    image(tmp_path / "1cell.png")
    image(tmp_path / "1dots.png", dots=((2, 2), (3, 3), (9, 1), (15, 7)))
    assert counts(scan(tmp_path)) == {"1cell.png": [4]}


def test_all_faults_of_dots_come_at_once(tmp_path):
    for name in ("1cell.png", "2cell.png", "3cell.png", "4cell.png", "6cell.png", "7cell.png", "7_cells.png"):
        image(tmp_path / name)
    image(tmp_path / "1dots.png", width=21, dots=((1, 1),))
    image(tmp_path / "2dots.png")
    Image.new("L", (20, 10), 200).save(tmp_path / "3dots.png")
    image(tmp_path / "5dots.png", dots=((1, 1),))
    (tmp_path / "6dots.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    image(tmp_path / "7dots.png", dots=((1, 1),))
    found = faults(tmp_path)
    for expected in (
        "4cell.png: has no image of dots; add it, or remove the image",
        "5dots.png: has no image that its dots belong to; add it, or remove the dots",
        "7_cells.png: 7_cells.png and 7cell.png and 7dots.png could belong together, one image and one of dots were "
        "expected; rename or remove the others",
        "1dots.png: is 21 x 10 pixels, its image 1cell.png is 20 x 10; save the dots at the size of the image",
        "2dots.png: holds no dot, every pixel is black; "
        "mark its objects, or pass --set data.empty=allow if it holds none",
        "3dots.png: is not black in 100% of its pixels, a few dots on black were expected; "
        "mark each object by a dot on black",
    ):
        assert expected in found
    assert len(found) == 7 and any(fault.startswith("6dots.png: ") for fault in found)


def test_an_image_of_dots_without_a_dot_may_be_allowed(tmp_path):
    image(tmp_path / "1cell.png")
    image(tmp_path / "1dots.png", dots=((1, 1),))
    image(tmp_path / "2cell.png")
    image(tmp_path / "2dots.png")
    table = scan(tmp_path, SourcePlan(empty="allow"))
    assert counts(table) == {"1cell.png": [1], "2cell.png": [0]}
    assert "1 images of dots hold none and count as 0 (first: 2dots.png)" in table.notes


def test_the_published_sets_of_dots_have_their_published_counts(sample_data):
    table = scan(sample_data / "vgg_cells")
    assert len(table) == 200 and table.frame["counts"].list.get(0).mean() == pytest.approx(175.96)
    table = scan(sample_data / "bone_marrow", SourcePlan(group_from=r"HE_(?P<group>\d+)_"))
    assert len(table) == 44 and table.frame["counts"].list.get(0).mean() == pytest.approx(126, abs=0.3)
    assert table.frame["group"].n_unique() == 8


# -------------------------------------------------------------------------------------------------------------- points


def test_a_csv_of_points_with_kinds_groups_and_an_empty_image(tmp_path):
    for name in ("a", "b", "c", "d"):
        image(tmp_path / f"{name}.png")
    rows = "b.png,3.5,4,red,s1\nb.png,0,0,white,s1\na.png,19.5,9.5,red,s2\nc.png,,,,s2\n"
    path = text(tmp_path / "dots.csv", f"image,x,y,kind,slide\n{rows}")
    table = scan(path)
    assert (table.layout, table.classes) == ("a CSV of points", ("red", "white"))
    assert counts(table) == {"a.png": [1, 0], "b.png": [1, 1], "c.png": [0, 0]}
    assert points(table) == [
        ("a.png", 19.5, 9.5, "red"),
        ("b.png", 3.5, 4.0, "red"),
        ("b.png", 0.0, 0.0, "white"),
    ]
    assert table.frame["group"].to_list() == ["s2", "s1", "s2"]
    assert table.notes == (
        "dots.csv: image from 'image', group from 'slide', x from 'x', y from 'y', kind from 'kind'",
        "left out: 1 images that are not named (first: d.png)",
    )
    only = scan(path, SourcePlan(kinds="white"))
    assert only.classes == ("white",) and counts(only) == {"a.png": [0], "b.png": [1], "c.png": [0]}
    assert "left out: 2 objects of kinds that are not counted (red 2)" in only.notes
    assert scan(path, SourcePlan(label_names={"red": "RBC", "white": "WBC"})).classes == ("RBC", "WBC")


def test_a_table_with_x_y_and_a_label_an_image_still_means_classes(tmp_path):
    for name in "ab":
        image(tmp_path / f"{name}.png")
    path = text(tmp_path / "t.csv", "image,x,y,label\na.png,1,2,p\nb.png,3,4,q\n")
    assert scan(path).layout == "one CSV"
    text(path, "image,x,y,label\na.png,1,2,p\na.png,3,4,q\nb.png,3,4,q\n")
    assert scan(path).layout == "a CSV of points"


def test_all_faults_of_points_come_at_once_with_their_rows(tmp_path):
    image(tmp_path / "a.png")
    rows = "a.png,20,4,red\na.png,3,-0.6,red\na.png,3,,red\na.png,x,3,red\na.png,3,3,\ngone.png,1,1,red\n"
    path = text(tmp_path / "dots.csv", f"image,x,y,kind\n{rows}")
    outside = "mend it or remove it; x runs to the right and y down, from 0 at the centre of the top left pixel"
    numbers = "write both as numbers, or leave both empty if the image holds no object"
    assert sorted(faults(path)) == [
        "dots.csv row 2: the point x 20, y 4 lies outside of a.png (20 x 10 pixels); " + outside,
        "dots.csv row 3: the point x 3, y -0.6 lies outside of a.png (20 x 10 pixels); " + outside,
        f"dots.csv row 4: x '3', y '' is no point; {numbers}",
        f"dots.csv row 5: x 'x', y '3' is no point; {numbers}",
        "dots.csv row 6: column 'kind' is empty; write what the point is, or remove the column",
        "dots.csv row 7: image 'gone.png' does not exist; mend the path or remove the row",
        f"dots.csv: 1 of 2 images in column 'image' cannot be found from {tmp_path}; "
        "mend the paths, or name their folder with --set data.root=FOLDER",
    ]


def test_a_kind_that_nobody_has_is_a_fault_with_the_nearest(tmp_path):
    image(tmp_path / "a.png")
    path = text(tmp_path / "dots.csv", "image,x,y,kind\na.png,1,1,RBC\na.png,2,2,WBC\n")
    assert faults(path, kinds="RBX") == [
        "data.kinds: 'RBX' is none of the 2 kinds of this data set (RBC, WBC); Did you mean RBC?"
    ]
    assert faults(path, kinds=("platelet",)) == [
        "data.kinds: 'platelet' is none of the 2 kinds of this data set (RBC, WBC); Known: RBC, WBC"
    ]


def test_kinds_that_differ_by_case_alone_and_kinds_that_are_only_judged_are_faults(tmp_path):
    image(tmp_path / "a.png")
    image(tmp_path / "b.png")
    path = text(tmp_path / "dots.csv", "image,x,y,kind\na.png,1,1,RBC\nb.png,2,2,rbc\n")
    assert faults(path) == [
        "labels: 'RBC' (1), 'rbc' (1) differ by case or spaces alone; write them alike, or with more difference"
    ]
    text(path, "image,x,y,kind,split\na.png,1,1,RBC,train\nb.png,2,2,WBC,test\n")
    assert faults(path) == [
        "kind WBC: has objects in test and none in train; add some to train, or leave it out with data.kinds"
    ]


def test_points_in_json(tmp_path):
    for name in ("a", "b", "c"):
        image(tmp_path / "images" / f"{name}.png")
    content = {"b.png": {"red": [[1, 2]], "white": [[3, 4], [5, 6]]}, "a.png": {}, "c.png": {"red": [[0, 0]]}}
    text(tmp_path / "dots.json", json.dumps(content))
    table = scan(tmp_path)
    assert (table.layout, table.classes) == ("a JSON file of points", ("red", "white"))
    assert counts(table) == {"images/a.png": [0, 0], "images/b.png": [1, 2], "images/c.png": [1, 0]}
    assert counts(scan(text(tmp_path / "one.json", '{"images/a.png": [[1, 2], [3, 4]]}'))) == {"images/a.png": [2]}


def test_all_faults_of_json_points_come_at_once(tmp_path):
    image(tmp_path / "a.png")
    path = text(tmp_path / "dots.json", '{"a.png": [[1, 2], [30, 4], [1], "x"], "b.png": []}')
    found = faults(path)
    assert found[0].startswith("dots.json a.png point 2: the point x 30, y 4 lies outside of a.png (20 x 10 pixels)")
    assert found[1:] == [
        "dots.json a.png point 3: [1] is no point; write two numbers, [x, y]",
        'dots.json a.png point 4: "x" is no point; write two numbers, [x, y]',
        f"dots.json: image 'b.png' does not exist in {tmp_path}; "
        "mend the name, or name its folder with --set data.root=FOLDER",
    ]
    assert faults(text(path, "[]")) == [
        'dots.json: holds nothing, images and their points were expected; write it as {"image.png": [[x, y], ...]}'
    ]
    with pytest.raises(CorpuscleError, match=r"dots\.json: is not a JSON file .*; replace it by a whole copy"):
        scan(text(path, '{"a.png": [[1'))


def feature(shape: str, coordinates: object, kind: str | None = None) -> dict[str, object]:
    """A feature as QuPath writes it."""
    properties = {"objectType": "annotation"} | ({"classification": {"name": kind}} if kind else {})
    return {"type": "Feature", "geometry": {"type": shape, "coordinates": coordinates}, "properties": properties}


def test_points_in_geojson_count_from_the_corner_as_qupath_does(tmp_path):
    for name in "ab":
        image(tmp_path / f"{name}.png")
    features = [feature("MultiPoint", [[0.5, 0.5], [20, 10]], "Tumor")]
    text(tmp_path / "a.geojson", json.dumps({"type": "FeatureCollection", "features": features}))
    text(tmp_path / "b.geojson", json.dumps({"type": "FeatureCollection", "features": []}))
    table = scan(tmp_path)
    assert table.layout == "images and GeoJSON files"
    assert points(table) == [("a.png", 0.0, 0.0, "Tumor"), ("a.png", 19.5, 9.5, "Tumor")]
    assert counts(table) == {"a.png": [2], "b.png": [0]}
    features = [feature("Point", [21, 3]), feature("Point", [1, 3])]
    text(tmp_path / "b.geojson", json.dumps({"type": "FeatureCollection", "features": features}))
    assert faults(tmp_path)[0].startswith("b.geojson, object 1: the point x 20.5, y 2.5 lies outside of b.png (20 x 10")
    text(tmp_path / "b.geojson", json.dumps({"type": "FeatureCollection", "features": features[1:]}))
    assert scan(tmp_path, SourcePlan(kind="nucleus")).classes == ("Tumor", "nucleus")
    assert counts(scan(tmp_path / "a.geojson")) == {"a.png": [2]}


def test_all_faults_of_geojson_come_at_once(tmp_path):
    for name in "abc":
        image(tmp_path / f"{name}.png")
    text(tmp_path / "a.geojson", json.dumps({"features": [feature("Polygon", [])]}))
    text(tmp_path / "b.geojson", "{")
    text(tmp_path / "d.geojson", "{}")
    found = faults(tmp_path)
    assert len(found) == 4
    assert found[0].startswith("c.png: has no c.geojson; add it, with an empty FeatureCollection if")
    assert found[1].startswith("a.geojson, object 1: has no corners; ")
    assert found[2].startswith("b.geojson: is not JSON (")
    assert found[3] == "d.geojson: has no image of its name; put one image of that name beside it"


def test_points_in_one_place_are_counted_and_said(tmp_path):
    image(tmp_path / "a.png")
    table = scan(text(tmp_path / "t.csv", "image,x,y\na.png,1,1\na.png,1,1\n"))
    assert counts(table) == {"a.png": [2]}
    assert table.notes[-1] == (
        "1 objects lie in the same place as another of their kind and are counted (first: cell at x 1, y 1 of a.png)"
    )


def test_images_that_stand_upright_only_after_turning_are_judged_upright(tmp_path):
    turned = Image.new("RGB", (20, 10))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "a.jpg", exif=exif)
    assert counts(scan(text(tmp_path / "t.csv", "image,x,y\na.jpg,9,19\n"))) == {"a.jpg": [1]}
    assert "outside of a.jpg (10 x 20 pixels)" in faults(text(tmp_path / "t.csv", "image,x,y\na.jpg,19,9\n"))[0]


def test_nothing_to_count_is_a_fault(tmp_path):
    image(tmp_path / "a.png")
    path = text(tmp_path / "t.json", '{"a.png": []}')
    assert faults(path) == [f"{tmp_path}: no object in any image; mark the objects, or name another data set"]


def test_a_table_of_counts_has_the_columns_it_promises(tmp_path):
    image(tmp_path / "a.png")
    frame = scan(text(tmp_path / "t.csv", "image,count\na.png,3\n")).frame
    assert frame.schema["counts"] == pl.List(pl.Int64)
