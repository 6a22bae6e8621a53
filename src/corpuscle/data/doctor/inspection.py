"""A look at a data set before any time is spent on it: what was understood, and every fault that was found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from corpuscle.core.errors import CorpuscleError, DataFault, Fault
from corpuscle.core.progress import SILENT, Progress
from corpuscle.data.cache import survey
from corpuscle.data.doctor.audit import Audit, audit
from corpuscle.data.doctor.leaks import Leak, find_leaks
from corpuscle.data.fingerprint import holdings, sizes
from corpuscle.data.masks import survey_masks
from corpuscle.data.readers.image import ReadPlan
from corpuscle.data.sources import SourcePlan, scan
from corpuscle.data.splits import PARTS, SplitPlan, split_table
from corpuscle.data.table import Table

SHOWN = 5  # images that a line names


@dataclass(frozen=True)
class Inspection:
    """What is known of a data set.

    Attributes:
        table: its rows.
        seen: what one pass over the images found, None if they were not opened.
        findings: faults and copies, None if the images were not opened.
        leaks: what the parts that the data set came with share.
        indivisible: why it cannot be divided into train, val and test, where it did not come divided.
    """

    table: Table
    seen: pl.DataFrame | None
    findings: Audit | None
    leaks: tuple[Leak, ...]
    indivisible: tuple[Fault, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether nothing was found that a person should look at."""
        found = self.findings
        return not (self.leaks or self.indivisible) and (found is None or not (found.faults or found.copies))

    def lines(self) -> list[str]:
        """What the images are and what was found, a line each."""
        found, lines = self.findings, []
        if self.seen is not None and len(self.seen.drop_nulls("height")):
            lines = [_sizes_in_words(self.seen), _modes_in_words(self.seen)]
        lines += [str(leak) for leak in self.leaks]
        lines += [f"cannot be divided: {fault}" for fault in self.indivisible]
        if found is not None:
            if self.table.segmented:
                lines += _pixels_in_words(self.table)
            lines += [f"{'unusable' if self.table.segmented else 'unreadable'}: {fault}" for fault in found.faults]
            if found.empty:
                shown = ", ".join(found.empty[:SHOWN]) + ", ..." * (len(found.empty) > SHOWN)
                lines.append(f"masks without an object: {len(found.empty)} ({shown})")
            lines += [f"identical pixels: {', '.join(images)}" for images in found.copies]
            lines += [f"identical pixels, different labels: {', '.join(images)}" for images in found.disagreeing]
        if self.clean:
            lines.append("no faults found" if found else "no faults found in names and rows; images were not opened")
        return lines

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        frame, found = self.table.frame, self.findings
        content: dict[str, Any] = {
            "layout": self.table.layout,
            "root": str(self.table.root),
            "notes": list(self.table.notes),
            "images": len(frame),
            **holdings(self.table),
            "groups": frame["group"].drop_nulls().n_unique(),
            "leaks": [str(leak) for leak in self.leaks],
            "indivisible": [vars(fault) for fault in self.indivisible],
        }
        if self.seen is not None and found is not None:
            content["sizes"] = sizes(self.seen)
            content["modes"] = dict(self.seen["mode"].drop_nulls().value_counts(sort=True).rows())
            content["faults"] = [vars(fault) for fault in found.faults]
            content["copies"] = [list(group) for group in found.copies]
            content["disagreeing"] = [list(group) for group in found.disagreeing]
            if self.table.segmented:
                content["empty"] = list(found.empty)
        return content


def inspect(
    path: Path,
    plan: SourcePlan,
    read: ReadPlan,
    split: SplitPlan,
    pixels: bool = True,
    progress: Progress = SILENT,
) -> Inspection:
    """Understand a data set and look for faults.

    Args:
        path: whatever a source understands.
        plan, read, split: choices of the source, limits of the reader, and how it would be divided.
        pixels: open every image; without, only the rows are judged.
        progress: says what was understood first, then how far it is.

    Raises:
        DataFault: faults of the layout, all at once.
    """
    table = scan(path, plan)
    progress.say(describe(table))
    if not pixels:
        return Inspection(table, None, None, find_leaks(table), _indivisible(table, split))
    seen = survey(table, read, None, progress=progress).frame
    if table.segmented:
        seen = survey_masks(table, seen, read, None, progress=progress).joined(seen)
        table = table.with_frame(table.frame.with_columns(seen["pixels"]))
    findings = audit(table, seen)
    sound = table.with_frame(table.frame.filter(findings.sound))
    leaks = find_leaks(table, contents(table, seen))
    return Inspection(table, seen, findings, leaks, _indivisible(sound, split, findings.copies))


