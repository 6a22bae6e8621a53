"""Outlines and runs of COCO, and where its files and images lie. Its boxes: tests/data/test_sources_boxes.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from corpuscle.core.errors import CorpuscleError, DataFault
from corpuscle.data.annotations import coco
from corpuscle.data.annotations.coco import coco_in, read_coco
from corpuscle.data.masks import read_mask
from corpuscle.data.sources import SourcePlan, scan
from corpuscle.data.sources.named import read_json

PLAN, BESIDE = SourcePlan(), SourcePlan(masks="beside")
SQUARE = [2, 2, 8, 2, 8, 8, 2, 8]
PARTS = ("train", "valid")
RUNS = {"size": [10, 20], "counts": [22, 6, 4, 6, 162]}  # rows 2 to 8 of columns 2 and 3


def image(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 10)).save(path)
    return path


def put(path: Path, names: list[str], *drawn: dict[str, Any]) -> Path:
    """A COCO file of images of 20 x 10 pixels and the classes 1 red and 2 white; annotations of the first image."""
    images = [{"id": n, "file_name": name, "width": 20, "height": 10} for n, name in enumerate(names)]
    annotations = [{"id": n, "image_id": 0, "category_id": 1} | item for n, item in enumerate(drawn, 1)]
    categories = [{"id": 1, "name": "red"}, {"id": 2, "name": "white"}]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path


def test_outlines_and_runs_are_areas_and_what_has_neither_is_a_box(tmp_path):
    image(tmp_path / "a.png")
    two = {"segmentation": [SQUARE, [10, 2, 12, 2, 12, 4]], "category_id": 2}
    box = {"segmentation": [], "bbox": [1, 1, 2, 3]}
    path = put(tmp_path / "t.json", ["a.png"], two, {"segmentation": RUNS, "iscrowd": 1}, box)
    found = read_coco(path, PLAN)
    first, second, runs, rest = found.images[0].shapes
    assert first.xy == ((2, 2), (8, 2), (8, 8), (2, 8)) and first.instance == second.instance is not None
    assert runs.box == (2, 2, 4, 8) and runs.crowd and runs.kind == "polygon"
    assert (rest.kind, rest.box) == ("box", (1, 1, 3, 4))
    table = scan(path)
    assert table.frame["counts"].to_list() == [[1, 1]]  # a crowd is not counted, and two pieces are one
    assert table.points.rows() == [("a.png", 6.5, 4.5, "white"), ("a.png", 1.5, 2.0, "red")]


def test_a_crowd_is_an_area_where_masks_are_learned(tmp_path):
    image(tmp_path / "a.png")
    table = scan(put(tmp_path / "t.json", ["a.png"], {"segmentation": RUNS, "iscrowd": 1}), BESIDE)
    assert table.frame["mask"].to_list() == ["t.json#a.png"] and table.classes == ("background", "red")
    mask_HW = read_mask(table.path_of("t.json#a.png"), table.legend)
    assert (mask_HW[2:8, 2:4] == 1).all() and mask_HW.sum() == 12


def test_files_called_like_parts_are_parts_and_their_images_lie_in_folders_of_the_parts(tmp_path):
    for part in ("train2017", "val2017"):
        image(tmp_path / part / "a.png")
        put(tmp_path / "annotations" / f"instances_{part}.json", ["a.png"], {"segmentation": [SQUARE]})
    table = scan(tmp_path)
    assert table.layout == "boxes in COCO"
    assert table.frame.select("image", "split", "source").rows() == [
        ("train2017/a.png", "train", "annotations/instances_train2017.json"),
        ("val2017/a.png", "val", "annotations/instances_val2017.json"),
    ]
    masks = scan(tmp_path, BESIDE)
    assert masks.frame["mask"][1] == "annotations/instances_val2017.json#a.png"
    assert (read_mask(masks.path_of(masks.frame["mask"][1]), masks.legend) == 1).sum() == 36


def test_a_file_in_the_folder_of_its_part_tells_of_the_images_beside_it(tmp_path):
    for part in ("train", "valid"):
        image(tmp_path / part / "a.png")
        put(tmp_path / part / "_annotations.coco.json", ["a.png"], {"bbox": [1, 1, 2, 3]})
    table = scan(tmp_path)
    assert table.frame.select("image", "split").rows() == [("train/a.png", "train"), ("valid/a.png", "val")]


def test_several_files_that_are_not_of_parts_are_refused(tmp_path):
    for name in ("a", "b"):
        put(tmp_path / f"{name}.json", [f"{image(tmp_path / f'{name}.png').name}"], {"bbox": [1, 1, 2, 3]})
    with pytest.raises(CorpuscleError, match=r"holds several files \(a\.json, b\.json\), one was expected; name it"):
        scan(tmp_path)
    with pytest.raises(CorpuscleError, match=r"holds a\.json, b\.json, one was expected, or one a part such as train"):
        read_coco(tmp_path, PLAN)


def test_objects_are_read_where_captions_and_joints_lie_beside_them(tmp_path):
    image(tmp_path / "images" / "a.png")
    box = {"bbox": [1, 1, 2, 3]}
    folder = tmp_path / "annotations"
    put(folder / "instances_default.json", ["a.png"], box)  # as CVAT exports it
    assert (scan(tmp_path).layout, scan(tmp_path).frame["counts"].to_list()) == ("boxes in COCO", [[1]])
    put(folder / "person_keypoints_default.json", ["a.png"], box, box)
    (folder / "captions_default.json").write_text('{"images": [], "annotations": [{"caption": "cells"}]}')
    assert list(coco_in(tmp_path)) == [folder / "instances_default.json"]
    for file in sorted(folder.iterdir()):
        file.rename(file.with_stem(file.stem.replace("default", "train2017")))
    assert coco_in(tmp_path) == {folder / "instances_train2017.json": "train"}


def test_a_file_is_read_once_however_often_it_is_asked_and_anew_when_it_has_changed(tmp_path, monkeypatch):
    image(tmp_path / "a.png")
    path = put(tmp_path / "t.json", ["a.png"], {"segmentation": [SQUARE]})
    read = []
    monkeypatch.setattr(coco, "read_json", lambda file, each: read.append(file) or read_json(file, each))
    for _ in range(2):
        table = scan(tmp_path, BESIDE)
        assert (read_mask(table.path_of("t.json#a.png"), table.legend) == 1).sum() == 36
    assert read == [path]
    put(path, ["a.png"], {"segmentation": [SQUARE, [10, 2, 12, 2, 12, 4, 10, 4]]})
    assert (read_mask(table.path_of("t.json#a.png"), table.legend) == 1).sum() == 40
    assert read == [path, path]


def test_closed_and_open_outlines_are_the_same_and_infinite_ones_are_faults(tmp_path):
    image(tmp_path / "a.png")
    closed = [*SQUARE, *SQUARE[:2]]
    path = put(tmp_path / "t.json", ["a.png"], *({"segmentation": [one]} for one in (SQUARE, closed)))
    first, second = read_coco(path, PLAN).images[0].shapes
    assert first == second and hash(first) == hash(second) and first.xy[0] == (2, 2) and len(second.xy) == 4
    assert first.xy[1:3] == ((8, 2), (8, 8)) and np.array(first.xy).shape == (4, 2)
    path.write_text(path.read_text().replace("2, 8]", "2, Infinity]"))
    assert read_coco(path, PLAN).faults[0].what == "has a point that is not two numbers"


def test_a_file_of_another_kind_with_its_lists_deeper_is_told_what_it_lacks(tmp_path):
    content = {"data": {"images": [], "annotations": [], "categories": []}}
    (tmp_path / "t.json").write_text("\ufeff " + json.dumps(content), encoding="utf-8")
    with pytest.raises(DataFault) as caught:
        scan(tmp_path / "t.json")
    assert str(caught.value.faults[0]) == "t.json: has no list 'images'; write it as COCO does"


def test_numbers_written_as_texts_are_the_same_numbers(tmp_path):
    image(tmp_path / "a.png")
    path = put(tmp_path / "t.json", ["a.png"], {"bbox": [1, 1, 2, 3], "image_id": "0", "category_id": "2"})
    assert scan(path).classes == ("white",)


def test_a_folder_whose_file_has_no_categories_says_so(tmp_path):
    path = put(tmp_path / "t.json", [image(tmp_path / "images" / "a.png").name], {"bbox": [1, 1, 2, 3]})
    content = json.loads(path.read_text())
    del content["categories"]
    path.write_text(json.dumps(content))
    with pytest.raises(DataFault, match=r"^t\.json: has no list 'categories'; write it as COCO does$"):
        scan(tmp_path)
    path.write_text(json.dumps(content)[:-40])
    with pytest.raises(CorpuscleError, match=r"t\.json: is not a JSON file \(.*\); replace it by a whole copy"):
        scan(tmp_path)


@pytest.mark.parametrize(
    ("content", "shown"),
    [([{"image_id": 1}], "a list"), ({"type": 1, "features": []}, "an object with type, features"), ({}, "nothing")],
)
@pytest.mark.parametrize("place", ["a.png", "images/a.png"])
def test_json_of_another_kind_is_named_with_what_it_holds(content, shown, place, tmp_path):
    image(tmp_path / place)
    (tmp_path / "x.json").write_text(json.dumps(content))
    told = (
        rf"x\.json is JSON of another kind \(.*{shown}.*\), expected COCO \(images, .*, call GeoJSON \.geojson, or rem"
    )
    with pytest.raises(CorpuscleError, match=told):
        scan(tmp_path)


def test_an_image_of_another_case_or_suffix_is_pointed_at(tmp_path):
    image(tmp_path / "Images" / "A.jpg")
    path = put(tmp_path / "t.json", ["images/a.png", "images/b.png"])
    remedy = "mend the name, or name its folder with --set data.root=FOLDER"
    assert [str(fault) for fault in read_coco(path, PLAN).faults] == [
        f"t.json image 0: 'images/a.png' does not exist in {tmp_path} (Images/A.jpg is there); {remedy}",
        f"t.json image 1: 'images/b.png' does not exist in {tmp_path}; {remedy}",
    ]
    image(tmp_path / "Images" / "a.bmp")  # and then it could be either
    assert "is there" not in read_coco(path, PLAN).faults[0].what


def test_a_panoptic_file_is_refused_in_one_line(tmp_path):
    with pytest.raises(DataFault) as caught:
        scan(put(tmp_path / "t.json", ["a.png"], {"segments_info": [{"id": 3, "category_id": 1}]}))
    assert str(caught.value.faults[0]) == (
        "t.json: is panoptic, its areas lie in PNG files; instances were expected; export it as instances"
    )


def test_files_of_parts_are_told_apart_in_messages(tmp_path):
    for part in ("train", "valid"):
        image(tmp_path / part / "a.png")
        put(tmp_path / part / "_annotations.coco.json", ["a.png"], {"bbox": [1, 1, 2, 3]})
    assert scan(tmp_path).notes == tuple(f"{part}/_annotations.coco.json: no object of white" for part in PARTS)


def test_outlines_that_are_none_are_faults(tmp_path):
    image(tmp_path / "a.png")
    drawn = [
        [[1, 1, 2, 2]],
        [[1, 1, 2, 2, 3]],
        [[1, 1, "x", 2, 3, 3]],
        RUNS | {"counts": "!"},
        RUNS | {"counts": [999]},
        RUNS | {"size": [20, 10]},
    ]
    path = put(tmp_path / "t.json", ["a.png"], *({"segmentation": one} for one in drawn))
    remedy = "write segmentation as COCO does"
    assert [str(fault) for fault in read_coco(path, PLAN).faults] == [
        f"t.json annotation 1: has 2 corners, an outline has 3 at least; {remedy}",
        f"t.json annotation 2: has an outline of 5 numbers, pairs were expected; {remedy}",
        f"t.json annotation 3: has a point that is not two numbers; {remedy}",
        f"t.json annotation 4: has runs with the letter '!', which is none of COCO's; {remedy}",
        f"t.json annotation 5: has runs of 999 pixels in a mask of 20 x 10; {remedy}",
        f"t.json annotation 6: has a mask of 10 x 20 pixels on an image of 20 x 10; {remedy}",
    ]
