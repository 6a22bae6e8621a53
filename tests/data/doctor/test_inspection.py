"""A look at a data set before any time is spent on it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest

from corpuscle.core.errors import DataFault
from corpuscle.core.progress import Progress
from corpuscle.data.doctor.inspection import contents, describe, inspect
from corpuscle.data.readers.image import ReadPlan
from corpuscle.data.sources import SourcePlan, scan
from corpuscle.data.splits import SplitPlan
from corpuscle.data.table import Table


@pytest.fixture
def folder(tmp_path):
    """Five images of each of two classes, of different sizes."""
    rng = np.random.default_rng(0)
    for number in range(10):
        path = tmp_path / "data" / "ab"[number % 2] / f"p{number // 2}_{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 255, (20 + number, 30, 3), np.uint8))
    return tmp_path / "data"


def look(folder, pixels=True, **plan):
    return inspect(folder, SourcePlan(**plan), ReadPlan(), SplitPlan(), pixels)


def test_a_clean_data_set_is_described_and_has_no_faults(folder):
    found = look(folder, group_from=r"^(?P<group>p\d)_")
    assert found.clean and found.lines() == [
        "sizes (height × width): 20 × 30 to 29 × 30, median 24 × 30, 10 different",
        "modes: RGB, 8 bits (10)",
        "no faults found",
    ]
    assert describe(found.table).splitlines() == [
        "one folder per class: 10 images of 2 classes (a: 5, b: 5)",
        "5 groups, which stay together",
    ]


def test_what_was_understood_is_said_before_the_images_are_opened(folder, capsys):
    class Stop(Exception):
        pass

    class Halting(Progress):
        def track(self, items, *words, **more):
            raise Stop

    with pytest.raises(Stop):
        inspect(folder, SourcePlan(), ReadPlan(), SplitPlan(), progress=Halting(shown=True))
    assert capsys.readouterr().err.startswith("one folder per class: 10 images of 2 classes")


def test_everything_found_is_in_the_lines_and_in_the_json(folder):
    first, second = sorted((folder / "a").iterdir())[:2]
    second.write_bytes(first.read_bytes())
    (folder / "b" / "copy.png").write_bytes(first.read_bytes())
    (folder / "b" / "cut.png").write_bytes(first.read_bytes()[:100])
    found = look(folder)
    copies = f"a/{first.name}, a/{second.name}, b/copy.png"
    assert not found.clean
    assert [line.partition(": ")[0] for line in found.lines()[2:]] == [
        "unreadable",
        "identical pixels",
        "identical pixels, different labels",
    ]
    assert found.lines()[3] == f"identical pixels: {copies}"
    plain = json.loads(json.dumps(found.as_dict()))
    assert plain["copies"] == plain["disagreeing"] == [copies.split(", ")]
    assert plain["faults"][0]["where"] == "b/cut.png" and plain["images"] == 12
    assert len(contents(found.table, found.seen)) == 11


def test_parts_that_leak_are_found_with_and_without_opening_images(folder):
    for number, part in enumerate(("train", "train", "test")):
        for label in "ab":
            image = sorted((folder / label).iterdir())[number]
            (folder / part / label).mkdir(parents=True, exist_ok=True)
            image.rename(folder / part / label / f"g{number % 2}_{image.name}")
    for label in "ab":
        for image in (folder / label).iterdir():
            image.unlink()
        (folder / label).rmdir()
    plan = {"group_from": r"^(?P<group>g\d)_"}
    assert look(folder, pixels=False, **plan).lines() == ["group g0 is in train (2 images) and test (2 images)"]
    (folder / "test" / "a" / "g1_x.png").write_bytes(next((folder / "train" / "b").iterdir()).read_bytes())
    assert [leak.kind for leak in look(folder, **plan).leaks] == ["group", "group", "pixels"]
    assert look(folder, pixels=False, **plan).clean is False


def test_a_class_too_small_to_be_divided_is_found_unless_parts_are_given(folder):
    for image in sorted((folder / "b").iterdir())[2:]:
        image.unlink()
    for pixels in (True, False):
        (fault,) = look(folder, pixels).indivisible
        assert str(fault).startswith("class b: 2 groups (2 images) for 3 parts (train, val, test); add images, ask for")
    assert inspect(folder, SourcePlan(), ReadPlan(), SplitPlan(val=0)).clean


def test_images_that_all_cannot_be_read_are_told_without_sizes(folder):
    for image in folder.rglob("*.png"):
        image.write_text("text")
    lines = look(folder).lines()
    assert len(lines) == 10 and all(line.startswith("unreadable: ") for line in lines)


def test_a_layout_with_faults_is_refused_with_all_of_them(folder):
    (folder / "c").mkdir()
    (folder / "d").mkdir()
    with pytest.raises(DataFault) as raised:
        look(folder)
    assert len(raised.value.faults) == 2


def test_parts_are_described_in_their_order(tmp_path, folder):
    rows = [f"data/{image.parent.name}/{image.name}" for image in sorted(folder.rglob("*.png"))]
    parts = ["test", "val", "train", "train", "train"] * 2
    lines = [f"{image},{image.split('/')[1]},{part}" for image, part in zip(rows, parts, strict=True)]
    (tmp_path / "all.csv").write_text("\n".join(["image,label,split", *lines]))
    assert "parts as given: train 6, val 2, test 2" in describe(scan(tmp_path / "all.csv"))


# --- numbers of objects


@pytest.fixture
def numbers(tmp_path, folder):
    """The ten images with a count each, one of them not counted."""
    images = sorted(path.relative_to(tmp_path).as_posix() for path in folder.rglob("*.png"))
    lines = [f"{image},{n * n}" for n, image in enumerate(images)]
    (tmp_path / "numbers.csv").write_text("\n".join(["image,count", *lines]))
    return tmp_path / "numbers.csv"


def test_numbers_of_objects_are_described(numbers):
    found = look(numbers)
    assert found.clean
    assert describe(found.table).splitlines()[0].endswith("10 images with 285 objects (cell: 285, 0 to 81 an image)")
    plain = json.loads(json.dumps(found.as_dict()))
    assert plain["counts"] == {"cell": {"all": {"images": 10, "objects": 285}}} and "classes" not in plain


def test_kinds_are_described_one_by_one_and_what_is_not_counted_is_left_out():
    counts = pl.Series("counts", [[3, 0], None, [1, 2]], pl.List(pl.Int64))
    frame = pl.DataFrame({"image": ["a", "b", "c"], "group": ["s", "s", "t"]}).with_columns(
        counts, split=pl.Series(["train", "unlabelled", "test"])
    )
    table = Table(frame, Path(), ("p", "q"), "dots")
    assert describe(table).splitlines() == [
        "dots: 3 images with 6 objects (p: 4, 1 to 3 an image; q: 2, 0 to 2 an image)",
        "parts as given: train 1, test 1, unlabelled 1",
        "2 groups, which stay together",
    ]
    nothing = table.with_frame(frame.filter(pl.col("counts").is_null()))
    assert describe(nothing).splitlines()[0] == "dots: 1 images with 0 objects (p: 0; q: 0)"


def test_copies_with_different_numbers_are_found(numbers, folder):
    first, second = sorted((folder / "a").iterdir())[:2]
    second.write_bytes(first.read_bytes())
    found = look(numbers)
    assert found.lines()[-1].startswith("identical pixels, different labels: ")


# --- masks


@pytest.fixture
def pairs(tmp_path):
    """Four images with masks: three with a cell, one without."""
    for number in range(4):
        for folder in ("images", "masks"):
            (tmp_path / "pairs" / folder).mkdir(parents=True, exist_ok=True)
        image_HWC = np.random.default_rng(number).integers(0, 255, (10, 20, 3), np.uint8)
        mask_HW = np.zeros((10, 20), np.uint8)
        mask_HW[:5, :number] = 9
        cv2.imwrite(str(tmp_path / "pairs" / "images" / f"{number}.png"), image_HWC)
        cv2.imwrite(str(tmp_path / "pairs" / "masks" / f"{number}.png"), mask_HW)
    return tmp_path / "pairs"


def test_masks_are_described_with_their_pixels(pairs):
    plan = SourcePlan(legend={"0": "background", "9": "cell"})
    assert describe(scan(pairs, plan)) == "images and masks: 4 images with masks of 2 classes: background, cell"
    found = inspect(pairs, plan, ReadPlan(), SplitPlan(rare="train"))
    assert found.clean
    assert "pixels: background 96.25% in 4 images; cell 3.75% in 3 images" in found.lines()
    assert "masks without an object: 1 (images/0.png)" in found.lines()
    content = json.loads(json.dumps(found.as_dict()))
    assert content["pixels"]["cell"] == {"all": {"images": 3, "pixels": 30}} and content["empty"] == ["images/0.png"]
    assert inspect(pairs, plan, ReadPlan(), SplitPlan(), pixels=False).as_dict()["masks"] == 4


def test_masks_with_a_wrong_legend_are_told_beside_the_sizes_of_their_sound_images(pairs):
    plan = SourcePlan(legend={"0": "background", "8": "cell"})
    found = inspect(pairs, plan, ReadPlan(), SplitPlan())
    assert not found.clean and found.lines()[0] == "sizes (height × width): all 10 × 20"
    told = "unusable: images/1.png: its mask 1.png: holds 5 pixels of values that the legend does not name (9); add"
    assert any(line.startswith(told) for line in found.lines())


def test_images_without_a_mask_and_labels_are_described(pairs):
    (pairs / "t.csv").write_text(
        "image,mask,label,split\nimages/0.png,masks/0.png,x,train\nimages/1.png,masks/1.png,,train\nimages/2.png,,,test\n"
    )
    assert describe(scan(pairs / "t.csv")).splitlines()[0] == (
        "images and masks: 3 images of which 2 have masks of 2 classes: background, object; "
        "labels of 1 images, 1 different"
    )
