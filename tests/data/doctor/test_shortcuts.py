"""The shortcut test: what tells the class beside the picture is found, and nothing where nothing does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from corpuscle.data.doctor.shortcuts import SOURCES, shortcuts
from corpuscle.data.table import COLUMNS, Table

LABELS = np.repeat(["a", "b", "c", "d"], 60)


def looked(labels=LABELS, groups=None, **columns):
    """A table, and a survey in which nothing is known but what is given."""
    number = len(labels)
    kinds = {"mode": pl.String, "format": pl.String, "camera": pl.String}
    names = {column for source in SOURCES.values() for column in source.columns} - {"bytes a pixel"}
    seen = pl.DataFrame({name: [None] * number for name in sorted(names | {"file_bytes"})})
    seen = seen.cast({name: kinds.get(name, pl.Float64) for name in seen.columns})
    seen = seen.with_columns(height=pl.lit(300), width=pl.lit(300))
    seen = seen.with_columns(**{name: pl.Series(values) for name, values in columns.items()})
    frame = pl.DataFrame({"image": [f"{n}.jpg" for n in range(number)], "label": list(labels)}).with_columns(
        group=pl.Series(groups if groups is not None else [None] * number, dtype=pl.String),
        split=pl.lit(None, pl.String),
        source=pl.lit("x"),
        row=pl.lit(None, pl.Int64),
    )
    return Table(frame.select(list(COLUMNS)), Path("root"), tuple(sorted(set(labels))), "x"), seen


def told_by_label(values, other):
    """A column that holds a value of its own for each label that has one."""
    return [values.get(label, other) for label in LABELS]


def chance(seed=0):
    return np.random.default_rng(seed)


PLANTED = {
    "JPEG quality": {"quality": told_by_label({"a": 60}, 85)},
    "image size": {"width": told_by_label({"a": 310, "b": 305}, 300)},
    "image mode": {"mode": told_by_label({"c": "grey"}, "RGB, 8 bits")},
    "file format": {"format": told_by_label({"d": "PNG"}, "JPEG")},
    "camera": {"camera": told_by_label({"a": "X100", "b": None}, "Z6")},
    "bars around the picture": {"bar_top": told_by_label({"b": 0.1}, 0.0)},
    "border colour": {"border_red": chance().normal([" abcd".index(label) for label in LABELS], 0.05)},
}


@pytest.mark.parametrize("source", PLANTED)
def test_a_source_that_tells_a_class_is_found(source):
    (finding,) = shortcuts(*looked(**PLANTED[source]))
    assert (finding.kind, finding.values["source"]) == ("shortcut", source)
    assert finding.values["found"] == 1 and finding.values["majority"] == 0.25


def test_the_line_says_how_much_it_tells_and_of_what():
    (finding,) = shortcuts(*looked(quality=told_by_label({"a": 60, "b": 70}, 85)))
    assert finding.what == (
        "JPEG quality alone tells the class with accuracy 0.75 (majority 0.25); "
        "best a: 100% of its images, and 0% of the others"
    )
    assert "mix the sources" in finding.remedy and "partly" not in finding.remedy


def test_bytes_a_pixel_must_tell_more_for_they_are_partly_the_picture():
    weak = chance(1).normal([100 * "abcd".index(label) for label in LABELS], 130)
    assert shortcuts(*looked(file_bytes=20_000 + weak)) == []
    assert len(shortcuts(*looked(quality=20_000 + weak))) == 1
    (finding,) = shortcuts(*looked(file_bytes=told_by_label({"a": 90_000, "b": 60_000}, 30_000)))
    assert finding.values["source"] == "bytes a pixel" and "partly the picture" in finding.remedy


def test_sources_that_tell_only_together_are_told_together():
    one, other = chance(2).integers(0, 2, len(LABELS)), np.repeat([0, 1, 0, 1], 60)
    quality, width = 80 + one, 300 + (one ^ other)
    found = shortcuts(*looked(quality=quality, width=width))
    assert [finding.values["source"] for finding in found] == ["image size and JPEG quality"]
    assert found[0].values["accuracy"] > 0.4 and "alone tell the class" in found[0].what


def test_nothing_is_found_where_labels_are_dealt_out_by_chance():
    for trial in range(8):
        random = chance(trial)
        columns = {"quality": random.integers(60, 90, 240), "width": random.integers(290, 300, 240)}
        columns |= {"camera": random.choice(["x", "y", "z"], 240).tolist(), "border_red": random.random(240)}
        assert shortcuts(*looked(**columns), seed=trial) == []
        rare = np.repeat(["common", "rare"], [225, 15])
        assert shortcuts(*looked(rare, **columns), seed=trial) == []


def test_images_of_a_group_do_not_count_as_many():
    groups = [f"g{n // 20}" for n in range(240)]  # three groups a class, each with a quality of its own
    quality = np.repeat(chance(3).permutation(12), 20)
    assert shortcuts(*looked(groups=groups, quality=quality)) == []
    assert len(shortcuts(*looked(quality=quality))) == 1
    assert shortcuts(*looked(groups=[f"g{n % 4}" for n in range(240)], **PLANTED["JPEG quality"])) == []


def test_only_images_named_by_their_class_are_asked_about():
    table, seen = looked(**PLANTED["JPEG quality"])
    counted = table.with_frame(table.frame.with_columns(counts=pl.lit([1, 2])))
    assert shortcuts(counted, seen) == []
    assert shortcuts(table.with_frame(table.frame.with_columns(label=pl.lit("a"))), seen) == []
    assert shortcuts(table.with_frame(table.frame.with_columns(label=pl.lit(None, pl.String))), seen) == []
    few = pl.Series([*["a"] * 231, *["b"] * 9])
    assert shortcuts(table.with_frame(table.frame.with_columns(label=few)), seen) == []
