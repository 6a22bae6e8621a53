"""The one table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl

from corpuscle.core.legend import Legend
from corpuscle.data.table import COLUMNS, Table

FRAME = pl.DataFrame(
    [
        ("a.png", "x", None, "train", "s.csv", 2),
        ("/far/b.png", "y", None, "val", "s.csv", 3),
        ("c.png", "x", None, None, "s.csv", 4),
    ],
    schema=COLUMNS,
    orient="row",
)
TABLE = Table(FRAME, Path("/data"), ("x", "y"), "one CSV", ("a note",))


def test_an_image_lies_below_the_root_unless_its_path_is_absolute():
    assert TABLE.path_of("a.png") == Path("/data/a.png")
    assert TABLE.path_of("/far/b.png") == Path("/far/b.png")


def test_a_part_holds_its_rows_and_all_classes():
    assert TABLE.part("val").frame["image"].to_list() == ["/far/b.png"]
    assert TABLE.part("test").frame.is_empty()
    assert TABLE.part(None).frame["image"].to_list() == ["c.png"]
    assert TABLE.part("val").classes == ("x", "y")
    assert len(TABLE) == 3


def test_another_frame_keeps_everything_else():
    other = TABLE.with_frame(FRAME.head(1))
    assert (other.root, other.layout, other.notes) == (TABLE.root, TABLE.layout, TABLE.notes)
    assert len(other) == 1
    assert len(TABLE) == 3


def test_a_table_of_labels_knows_those_that_have_one():
    assert not TABLE.counted
    blank = TABLE.with_frame(FRAME.with_columns(label=pl.Series(["x", None, ""], dtype=pl.String)))
    assert blank.known.to_list() == [True, False, True]
    assert TABLE.truth.to_list() == ["x", "y", "x"]


def test_a_table_of_counts_knows_those_that_were_counted():
    counts = pl.Series("counts", [[3, 0], None, [0, 0]], dtype=pl.List(pl.Int64))
    table = TABLE.with_frame(FRAME.with_columns(counts, label=pl.lit(None, pl.String)))
    assert table.counted and table.known.to_list() == [True, False, True]
    assert table.truth.to_list() == ["3, 0", None, "0, 0"] and table.truth.name == "label"
    assert table.part("val").counted


def test_a_table_of_masks_knows_those_that_have_one_and_can_be_named_instead():
    legend = Legend(("background", "cell"), {0: 0, 1: 1}, ((0, 0, 0), (9, 9, 9)))
    masks = pl.Series("mask", ["a_mask.png", None, "c_mask.png"], dtype=pl.String)
    frame = FRAME.with_columns(masks, label=pl.Series(["10", "9", None], dtype=pl.String))
    table = replace(TABLE, frame=frame, classes=legend.classes, legend=legend)
    assert table.segmented and not table.counted and not TABLE.segmented
    assert table.known.to_list() == [True, False, True]
    assert table.truth.to_list() == ["10", "9", None]
    named = table.without_masks()
    assert (named.segmented, named.classes, named.legend) == (False, ("9", "10"), None)
    assert named.frame["split"].to_list() == ["train", "val", "unlabelled"]
