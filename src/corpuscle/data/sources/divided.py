"""A division that is kept in a CSV of its own, laid over a data set of any layout."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import polars as pl

from corpuscle.core.errors import DataFault, Fault
from corpuscle.data.sources.folders import PARTS
from corpuscle.data.sources.plan import SourcePlan
from corpuscle.data.sources.sheet import read_sheet
from corpuscle.data.table import Table


def divided_by(table: Table, path: Path, plan: SourcePlan) -> Table:
    """The images that a CSV names, each in the part it says; the others are left out.

    Args:
        table: of any layout.
        path: CSV with a column of images, named as in the table, by the end of their paths or by where they lie as
            seen from the CSV, and one of parts.
        plan: names of these columns.

    Raises:
        DataFault: images that the table does not have, or that two of its images could be; parts of unknown names.
        CorpuscleError: no such CSV.
    """
    sheet = read_sheet(path, plan, needs_label=False)
    faults = list(sheet.faults)
    if "split" not in sheet.columns:
        columns = ", ".join(sheet.frame.columns)
        faults.append(
            Fault(
                path.name,
                f"no column of parts; the columns are: {columns}",
                "name it with --set data.split_column=NAME",
            )
        )
    if faults:
        raise DataFault(faults)
    names, words = sheet.values("image"), sheet.values("split")
    known = PARTS | {"unlabelled": "unlabelled"}
    parts = words.str.to_lowercase().replace_strict(known, default=None, return_dtype=pl.String)
    places, on_disk = _places(table.frame["image"]), _places_on_disk(table)
    beside, chosen = path.parent.resolve(), dict[str, str]()
    for row, name, word, part in zip(sheet.row_N, names, words, parts, strict=True):
        written = Path((name or "").replace("\\", "/"))
        meant = places.get(written.as_posix().strip("/")) or on_disk.get(os.path.normpath(beside / written), [])
        if len(meant) != 1:
            could = f"could be {' or '.join(meant[:3])}" if meant else "is no image of the data set"
            faults.append(Fault(sheet.place(row), f"'{name}' {could}", "write its path from the data set's folder"))
        elif part is None:
            faults.append(Fault(sheet.place(row), f"'{word}' is neither train, val nor test", "mend it"))
        else:
            chosen[meant[0]] = part
    if faults:
        raise DataFault(faults)
    split = table.frame["image"].replace_strict(chosen, default=None, return_dtype=pl.String)
    kept = split.is_not_null()
    frame = table.frame.with_columns(split=split).filter(kept)
    left = f"; {(~kept).sum()} others were left out" if not kept.all() else ""
    return replace(table, frame=frame, notes=(*table.notes, f"parts of {len(frame)} images from {path.name}{left}"))


def _places_on_disk(table: Table) -> dict[str, list[str]]:
    """The image that each whole path means."""
    root = table.root.resolve()
    return {os.path.normpath(root / image): [image] for image in table.frame["image"]}


def _places(images: pl.Series) -> dict[str, list[str]]:
    """The images that each path, or end of a path, could mean; a whole path means that image alone."""
    found: dict[str, list[str]] = {}
    for image in images:
        pieces = Path(image).parts
        ends = {"/".join(pieces[depth:]).strip("/") for depth in range(len(pieces))}  # a root makes two of one
        for end in ends:
            found.setdefault(end, []).append(image)
    return found | {"/".join(Path(image).parts).strip("/"): [image] for image in images}
