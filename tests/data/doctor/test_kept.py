"""What takes long is looked for once among the same images."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import polars as pl
import pytest

from corpuscle.data.doctor import diagnosis, kept
from corpuscle.data.doctor.audit import GuardPlan
from corpuscle.data.doctor.copies import NearCopies, NearCopy
from corpuscle.data.doctor.finding import Finding
from corpuscle.data.table import COLUMNS, Table

NEAR = NearCopies((NearCopy("a", "b", 0.1 + 0.2, ("flipped", "shrunk")),), (("a", "b"), ("c", "d", "e")))
TELLS = Finding("shortcut", "file format tells", "mix the sources", values={"accuracy": 2 / 3, "best": "x"})


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """What was looked for; a look is slow, and here it is none."""
    monkeypatch.setenv("CORPUSCLE_CACHE", str(tmp_path / "cache"))
    looks = []
    monkeypatch.setattr(kept, "near_copies", lambda *given: looks.append("near-copies") or NEAR)
    monkeypatch.setattr(kept, "shortcuts", lambda *given: looks.append("shortcuts") or [TELLS])
    return looks


def rows_of(*contents, label="x"):
    """A table and what was seen of it."""
    rows = [(f"{place}.png", label, None, None, "rows", None) for place in range(len(contents))]
    seen = pl.DataFrame({"content": contents, "height": 4, "width": 5, "signature": [b"s"] * len(contents)})
    seen = seen.with_columns(fault=pl.lit(None, pl.String), remedy=pl.lit(None, pl.String))
    return Table(pl.DataFrame(rows, schema=COLUMNS, orient="row"), Path("root"), ("x", "y"), "rows"), seen


def test_the_same_images_are_compared_once_whatever_their_contents_are_called(asked):
    assert [kept.kept_near_copies(*rows_of("1f", "2f", "1f")) for _ in range(2)] == [NEAR, NEAR]
    assert kept.kept_near_copies(*rows_of("alone 0", "alone 1", "alone 0")) == NEAR and asked == ["near-copies"]
    kept.kept_near_copies(*rows_of("1f", "2f", "3f"))
    table, seen = rows_of("1f", "2f", "1f")
    kept.kept_near_copies(table, seen.with_columns(signature=pl.Series([b"s", b"s", b"t"])))
    kept.kept_near_copies(table, seen.with_columns(height=pl.Series([4, 4, 5])))
    assert asked == ["near-copies"] * 4


def test_no_signature_is_held_as_an_object_while_near_copies_are_looked_for(asked, monkeypatch):
    table, seen = rows_of(*map(str, range(2000)))
    seen = seen.with_columns(signature=pl.Series([bytes(2000)] * 2000))
    held = []
    monkeypatch.setattr(kept, "near_copies", lambda *given: held.append(tracemalloc.get_traced_memory()[0]) or NEAR)
    tracemalloc.start()
    try:
        kept.kept_near_copies(table, seen)
    finally:
        tracemalloc.stop()
    assert held[0] < 2_000_000  # of the four million bytes that they are


def test_shortcuts_are_looked_for_once_for_the_same_rows_and_seed(asked):
    for content in ("1f", "alone 0"):
        assert kept.kept_shortcuts(*rows_of(content), 3) == [TELLS]
    assert asked == ["shortcuts"]
    kept.kept_shortcuts(*rows_of("1f"), 4)
    kept.kept_shortcuts(*rows_of("1f", label="y"), 3)
    assert asked == ["shortcuts"] * 3


def test_what_is_damaged_is_looked_for_anew_and_a_disk_that_takes_nothing_is_no_fault(asked, tmp_path, monkeypatch):
    given = rows_of("1f", "2f")
    kept.kept_near_copies(*given)
    (file,) = tmp_path.rglob(kept.FOUND)
    file.write_text("{")
    assert kept.kept_near_copies(*given) == NEAR and len(asked) == 2
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CORPUSCLE_CACHE", str(tmp_path / "file"))
    assert kept.kept_near_copies(*given) == NEAR and kept.kept_near_copies(*given) == NEAR and len(asked) == 4


def test_nothing_is_kept_where_the_cache_is_off(asked, tmp_path, monkeypatch):
    near = NearCopies((NearCopy("0.png", "1.png", 0.9, ("flipped",)),), (("0.png", "1.png"),))
    monkeypatch.setattr(diagnosis, "near_copies", lambda *given: near)
    monkeypatch.setattr(diagnosis, "shortcuts", lambda *given: [TELLS])
    table, seen = rows_of("1f", "2f")
    read = diagnosis.diagnose(table, seen, GuardPlan(), keep=False)
    assert read.near == near.groups and TELLS in read.found
    assert not asked and not (tmp_path / "cache").exists()
    assert diagnosis.diagnose(table, seen, GuardPlan(near_copies="ignore")).near == () and asked == ["shortcuts"]
