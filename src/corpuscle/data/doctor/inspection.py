"""A look at a data set before any time is spent on it: what was understood, and everything that was found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from corpuscle.core.progress import SILENT, Progress
from corpuscle.data.cache import survey
from corpuscle.data.doctor.audit import Audit, GuardPlan
from corpuscle.data.doctor.contents import told_apart
from corpuscle.data.doctor.diagnosis import diagnose, in_order, indivisible, leak_finding, leaks_of, left_out, of_names
from corpuscle.data.doctor.finding import KINDS, Finding
from corpuscle.data.doctor.leaks import find_leaks
from corpuscle.data.fingerprint import holdings, sizes
from corpuscle.data.masks import survey_masks
from corpuscle.data.readers.image import ReadPlan
from corpuscle.data.sources import SourcePlan, scan
from corpuscle.data.splits import PARTS, SplitPlan, counted
from corpuscle.data.table import Table

SHOWN = 10  # findings of a kind that are written out


@dataclass(frozen=True)
class Choices:
    """What a look is told.

    Attributes:
        data: what does not show of the layout.
        read: limits of the reader.
        split: how the rows would be divided.
        guard: what is accepted.
        seed: of the tests that draw by chance.
        strict: refuse labels that differ by case or spaces alone, as a training does.
    """

    data: SourcePlan = field(default_factory=SourcePlan)
    read: ReadPlan = field(default_factory=ReadPlan)
    split: SplitPlan = field(default_factory=SplitPlan)
    guard: GuardPlan = field(default_factory=GuardPlan)
    seed: int = 0
    strict: bool = False


@dataclass(frozen=True)
class Inspection:
    """What is known of a data set.

    Attributes:
        table: its rows.
        seen: what one pass over the images found, None if they were not opened.
        audit: which rows are used and which belong together, None if the images were not opened.
        findings: everything that is wrong or looks so, by kind, in the order of `KINDS`.
        written: what was written of it, a line each.
    """

    table: Table
    seen: pl.DataFrame | None
    audit: Audit | None
    findings: tuple[Finding, ...] = ()
    written: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether nothing was found that a person should look at; notes do not count."""
        return all(KINDS[finding.kind].weight == "note" for finding in self.findings)

    def of(self, kind: str) -> tuple[Finding, ...]:
        """The findings of a kind."""
        return tuple(finding for finding in self.findings if finding.kind == kind)

    @property
    def left_out(self) -> tuple[Finding, ...]:
        """The findings whose images are not used."""
        return () if self.audit is None else left_out(self.findings, self.table, self.audit.sound)

    def with_findings(self, more: Iterable[Finding]) -> Inspection:
        """The same with other findings beside its own."""
        return replace(self, findings=in_order([*self.findings, *more]))

    def lines(self) -> list[str]:
        """What the images are, then a block a kind of finding: its heading, the first findings, and what to do."""
        lines = []
        if self.seen is not None and len(self.seen.drop_nulls("height")):
            lines = [_sizes_in_words(self.seen), _modes_in_words(self.seen)]
            lines += _pixels_in_words(self.table) if self.table.segmented else []
        for kind in KINDS:
            if found := self.of(kind):
                lines += ["", *block(KINDS[kind].title, found)]
        lines += [""] * bool(self.findings)
        lines.append(self._in_all())
        return lines + [f"written: {place}" for place in self.written]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        frame = self.table.frame
        content: dict[str, Any] = {
            "layout": self.table.layout,
            "root": str(self.table.root),
            "notes": list(self.table.notes),
            "images": len(frame),
            **holdings(self.table),
            "groups": frame["group"].drop_nulls().n_unique(),
        }
        if self.seen is not None:
            content["sizes"] = sizes(self.seen)
            content["modes"] = dict(self.seen["mode"].drop_nulls().value_counts(sort=True).rows())
        content["clean"] = self.clean
        content["found"] = dict(Counter(finding.kind for finding in self.findings))
        findings = [finding.as_dict() for finding in self.findings]
        return content | {"findings": findings, "written": list(self.written)}

    def _in_all(self) -> str:
        """How much was found, in a line."""
        if self.clean:
            return "no faults found" + " in names and rows; images were not opened" * (self.seen is None)
        weights = Counter(KINDS[finding.kind].weight for finding in self.findings)
        told = " and ".join(counted(weights[weight], weight) for weight in ("fault", "warning") if weights[weight])
        if self.written:
            return told
        return f"{told}; --html PAGE shows them, --fix OUT.csv writes a table without what can be mended"


def inspect(
    path: Path,
    choices: Choices,
    pixels: bool = True,
    progress: Progress = SILENT,
    check: Callable[[Table], None] | None = None,
) -> Inspection:
    """Understand a data set and look for faults.

    Args:
        path: whatever a source understands.
        choices: of the source, the reader and the split, and what is accepted.
        pixels: open every image; without, only the rows are judged.
        progress: says what was understood first, then how far it is.
        check: raises where the rows cannot be what is wanted of them, before an image is opened.

    Raises:
        DataFault: faults of the layout, all at once.
    """
    table = scan(path, choices.data, spelling=choices.strict)
    progress.say(describe(table))
    if check is not None:
        check(table)
    if not pixels:
        found = [*of_names(table), *map(leak_finding, find_leaks(table)), *indivisible(table, choices.split)]
        return Inspection(table, None, None, in_order(found))
    paths = [table.path_of(image) for image in table.frame["image"]]
    seen = survey(table, choices.read, None, progress=progress, digest=False).frame
    seen = told_apart(paths, seen, choices.read, progress)
    if table.segmented:
        seen = survey_masks(table, seen, choices.read, None, progress=progress).joined(seen)
        table = table.with_frame(table.frame.with_columns(seen["pixels"]))
    read = diagnose(table, seen, choices.guard, choices.seed, progress, read_plan=choices.read)
    sound = table.with_frame(table.frame.filter(read.sound))
    shared = leaks_of(sound, seen.filter(read.sound), read)
    found = [*read.found, *shared, *indivisible(sound, choices.split, read.together)]
    return Inspection(table, seen, read, in_order(found))


def block(title: str, found: Sequence[Finding], most: int = SHOWN) -> list[str]:
    """A heading with its number, the first findings of a kind, and what to do where all say the same."""
    shown, remedies = found[:most], {finding.remedy for finding in found}
    same = len(remedies) == 1
    lines = [f"{title}: {len(found)}", *(f"  {finding.what if same else finding}" for finding in shown)]
    if len(found) > most:
        lines.append(f"  … and {len(found) - most} more: --html PAGE or --json")
    return [*lines, f"  → {remedies.pop()}"] if same else lines


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
