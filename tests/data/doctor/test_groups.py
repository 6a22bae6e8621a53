"""Groups by file names: proposed where names tell of them, and only there."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest

from corpuscle.data.doctor.groups import likely_groups
from corpuscle.data.table import COLUMNS, Table


def named(names, labels=None, splits=None, group=None):
    frame = pl.DataFrame({"image": names}, schema={"image": pl.String}).with_columns(
        label=pl.Series(labels or [None] * len(names), dtype=pl.String),
        split=pl.Series(splits or [None] * len(names), dtype=pl.String),
        group=pl.lit(group, pl.String),
        source=pl.lit("x"),
        row=pl.lit(None, pl.Int64),
    )
    return Table(frame.select(list(COLUMNS)), Path("root"), ("a", "b"), "x")


def groups_of(table, pattern):
    """What --group-from would make of it."""
    matches = [re.search(pattern, name.split("/")[-1]) for name in table.frame["image"]]
    return {match["group"] for match in matches if match}


FIELDS = [f"s/slide_{slide:03}_{field}_{crop}.png" for slide in range(6) for field in range(3) for crop in range(4)]
EYES = [f"{kind}/{patient}_{eye}.jpg" for kind in "ab" for patient in range(5) for eye in ("left", "right")]
PEOPLE = [f"{first}{last}" for first in ("ann", "bob", "eve") for last in "abcdefgh"]

TELLING = {
    "both eyes": (EYES, {str(patient) for patient in range(5)}),
    "left or right inside a name": (
        [f"{n:04}_{eye}_{view}.png" for n in range(5) for eye in ("LEFT", "RIGHT") for view in ("CC", "MLO")],
        {f"{n:04}" for n in range(5)},
    ),
    "OD and OS": ([f"p-{n}-{eye}.tif" for n in range(4) for eye in ("OD", "OS")], {f"p-{n}" for n in range(4)}),
    "crops of fields of slides": (FIELDS, {f"slide_{slide:03}" for slide in range(6)}),
    "subject, image and cell": (
        [f"UID_{n}_{image}_{image}_all.bmp" for n in range(1, 8) for image in range(5)],
        {f"UID_{n}" for n in range(1, 8)},
    ),
    "brackets": ([f"smear{n} ({k}).jpg" for n in range(5) for k in range(3)], {f"smear{n}" for n in range(5)}),
    "names without a number": ([f"{name}_{k}.png" for name in PEOPLE for k in range(12)], set(PEOPLE)),
}


@pytest.mark.parametrize(("names", "groups"), TELLING.values(), ids=TELLING)
def test_names_that_tell_give_a_pattern_that_keeps_them_together(names, groups):
    (finding,) = likely_groups(named(names))
    assert groups_of(named(names), finding.values["pattern"]) == groups
    assert finding.kind == "likely groups" and finding.values["groups"] == len(groups)
    assert finding.remedy == f"if they belong together, pass --group-from '{finding.values['pattern']}'"
    assert set(finding.images) == set(names) and finding.values["across"] == []


SILENT = {
    "numbers of a class": [f"{kind}/{kind.upper()}_{n * 37 + 5}.jpg" for kind in ("ba", "eo", "mo") for n in range(40)],
    "numbers alone": [f"{n:03}.bmp" for n in range(60)],
    "one name": [f"BloodImage_{n:05}.jpg" for n in range(60)],
    "a number in the class": [f"{k}/grade_{k}_{n:03}.png" for k in (1, 2, 3) for n in range(20)],
    "a date for all": [f"run_2021_05_{n:04}.png" for n in range(60)],
    "digests": [f"{n * 2654435761 % 2**32:08x}.png" for n in range(60)],
    "each its own": [f"p{n}_0.png" for n in range(60)],
    "left alone": [f"{n}_left.png" for n in range(60)],
    "few": ["a_1_1.png", "a_1_2.png", "a_2_1.png"],
    "none": [],
}


@pytest.mark.parametrize("names", SILENT.values(), ids=SILENT)
def test_names_that_tell_nothing_are_left_alone(names):
    assert likely_groups(named(names, labels=[name.split("/")[0] for name in names])) == []
    assert likely_groups(named(FIELDS, group="known")) == []


def test_groups_on_two_sides_of_a_given_split_are_named():
    splits = [
        "test" if patient in (1, 3) and eye == "left" else "train" for patient in range(5) for eye in ("left", "right")
    ]
    names = [f"x/{patient}_{eye}.jpg" for patient in range(5) for eye in ("left", "right")]
    (finding,) = likely_groups(named(names, splits=splits))
    assert finding.values["across"] == ["1", "3"]
    assert finding.images == ("x/1_left.jpg", "x/1_right.jpg", "x/3_left.jpg", "x/3_right.jpg")
    assert finding.what == (
        "10 of 10 names look like 5 groups (both eyes, or sides, of a patient): 0_left.jpg, 0_right.jpg; "
        "1_left.jpg, 1_right.jpg, …; 2 of them are in two parts of the split (first: 1)"
    )
    apart = likely_groups(named(names, splits=["unlabelled" if split == "test" else split for split in splits]))
    assert apart[0].values["across"] == []


def test_several_ways_of_naming_are_told_one_by_one():
    names = EYES + [f"_{n}_{k * 7919}.jpg" for n in range(10) for k in range(1, 4)]
    eyes, running = likely_groups(named(names))
    assert groups_of(named(names), running.values["pattern"]) == {f"_{n}" for n in range(10)}
    assert len(eyes.images) == 20 and len(running.images) == 30
