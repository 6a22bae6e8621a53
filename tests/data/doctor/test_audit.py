"""What a survey means: faults, copies, and when a run must not start."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from corpuscle.core.errors import CorpuscleError, DataFault
from corpuscle.data.doctor.audit import GuardPlan, audit, check_faults
from corpuscle.data.doctor.diagnosis import contents
from corpuscle.data.table import COLUMNS, Table


def found(rows):
    """A table and its survey from image, label and content; no content is an unreadable image."""
    frame = pl.DataFrame(
        [(image, label, None, None, "rows", None) for image, label, _ in rows], schema=COLUMNS, orient="row"
    )
    seen = pl.DataFrame(
        {
            "content": [content for *_, content in rows],
            "fault": [None if content else "cannot be decoded" for *_, content in rows],
            "remedy": [None if content else "replace it" for *_, content in rows],
        },
        schema=dict.fromkeys(("content", "fault", "remedy"), pl.String),
    )
    table = Table(frame, Path("root"), tuple(sorted({label for _, label, _ in rows if label})), "rows")
    return table, audit(table, seen)


def many(good, bad, label="a"):
    rows = [(f"{label}{n}", label, str(n) if n < good else None) for n in range(good + bad)]
    return found([*rows, ("z", "b", "z")])


def test_faults_copies_and_disagreements_are_read_off():
    rows = [("a", "x", "1"), ("b", "y", "1"), ("c", "x", None), ("d", "x", "2"), ("e", "x", "2"), ("f", None, "2")]
    _, findings = found(rows)
    assert [str(fault) for fault in findings.faults] == ["c: cannot be decoded; replace it"]
    assert findings.copies == (("a", "b"), ("d", "e", "f"))
    assert findings.disagreeing == (("a", "b"),), "an unlabelled copy disagrees with nobody"
    assert findings.sound.to_list() == [True, True, False, True, True, True]


def test_what_is_one_grey_level_all_over_is_no_copy():
    rows = [("a", "x", "1"), ("b", "y", "1"), ("c", "x", "2"), ("d", "y", "2")]
    looks = {"contrast": [0.0, 0.0, 0.1, 0.1], "mode": [""] * 4}
    table, _ = found(rows)
    seen = pl.DataFrame({"content": ["1", "1", "2", "2"], **looks}).with_columns(
        fault=pl.lit(None, pl.String), remedy=pl.lit(None, pl.String)
    )
    read = audit(table, seen)
    assert read.copies == read.disagreeing == (("c", "d"),) and contents(table, seen) == {"c": "2", "d": "2"}


@pytest.mark.parametrize(("good", "bad", "allowed"), [(98, 1, 0.01), (197, 2, 0.01), (9, 5, 0.5), (3, 0, 0.0)])
def test_a_share_of_faults_is_gone_on_without(good, bad, allowed):
    check_faults(*many(good, bad), GuardPlan(max_faulty=allowed))


@pytest.mark.parametrize(
    ("good", "bad", "allowed", "enough"), [(97, 1, 0.01, 0.02), (5, 1, 0.0, 0.15), (9, 5, 0.1, 0.34)]
)
def test_more_faults_than_that_are_refused_and_the_setting_that_is_named_suffices(good, bad, allowed, enough):
    with pytest.raises(DataFault) as raised:
        check_faults(*many(good, bad), GuardPlan(max_faulty=allowed))
    first = raised.value.faults[0]
    assert str(first).startswith(f"{bad} of {good + bad + 1} images: cannot be read, more than the {allowed * 100:g} %")
    assert first.remedy == f"mend or remove them, or pass --set guard.max_faulty={enough}"
    assert len(raised.value.faults) == bad + 1
    check_faults(*many(good, bad), GuardPlan(max_faulty=enough))


def test_a_class_that_lost_all_its_images_is_named_whatever_is_allowed():
    with pytest.raises(DataFault, match=r"^class x: none of its images can be read; mend its images$"):
        check_faults(*found([("a", "x", None), ("b", "y", "1"), ("c", "z", "2")]), GuardPlan(max_faulty=1.0))


def test_images_that_are_all_unreadable_are_one_line():
    with pytest.raises(CorpuscleError, match=r"^none of the 2 images can be read \(first: a: cannot be decoded\); "):
        check_faults(*found([("a", "x", None), ("b", "y", None)]), GuardPlan(max_faulty=1.0))


def counted(rows):
    """A table of counts of two kinds and its survey, from image, counts and content."""
    table, _ = found([(image, None, content) for image, _, content in rows])
    counts = pl.Series("counts", [numbers for _, numbers, _ in rows], pl.List(pl.Int64))
    seen = pl.DataFrame({"content": [content for *_, content in rows]}, schema={"content": pl.String}).with_columns(
        fault=pl.when(pl.col("content").is_null()).then(pl.lit("cannot be decoded")), remedy=pl.lit("replace it")
    )
    table = Table(table.frame.with_columns(counts), Path("root"), ("p", "q"), "rows")
    return table, audit(table, seen)


def test_copies_with_different_counts_disagree():
    rows = [("a", [3, 0], "1"), ("b", [0, 3], "1"), ("c", [2, 2], "2"), ("d", [2, 2], "2"), ("e", None, "2")]
    _, findings = counted(rows)
    assert findings.copies == (("a", "b"), ("c", "d", "e"))
    assert findings.disagreeing == (("a", "b"),), "nothing is known of e"


def test_a_kind_that_no_image_holds_is_no_fault_of_the_images():
    table, findings = counted([("a", [3, 0], "1"), ("b", [1, 0], None), ("c", [0, 0], "2")])
    check_faults(table, findings, GuardPlan(max_faulty=0.5))
    with pytest.raises(DataFault, match="1 of 3 images: cannot be read, more than the 10 %"):
        check_faults(table, findings, GuardPlan(max_faulty=0.1))


def with_masks(pixels, faults):
    """A table of masks and what was seen of it."""
    names = [f"{n}.png" for n in range(len(pixels))]
    rows = [(name, None, None, None, "x", None) for name in names]
    frame = pl.DataFrame(rows, schema=COLUMNS, orient="row").with_columns(mask=pl.col("image"))
    seen = pl.DataFrame({"content": names, "fault": faults, "remedy": faults, "pixels": pixels}).cast(
        {"fault": pl.String, "remedy": pl.String, "pixels": pl.List(pl.Int64)}
    )
    return Table(frame, Path("/d"), ("background", "a", "b"), "images and masks"), seen


def test_masks_that_show_nothing_are_found_and_refused_where_all_of_them_do():
    table, seen = with_masks([[9, 0, 0], [8, 0, 1], None], [None, None, "bad"])
    findings = audit(table, seen)
    assert findings.empty == ("0.png",) and findings.sound.to_list() == [True, True, False]
    check_faults(table, findings, GuardPlan(max_faulty=0.5))
    with pytest.raises(DataFault, match=r"1 of 3 images: cannot be used, more than the 1 % a run goes on without"):
        check_faults(table, findings, GuardPlan())
    table, seen = with_masks([[9, 0, 0], [9, 0, 0], None], [None, None, "bad"])
    with pytest.raises(DataFault, match=r"the masks: of 2 images are background all over; mark a or b, or mend the"):
        check_faults(table, audit(table, seen), GuardPlan(max_faulty=0.5))
