"""`corpuscle convert`: what it says, where it says it, and what it leaves."""

from __future__ import annotations

import typing

import pytest

from corpuscle.cli.convert import convert
from corpuscle.data.annotations.formats import FORMATS


@pytest.fixture
def boxes(tmp_path):
    """Two images of 44 x 30 with three boxes in Pascal VOC."""
    from PIL import Image

    for folder in ("Annotations", "JPEGImages"):
        (tmp_path / "smears" / folder).mkdir(parents=True)
    for name, sides in (("a", [(1, 1, 9, 9), (3, 4, 30, 20)]), ("b", [(5, 5, 8, 44)])):
        Image.new("RGB", (44, 50)).save(tmp_path / "smears" / "JPEGImages" / f"{name}.jpg")
        drawn = "".join(
            "<object><name>white cell</name><bndbox>"
            f"<xmin>{left}</xmin><ymin>{top}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>"
            for left, top, right, bottom in sides
        )
        (tmp_path / "smears" / "Annotations" / f"{name}.xml").write_text(f"<annotation>{drawn}</annotation>")
    return tmp_path / "smears"


def test_what_is_written_is_the_result_and_what_was_understood_goes_beside_it(corpuscle, boxes, tmp_path):
    done = corpuscle("convert", boxes, "--to", "yolo", "--out", tmp_path / "yolo", "--images", "link")
    assert (done.code, done.out) == (0, f"wrote 2 images, 3 boxes of 1 class to {tmp_path / 'yolo'} (YOLO)\n")
    assert done.err.splitlines() == [
        f"{boxes}: Pascal VOC",
        "note: data.yaml calls all images train, for none is in a part",
    ]
    assert (tmp_path / "yolo" / "data.yaml").read_text() == 'train: images\nnames:\n  0: "white cell"\n'
    seen = corpuscle("inspect", tmp_path / "yolo", "--no-pixels")
    assert "shapes in YOLO: 2 images with 3 objects (white cell: 3, 1 to 2 an image)" in seen.out


def test_settings_of_the_data_are_taken_and_others_refused(corpuscle, boxes, tmp_path):
    words = ("convert", boxes, "--to", "coco", "--out", tmp_path / "out")
    done = corpuscle(*words, "--set", "data.kinds=red")
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines()[-1] == f"error: data.kinds: 'red' is no class of {boxes}; Known: white cell"
    done = corpuscle(*words, "--set", "fit.epochs=3")
    assert done.code == 2 and "fit.epochs" in done.err
    assert not (tmp_path / "out").exists()


def test_unreadable_annotations_are_one_line_and_exit_code_2(corpuscle, boxes, tmp_path):
    (boxes / "Annotations" / "a.xml").write_text("<annotation>")
    done = corpuscle("convert", boxes, "--to", "coco", "--out", tmp_path / "out")
    assert done.code == 2
    assert done.err.splitlines()[1:] == [
        "error: Annotations/a.xml: is not an XML file (no element found: line 1, column 12); replace it by a whole copy"
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["smears"]


def test_the_command_knows_the_formats_that_are_written():
    hints = typing.get_type_hints(convert)
    assert set(typing.get_args(hints["to"])) == set(FORMATS)
