"""Layout of a CSV of points: an image, x and y a row, and a kind where there are several."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl

from corpuscle.core.errors import CorpuscleError, Fault
from corpuscle.data.sources.csvs import find_images, parts_of, splits_of
from corpuscle.data.sources.disk import absolute, is_image, listing
from corpuscle.data.sources.found import POINTS, Found
from corpuscle.data.sources.plan import SourcePlan
from corpuscle.data.sources.sheet import Sheet, plain, read_sheet
from corpuscle.data.table import COLUMNS

KINDS = ("kind", "cell kind", "cell type", "type", "label", "class", "class name", "category")


def scan_points(path: Path, plan: SourcePlan) -> Found:
    """One row per image that a CSV of points names; a row without x and y says that its image holds no object.

    A test CSV without x and y is unlabelled.
    """
    parts = parts_of(path, plan)
    root = absolute(plan.root or next(iter(parts)).parent)
    found = [_scan_one(_sheet(file, plan), part, root, plan) for file, part in parts.items()]
    frame = pl.concat([one.frame for one in found])
    notes = [note for one in found for note in one.notes]
    return Found(
        frame,
        root,
        (*notes, *unnamed(frame, root)),
        tuple(fault for one in found for fault in one.faults),
        pl.concat([one.points for one in found if one.points is not None]),
    )


def is_points(file: Path, plan: SourcePlan) -> bool:
    """Whether a CSV is one of points: it has x and y, and no label, or several rows for an image.

    False where it cannot be read, or the plan names its column of labels or counts otherwise.
    """
    try:
        sheet = _sheet(file, plan)
    except CorpuscleError:
        return False
    columns = sheet.columns
    if not {"image", "x", "y"} <= columns.keys() or plan.count_column not in ("auto", "none"):
        return False
    if plan.label_column != "auto" and plain(plan.label_column) in ("x", "y"):
        return False
    return (
        "kind" not in columns or bool(sheet.values("image").is_duplicated().any()) or plain(columns["kind"]) == "kind"
    )


def unnamed(frame: pl.DataFrame, root: Path) -> tuple[str, ...]:
    """A note on the images that lie beside those of a table and are not in it."""
    named = {root / image for image in frame["image"].drop_nulls()}
    folders = sorted({path.parent for path in named})
    beside = [folder / name for folder in folders for name in listing(folder).files if is_image(name)]
    left = [path for path in beside if path not in named]
    return (f"left out: {len(left)} images that are not named (first: {left[0].name})",) if left else ()


def _sheet(file: Path, plan: SourcePlan) -> Sheet:
    """The CSV, with its columns of x, y and kinds."""
    label = plan.label_column
    sheet = read_sheet(file, plan.model_copy(update={"label_column": "none", "count_column": "none"}), False)
    names = {plain(name): name for name in reversed(sheet.frame.columns)}
    taken = [sheet.columns[meaning] for meaning in ("image", "group", "split") if meaning in sheet.columns]
    names = {word: name for word, name in names.items() if name not in taken}
    columns = dict(sheet.columns) | {axis: names[axis] for axis in ("x", "y") if axis in names}
    wanted = KINDS if label == "auto" else (plain(label),)
    kind = next((names[word] for word in wanted if word in names), None)
    return replace(sheet, columns=columns | ({"kind": kind} if kind else {}))


def _scan_one(sheet: Sheet, part: str | None, root: Path, plan: SourcePlan) -> Found:
    name = sheet.path.name
    notes = [f"{name}: " + ", ".join(f"{meaning} from '{column}'" for meaning, column in sheet.columns.items())]
    faults = list(sheet.faults)
    rows = pl.DataFrame([sheet.values(meaning) for meaning in ("image", "group", "x", "y", "kind")]).with_columns(
        sheet.row_N, source=pl.lit(name), split=pl.lit(part, pl.String), label=pl.lit(None, pl.String)
    )
    if part is None and "split" in sheet.columns:
        rows = rows.with_columns(splits_of(sheet, plan, notes, faults))
    marked = {"x", "y"} <= sheet.columns.keys()
    if not marked and part == "test":
        rows = rows.with_columns(split=pl.lit("unlabelled"))
        notes.append(f"{name}: its images have no points and wait for predictions")
    elif not marked:
        shown = ", ".join(sheet.frame.columns)
        faults.append(Fault(name, f"no columns x and y; the columns are: {shown}", "name the columns x and y"))
    if "image" not in sheet.columns:
        return Found(rows.select(*COLUMNS).clear(), root, tuple(notes), tuple(faults), pl.DataFrame(schema=POINTS))
    first = rows.filter(pl.struct("image", "split").is_first_distinct() | pl.col("image").is_null())
    first = first.with_columns(find_images(first, sheet, root, plan, notes, faults).alias("found"))
    rows = rows.join(first.select("image", "found").unique("image"), on="image", how="left", maintain_order="left")
    points = _points(rows, sheet, plan, faults) if marked else pl.DataFrame(schema=POINTS)
    frame = first.with_columns(image="found").select(*COLUMNS)
    return Found(frame, root, tuple(notes), tuple(faults), points)


def _points(rows: pl.DataFrame, sheet: Sheet, plan: SourcePlan, faults: list[Fault]) -> pl.DataFrame:
    """The points of the rows that have one, and a fault for each that is none."""
    axes = [pl.col(axis).cast(pl.Float64, strict=False).alias(f"{axis} number") for axis in ("x", "y")]
    rows = rows.filter(pl.col("x").is_not_null() | pl.col("y").is_not_null()).with_columns(axes)
    sound = pl.col("x number").is_finite().fill_null(False) & pl.col("y number").is_finite().fill_null(False)
    for row, x, y in rows.filter(~sound).select("row", "x", "y").iter_rows():
        what = f"x '{x or ''}', y '{y or ''}' is no point"
        remedy = "write both as numbers, or leave both empty if the image holds no object"
        faults.append(Fault(sheet.place(row), what, remedy))
    if "kind" in sheet.columns:
        for row in rows.filter(pl.col("kind").is_null())["row"]:
            what = f"column '{sheet.columns['kind']}' is empty"
            faults.append(Fault(sheet.place(row), what, "write what the point is, or remove the column"))
    kind = "cell" if plan.kind == "auto" else plan.kind
    return rows.filter(sound).select(
        pl.col("found").alias("image"),
        pl.col("x number").alias("x"),
        pl.col("y number").alias("y"),
        pl.col("kind").fill_null(pl.lit(kind)),
        pl.format("{} row {}", pl.lit(sheet.path.name), "row").alias("where"),
    )
