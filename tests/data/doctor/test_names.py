"""What names alone tell, and that the order of classes is theirs."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from corpuscle.data.doctor.names import name_faults, plain
from corpuscle.data.sources import scan
from corpuscle.data.table import COLUMNS, Table

APART = unicodedata.normalize("NFD", "é")


def table_of(rows, **columns):
    """A table of images and labels."""
    frame = pl.DataFrame([(image, label, None, None, "rows", None) for image, label in rows], COLUMNS, orient="row")
    classes = tuple(sorted({label for _, label in rows if label}))
    return Table(frame.with_columns(**columns), Path("root"), classes, "rows")


def many(label, number):
    return [(f"{label}/{k:03d}.png", label) for k in range(number)]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Basophil", "basophil ", True),
        ("red cell", "Red_Cell", True),
        ("red  cell", "redcell", True),
        ("ＩＧ", "ig", True),
        (f"Caf{APART}", "café", True),
        ("grade 1-2", "grade 12", False),
        ("CD4", "CD4-", False),
        ("basophil", "basophils", False),
    ],
)
def test_labels_are_the_same_but_for_their_spelling(one, other, same):
    assert (plain(one) == plain(other)) is same
    findings = name_faults(table_of([("a.png", one), ("b.png", one), ("c.png", other)]))
    assert [finding.kind for finding in findings] == ["label spelling"] * same


def test_labels_that_are_spelled_in_two_ways_are_told_with_their_numbers():
    (finding,) = name_faults(table_of([("a.png", "Ig"), ("b.png", "Ig"), ("c.png", "ig"), ("d.png", "other")]))
    assert str(finding) == (
        "labels 'Ig' (2), 'ig' (1) differ by their spelling alone; write them alike, or with more difference"
    )
    assert finding.images == ("c.png",) and finding.values == {"labels": {"Ig": 2, "ig": 1}}


def test_a_class_with_few_images_is_told_where_others_have_more():
    (finding,) = name_faults(table_of([*many("a", 30), *many("b", 20), ("c/1.png", "c")]))
    assert str(finding) == "class c: 1 image, the median class has 20; add images, or merge it with another"
    assert (finding.kind, finding.images) == ("tiny class", ("c/1.png",))
    assert name_faults(table_of([*many("a", 30), *many("b", 10)])) == []
    assert name_faults(table_of([*many("a", 5), *many("b", 4)])) == [], "all are small"
    assert name_faults(table_of(many("a", 3))) == []


def test_kinds_that_few_images_show_are_tiny_classes_too():
    rows = many("x", 20)
    counts = pl.Series("counts", [[2, int(k < 3)] for k in range(20)], pl.List(pl.Int64))
    counted = Table(table_of(rows, counts=counts).frame, Path("root"), ("p", "q"), "rows")
    assert [str(one).partition(";")[0] for one in name_faults(counted)] == [
        "class q: 3 images, the median class has 11.5"
    ]
    pixels = pl.Series("pixels", [[9, 5, 0] for _ in range(20)], pl.List(pl.Int64))
    masks = table_of(rows, mask=pl.col("image"), pixels=pixels).frame
    segmented = Table(masks, Path("root"), ("background", "cell", "rare"), "rows")
    assert [(one.images, one.values["images"]) for one in name_faults(segmented)] == [((), 0)]
    unread = segmented.with_frame(masks.drop("pixels"))
    assert name_faults(unread) == [], "nothing is known of the masks yet"


@pytest.mark.parametrize(
    ("paths", "words", "images"),
    [
        (["a/X.png", "a/x.png"], "'a/X.png' and 'a/x.png' differ by case alone; rename", 2),
        (
            [f"a/{APART}.png", "a/é.png"],
            f"'a/{APART}.png' and 'a/é.png' differ by the form of Unicode alone; rename",
            2,
        ),
        (["A/1.png", "a/2.png", "a/1.png"], "'A' and 'a' differ by case alone; rename", 0),
        (["p/A/1.png", "p/a/x/2.png"], "'p/A' and 'p/a' differ by case alone; rename", 0),
        ([f"{APART}/1.png", "é/1.png"], f"'{APART}' and 'é' differ by the form of Unicode alone; rename", 0),
    ],
)
def test_paths_that_other_systems_take_for_one_are_told_once(paths, words, images):
    (finding,) = name_faults(table_of([(path, None) for path in [*paths, "a/other.png"]]))
    assert str(finding).startswith(words) and len(finding.images) == images
    assert finding.kind == "path spelling"


def test_paths_with_more_difference_are_passed_over():
    assert name_faults(table_of([("a/1.png", None), ("a/1.jpg", None), ("b/1.png", None), ("1.png", None)])) == []


@pytest.mark.parametrize("names", [("10", "9", "2"), ("b", "A", "a1"), ("é", "z", "Y")])
def test_classes_are_ordered_by_name_and_never_as_the_folder_lists_them(names, tmp_path, monkeypatch):
    for name in names:
        (tmp_path / name).mkdir()
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / name / "1.png")
    real, found = os.scandir, []

    class Listed:
        def __init__(self, path, turn):
            self.entries = sorted(real(path), key=lambda entry: entry.name, reverse=turn)

        def __enter__(self):
            return iter(self.entries)

        def __exit__(self, *error):
            pass

    for turn in (False, True):
        monkeypatch.setattr(os, "scandir", lambda path=".", turn=turn: Listed(path, turn))
        table = scan(tmp_path)
        found.append((table.classes, table.frame["image"].to_list()))
    by_name = sorted(names, key=int) if names[0].isdigit() else sorted(names)
    assert found[0] == found[1] and list(found[0][0]) == by_name
