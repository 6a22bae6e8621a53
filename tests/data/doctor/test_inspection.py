"""A look at a data set before any time is spent on it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest

from corpuscle.core.errors import DataFault
from corpuscle.core.progress import Progress
from corpuscle.data.doctor.diagnosis import LINES, set_aside
from corpuscle.data.doctor.finding import KINDS, Finding
from corpuscle.data.doctor.inspection import Choices, Inspection, block, describe, inspect
from corpuscle.data.sources import SourcePlan, scan
from corpuscle.data.splits import SplitPlan
from corpuscle.data.table import Table


@pytest.fixture
def folder(tmp_path):
    """Five images of each of two classes, of different sizes."""
    rng = np.random.default_rng(0)
    for number in range(10):
        path = tmp_path / "data" / "ab"[number % 2] / f"p{number // 2}x{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 255, (20 + number, 30, 3), np.uint8))
    return tmp_path / "data"


def look(folder, pixels=True, split=None, **plan):
    return inspect(folder, Choices(SourcePlan(**plan), split=split or SplitPlan()), pixels)


def kinds_of(found):
    """How many findings of each kind there are."""
    return dict(Counter(finding.kind for finding in found.findings))


def test_a_clean_data_set_is_described_and_has_no_faults(folder):
    found = look(folder, group_from=r"^(?P<group>p\d)x")
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
        inspect(folder, Choices(), progress=Halting(shown=True))
    assert capsys.readouterr().err.startswith("one folder per class: 10 images of 2 classes")


def test_everything_found_is_in_the_lines_and_in_the_json(folder):
    first, second = sorted((folder / "a").iterdir())[:2]
    second.write_bytes(first.read_bytes())
    (folder / "b" / "copy.png").write_bytes(first.read_bytes())
    (folder / "b" / "cut.png").write_bytes(first.read_bytes()[:100])
    found = look(folder)
    assert not found.clean and kinds_of(found) == {"unreadable": 1, "copies disagree": 1}
    copies = f"a/{first.name} (a), a/{second.name} (a), b/copy.png (b)"
    assert found.lines()[2:] == [
        "",
        "Images that cannot be read: 1",
        f"  {found.findings[0].what}",
        f"  → {found.findings[0].remedy}",
        "",
        "Copies with different labels: 1",
        f"  {copies}",
        "  → at least one of the labels is wrong: mend it; --fix leaves out all of them",
        "",
        "2 faults; --html PAGE shows them, --fix OUT.csv writes a table without what can be mended",
    ]
    plain = json.loads(json.dumps(found.as_dict()))
    assert plain["found"] == kinds_of(found) and plain["images"] == 12 and plain["clean"] is False
    assert plain["findings"][0]["images"] == ["b/cut.png"] and plain["findings"][0]["remedy"]
    assert found.audit.sound.sum() == 8, "neither the file that is cut nor copies of different labels are used"
    assert [finding.kind for finding in found.left_out] == ["unreadable", "copies disagree"]


def test_a_block_names_the_first_and_counts_the_rest_and_says_once_what_all_say():
    alike = [Finding("dark", f"{n}.png: 0.1", "look at it", (f"{n}.png",)) for n in range(12)]
    assert block("Dark", alike, 2) == [
        "Dark: 12",
        "  0.png: 0.1",
        "  1.png: 0.1",
        "  … and 10 more: --html PAGE or --json",
        "  → look at it",
    ]
    assert block("Dark", [alike[0], Finding("dark", "x", "y")]) == ["Dark: 2", "  0.png: 0.1; look at it", "  x; y"]


def test_of_many_images_that_are_not_used_the_first_are_named_and_the_rest_counted():
    found = [Finding("blank", f"{n}.png: blank", "leave it out", (f"{n}.png",)) for n in range(LINES + 7)]
    lines = set_aside("set aside", [*found, Finding("dark", "x", "y")])
    assert len(lines) == LINES + 1 and lines[0] == "set aside: 0.png: blank; leave it out"
    assert lines[-1] == "set aside: 7 more; blank images"
    assert KINDS["path spelling"].words == "paths that differ by case or Unicode form"


def test_findings_are_in_the_order_of_their_kinds_and_notes_do_not_count(folder):
    found = look(folder)
    noted = found.with_findings([Finding("empty mask", "a", "see")])
    assert noted.clean and noted.lines()[-1] == "no faults found" and "Masks without an object: 1" in noted.lines()
    every = Inspection(found.table, None, None).with_findings(Finding(kind, "x", "y") for kind in reversed(KINDS))
    assert [finding.kind for finding in every.findings] == list(KINDS) and not every.clean


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
    assert look(folder, pixels=False, **plan).lines()[:3] == [
        "",
        "Groups on two sides of a split: 1",
        "  group g0 is in train (2 images) and test (2 images)",
    ]
    (folder / "test" / "b" / "g1_x.png").write_bytes(next((folder / "train" / "b").iterdir()).read_bytes())
    found = look(folder, split=SplitPlan(val=0), **plan)
    assert kinds_of(found) == {"copies": 1, "group leak": 2, "copy leak": 1}
    assert found.of("copy leak")[0].values == {"parts": {"train": 1, "test": 1}}
    assert look(folder, pixels=False, **plan).clean is False


def test_a_class_too_small_to_be_divided_is_found_unless_parts_are_given(folder):
    for image in sorted((folder / "b").iterdir())[2:]:
        image.unlink()
    for pixels in (True, False):
        (finding,) = look(folder, pixels).of("indivisible")
        assert str(finding).startswith("class b: 2 groups (2 images) for 3 parts (train, val, test); add images, ask")
    assert not look(folder, split=SplitPlan(val=0)).of("indivisible")


def test_images_that_all_cannot_be_read_are_told_without_sizes(folder):
    for image in folder.rglob("*.png"):
        image.write_text("text")
    found = look(folder)
    assert kinds_of(found)["unreadable"] == 10 and found.lines()[:2] == ["", "Images that cannot be read: 10"]


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
    assert kinds_of(found) == {"copies disagree": 1}
    assert found.audit.sound.all(), "where objects are counted, people differ"


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
    found = inspect(pairs, Choices(plan, split=SplitPlan(rare="train")))
    assert found.clean
    assert "pixels: background 96.25% in 4 images; cell 3.75% in 3 images" in found.lines()
    assert [finding.images for finding in found.of("empty mask")] == [("images/0.png",)]
    content = json.loads(json.dumps(found.as_dict()))
    assert content["pixels"]["cell"] == {"all": {"images": 3, "pixels": 30}}
    assert inspect(pairs, Choices(plan), pixels=False).as_dict()["masks"] == 4


def test_masks_with_a_wrong_legend_are_told_beside_the_sizes_of_their_sound_images(pairs):
    plan = SourcePlan(legend={"0": "background", "8": "cell"})
    found = inspect(pairs, Choices(plan))
    assert not found.clean and found.lines()[0] == "sizes (height × width): all 10 × 20"
    told = "  images/1.png: its mask 1.png: holds 5 pixels of values that the legend does not name (9)"
    assert told in found.lines() and kinds_of(found)["mask"] == 3


def test_images_without_a_mask_and_labels_are_described(pairs):
    (pairs / "t.csv").write_text(
        "image,mask,label,split\nimages/0.png,masks/0.png,x,train\nimages/1.png,masks/1.png,,train\nimages/2.png,,,test\n"
    )
    assert describe(scan(pairs / "t.csv")).splitlines()[0] == (
        "images and masks: 3 images of which 2 have masks of 2 classes: background, object; "
        "labels of 1 images, 1 different"
    )
