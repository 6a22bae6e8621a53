"""A look at a data set before any time is spent on it: what was understood, and every fault that was found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from corpuscle.core.progress import SILENT, Progress
from corpuscle.data.audit import Audit, audit
from corpuscle.data.cache import survey
from corpuscle.data.fingerprint import class_counts, sizes
from corpuscle.data.leaks import Leak, find_leaks
from corpuscle.data.readers.image import ReadPlan
from corpuscle.data.sources import SourcePlan, scan
from corpuscle.data.table import Table


@dataclass(frozen=True)
class Inspection:
    """What is known of a data set.

    Attributes:
        table: its rows.
        seen: what one pass over the images found, None if they were not opened.
        findings: faults and copies, None if the images were not opened.
        leaks: what the parts that the data set came with share.
    """

    table: Table
    seen: pl.DataFrame | None
    findings: Audit | None
    leaks: tuple[Leak, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing was found that a person should look at."""
        found = self.findings
        return not self.leaks and (found is None or not (found.faults or found.copies))

    def lines(self) -> list[str]:
        """The findings, a line each."""
        if self.clean:
            return [
                "no faults found" if self.seen is not None else "no faults found in the rows; images were not opened"
            ]
        found = self.findings
        lines = [str(leak) for leak in self.leaks]
        if found is not None:
            lines += [f"unreadable: {fault}" for fault in found.faults]
            lines += [f"identical pixels: {', '.join(images)}" for images in found.copies]
            lines += [f"identical pixels, different labels: {', '.join(images)}" for images in found.disagreeing]
        return lines

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        frame, found = self.table.frame, self.findings
        content: dict[str, Any] = {
            "layout": self.table.layout,
            "root": str(self.table.root),
            "notes": list(self.table.notes),
            "images": len(frame),
            "classes": class_counts(self.table),
            "groups": frame["group"].drop_nulls().n_unique(),
            "leaks": [str(leak) for leak in self.leaks],
        }
        if self.seen is not None and found is not None:
            content["sizes"] = sizes(self.seen)
            content["modes"] = dict(self.seen["mode"].drop_nulls().value_counts(sort=True).rows())
            content["faults"] = [vars(fault) for fault in found.faults]
            content["copies"] = [list(group) for group in found.copies]
            content["disagreeing"] = [list(group) for group in found.disagreeing]
        return content


def inspect(
    path: Path, plan: SourcePlan, read: ReadPlan, pixels: bool = True, progress: Progress = SILENT
) -> Inspection:
    """Understand a data set and look for faults.

    Args:
        path: whatever a source understands.
        plan, read: choices of the source and limits of the reader.
        pixels: open every image; without, only the rows are judged.
        progress: says what was understood first, then how far it is.

    Raises:
        DataFault: faults of the layout, all at once.
    """
    table = scan(path, plan)
    progress.say(describe(table))
    if not pixels:
        return Inspection(table, None, None, find_leaks(table))
    seen = survey(table, read, None, progress=progress).frame
    findings = audit(table, seen)
    content = dict(zip(table.frame["image"], seen["content"], strict=True))
    leaks = find_leaks(table, {image: digest for image, digest in content.items() if digest is not None})
    return Inspection(table, seen, findings, leaks)


def describe(table: Table) -> str:
    """What was understood, in a line or two."""
    frame = table.frame
    counts = dict(frame["label"].drop_nulls().value_counts().rows())
    classes = ", ".join(f"{name} {counts.get(name, 0)}" for name in table.classes)
    parts = {str(part): number for part, number in frame["split"].drop_nulls().value_counts(sort=True).rows()}
    lines = [f"{table.layout}: {len(frame)} images of {len(table.classes)} classes ({classes})"]
    if parts:
        lines.append("parts as given: " + ", ".join(f"{part} {number}" for part, number in parts.items()))
    groups = frame["group"].drop_nulls().n_unique()
    if groups:
        lines.append(f"{groups} groups, which stay together")
    return "\n".join([*lines, *(f"note: {note}" for note in table.notes)])
