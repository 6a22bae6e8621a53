"""CVAT's file of images, where these lie, and shapes that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from corpuscle.core.errors import CorpuscleError, DataFault
from corpuscle.core.legend import BACKGROUND
from corpuscle.data.annotations.cvat import read_cvat
from corpuscle.data.masks import read_mask
from corpuscle.data.sources import SourcePlan, scan

PLAN, BESIDE = SourcePlan(), SourcePlan(masks="beside")
SQUARE = "2,2;8,2;8,8;2,8"


def image(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 10)).save(path)
    return path


def put(root: Path, *items: str) -> Path:
    """CVAT's file, of images of 20 x 10 pixels."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "annotations.xml").write_text(f"<annotations><version>1.1</version>{''.join(items)}</annotations>")
    return root


def of(name: str, shapes: str = "", **told: str) -> str:
    more = "".join(f' {key}="{value}"' for key, value in told.items())
    return f'<image name="{name}" width="20" height="10"{more}>{shapes}</image>'


def test_each_type_of_shape_is_read(tmp_path):
    shapes = (
        '<box label="a" xtl="1" ytl="2" xbr="5" ybr="4"/><box label="a" xtl="1" ytl="2" xbr="5" ybr="4" rotation="90"/>'
        f'<polygon label="b" points="{SQUARE}" group_id="4"/><points label="c" points="1,1;2,3.5"/>'
        '<ellipse label="b" cx="10" cy="5" rx="4" ry="2" rotation="90"/>'
        '<mask label="b" rle="1, 2, 1" left="3" top="4" width="2" height="2"/><tag label="good"/>'
    )
    image(tmp_path / "a.png")
    found = read_cvat(put(tmp_path, of("a.png", shapes)), PLAN)
    box, turned, polygon, one, two, ellipse, mask = found.images[0].shapes
    assert box.box == (1, 2, 5, 4) and turned.box == pytest.approx((2, 1, 4, 5))
    assert (polygon.kind, polygon.instance, len(polygon.xy)) == ("polygon", 4, 4)
    assert (one.xy, two.xy, two.kind) == (((1, 1),), ((2, 3.5),), "point")
    assert ellipse.box == pytest.approx((8, 1, 12, 9), abs=0.01)
    assert mask.box == (3, 4, 5, 6) and mask.kind == "polygon"
    assert found.notes == ("left out: 1 tags, which are of whole images",) and found.faults == ()


def test_the_mask_of_an_image_has_exactly_the_pixels_of_its_runs_and_the_higher_shape_on_top(tmp_path):
    image(tmp_path / "a.png")
    shapes = (
        f'<polygon label="low" z_order="2" points="{SQUARE}"/>'
        '<mask label="high" z_order="1" rle="1,2,1" left="3" top="4" width="2" height="2"/>'
        '<mask label="high" z_order="3" rle="1,2,1" left="6" top="7" width="2" height="2"/>'
    )
    table = scan(put(tmp_path, of("a.png", shapes)), BESIDE)
    mask_HW = read_mask(table.path_of(table.frame["mask"][0]), table.legend)
    expected_HW = np.zeros((10, 20), np.uint8)
    expected_HW[2:8, 2:8] = 2
    expected_HW[7, 7] = expected_HW[8, 6] = 1
    assert table.classes == (BACKGROUND, "high", "low") and (mask_HW == expected_HW).all()


def test_subsets_are_parts_and_images_lie_in_folders_of_the_export(tmp_path):
    image(tmp_path / "images" / "train" / "a.png")
    image(tmp_path / "images" / "val" / "a2.png")
    image(tmp_path / "images" / "b.png")
    box = '<box label="a" xtl="1" ytl="2" xbr="5" ybr="4"/>'
    put(tmp_path, of("a.png", box, subset="Train"), of("a2.png", box, subset="val"), of("b.png", box, subset="other"))
    found = read_cvat(tmp_path, PLAN)
    assert [(one.image, one.split) for one in found.images] == [
        ("images/b.png", None),
        ("images/train/a.png", "train"),
        ("images/val/a2.png", "val"),
    ]
    assert scan(tmp_path / "annotations.xml").layout == scan(tmp_path).layout == "shapes in CVAT"


