"""Data sets of YOLO in the layouts that its tools write, and rows that are none."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from corpuscle.core.errors import CorpuscleError, DataFault
from corpuscle.data.annotations.yolo import read_yolo
from corpuscle.data.sources import SourcePlan, scan

PLAN = SourcePlan()
BOX, OUTLINE = "1 0.5 0.5 0.2 0.4\n", "0 0.1 0.2 0.45 0.2 0.45 0.5 0.1 0.5\n"


def put(root: Path, **texts: str) -> Path:
    """Files by their names, __ for a slash and the last _ for the dot; a png is an image of 20 x 10 pixels."""
    for name, text in texts.items():
        path = root / name.replace("__", "/")
        stem, _, suffix = path.name.rpartition("_")
        path = path.with_name(f"{stem}.{suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        if suffix == "png":
            Image.new("RGB", (20, 10)).save(path)
        else:
            path.write_text(text)
    return root


def faults(root: Path) -> list[str]:
    return [str(fault) for fault in read_yolo(root, PLAN).faults]


def shown(root: Path) -> dict[str, tuple[str | None, int]]:
    """Each image, its part, and how many shapes it has."""
    return {one.image: (one.split, len(one.shapes)) for one in read_yolo(root, PLAN).images}


def test_rows_are_boxes_and_outlines_in_pixels_with_the_names_of_their_classes(tmp_path):
    put(tmp_path, images__a_png="", labels__a_txt=BOX + OUTLINE, classes_txt="RBC\nWBC\n")
    found = read_yolo(tmp_path, PLAN)
    box, outline = found.images[0].shapes
    assert (box.kind, box.label) == ("box", "WBC") and box.box == pytest.approx((8, 3, 12, 7))
    assert (outline.kind, outline.label) == ("polygon", "RBC") and outline.box == pytest.approx((2, 2, 9, 5))
    assert found.classes == ("RBC", "WBC") and found.faults == () and found.images[0].source == "labels/a.txt"


def test_a_yaml_says_the_names_and_the_parts_whatever_machine_it_comes_from(tmp_path):
    yaml = "path: /elsewhere\ntrain: ../train/images\nval: valid/images\ntest: list.txt\nnames: {0: RBC, 1: WBC}\n"
    put(tmp_path, data_yaml=yaml, list_txt="./more/images/c.png\n")
    for name in ("train__images__a", "valid__images__b", "more__images__c"):
        put(tmp_path, **{f"{name}_png": "", f"{name.replace('images', 'labels')}_txt": BOX})
    expected = {"more/images/c.png": "test", "train/images/a.png": "train", "valid/images/b.png": "val"}
    assert shown(tmp_path) == {name: (part, 1) for name, part in expected.items()}
    assert shown(tmp_path / "data.yaml") == shown(tmp_path)
    assert scan(tmp_path).layout == scan(tmp_path / "data.yaml").layout == "shapes in YOLO"


def test_the_parts_are_the_folders_where_nothing_names_them(tmp_path):
    for part in ("train", "val"):
        put(tmp_path, **{f"images__{part}__a_png": "", f"labels__{part}__a_txt": BOX})
    assert shown(tmp_path) == {"images/train/a.png": ("train", 1), "images/val/a.png": ("val", 1)}
    table = scan(tmp_path)
    assert table.frame["split"].to_list() == ["train", "val"] and table.classes == ("1",)
    assert "the classes are called by their numbers: there is neither a data.yaml nor a classes.txt" in table.notes


def test_darknet_keeps_images_and_rows_in_one_folder(tmp_path):
    put(tmp_path, obj_data="classes = 2\ntrain = data/train.txt\nnames = data/obj.names\n", obj_names="RBC\nWBC\n")
    put(tmp_path, train_txt="data/obj_train_data/a.png\n", obj_train_data__a_png="", obj_train_data__a_txt=BOX)
    assert shown(tmp_path) == {"obj_train_data/a.png": ("train", 1)}
    assert scan(tmp_path).classes == ("WBC",)


def test_images_beside_their_rows_are_yolo_where_classes_are_named(tmp_path):
    put(tmp_path, a_png="", a_txt=BOX, classes_txt="RBC\nWBC\n")
    assert scan(tmp_path).layout == "shapes in YOLO"
    (tmp_path / "classes.txt").unlink()
    with pytest.raises(CorpuscleError, match="holds 1 images without classes"):
        scan(tmp_path)


def test_an_image_without_a_file_holds_no_object_and_a_test_part_without_any_is_unlabelled(tmp_path):
    for part in ("train", "test"):
        put(tmp_path, **{f"images__{part}__{name}_png": "" for name in "ab"})
    put(tmp_path, labels__train__a_txt=BOX)
    table = scan(tmp_path)
    assert table.frame.select("split", "counts").rows() == [("unlabelled", None)] * 2 + [(None, [1]), (None, [0])]
    assert "1 images without a text file are taken to hold no object (first: images/train/b.png)" in table.notes


def test_an_image_in_two_parts_stays_in_the_first(tmp_path):
    put(tmp_path, data_yaml="train: images\nval: images\nnames: [a, b]\n", images__a_png="", labels__a_txt=BOX)
    found = read_yolo(tmp_path, PLAN)
    assert found.images[0].split == "train"
    assert found.notes == ("1 images are in two parts and are taken for the first alone (first: images/a.png)",)


def test_what_follows_a_box_may_be_joints(tmp_path):
    yaml = "train: images\nnames: [a, b]\nkpt_shape: [2, 2]\n"
    put(tmp_path, data_yaml=yaml, images__a_png="", labels__a_txt=BOX.strip() + " 0.5 0.5 0.6 0.6\n")
    assert [shape.kind for shape in read_yolo(tmp_path, PLAN).images[0].shapes] == ["box"]


def test_each_row_that_is_none_is_a_fault_with_its_file_and_line(tmp_path):
    rows = [
        "x 1 2 3 4",
        "0.5 .1 .1 .1 .1",
        "7 .1 .1 .1 .1",
        "0 .1 .1 .1",
        "0 120 80 .1 .1",
        "0 .1 .1 .1 .1 .9",
        "",
        BOX,
    ]
    put(tmp_path, images__a_png="", labels__a_txt="\n".join(rows), labels__b_txt=BOX, classes_txt="RBC\nWBC\n")
    what = "write a class and x, y, width and height, or a class and the corners of an outline"
    assert faults(tmp_path) == [
        "labels/b.txt: has no image of its name in images; add it, or remove the file",
        f"labels/a.txt line 1: 'x 1 2 3 4' is no row of numbers; {what}",
        f"labels/a.txt line 2: has the class '0.5', a whole number from 0 on was expected; {what}",
        f"labels/a.txt line 4: has 4 numbers, 5 of a box or an odd number of an outline were expected; {what}",
        "labels/a.txt line 5: has 120, shares of the image from 0 to 1 were expected; "
        "divide x by the width of the image and y by its height",
        f"labels/a.txt line 6: has 6 numbers, 5 of a box or an odd number of an outline were expected; {what}",
        "labels/a.txt line 3: has the class 7 (known: 0 RBC, 1 WBC); mend it, or name the class",
    ]
    with pytest.raises(DataFault, match=r"labels/a\.txt line 1: 'x 1 2 3 4' is no row of numbers"):
        scan(tmp_path)


def test_a_list_that_names_no_image_and_a_sheet_without_one_are_faults(tmp_path):
    put(tmp_path, images__a_png="", labels__a_txt=BOX, train_txt="images/a.png\nimages/z.png\n", classes_txt="a\nb\n")
    assert faults(tmp_path) == [
        "the list of train: image 'images/z.png' does not exist; mend the path, or remove the line"
    ]
    sheet = put(tmp_path / "b", data_yaml="train: pictures\nnames: [a]\n") / "data.yaml"
    assert str(read_yolo(sheet, PLAN).faults[0]) == (
        "data.yaml: names no folder of images that exists; write where train, val and test lie"
    )
    assert read_yolo(sheet, PLAN).notes == ("data.yaml: train is 'pictures', which does not exist",)


def test_several_sheets_are_refused(tmp_path):
    put(tmp_path, a_yaml="train: images\nnames: [a]\n", b_yaml="train: images\nnames: [a]\n")
    with pytest.raises(CorpuscleError, match=r"holds several sheets of classes \(a\.yaml, b\.yaml\), one was expected"):
        scan(tmp_path)


def test_a_sheet_whose_classes_have_no_numbers_is_refused(tmp_path):
    put(tmp_path, data_yaml="train: images\nnames: {cell: 0}\n", images__a_png="")
    with pytest.raises(CorpuscleError, match=r"data\.yaml: names has 'cell', a number was expected; write"):
        scan(tmp_path)


def test_a_sheet_that_is_no_yaml_is_told_and_not_passed_over(tmp_path):
    put(tmp_path, images__a_png="", labels__a_txt=BOX, data_yaml="names: [RBC, WBC\ntrain: images\n")
    told = r"data\.yaml: is not a YAML file \(while parsing a flow sequence\); replace it by a whole copy"
    with pytest.raises(CorpuscleError, match=told):
        scan(tmp_path)
