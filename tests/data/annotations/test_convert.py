"""What a conversion says of what it could not keep, what it refuses, and that it leaves nothing half written."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from corpuscle.core.errors import CorpuscleError, DataFault
from corpuscle.data.annotations.convert import convert, write
from corpuscle.data.annotations.formats import FORMATS
from corpuscle.data.annotations.record import Annotations, Marked, Shape
from corpuscle.data.annotations.sound import sound
from corpuscle.data.sources import scan
from corpuscle.data.sources.plan import SourcePlan

BOX = Shape("box", "cell", ((2, 3), (8, 9)))
POINT = Shape("point", "cell", ((1.5, 2.5),))
SQUARE = Shape("polygon", "cell", ((1, 1), (7, 1), (7, 7), (1, 7)))
HOLE = ((3.0, 3.0), (3.0, 5.0), (5.0, 5.0), (5.0, 3.0))
HOLED = Shape("polygon", "cell", SQUARE.xy, (HOLE,))
ALL_TRAIN = "data.yaml calls all images train, for none is in a part"
PIECES = tuple(Shape("polygon", "cell", ((x, 1), (x + 3, 1), (x + 3, 4)), instance=1) for x in (1, 12))


def drawn(root: Path, *shapes: Shape, parts=(None,)) -> Annotations:
    """An image of 20 x 10 pixels a part, all with the same shapes."""
    root.mkdir(parents=True, exist_ok=True)
    images = []
    for number, part in enumerate(parts):
        Image.new("RGB", (20, 10)).save(root / f"{number}.png")
        images.append(Marked(f"{number}.png", 10, 20, shapes, part, f"{number}.png"))
    return Annotations(root, tuple(images), ("cell",))


def notes(tmp_path, to, *shapes, parts=(None,)):
    return write(drawn(tmp_path / "images", *shapes, parts=parts), FORMATS[to], tmp_path / "out").notes


@pytest.mark.parametrize(
    ("to", "shapes", "expected"),
    [
        ("voc", (SQUARE, SQUARE, BOX), ["polygons drawn as boxes: 2"]),
        ("voc", (*PIECES,), ["polygons drawn as boxes: 1"]),
        (
            "labelme",
            tuple(Shape("box", "cell", ((x, 1), (x + 2, 3)), instance=4) for x in (1, 9)),
            ["objects of several boxes drawn as one box: 1"],
        ),
        ("voc", (BOX, POINT), ["points left out, for which there is no room: 1"]),
        ("voc", (Shape("box", "cell", ((1.2, 3), (4, 5))),), ["boxes rounded to whole pixels: 1"]),
        (
            "voc",
            (Shape("box", "cell", ((1, 3), (2, 5))),),
            ["boxes a single pixel wide or high, which reads as no area: 1"],
        ),
        ("voc", (Shape("box", "cell", ((-1, 0), (4, 10.5))),), ["boxes cut at the border of their image: 1"]),
        ("coco", (Shape("box", "cell", BOX.xy, difficult=True),), ["marks of difficult objects left out: 1"]),
        ("coco", (HOLED, SQUARE), ["objects with holes written as runs of whole pixels: 1"]),
        ("coco", (Shape("box", "cell", BOX.xy, crowd=True),), []),
        ("cvat", (Shape("box", "cell", BOX.xy, crowd=True), BOX), ["crowds of several objects left out: 1"]),
        ("cvat", (HOLED,), ["polygons whose holes were joined to the outline by cuts of no width: 1"]),
        ("yolo", (BOX, SQUARE), ["polygons drawn as boxes: 1", ALL_TRAIN]),
        (
            "yolo",
            PIECES,
            [
                "objects whose pieces were joined by cuts of no width: 1",
                ALL_TRAIN,
            ],
        ),
        ("masks", (SQUARE, HOLED), ["objects that cover parts of others, whose pixels they take: 1"]),
        (
            "masks",
            (HOLED, SQUARE),
            ["objects that cover parts of others, whose pixels they take: 1", "objects left without a pixel: 1"],
        ),
        ("points", (BOX,), ["boxes drawn as points, their middles: 1"]),
        ("points", (SQUARE,), ["polygons drawn as points, their middles: 1"]),
        ("qupath", (BOX, POINT, HOLED, *PIECES), []),
    ],
)  # fmt: skip
def test_what_a_format_has_no_room_for_is_said_with_its_number(to, shapes, expected, tmp_path):
    assert list(notes(tmp_path, to, *shapes)) == expected


def test_parts_that_a_format_has_no_room_for_are_said(tmp_path):
    assert notes(tmp_path / "a", "qupath", BOX, parts=("train", "train", "val")) == (
        "parts left out, for QuPath has none (train 2, val 1)",
    )
    assert notes(tmp_path / "b", "voc", BOX, parts=("train", "val", None)) == (
        "parts left out, for some images are in none (train 1, val 1, none 1)",
    )
    assert notes(tmp_path / "c", "voc", BOX, parts=("train", "val")) == ()
    assert (tmp_path / "c" / "out" / "ImageSets" / "Main" / "val.txt").read_text() == "1\n"


def test_boxes_stand_in_each_format_as_it_counts_pixels(tmp_path):
    """Pixels 2 to 7 across and 3 to 8 down, from 0."""
    made = drawn(tmp_path / "images", BOX)
    for to in ("voc", "coco", "yolo", "labelme", "cvat", "qupath", "points"):
        write(made, FORMATS[to], tmp_path / to)
    sheet = (tmp_path / "voc" / "Annotations" / "0.xml").read_text()
    sides = [f"<{side}>{edge}</{side}>" for side, edge in (("xmin", 3), ("ymin", 4), ("xmax", 8), ("ymax", 9))]
    assert all(side in sheet for side in sides)
    assert json.loads((tmp_path / "coco" / "annotations.json").read_text())["annotations"][0]["bbox"] == [2, 3, 6, 6]
    row = (tmp_path / "yolo" / "labels" / "0.txt").read_text().split()
    assert [float(word) for word in row] == [0, 0.25, 0.6, 0.3, 0.6]
    assert json.loads((tmp_path / "labelme" / "0.json").read_text())["shapes"][0]["points"] == [[2, 3], [8, 9]]
    assert 'xtl="2.000" ytl="3.000" xbr="8.000" ybr="9.000"' in (tmp_path / "cvat" / "annotations.xml").read_text()
    feature = json.loads((tmp_path / "qupath" / "0.geojson").read_text())["features"][0]
    assert feature["geometry"]["coordinates"] == [[[2, 3], [8, 3], [8, 9], [2, 9], [2, 3]]]
    assert (tmp_path / "points" / "points.csv").read_text() == "image,x,y,kind\nimages/0.png,4.5,5.5,cell\n"


def test_masks_hold_the_class_and_the_number_of_each_object_and_name_their_classes(tmp_path):
    square = Shape("polygon", "b", ((8, 1), (10, 1), (10, 3), (8, 3)))
    made = drawn(tmp_path / "images", HOLED, square)
    write(Annotations(made.root, made.images, ("b", "cell")), FORMATS["masks"], tmp_path / "out")
    mask_HW, number_HW = (np.array(Image.open(tmp_path / "out" / kind / "0.png")) for kind in ("masks", "instances"))
    assert json.loads((tmp_path / "out" / "legend.json").read_text())["classes"] == ["background", "b", "cell"]
    assert [(mask_HW == k).sum() for k in (1, 2)] == [4, 36 - 4]
    assert (number_HW == np.select([mask_HW == 2, mask_HW == 1], [1, 2])).all()
    assert scan(tmp_path / "out").classes == ("background", "b", "cell")


def test_runs_of_coco_are_as_long_as_the_image_and_count_its_pixels(tmp_path):
    whole = Shape("polygon", "cell", ((0, 0), (20, 0), (20, 10), (0, 10)), (HOLE,))
    write(drawn(tmp_path / "images", whole), FORMATS["coco"], tmp_path / "out")
    item = json.loads((tmp_path / "out" / "annotations.json").read_text())["annotations"][0]
    assert item["area"] == 200 - 4 and item["segmentation"]["size"] == [10, 20]
    assert item["segmentation"]["counts"] == [0, 33, 2, 8, 2, 155]


def test_images_are_copied_linked_or_left(tmp_path):
    made = drawn(tmp_path / "images", BOX)
    for how in ("copy", "link", "none"):
        written = write(made, FORMATS["coco"], tmp_path / how, how)
    assert written.notes == ("no image was written; put them where the annotations name them, such as images/0.png",)
    assert not (tmp_path / "none" / "images").exists()
    source = tmp_path / "images" / "0.png"
    assert source.samefile(tmp_path / "link" / "images" / "0.png")
    assert not source.samefile(tmp_path / "copy" / "images" / "0.png")
    assert (tmp_path / "copy" / "images" / "0.png").read_bytes() == source.read_bytes()


def test_a_link_that_the_disk_refuses_is_told_and_nothing_is_left(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(
        CorpuscleError, match=r"0\.png cannot be linked .* \(Invalid cross-device link\); pass --images copy"
    ):
        write(drawn(tmp_path / "images", BOX), FORMATS["coco"], tmp_path / "out", "link")
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


def test_images_of_one_name_are_kept_apart_with_a_note(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / "images" / folder).mkdir(parents=True)
        Image.new("RGB", (20, 10)).save(tmp_path / "images" / folder / "x.png")
    images = tuple(Marked(f"{folder}/x.png", 10, 20, (BOX,), source="x") for folder in ("a", "b"))
    written = write(Annotations(tmp_path / "images", images, ("cell",)), FORMATS["voc"], tmp_path / "out")
    assert written.notes == (
        "images called otherwise, so that no two are alike: 2 (first: a/x.png is now JPEGImages/a_x.png)",
    )
    assert sorted(path.name for path in (tmp_path / "out" / "Annotations").iterdir()) == ["a_x.xml", "b_x.xml"]


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").touch()
    with pytest.raises(CorpuscleError, match="out is not an empty folder; name a new one with --out"):
        write(drawn(tmp_path / "images", BOX), FORMATS["voc"], tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_nothing_is_written_where_shapes_do_not_fit_their_image_and_all_faults_come_at_once(tmp_path):
    shapes = [
        Shape("box", "cell", ((2, 3), (28, 9))),
        Shape("box", "cell", ((8, 3), (2, 9))),
        Shape("point", "cell", ((25, 2),)),
    ]
    write(drawn(tmp_path / "images", BOX), FORMATS["labelme"], tmp_path / "in")
    content = json.loads((tmp_path / "in" / "0.json").read_text())
    types = {"box": "rectangle", "point": "point"}
    content["shapes"] = [{"label": "cell", "points": shape.xy, "shape_type": types[shape.kind]} for shape in shapes]
    (tmp_path / "in" / "0.json").write_text(json.dumps(content))
    with pytest.raises(DataFault) as caught:
        convert(tmp_path / "in", "cvat", tmp_path / "out", "copy", SourcePlan())
    skip = "or pass --set data.odd_boxes=skip to leave such boxes out"
    assert str(caught.value).splitlines() == [
        "0.json shape 3: the point x 25, y 2 lies outside of 0.png (20 x 10 pixels); mend it or remove it",
        "0.json shape 1: the box of cell (x 2 to 28, y 3 to 9) reaches outside of its image (20 x 10 pixels); "
        f"mend it, {skip}",
    ]
    assert not (tmp_path / "out").exists()


def test_an_image_without_a_header_is_a_fault(tmp_path):
    write(drawn(tmp_path / "images", BOX), FORMATS["coco"], tmp_path / "in")
    (tmp_path / "in" / "images" / "0.png").write_bytes(b"\0")
    content = json.loads((tmp_path / "in" / "annotations.json").read_text())
    del content["images"][0]["width"], content["images"][0]["height"]
    (tmp_path / "in" / "annotations.json").write_text(json.dumps(content))
    with pytest.raises(DataFault, match=r"^images/0.png: its header cannot be read; replace it by a whole copy"):
        convert(tmp_path / "in", "voc", tmp_path / "out", "copy", SourcePlan())


def test_data_without_annotations_and_unknown_formats_are_refused(tmp_path):
    for kind in ("a", "b"):
        (tmp_path / "cells" / kind).mkdir(parents=True)
        Image.new("RGB", (20, 10)).save(tmp_path / "cells" / kind / "x.png")
    with pytest.raises(
        CorpuscleError,
        match=r"^expected boxes, outlines or points \(Pascal VOC, COCO, .*cells is one folder per class; name data",
    ):
        convert(tmp_path / "cells", "coco", tmp_path / "out", "copy", SourcePlan())
    with pytest.raises(CorpuscleError, match=r"^'coko' is no format of annotations; Did you mean coco\?"):
        convert(tmp_path / "cells", "coko", tmp_path / "out", "copy", SourcePlan())


def test_classes_may_be_named_and_chosen(tmp_path):
    made = drawn(tmp_path / "images", BOX, Shape("box", "dirt", BOX.xy))
    write(Annotations(made.root, made.images, ("cell", "dirt")), FORMATS["coco"], tmp_path / "in")
    plan = SourcePlan(label_names={"cell": "white"}, kinds=("white",))
    written = convert(tmp_path / "in", "yolo", tmp_path / "out", "copy", plan)
    assert written.classes == ("white",)
    assert written.notes[0] == "left out: 1 shapes of classes that data.kinds does not name"
    assert str(written) == f"wrote 1 image, 1 box of 1 class to {tmp_path / 'out'} (YOLO)"
    with pytest.raises(CorpuscleError, match=r"^data.kinds: 'whit' is no class of .*; Did you mean white\?"):
        convert(
            tmp_path / "in", "yolo", tmp_path / "x", "copy", SourcePlan(label_names={"cell": "white"}, kinds=("whit",))
        )


def test_masks_give_outlines_pixels_to_ignore_are_said_and_the_mask_comes_back(blobs, tmp_path):
    written = convert(blobs, "qupath", tmp_path / "qupath", "copy", SourcePlan())
    assert written.classes == ("cell", "nucleus") and written.objects == {"polygon": 36}
    assert f"left out: {12 * 2 * 52} pixels to ignore, which become background" in written.notes
    convert(tmp_path / "qupath", "masks", tmp_path / "masks", "copy", SourcePlan())
    for file in (blobs / "masks").iterdir():
        before_HW, after_HW = (np.array(Image.open(path)) for path in (file, tmp_path / "masks" / "masks" / file.name))
        assert (np.select([before_HW == 128, before_HW == 255], [1, 2]) == after_HW).all()


def edges(path: Path) -> dict:
    """The boxes of VOC as written, by image."""
    found = sound(FORMATS["voc"].read(path, SourcePlan()), SourcePlan()).images
    return {Path(one.image).name: [(shape.label, *shape.box) for shape in one.shapes] for one in found}


def test_the_published_boxes_of_blood_come_back_from_coco_and_yolo(sample_data, tmp_path):
    first = convert(sample_data / "bccd", "coco", tmp_path / "coco", "copy", SourcePlan())
    assert str(first) == f"wrote 292 images, 3,941 boxes of 3 classes to {tmp_path / 'coco'} (COCO)"
    convert(tmp_path / "coco", "yolo", tmp_path / "yolo", "link", SourcePlan())
    convert(tmp_path / "yolo", "voc", tmp_path / "voc", "link", SourcePlan())
    before, after = edges(sample_data / "bccd"), edges(tmp_path / "voc")
    assert before == after
    tables = [scan(path) for path in (sample_data / "bccd", *(tmp_path / to for to in ("coco", "yolo", "voc")))]
    counts = [sorted(table.frame.select("counts", "split").rows(), key=str) for table in tables]
    assert counts[0] == counts[1] == counts[2] == counts[3]


def test_an_archive_is_converted_as_its_folder(tmp_path):
    write(drawn(tmp_path / "images", BOX), FORMATS["voc"], tmp_path / "in")
    archive = shutil.make_archive(str(tmp_path / "set"), "zip", tmp_path / "in")
    written = convert(Path(archive), "coco", tmp_path / "out", "copy", SourcePlan())
    assert written.objects == {"box": 1} and (tmp_path / "out" / "images" / "0.png").is_file()


def test_more_classes_or_objects_than_masks_can_number_are_refused(tmp_path, monkeypatch):
    made = drawn(tmp_path / "images", HOLED, SQUARE)
    many = Annotations(made.root, made.images, ("cell", *map(str, range(254))))
    with pytest.raises(
        CorpuscleError, match=r"^masks hold at most 253 classes, these are 255; convert to another format"
    ):
        write(many, FORMATS["masks"], tmp_path / "out")
    monkeypatch.setattr("corpuscle.data.annotations.masks.MOST_OBJECTS", 1)
    with pytest.raises(
        CorpuscleError, match=r"^images/0.png: expected at most 1 objects, .*, it has 2; convert to ano"
    ):
        write(made, FORMATS["masks"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_numbers_of_objects_part_islands_that_touch_and_must_be_as_large_as_the_mask(tmp_path):
    beside = Shape("polygon", "cell", ((7, 1), (10, 1), (10, 7), (7, 7)))
    write(drawn(tmp_path / "images", SQUARE, beside), FORMATS["masks"], tmp_path / "in")
    written = convert(tmp_path / "in", "labelme", tmp_path / "out", "copy", SourcePlan())
    assert written.objects == {"polygon": 2} and written.notes == ("the classes of the masks are from legend.json",)
    Image.new("I;16", (4, 4)).save(tmp_path / "in" / "instances" / "0.png")
    with pytest.raises(DataFault) as caught:
        convert(tmp_path / "in", "labelme", tmp_path / "x", "copy", SourcePlan())
    assert str(caught.value) == (
        "masks/0.png: is 20 x 10 pixels, that in instances is 4 x 4; restore it, or remove the folder instances"
    )
