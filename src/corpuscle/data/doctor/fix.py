"""A cleaned table of a data set, with each change listed; the files stay as they are."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import polars as pl

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.files import check_place, whole_file
from corpuscle.data.doctor.finding import Finding
from corpuscle.data.split_files import base_of, write_split_csv
from corpuscle.data.splits import PARTS, counted, units_of
from corpuscle.data.table import Table

if TYPE_CHECKING:
    from corpuscle.data.doctor.inspection import Inspection

HELD_OUT = ("test", "val", "train")  # of equals the part that judges stays as it is: a score keeps its meaning
ALL = "(all images)"
NEARLY, FIELD = "is nearly the same as", "shows some of the same field as"


@dataclass(frozen=True)
class Change:
    """What was changed of an image, or of all where none is named, and why."""

    image: str
    change: Literal["left out", "label", "group", "part"]
    to: str
    why: str


@dataclass(frozen=True)
class Fixed:
    """A cleaned table.

    Attributes:
        table: with its rows, labels, groups and parts as they should be.
        changes: each, in the order in which they were made.
    """

    table: Table
    changes: tuple[Change, ...]

    def __str__(self) -> str:
        """How much was changed, in words."""
        number = Counter[str](change.change for change in self.changes)
        words = {"left out": "left out", "label": "relabelled", "group": "grouped", "part": "moved to another part"}
        dropped = [change.why for change in self.changes if not change.image]
        number["part"] -= len(dropped)
        told = [f"{number[change]} {word}" for change, word in words.items() if number[change]]
        told += [f"parts dropped ({why})" for why in dropped]
        return f"{counted(len(self.table), 'image')}; {', '.join(told) or 'nothing was changed'}"


def check_fix(path: Path) -> None:
    """See that a cleaned table may be written to a place, before any time is spent on it.

    Raises:
        CorpuscleError: it may not, or there is one.
    """
    for place in (path, changes_of(path)):
        if place.exists():
            raise CorpuscleError(f"{place} is there already and is not overwritten; name another file with --fix")
    check_place(path, (".csv",), flag="--fix")


def changes_of(path: Path) -> Path:
    """Where the changes are listed: beside the cleaned table.

    >>> changes_of(Path("a/clean.csv")).as_posix()
    'a/clean.changes.csv'
    """
    return path.with_suffix(".changes.csv")


def check_said(table: Table) -> None:
    """See that a CSV can say what these data are.

    Raises:
        CorpuscleError: it cannot.
    """
    if table.counted and table.points is None and len(table.classes) > 1:
        raise CorpuscleError(
            f"a cleaned CSV holds the number of one kind, these data count {len(table.classes)} without their places; "
            f"name one, as in --set data.kinds={table.classes[0]}"
        )


def write_fixed(fixed: Fixed, path: Path) -> None:
    """Write the table and its changes, each whole or not at all.

    Raises:
        CorpuscleError: a CSV cannot say what these data are, or the place cannot be written.
    """
    table = fixed.table
    check_said(table)
    check_fix(path)
    base = base_of(table, path)
    rows = [((base / one.image).as_posix() if one.image else ALL, one.change, one.to, one.why) for one in fixed.changes]
    with whole_file(changes_of(path)) as part:
        schema = dict.fromkeys(("image", "change", "to", "why"), pl.String)
        pl.DataFrame(rows, schema=schema, orient="row").write_csv(part)
    unknown = [name for name in ("group", "split") if table.frame[name].is_null().all()]
    write_split_csv(table.with_frame(table.frame.drop(unknown)), path)


def fixed(found: Inspection) -> Fixed:
    """What the findings ask for, done to the table.

    Images that cannot be used, blank ones, and copies that disagree are left out; of other copies one stays; labels
    that differ by spelling alone become the commonest; what is nearly the same becomes one group; a group that is in
    several parts goes to one of them. Labels that may be wrong are never changed.
    """
    table, changes = found.table, list[Change]()
    for step in (_left_out, _unlabelled, _labels, _groups, _parts):
        table, made = step(found, table)
        changes += made
    if table.frame.is_empty():
        raise CorpuscleError("no image would be left in the cleaned table; mend the files, or leave out --fix")
    return Fixed(table, tuple(changes))


def _left_out(found: Inspection, table: Table) -> tuple[Table, list[Change]]:
    """Without the images that cannot be used, that are blank, or copies."""
    why: dict[str, str] = {}
    if found.audit is not None:
        unused = set(table.frame["image"].filter(~found.audit.sound))
        for finding in found.left_out:
            why |= {image: _reason(finding, image) for image in finding.images if image in unused}
    for finding in found.of("copies"):
        kept = _kept(table, [image for image in finding.images if image not in why])
        why |= {image: f"has the pixels of {kept}" for image in finding.images if image not in (kept, *why)}
    changes = [Change(image, "left out", "", reason) for image, reason in why.items()]
    return table.with_frame(table.frame.filter(~pl.col("image").is_in(list(why)))), changes


def _reason(finding: Finding, image: str) -> str:
    """Why an image is left out."""
    if finding.kind == "copies disagree":
        return f"has the pixels of images with other labels: {finding.what}"
    return finding.what.removeprefix(f"{image}: ")


def _kept(table: Table, same: list[str]) -> str | None:
    """Of copies the first that has a label, and of these one that is held out."""
    rows = table.frame.select("image", "split", known=table.known).filter(pl.col("image").is_in(same)).rows()
    place = {part: number for number, part in enumerate(HELD_OUT)}
    best = min(rows, key=lambda row: (not row[2], place.get(row[1], len(place))), default=None)
    return None if best is None else best[0]


def _unlabelled(found: Inspection, table: Table) -> tuple[Table, list[Change]]:
    """With what has no label as the test part, where that is free; without it elsewhere, for a CSV cannot say it."""
    frame = table.frame
    without = (frame["split"] == "unlabelled").fill_null(False)
    if not without.any():
        return table, []
    parts = set(frame["split"].drop_nulls())
    if "train" in parts and "test" not in parts:
        test = pl.when(without).then(pl.lit("test")).otherwise("split").alias("split")
        return table.with_frame(frame.with_columns(test)), []
    why = "has no label, and a table says so of a whole test part alone"
    changes = [Change(image, "left out", "", why) for image in frame["image"].filter(without)]
    return table.with_frame(frame.filter(~without)), changes


def _labels(found: Inspection, table: Table) -> tuple[Table, list[Change]]:
    """With the commonest spelling of each label."""
    better: dict[str, str] = {}
    for finding in found.of("label spelling"):
        spellings = finding.values["labels"]
        best = max(sorted(spellings), key=lambda name: spellings[name])
        better |= {spelling: best for spelling in spellings if spelling != best}
    changed = table.frame.filter(pl.col("label").is_in(list(better))).select("image", "label").rows()
    why = "differs from it by spelling alone"
    changes = [Change(image, "label", better[label], f"'{label}' {why}") for image, label in changed]
    classes = tuple(name for name in table.classes if name not in better)
    frame = table.frame.with_columns(pl.col("label").replace(better))
    return replace(table, frame=frame, classes=classes), changes


def _groups(found: Inspection, table: Table) -> tuple[Table, list[Change]]:
    """With one group for images that are nearly the same, or overlap; groups that share such images become one."""
    left, read = set(table.frame["image"]), found.audit
    sets = {FIELD: read.overlaps, NEARLY: (*read.near, *read.disagreeing)} if read else {}
    near = [(why, [image for image in same if image in left]) for why, alike in sets.items() for same in alike]
    near = [(why, same) for why, same in near if len(same) > 1]
    if not near:
        return table, []
    unit_N = units_of(table.frame, [same for _, same in near]).tolist()
    own = table.frame.select(pl.coalesce("group", "image")).to_series().to_list()
    first: dict[int, str] = {}
    group_N = [first.setdefault(unit, name) for unit, name in zip(unit_N, own, strict=True)]
    beside = {image: f"{why} {same[image == same[0]]}" for why, same in near for image in same}
    changes = []
    for image, to, was in zip(table.frame["image"], group_N, own, strict=True):
        if image in beside:
            changes.append(Change(image, "group", to, beside[image]))
        elif to != was:
            changes.append(Change(image, "group", to, f"{was} shares near-copies with it"))
    return table.with_frame(table.frame.with_columns(pl.Series("group", group_N, pl.String))), changes


def _parts(found: Inspection, table: Table) -> tuple[Table, list[Change]]:
    """With each group in one part, that of most of its images, else test before val before train.

    Without parts where these would no longer do.
    """
    frame = table.frame
    given = set(frame["split"].drop_nulls()) & set(PARTS)
    if not given:
        return table, []
    unit_N = units_of(frame, ())
    parts = defaultdict[int, Counter[str]](Counter)
    for unit, part in zip(unit_N.tolist(), frame["split"], strict=True):
        if part in PARTS:
            parts[unit][part] += 1
    torn = {unit: max(HELD_OUT, key=lambda part: held[part]) for unit, held in parts.items() if len(held) > 1}
    if not torn:
        return table, []
    part_N = [
        torn.get(unit, part) if part in PARTS else part
        for unit, part in zip(unit_N.tolist(), frame["split"], strict=True)
    ]
    moved = table.with_frame(frame.with_columns(pl.Series("split", part_N, pl.String)))
    reason = _undone(moved, given)
    if reason:
        kept = pl.when(~pl.col("split").is_in(PARTS)).then("split")
        return table.with_frame(frame.with_columns(kept)), [Change("", "part", "", reason)]
    rows = zip(frame["image"], frame["group"], frame["split"], part_N, strict=True)
    why = "most of its images are there, or as many and they judge"
    return moved, [Change(image, "part", to, f"group {group}: {why}") for image, group, was, to in rows if was != to]


def _undone(moved: Table, given: set[str]) -> str:
    """Why parts would no longer do once groups are in one part each; empty where they do."""
    lost = given - set(moved.frame["split"])
    if lost:
        return f"with each group in one part {' and '.join(sorted(lost))} would be empty: divide the table anew"
    if moved.counted or moved.segmented:
        return ""
    learned = moved.part("train").frame["label"].unique()
    unlearned = moved.frame.filter(pl.col("split").is_in(PARTS), ~pl.col("label").is_in(learned.implode()))["label"]
    if len(unlearned):
        return f"with each group in one part class {unlearned[0]} would not be in train: divide the table anew"
    return ""
