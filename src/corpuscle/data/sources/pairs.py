"""Layout of a CSV whose images lie in folders beside it that its rows do not name: `train.csv` and `train_images/`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import polars as pl

from corpuscle.core.errors import CorpuscleError
from corpuscle.data.sources.beside import found_beside, image_folders, part_of
from corpuscle.data.sources.csvs import csvs_in, parts_of, scan_parts
from corpuscle.data.sources.disk import absolute, listing
from corpuscle.data.sources.found import Found
from corpuscle.data.sources.plan import SourcePlan
from corpuscle.data.sources.points import is_points
from corpuscle.data.sources.resolve import resolve
from corpuscle.data.sources.sheet import read_sheet
from corpuscle.data.table import COLUMNS

LOOKED_AT = 20  # rows that tell whether a table is one of a pair
OF_IMAGES = re.compile(
    r"images?|imgs?|pictures?|photos?|jpe?gs?|pngs?|tiles?|patch(es)?|files?|data|part", re.IGNORECASE
)


def scan_pair(path: Path, plan: SourcePlan) -> Found:
    """One row per row of a CSV, or of those for train, valid and test, whose images lie in folders beside it.

    Of a folder also its images for the test, unlabelled, where no CSV names them.
    """
    parts = _parts(path, plan)
    found = scan_parts(parts, plan)
    if path.is_file() or found.counted or "test" in parts.values():
        return found
    named = set(found.frame["image"].drop_nulls())
    rows = [
        (f"{folder}{name}", None, None, "unlabelled", folder.rstrip("/"), None)
        for folder in image_folders(absolute(path))
        if part_of(folder) == "test"
        for name in listing(path / folder).images
        if f"{folder}{name}" not in named
    ]
    if not rows:
        return found
    note = f"{len(rows)} images of '{rows[0][4]}' that no row names have no labels and wait for predictions"
    frame = pl.concat([found.frame, pl.DataFrame(rows, schema=COLUMNS, orient="row")])
    return replace(found, frame=frame, notes=(*found.notes, note))


def table_in(folder: Path, plan: SourcePlan) -> Path | None:
    """The table of a folder that is one of a pair: that of train, else the only one that is.

    Raises:
        CorpuscleError: there are several.
    """
    of_train = csvs_in(folder, loosely=True).get("train")
    tables = [of_train] if of_train else [folder / name for name in listing(folder).tables]
    found = [table for table in tables if not is_points(table, plan) and is_pair(table, plan)]
    if len(found) > 1:
        shown = ", ".join(table.name for table in found[:12])
        raise CorpuscleError(f"{folder} holds several CSVs of its images ({shown}), one was expected; name it")
    return found[0] if found else None


def is_pair(table: Path, plan: SourcePlan) -> bool:
    """Whether the images of a table lie in folders beside it, by its first rows; False where it cannot be read."""
    try:
        sheet = read_sheet(table, plan, needs_label=False)
    except CorpuscleError:
        return False
    names = sheet.values("image").drop_nulls().head(LOOKED_AT)
    base = absolute(plan.root or table.parent)
    if names.is_empty() or resolve(names, base, base, plan.image_suffix)["image"].is_not_null().any():
        return False
    found = found_beside(names, base, base, plan.image_suffix, part_of(table.stem))
    return bool((found["image"].is_not_null() | found["choices"].is_not_null()).any())


def of_images(folders: Iterable[str]) -> bool:
    """Whether folders are named for what they hold, rather than for classes.

    >>> of_images(["HAM10000_images_part_1", "train"]), of_images(["basophil", "monocyte"])
    (True, False)
    """
    return all(OF_IMAGES.search(name) or part_of(name) for name in folders)


def _parts(path: Path, plan: SourcePlan) -> dict[Path, str | None]:
    """Each CSV and the part it is of, by names such as train_labels.csv too; None where such a one is alone."""
    if path.is_file() or plan.valid or plan.test or "train" in csvs_in(path):
        return parts_of(path, plan)
    loosely = csvs_in(path, loosely=True)
    if "train" not in loosely:
        table = table_in(path, plan)
        assert table is not None  # else it were another layout
        return {absolute(table): None}
    if len(loosely) == 1:
        return {absolute(loosely["train"]): None}
    return {absolute(loosely[part]): part for part in ("train", "val", "test") if part in loosely}