def test_images_of_one_name_are_told_apart_by_their_subsets(tmp_path):
    for part in ("train", "val"):
        image(tmp_path / "images" / part / "a.png")
    box = '<box label="{}" xtl="1" ytl="2" xbr="5" ybr="4"/>'
    put(tmp_path, of("a.png", box.format("b"), subset="val"), of("a.png", box.format("a"), subset="train"))
    found = {one.image: one.shapes[0].label for one in read_cvat(tmp_path, PLAN).images}
    assert found == {"images/train/a.png": "a", "images/val/a.png": "b"}


def test_all_faults_come_at_once_each_with_its_image_and_shape(tmp_path):
    shapes = (
        f'<polyline label="a" points="{SQUARE}"/><box xtl="1" ytl="2" xbr="5" ybr="4"/><box label="a" xtl="x" ytl="2"/>'
        '<polygon label="a" points="1,1;2,2"/><points label="a" points="1;2"/><polygon label="a"/>'
        '<mask label="a" rle="1,x" left="3" top="4" width="2" height="2"/>'
        '<mask label="a" rle="1,9" left="3" top="4" width="2" height="2"/>'
    )
    image(tmp_path / "a.png")
    put(tmp_path, of("a.png", shapes, id="7").replace('"10"', '"11"'), of("b.png"), "<image/>")
    again, at = "draw it again, or remove it", "annotations.xml image 7"
    read = "box, polygon, points, ellipse and mask are read"
    assert [str(fault) for fault in read_cvat(tmp_path, PLAN).faults] == [
        f"{at} polyline 1: is a polyline, which encloses no area; {read}; {again}",
        f"{at} box 2: has no label; {again}",
        f"{at} box 3: has the xtl 'x', a number was expected; {again}",
        f"{at} polygon 4: has 2 corners, an outline has 3 at least; {again}",
        f"{at} points 5: has a point that is not two numbers; {again}",
        f"{at} polygon 6: has no points; {again}",
        f"{at} mask 7: has runs that are not whole numbers from 0 on; {again}",
        f"{at} mask 8: has runs of 10 pixels in a mask of 2 x 2; {again}",
        "annotations.xml image 3: has no name; write the name of its file",
        f"annotations.xml image 2: 'b.png' does not exist in {tmp_path}; "
        "mend the name, or name its folder with --set data.root=FOLDER",
        f"{at}: was drawn on 20 x 11 pixels, a.png is 20 x 10; draw the shapes on this image, or restore the other",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotations>", r"t\.xml: is not an XML file \(.*\); replace it by a whole copy"),
        (
            "<annotations><track/></annotations>",
            r"t\.xml: holds the tracks of a video, images were expected",
        ),
        ("<annotations></annotations>", r"t\.xml: tells of no image; export it from CVAT again, as 'CVAT for images"),
    ],
)
def test_files_that_are_none_of_images_are_refused(tmp_path, text, message):
    (tmp_path / "t.xml").write_text(text)
    with pytest.raises(DataFault, match=message):
        scan(tmp_path / "t.xml")


def test_several_files_in_one_folder_are_refused(tmp_path):
    put(tmp_path, of("a.png"))
    (tmp_path / "b.xml").write_text("<annotations></annotations>")
    with pytest.raises(CorpuscleError, match=r"holds several files \(annotations\.xml, b\.xml\), one was expected"):
        scan(tmp_path)


def test_an_image_of_another_suffix_is_pointed_at(tmp_path):
    image(tmp_path / "images" / "a.jpg")
    put(tmp_path, of("a.png"))
    assert str(read_cvat(tmp_path, PLAN).faults[0]) == (
        f"annotations.xml image 1: 'a.png' does not exist in {tmp_path} (images/a.jpg is there); "
        "mend the name, or name its folder with --set data.root=FOLDER"
    )