def contents(table: Table, seen: pl.DataFrame) -> dict[str, str]:
    """Image to the digest of its pixels, for those that can be read."""
    both = pl.DataFrame([table.frame["image"], seen["content"]]).drop_nulls()
    return dict(both.rows())


def describe(table: Table) -> str:
    """What was understood, in a line or two."""
    frame = table.frame
    given = dict(frame["split"].drop_nulls().value_counts().rows())
    parts = {part: given[part] for part in (*PARTS, "unlabelled") if part in given}
    words = _objects_in_words if table.counted else _masks_in_words if table.segmented else _classes
    lines = [f"{table.layout}: {len(frame)} images {words(table)}"]
    if parts:
        lines.append("parts as given: " + ", ".join(f"{part} {number}" for part, number in parts.items()))
    groups = frame["group"].drop_nulls().n_unique()
    if groups:
        lines.append(f"{groups} groups, which stay together")
    return "\n".join([*lines, *(f"note: {note}" for note in table.notes)])


def _classes(table: Table) -> str:
    counts = dict(table.frame["label"].drop_nulls().value_counts().rows())
    classes = ", ".join(f"{name}: {counts.get(name, 0)}" for name in table.classes)
    return f"of {len(table.classes)} classes ({classes})"


def _objects_in_words(table: Table) -> str:
    counts = table.frame["counts"].drop_nulls()
    words = []
    for k, kind in enumerate(table.classes):
        numbers = counts.list.get(k).to_list()
        spread = f", {min(numbers)} to {max(numbers)} an image" if numbers else ""
        words.append(f"{kind}: {sum(numbers)}{spread}")
    return f"with {counts.list.sum().sum()} objects ({'; '.join(words)})"


def _masks_in_words(table: Table) -> str:
    labels = table.frame["label"].drop_nulls()
    named = f"; labels of {len(labels)} images, {labels.n_unique()} different" if len(labels) else ""
    masks = f"masks of {len(table.classes)} classes: {', '.join(table.classes)}"
    if table.known.all():
        return f"with {masks}{named}"
    return f"of which {table.known.sum()} have {masks}{named}"


def _pixels_in_words(table: Table) -> list[str]:
    """Which share of all pixels each class has, and how many images show it."""
    counts = table.frame["pixels"].drop_nulls()
    totals = [int(counts.list.get(k).sum()) for k in range(len(table.classes))]
    shows = [int((counts.list.get(k) > 0).sum()) for k in range(len(table.classes))]
    words = [
        f"{name} {total / max(sum(totals), 1):.2%} in {number} image{'s' * (number != 1)}"
        for name, total, number in zip(table.classes, totals, shows, strict=True)
    ]
    return [f"pixels: {'; '.join(words)}"] if len(counts) else []


def _sizes_in_words(seen: pl.DataFrame) -> str:
    found = sizes(seen)
    low, middle, high = (" × ".join(map(str, found[name])) for name in ("min", "median", "max"))
    if found["distinct"] == 1:
        return f"sizes (height × width): all {middle}"
    return f"sizes (height × width): {low} to {high}, median {middle}, {found['distinct']} different"


def _modes_in_words(seen: pl.DataFrame) -> str:
    modes = seen["mode"].drop_nulls().value_counts(sort=True).rows()
    return "modes: " + "; ".join(f"{mode} ({count})" for mode, count in modes)


def _indivisible(table: Table, plan: SplitPlan, copies: tuple[tuple[str, ...], ...] = ()) -> tuple[Fault, ...]:
    try:
        split_table(table, plan, seed=0, together=copies)
    except DataFault as fault:
        return fault.faults
    except CorpuscleError as error:
        what, _, remedy = str(error).partition("; ")
        return (Fault("parts", what, remedy),)
    return ()
