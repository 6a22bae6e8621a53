"""LabelMe's files, and shapes that are none."""

from __future__ import annotations

import base64
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from corpuscle.data.annotations.labelme import read_labelme
from corpuscle.data.sources import SourcePlan, scan

PLAN = SourcePlan()
SQUARE = [[2, 2], [8, 2], [8, 8], [2, 8]]


def put(path: Path, *shapes: dict[str, Any], **others: object) -> None:
    """LabelMe's file and an image of 20 x 10 pixels beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 10)).save(path.with_suffix(".png"))
    content = {"version": "5.5.0", "shapes": shapes, "imagePath": f"{path.stem}.png", "imageData": "of no interest"}
    path.write_text(json.dumps(content | {"imageHeight": 10, "imageWidth": 20} | others))


def shape(kind: str, points: object, label: str = "cell", **others: object) -> dict[str, Any]:
    return {"label": label, "shape_type": kind, "points": points, **others}


def png(pixels: list[list[int]]) -> str:
    file = io.BytesIO()
    Image.fromarray(np.array(pixels, np.uint8) * 255).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def test_each_type_of_shape_is_read_in_the_order_of_the_file(tmp_path):
    drawn = [
        shape("polygon", SQUARE, group_id=3),
        shape("rectangle", [[8, 8], [2, 1]]),
        shape("circle", [[10, 5], [13, 9]]),
        shape("point", [[4, 5]]),
        shape("mask", [[3, 4], [5, 5]], mask=png([[1, 0, 1], [1, 0, 1]])),
    ]
    put(tmp_path / "a.json", *drawn)
    found = read_labelme(tmp_path, PLAN)
    assert found.faults == () and found.classes == ("cell",)
    polygon, box, circle, point, left, right = found.images[0].shapes
    assert polygon.xy == ((2, 2), (8, 2), (8, 8), (2, 8)) and polygon.instance == 3
    assert box.kind == "box" and box.box == (2, 1, 8, 8)
    assert point.kind == "point" and point.xy == ((4, 5),)
    radii = [math.dist((10, 5), corner) for corner in circle.xy]
    assert max(radii) - min(radii) < 1e-9 and 5 < radii[0] < 5.01
    assert {left.box, right.box} == {(3, 4, 4, 6), (5, 4, 6, 6)} and left.instance == right.instance is not None
    assert scan(tmp_path).points.select("x", "y").rows()[-1] == (3.5, 4.5)
    assert scan(tmp_path).frame["counts"].to_list() == [[5]]  # the two pieces of the mask are one


def test_parts_are_folders_and_the_image_is_found_by_its_path_its_name_or_its_stem(tmp_path):
    put(tmp_path / "train" / "a.json", shape("polygon", SQUARE), imagePath="C:\\scans\\a.png")
    put(tmp_path / "val" / "b.json", shape("polygon", SQUARE), imagePath="renamed.jpg")
    put(tmp_path / "val" / "c.json", shape("polygon", SQUARE), imagePath="../train/a2.png")
    (tmp_path / "val" / "c.png").rename(tmp_path / "train" / "a2.png")
    images = read_labelme(tmp_path, PLAN).images
    expected = [("train/a.png", "train"), ("train/a2.png", "val"), ("val/b.png", "val")]
    assert [(one.image, one.split) for one in images] == expected
    assert scan(tmp_path).layout == "shapes in LabelMe"


def test_files_in_a_folder_of_their_own_are_recognised(tmp_path):
    put(tmp_path / "images" / "a.json", shape("polygon", SQUARE))
    (tmp_path / "json").mkdir()
    content = json.loads((tmp_path / "images" / "a.json").read_text()) | {"imagePath": "../images/a.png"}
    (tmp_path / "json" / "a.json").write_text(json.dumps(content))
    (tmp_path / "images" / "a.json").unlink()
    table = scan(tmp_path)
    assert (table.layout, table.frame["image"].to_list()) == ("shapes in LabelMe", ["images/a.png"])


def test_images_without_a_file_are_left_out_and_said(tmp_path):
    put(tmp_path / "a.json", shape("polygon", SQUARE))
    Image.new("RGB", (20, 10)).save(tmp_path / "b.png")
    (tmp_path / "classes.json").write_text("{}")
    table = scan(tmp_path)
    assert len(table) == 1
    assert "left out: 1 images that are not named (first: b.png)" in table.notes
    assert "left out: 1 JSON files that are not LabelMe's (first: classes.json)" in table.notes


def test_all_faults_come_at_once_each_with_its_file_and_shape(tmp_path):
    read = "rectangle, polygon, circle, point and mask are read"
    drawn = [
        shape("linestrip", SQUARE),
        shape("polygon", SQUARE[:2]),
        shape("polygon", SQUARE, label=" "),
        shape("rectangle", SQUARE[:3]),
        shape("polygon", [["x", 1]]),
        shape("mask", SQUARE[:2], mask="?"),
        shape("mask", SQUARE[:2], mask=base64.b64encode(b"no image").decode()),
        shape("circle", [[1, 1], [1, 1]]),
        shape("circle", [[1, 1]]),
        shape("point", []),
    ]
    put(tmp_path / "a.json", *drawn, imageHeight=11)
    put(tmp_path / "b.json", shape("polygon", SQUARE), imagePath="z.png")
    (tmp_path / "b.png").unlink()
    (tmp_path / "c.json").write_text("{")
    again = "draw it again, or remove it"
    found = [str(fault) for fault in read_labelme(tmp_path, PLAN).faults]
    assert found[:10] == [
        f"a.json shape 1: is a linestrip of 4 points, which is not read; {read}; {again}",
        f"a.json shape 2: has 2 corners, an outline has 3 at least; {again}",
        "a.json shape 3: has no label; write its class",
        f"a.json shape 4: is a rectangle of 3 points, 2 were expected; {again}",
        f"a.json shape 5: has a point that is not two numbers; {again}",
        f"a.json shape 6: has a mask that is not base64; {again}",
        f"a.json shape 7: has a mask that is no PNG; {again}",
        f"a.json shape 8: has the radii 0 and 0, both above 0 were expected; {again}",
        f"a.json shape 9: is a circle of 1 points, 2 were expected; {again}",
        f"a.json shape 10: is a point of 0 points, which is not read; {read}; {again}",
    ]
    assert found[10] == "b.json: its image 'z.png' does not exist; put the image beside it, or mend imagePath"
    assert found[11].startswith("c.json: is not a JSON file (") and found[11].endswith("replace it by a whole copy")
    assert found[12] == (
        "a.json: was drawn on 20 x 11 pixels, a.png is 20 x 10; draw the shapes on this image, or restore the other"
    )


def test_two_files_of_one_image_are_a_fault(tmp_path):
    put(tmp_path / "a.json", shape("polygon", SQUARE))
    put(tmp_path / "b.json", shape("polygon", SQUARE), imagePath="a.png")
    assert str(read_labelme(tmp_path, PLAN).faults[0]) == "b.json: tells of a.png, and so does a.json; keep one of them"


def test_a_table_beside_the_files_is_asked_first(tmp_path):
    for name in "ab":
        put(tmp_path / f"{name}.json", shape("polygon", SQUARE))
    (tmp_path / "t.csv").write_text("image,label\na.png,x\nb.png,y\n")
    assert scan(tmp_path).layout == "one CSV"


def test_a_file_of_another_tool_before_the_others_hides_none_of_them(tmp_path):
    put(tmp_path / "b.json", shape("rectangle", [[2, 1], [8, 8]]))
    (tmp_path / "a.json").write_text('{"tool": 1}')
    Image.new("RGB", (20, 10)).save(tmp_path / "a.png")
    table = scan(tmp_path)
    assert (table.layout, table.frame["image"].to_list()) == ("shapes in LabelMe", ["b.png"])
    assert "left out: 1 JSON files that are not LabelMe's (first: a.json)" in table.notes
