"""One table as text, and which of its columns is the image, the label, the group and the split."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from corpuscle.core.errors import CorpuscleError, Fault, nearest
from corpuscle.data.sources.frames import read_frames
from corpuscle.data.sources.plan import SourcePlan

KNOWN_COLUMNS = {
    "image": (
        *("image", "image path", "path", "file path", "filepath", "img path", "image file", "image name", "imagename"),
        *("file name", "filename", "file", "img", "img name", "image id", "img id", "id code", "isic id", "new names"),
        *("image index", "images", "name", "id"),
    ),
    "label": (
        *("label", "class", "class label", "labels", "target", "diagnosis", "category", "class name", "label name"),
        *("classes", "cell type", "dx", "grade", "level", "y"),
    ),
    "group": ("group", "patient", "patient id", "subject", "subject id", "slide", "slide id", "case id", "lesion id"),
    "split": ("split", "part", "subset", "set", "partition"),
    "count": (
        *(
            "count",
            "counts",
            "cell count",
            "cells",
            "num cells",
            "number of cells",
            "n cells",
            "total",
            "number",
            "num",
        ),
    ),
}  # what `auto` looks for, in this order, in small letters and without punctuation


@dataclass(frozen=True)
class Sheet:
    """One table and what its columns mean.

    Attributes:
        path: its file.
        frame: every column as text; rows that are wholly empty are left out.
        row_N: number of each row as a spreadsheet counts: the header is row 1.
        columns: meaning (image, label, group, split, count) to the name of its column, where there is one.
        faults: columns that are needed and not there.
    """

    path: Path
    frame: pl.DataFrame
    row_N: pl.Series
    columns: Mapping[str, str]
    faults: tuple[Fault, ...]

    def values(self, meaning: str) -> pl.Series:
        """The texts of the column of that meaning, empty ones null; all null if there is no such column."""
        if meaning not in self.columns:
            return pl.Series(meaning, [None] * len(self.frame), pl.String)
        texts = self.frame[self.columns[meaning]].rename(meaning).str.strip_chars()
        return texts.set(texts == "", None)

    def place(self, row: int) -> str:
        """How a fault names a row."""
        return f"{self.path.name} row {row}"


def read_sheet(path: Path, plan: SourcePlan, needs_label: bool = True) -> Sheet:
    """Read a CSV, a Parquet or an Excel file and tell its columns apart; of several sheets the first that has them.

    Raises:
        CorpuscleError: it cannot be read, is empty, or is no table, or none of its sheets has the columns.
    """
    frames = read_frames(path)
    found = {name: _columns(path, frame.columns, plan, needs_label) for name, frame in frames.items()}
    named = [name for name, (_, faults) in found.items() if not faults]
    if len(frames) > 1 and not named:
        shown = "; ".join(f"'{name}': {', '.join(frame.columns)}" for name, frame in frames.items())
        raise CorpuscleError(
            f"{path} has {len(frames)} sheets, none with the columns that are needed ({shown}); "
            "name them with --set data.image_column=NAME and data.label_column=NAME"
        )
    name = named[0] if named else next(iter(frames))
    frame, (columns, faults) = frames[name], found[name]
    if frame.is_empty():
        raise CorpuscleError(f"{path} has a header and no rows; add a row for each image")
    numbers = pl.int_range(2, len(frame) + 2, eager=True).rename("row")
    filled = frame.select(~pl.all_horizontal(pl.all().is_null())).to_series()
    return Sheet(path, frame.filter(filled), numbers.filter(filled), columns, faults)


def _columns(
    path: Path, names: list[str], plan: SourcePlan, needs_label: bool
) -> tuple[dict[str, str], tuple[Fault, ...]]:
    asked = {
        "image": plan.image_column,
        "label": plan.label_column,
        "group": "none" if plan.group_from and plan.group_column == "auto" else plan.group_column,
        "split": plan.split_column,
    }
    needed = {"image", "label"} if needs_label else {"image"}
    columns: dict[str, str] = {}
    faults = []
    by_plain = {plain(name): name for name in reversed(names)}
    if _is_counted(by_plain, plan):
        asked |= {"label": "none", "count": plan.count_column}
    for meaning, wanted in sorted(asked.items(), key=lambda item: item[1] == "auto"):  # what was named comes first
        if wanted in names or plain(wanted) in by_plain:
            columns[meaning] = wanted if wanted in names else by_plain[plain(wanted)]
        elif wanted == "auto":
            known = [by_plain[word] for word in KNOWN_COLUMNS[meaning] if word in by_plain]
            free = [name for name in known if name not in columns.values()]
            if free:
                columns[meaning] = free[0]
            elif meaning in needed:
                shown = f"no column known to hold the {meaning}; the columns are: {', '.join(names)}"
                faults.append(Fault(path.name, shown, f"name it with --set data.{meaning}_column=NAME"))
        elif wanted != "none" and (needs_label or meaning == "image"):
            remedy = f"{nearest(wanted, names).replace('Known:', 'there are')} (--set data.{meaning}_column=NAME)"
            faults.append(Fault(path.name, f"no column '{wanted}'", remedy))
    return {meaning: columns[meaning] for meaning in asked if meaning in columns}, tuple(faults)


def _is_counted(known: Mapping[str, str], plan: SourcePlan) -> bool:
    """Whether the rows have counts: the plan names their column, or there is one and none of labels."""
    if plan.count_column not in ("auto", "none") and plan.label_column != "auto":
        asked = f"label_column={plan.label_column} and count_column={plan.count_column}"
        raise CorpuscleError(f"a label or a count was expected for each image, got {asked}; leave one of them out")
    if plan.count_column != "auto" or plan.label_column != "auto":
        return plan.count_column not in ("auto", "none")
    return any(word in known for word in KNOWN_COLUMNS["count"]) and not any(
        word in known for word in KNOWN_COLUMNS["label"]
    )


def plain(name: str) -> str:
    """A column's name in small letters and without punctuation.

    >>> plain("Num_Cells")
    'num cells'
    """
    return re.sub(r"[\W_]+", " ", name.casefold()).strip()
