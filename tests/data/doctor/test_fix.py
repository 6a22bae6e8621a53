"""A cleaned table: what is left out, relabelled, grouped and moved, each change listed; and the files stay."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest

from corpuscle.core.errors import CorpuscleError
from corpuscle.data.doctor.audit import Audit
from corpuscle.data.doctor.diagnosis import in_order
from corpuscle.data.doctor.finding import Finding
from corpuscle.data.doctor.fix import Change, Fixed, changes_of, check_fix, fixed, write_fixed
from corpuscle.data.doctor.inspection import Choices, Inspection, inspect
from corpuscle.data.sources import SourcePlan, scan
from corpuscle.data.table import COLUMNS, Table


@pytest.fixture
def folder(tmp_path):
    """Eight images of each of two classes."""
    rng = np.random.default_rng(0)
    for number in range(16):
        path = tmp_path / "data" / "ab"[number % 2] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 255, (24, 30, 3), np.uint8))
    return tmp_path / "data"


def table_of(rows, **more):
    """A table of images, labels, groups and parts."""
    frame = pl.DataFrame([(*row, "rows", None) for row in rows], schema=COLUMNS, orient="row").with_columns(**more)
    return Table(frame, Path("root"), tuple(sorted({row[1] for row in rows if row[1]})), "rows")


def found_in(table, *findings, near=(), overlaps=(), unused=()):
    """An inspection with these findings."""
    sound = ~table.frame["image"].is_in(list(unused))
    return Inspection(table, None, Audit((), (), (), sound, near=near, overlaps=overlaps), in_order(findings))


def test_what_cannot_be_used_and_copies_are_left_out_and_the_files_stay(folder):
    first, second, third = sorted((folder / "a").iterdir())[:3]
    second.write_bytes(first.read_bytes())
    third.write_bytes(third.read_bytes()[:50])
    shutil.copy(sorted((folder / "b").iterdir())[0], folder / "a" / "other.png")
    before = {path: path.read_bytes() for path in folder.rglob("*.png")}
    made, out = fixed(inspect(folder, Choices())), folder.parent / "clean" / "out.csv"
    write_fixed(made, out)
    changes = pl.read_csv(changes_of(out))
    assert changes.columns == ["image", "change", "to", "why"] and set(changes["change"]) == {"left out"}
    why = dict(changes.select("image", "why").rows())
    names = {Path(image).name: reason for image, reason in why.items()}
    assert names.keys() == {second.name, third.name, "other.png", "01.png"}
    assert names[second.name] == f"has the pixels of a/{first.name}"
    assert names[third.name].startswith("the file is cut short")
    assert names["other.png"] == "has the pixels of images with other labels: a/other.png (a), b/01.png (b)"
    assert all(Path(image).is_file() for image in why), "they are named so that they are found"
    assert {path: path.read_bytes() for path in folder.rglob("*.png")} == before
    again = inspect(out, Choices())
    assert again.clean and len(again.table) == 17 - 4


def test_nothing_is_overwritten_and_a_table_is_a_csv(tmp_path):
    (tmp_path / "a.changes.csv").write_text("")
    (tmp_path / "b.csv").write_text("mine")
    with pytest.raises(CorpuscleError, match=r"a.changes.csv is there already and is not overwritten; name another"):
        check_fix(tmp_path / "a.csv")
    with pytest.raises(CorpuscleError, match=r"b.csv is there already and is not overwritten; name another file with"):
        check_fix(tmp_path / "b.csv")
    with pytest.raises(CorpuscleError, match=r"expected a name that ends in .csv, got .*c.tsv; name such a file with"):
        check_fix(tmp_path / "c.tsv")


def test_of_copies_the_one_with_a_label_that_is_held_out_stays():
    rows = [("a", None, None, "test"), ("b", "x", None, "train"), ("c", "x", None, "test"), ("d", "y", None, "train")]
    same = Finding("copies", "a, b, c", "keep one", ("a", "b", "c"))
    made = fixed(found_in(table_of(rows), same))
    assert [(change.image, change.why) for change in made.changes] == [
        ("a", "has the pixels of c"),
        ("b", "has the pixels of c"),
    ]
    assert made.table.frame["image"].to_list() == ["c", "d"]


def test_spellings_become_the_commonest():
    rows = [("a", "ig", None, None), ("b", "IG", None, None), ("c", "ig", None, None), ("d", "x", None, None)]
    spelt = Finding("label spelling", "'IG' (1), 'ig' (2)", "write them alike", values={"labels": {"IG": 1, "ig": 2}})
    made = fixed(found_in(table_of(rows), spelt))
    assert made.changes == (Change("b", "label", "ig", "'IG' differs from it by spelling alone"),)
    assert made.table.frame["label"].to_list() == ["ig", "ig", "ig", "x"] and made.table.classes == ("ig", "x")
    assert str(made) == "4 images; 1 relabelled"


def test_near_copies_become_a_group_where_there_are_none():
    rows = [(name, "x", None, None) for name in "abcd"]
    made = fixed(found_in(table_of(rows), near=(("b", "d"), ("c", "gone"))))
    assert made.table.frame["group"].to_list() == ["a", "b", "c", "b"]
    assert [(one.image, one.to, one.why) for one in made.changes] == [
        ("b", "b", "is nearly the same as d"),
        ("d", "b", "is nearly the same as b"),
    ]


def test_overlapping_crops_become_a_group_with_their_near_copies():
    rows = [(name, "x", None, None) for name in "abcd"]
    made = fixed(found_in(table_of(rows), near=(("b", "d"),), overlaps=(("a", "b"),)))
    assert made.table.frame["group"].to_list() == ["a", "a", "c", "a"]
    assert [(one.image, one.why) for one in made.changes] == [
        ("a", "shows some of the same field as b"),
        ("b", "is nearly the same as d"),
        ("d", "is nearly the same as b"),
    ]


def test_groups_that_share_near_copies_become_one():
    rows = [("a", "x", "p", None), ("b", "x", "p", None), ("c", "x", "q", None), ("d", "x", "q", None)]
    made = fixed(found_in(table_of(rows), near=(("a", "c"),)))
    assert made.table.frame["group"].to_list() == ["p"] * 4
    assert made.changes[-1] == Change("d", "group", "p", "q shares near-copies with it")


def test_a_group_in_several_parts_goes_where_most_of_it_is():
    rows = [("a", "x", "p", "train"), ("b", "x", "p", "train"), ("c", "x", "p", "test"), ("d", "x", "q", "test")]
    made = fixed(found_in(table_of(rows)))
    assert made.table.frame["split"].to_list() == ["train", "train", "train", "test"]
    why = "group p: most of its images are there, or as many and they judge"
    assert made.changes == (Change("c", "part", "train", why),)
    assert str(made) == "4 images; 1 moved to another part"


def test_of_equal_parts_the_one_that_judges_keeps_its_images():
    rows = [("a", "x", "p", "train"), ("b", "x", "p", "test"), ("c", "x", "q", "train"), ("d", "x", "q", "val")]
    made = fixed(found_in(table_of([*rows, ("e", "x", None, "train"), ("f", "x", None, "val")])))
    assert made.table.frame["split"].to_list() == ["test", "test", "val", "val", "train", "val"]


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (
            [("a", "x", "p", "train"), ("b", "x", "p", "train"), ("c", "x", "p", "test")],
            "with each group in one part test would be empty: divide the table anew",
        ),
        (
            [("a", "y", "p", "train"), ("b", "y", "p", "test"), ("c", "y", "p", "test"), ("d", "x", "q", "train")],
            "with each group in one part class y would not be in train: divide the table anew",
        ),
    ],
)
def test_parts_that_would_no_longer_do_are_dropped_with_the_reason(rows, why):
    made = fixed(found_in(table_of(rows)))
    assert made.table.frame["split"].is_null().all() and made.changes == (Change("", "part", "", why),)
    assert str(made) == f"{len(rows)} images; parts dropped ({why})"


def test_what_has_no_label_is_the_test_part_where_that_is_free(tmp_path):
    rows = [("a", "x", None, "train"), ("b", "y", None, "train"), ("c", None, None, "unlabelled")]
    made = fixed(found_in(table_of(rows)))
    assert made.table.frame["split"].to_list() == ["train", "train", "test"] and not made.changes
    made = fixed(found_in(table_of([*rows, ("d", "x", None, "test")])))
    assert made.table.frame["image"].to_list() == ["a", "b", "d"]
    assert made.changes[0].why == "has no label, and a table says so of a whole test part alone"


def test_labels_that_may_be_wrong_are_never_changed():
    suspect = Finding("label error", "a: x, or y?", "look at it", ("a",), {"suggested": "y"})
    made = fixed(found_in(table_of([("a", "x", None, None), ("b", "y", None, None)]), suspect))
    assert not made.changes and str(made) == "2 images; nothing was changed"


def test_numbers_of_several_kinds_without_places_cannot_be_said(tmp_path):
    counts = pl.Series("counts", [[1, 2]], pl.List(pl.Int64))
    table = Table(table_of([("a", None, None, None)]).frame.with_columns(counts), tmp_path, ("p", "q"), "numbers")
    with pytest.raises(
        CorpuscleError, match=r"holds the number of one kind, these data count 2 without their places; "
    ):
        write_fixed(Fixed(table, ()), tmp_path / "out.csv")
    assert list(tmp_path.iterdir()) == []


def test_a_table_without_an_image_is_not_written(folder):
    rows = [("a", "x", None, None), ("b", "y", None, None)]
    findings = [Finding("unreadable", f"{image}: cut", "mend it", (image,)) for image in "ab"]
    with pytest.raises(
        CorpuscleError, match="no image would be left in the cleaned table; mend the files, or leave out"
    ):
        fixed(found_in(table_of(rows), *findings, unused="ab"))


def test_masks_keep_their_masks(tmp_path):
    for number in range(4):
        for place in ("images", "masks"):
            (tmp_path / "pairs" / place).mkdir(parents=True, exist_ok=True)
        image_HWC = np.random.default_rng(number).integers(0, 255, (10, 20, 3), np.uint8)
        mask_HW = np.zeros((10, 20), np.uint8)
        mask_HW[:5, :5] = 1
        cv2.imwrite(str(tmp_path / "pairs" / "images" / f"{number}.png"), image_HWC)
        cv2.imwrite(str(tmp_path / "pairs" / "masks" / f"{number}.png"), mask_HW)
    (tmp_path / "pairs" / "images" / "1.png").write_bytes((tmp_path / "pairs" / "images" / "0.png").read_bytes())
    found = inspect(tmp_path / "pairs", Choices(SourcePlan()))
    write_fixed(fixed(found), tmp_path / "out.csv")
    again = scan(tmp_path / "out.csv")
    assert again.segmented and len(again) == 3 and again.classes == found.table.classes


def test_copies_with_other_counts_stay_and_become_a_group(folder, tmp_path):
    first, second = sorted((folder / "a").iterdir())[:2]
    second.write_bytes(first.read_bytes())
    images = sorted(path.relative_to(tmp_path).as_posix() for path in folder.rglob("*.png"))
    rows = [f"{image},{n}" for n, image in enumerate(images)]
    (tmp_path / "counts.csv").write_text("\n".join(["image,count", *rows]))
    found = inspect(tmp_path / "counts.csv", Choices())
    assert found.of("copies disagree")[0].remedy.startswith("see which is right; people differ, so they are used")
    made = fixed(found)
    assert len(made.table) == 16 and [change.change for change in made.changes] == ["group", "group"]
