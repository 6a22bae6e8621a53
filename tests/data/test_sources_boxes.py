"""From boxes in Pascal VOC and COCO to a table of counts, and what is said of those that are wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from corpuscle.core.errors import DataFault
from corpuscle.data.sources import SourcePlan, scan

Edges = tuple[object, object, object, object]


def voc(root: Path, name: str, *boxes: tuple[str, Edges], size: tuple[int, int] = (20, 10)) -> None:
    """An image of 20 x 10 pixels and its XML file."""
    for folder in ("Annotations", "JPEGImages"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 10)).save(root / "JPEGImages" / f"{name}.jpg")
    sides = ("xmin", "ymin", "xmax", "ymax")
    objects = "".join(
        f"<object><name>{kind}</name><bndbox>"
        + "".join(f"<{side}>{edge}</{side}>" for side, edge in zip(sides, edges, strict=True))
        + "</bndbox></object>"
        for kind, edges in boxes
    )
    shape = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
    (root / "Annotations" / f"{name}.xml").write_text(f"<annotation>{shape}{objects}</annotation>")


def lists(root: Path, **parts: str) -> None:
    (root / "ImageSets" / "Main").mkdir(parents=True, exist_ok=True)
    for part, names in parts.items():
        (root / "ImageSets" / "Main" / f"{part}.txt").write_text("\n".join(names))


def coco(path: Path, annotations: list[dict[str, object]], **others: object) -> Path:
    """A COCO file of the images a (20 x 10) and b, the classes 1 red and 2 white."""
    images = [{"id": n, "file_name": f"{name}.png", "width": 20, "height": 10} for n, name in enumerate("ab")]
    for item in images:
        Image.new("RGB", (20, 10)).save(path.parent / str(item["file_name"]))
    categories = [{"id": 1, "name": "red"}, {"id": 2, "name": "white"}]
    content = {"images": images, "annotations": annotations, "categories": categories} | others
    path.write_text(json.dumps(content))
    return path


def faults(path: Path, **plan: object) -> list[str]:
    """What a scan complains of."""
    with pytest.raises(DataFault) as caught:
        scan(path, SourcePlan(**plan))
    return [str(fault) for fault in caught.value.faults]


def test_boxes_in_voc_count_by_their_class_at_their_middle(tmp_path):
    voc(tmp_path, "b", ("red", (1, 1, 20, 10)), ("white", (3, 3, 3.5, 4)))
    voc(tmp_path, "a")
    table = scan(tmp_path)
    assert (table.layout, table.classes) == ("boxes in Pascal VOC", ("red", "white"))
    assert table.frame["image"].to_list() == ["JPEGImages/a.jpg", "JPEGImages/b.jpg"]
    assert table.frame["counts"].to_list() == [[0, 0], [1, 1]]
    assert table.points.rows() == [("JPEGImages/b.jpg", 9.5, 4.5, "red"), ("JPEGImages/b.jpg", 2.25, 2.5, "white")]
    assert table.frame["split"].null_count() == 2


def test_files_of_voc_may_lie_beside_their_images_or_in_folders_of_other_names(tmp_path):
    for name in "ab":
        voc(tmp_path / "voc", name, ("red", (1, 1, 20, 10)))
    flat, renamed = tmp_path / "flat", tmp_path / "renamed"
    flat.mkdir()
    for file in [*(tmp_path / "voc").glob("*/*")]:
        shutil.copy(file, flat / file.name)
    table = scan(flat)
    assert (table.layout, table.frame["image"].to_list()) == ("boxes in Pascal VOC", ["a.jpg", "b.jpg"])
    for part, name in (("train", "a"), ("valid", "b")):
        (tmp_path / "parts" / part).mkdir(parents=True)
        for file in flat.glob(f"{name}.*"):
            shutil.copy(file, tmp_path / "parts" / part / file.name)
    table = scan(tmp_path / "parts")
    assert table.frame.select("image", "split").rows() == [("train/a.jpg", "train"), ("valid/b.jpg", "val")]
    renamed.mkdir()
    (tmp_path / "voc" / "Annotations").rename(renamed / "annotations")
    (tmp_path / "voc" / "JPEGImages").rename(renamed / "images")
    assert scan(renamed).points.rows() == [(f"images/{name}.jpg", 9.5, 4.5, "red") for name in "ab"]
    (flat / "b.xml").unlink()
    assert faults(flat) == [
        "b.jpg: has no b.xml; add it, without an object if the image holds none, or remove the image"
    ]


def test_the_lists_of_voc_are_the_parts_where_they_divide_the_images(tmp_path):
    for name in "abc":
        voc(tmp_path, name, ("red", (1, 1, 9, 9)))
    lists(tmp_path, train="ab", val="c", trainval="abc")
    table = scan(tmp_path)
    assert table.frame["split"].to_list() == ["train", "train", "val"]
    assert table.notes == ("parts from ImageSets/Main: train 2, val 1",)
    lists(tmp_path, train="ab", val="bc")
    table = scan(tmp_path)
    assert table.frame["split"].null_count() == 3
    assert table.notes == ("the lists of ImageSets/Main were not used: 1 images are in two of them",)
    lists(tmp_path, train="a", val="b")
    assert scan(tmp_path).notes == ("the lists of ImageSets/Main were not used: 1 images are in none (first: c)",)


def test_boxes_may_touch_the_border_and_those_without_an_area_are_left_out_and_said(tmp_path):
    voc(tmp_path, "a", ("red", (0, 0, 21, 11)), ("red", (5, 5, 5, 5)))
    table = scan(tmp_path)
    assert table.points.rows() == [("JPEGImages/a.jpg", 9.5, 4.5, "red")]
    assert table.notes == ("left out: 1 boxes without an area (first: Annotations/a.xml object 2, red)",)


def test_all_faults_of_voc_come_at_once(tmp_path):
    voc(tmp_path, "a", ("red", (9, 1, 3, 9)), ("red", (1, 1, 23, 9)), ("", (1, 1, 3, 3)), ("red", ("x", 1, 3, 3)))
    voc(tmp_path, "b", ("red", (1, 1, 3, 3)), size=(40, 20))
    voc(tmp_path, "c", ("red", (1, 1, 3, 3)))
    voc(tmp_path, "d")
    voc(tmp_path, "e")
    (tmp_path / "JPEGImages" / "c.jpg").unlink()
    (tmp_path / "Annotations" / "d.xml").unlink()
    (tmp_path / "Annotations" / "e.xml").write_text("<annotation>")
    skip = "or pass --set data.odd_boxes=skip to leave such boxes out"
    assert faults(tmp_path) == [
        "Annotations/c.xml: has no image of its name in JPEGImages; "
        "put one image of that name there, or remove the file",
        "JPEGImages/d.jpg: has no Annotations/d.xml; add it, without an object if the image holds none, "
        "or remove the image",
        "Annotations/a.xml object 3: has no name; write its class into <name>",
        "Annotations/a.xml object 4: has no box of four numbers (xmin x, ymin 1, xmax 3, ymax 3); "
        "draw its box, or remove the object",
        "Annotations/e.xml: is not an XML file (no element found: line 1, column 12); replace it by a whole copy",
        "Annotations/b.xml: was drawn on 40 x 20 pixels, JPEGImages/b.jpg is 20 x 10; "
        "draw the shapes on this image, or restore the other",
        f"Annotations/a.xml object 1: the box of red (x 8 to 2, y 0 to 9) is reversed; swap its corners, {skip}",
        f"Annotations/a.xml object 2: the box of red (x 0 to 23, y 0 to 9) reaches outside of its image "
        f"(20 x 10 pixels); mend it, {skip}",
    ]


def test_an_xml_file_of_another_tool_is_a_fault_and_no_image_without_objects(tmp_path):
    voc(tmp_path, "a", ("red", (1, 1, 9, 9)))
    voc(tmp_path, "b", ("red", (1, 1, 9, 9)))
    (tmp_path / "Annotations" / "b.xml").write_text("<svg/>")
    assert faults(tmp_path) == [
        "Annotations/b.xml: is an XML file of <svg>, <annotation> was expected; export it as Pascal VOC"
    ]


def test_folders_of_voc_may_be_written_in_any_case(tmp_path):
    voc(tmp_path, "a", ("red", (1, 1, 9, 9)))
    for name in ("Annotations", "JPEGImages"):
        (tmp_path / name).rename(tmp_path / name.lower())
    table = scan(tmp_path)
    assert (table.layout, table.frame["image"].to_list()) == ("boxes in Pascal VOC", ["jpegimages/a.jpg"])


def test_odd_boxes_may_be_left_out_with_a_note(tmp_path):
    voc(tmp_path, "a", ("red", (9, 1, 3, 9)), ("red", (1, 1, 23, 9)), ("red", (1, 1, 9, 9)))
    table = scan(tmp_path, SourcePlan(odd_boxes="skip"))
    assert table.frame["counts"].to_list() == [[1]]
    assert table.notes == ("left out: 2 boxes reversed or outside of their image (first: Annotations/a.xml object 1)",)


def test_boxes_in_coco_count_by_their_class_at_their_middle(tmp_path):
    first = {"id": 7, "image_id": 1, "category_id": 2, "bbox": [0, 0, 20, 10]}
    crowd = {"id": 8, "image_id": 1, "category_id": 2, "bbox": [0, 0, 20, 10], "iscrowd": 1}
    coco(tmp_path / "boxes.json", [first, crowd])
    table = scan(tmp_path)
    assert (table.layout, table.classes) == ("boxes in COCO", ("white",))
    assert table.frame.select("image", "counts").rows() == [("a.png", [0]), ("b.png", [1])]
    assert table.points.rows() == [("b.png", 9.5, 4.5, "white")]
    assert table.notes == (
        "boxes.json: no object of red",
        "left out: 1 boxes of crowds, whose objects cannot be counted",
    )


def test_all_faults_of_coco_come_at_once(tmp_path):
    boxes = [
        {"id": 1, "image_id": 0, "category_id": 1, "bbox": [5, 5, -2, 2]},
        {"id": 2, "image_id": 0, "category_id": 1, "bbox": [15, 5, 8, 2]},
        {"id": 3, "image_id": 9, "category_id": 1, "bbox": [1, 1, 2, 2]},
        {"id": 4, "image_id": 0, "category_id": 9, "bbox": [1, 1, 2, 2]},
        {"id": 5, "image_id": 0, "category_id": 1, "bbox": [1, 1, 2]},
    ]
    path = coco(tmp_path / "boxes.json", boxes)
    (tmp_path / "b.png").unlink()
    skip = "or pass --set data.odd_boxes=skip to leave such boxes out"
    assert faults(path) == [
        "boxes.json annotation 3: no image has the id 9; add the image, or remove the annotation",
        "boxes.json annotation 4: no category has the id 9 (known: 1 red, 2 white); add the category, or mend the id",
        "boxes.json annotation 5: bbox [1, 1, 2] is not four numbers; write [x, y, width, height]",
        f"boxes.json image 1: 'b.png' does not exist in {tmp_path}; "
        "mend the name, or name its folder with --set data.root=FOLDER",
        f"boxes.json annotation 1: the box of red (x 5 to 3, y 5 to 7) is reversed; swap its corners, {skip}",
        "boxes.json annotation 2: the box of red (x 15 to 23, y 5 to 7) reaches outside of its image (20 x 10 pixels); "
        f"mend it, {skip}",
    ]
    nameless = [{"id": 1}, {"id": 2, "name": "white"}]
    assert faults(coco(path, [], categories=nameless))[0] == (
        "boxes.json category 1: has no name; write the name of its class"
    )
    assert faults(coco(path, [], categories=None)) == ["boxes.json: has no list 'categories'; write it as COCO does"]


def test_coco_files_for_train_and_test(tmp_path):
    box = {"id": 1, "category_id": 1, "bbox": [1, 1, 2, 2]}
    one, two = ({"id": n, "file_name": f"{name}.png"} for n, name in enumerate("ab"))
    test = coco(tmp_path / "test.json", [box | {"image_id": 1}], images=[two])
    train = coco(tmp_path / "train.json", [box | {"image_id": 0}], images=[one])
    table = scan(train, SourcePlan(test=test))
    assert table.frame.select("image", "split").rows() == [("a.png", "train"), ("b.png", "test")]


def test_the_published_boxes_of_blood_are_read_with_a_note(sample_data):
    table = scan(sample_data / "bccd")
    assert table.classes == ("Platelets", "RBC", "WBC")
    assert [table.frame["counts"].list.get(k).sum() for k in range(3)] == [292, 3348, 301]
    assert table.notes[:2] == (
        "parts from ImageSets/Main: train 205, val 87",
        "left out: 2 boxes without an area (first: Annotations/BloodImage_00338.xml object 13, RBC)",
    )
    assert table.frame["split"].value_counts().sort("split").rows() == [("train", 205), ("val", 87)]
