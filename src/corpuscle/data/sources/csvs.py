"""Layouts of tables: one CSV, or one each for train, valid and test; Parquet and Excel in the place of CSV."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from corpuscle.core.errors import CorpuscleError, Fault
from corpuscle.data.sources.beside import found_beside, part_of
from corpuscle.data.sources.counts import count_faults, numbers_of
from corpuscle.data.sources.disk import absolute, alike_in, listing
from corpuscle.data.sources.folders import PARTS
from corpuscle.data.sources.found import Found
from corpuscle.data.sources.plan import SourcePlan
from corpuscle.data.sources.resolve import resolve
from corpuscle.data.sources.sheet import Sheet, read_sheet
from corpuscle.data.table import COLUMNS

HOW = {
    ("stem", "number"): "by their number or without their suffix",
    ("end",): "by the end of their paths",
    ("beside",): "in folders that their rows do not name",
}  # what the ways mean in which `resolve` finds images
LABELS = re.compile(r"(?i)labels?|ground.?truth|gt$|solution|annotations?|metadata")


def scan_csv(path: Path, plan: SourcePlan) -> Found:
    """One row per row of a CSV; a folder stands for the only CSV in it."""
    return scan_parts(parts_of(path, plan), plan)


def scan_csvs(path: Path, plan: SourcePlan) -> Found:
    """One row per row of a train CSV and of the valid and test CSVs that go with it.

    A test CSV whose labels are missing or all empty is unlabelled.
    """
    return scan_parts(parts_of(path, plan), plan)


def parts_of(path: Path, plan: SourcePlan) -> dict[Path, str | None]:
    """Each CSV of a data set and the part it is of; None where it is the only one."""
    given = {part: named for part, named in (("val", plan.valid), ("test", plan.test)) if named}
    parts = csvs_in(path) if path.is_dir() else {}
    if "train" not in parts and not given:
        return {absolute(path / listing(path).tables[0] if path.is_dir() else path): None}
    parts = {"train": path} | parts | given
    return {absolute(parts[part]): part for part in ("train", "val", "test") if part in parts}


def csvs_in(folder: Path, loosely: bool = False) -> dict[str, Path]:
    """The CSVs of a folder that are named like a part of a data set: train.csv, valid.csv, test.csv.

    Args:
        folder: holds them.
        loosely: where none is named so, take those whose names hold such a word: train_labels.csv, trainLabels.csv.

    Raises:
        CorpuscleError: two of them are named like the same part.
    """
    found: dict[str, Path] = {}
    stems = {name: Path(name).stem for name in listing(folder).tables}
    exact = {name: PARTS.get(stem.lower()) for name, stem in stems.items()}
    loose = {name: part_of(stem) for name, stem in stems.items() if LABELS.search(stem)} if loosely else {}
    named = exact if any(exact.values()) else loose
    for name, part in named.items():
        if part in found:
            raise CorpuscleError(
                f"{folder} holds {found[part].name} and {name}, one {part} CSV was expected; remove one"
            )
        if part:
            found[part] = folder / name
    return found


def scan_parts(parts: Mapping[Path, str | None], plan: SourcePlan) -> Found:
    """One row per row of some CSVs, each of a part or of none."""
    root = absolute(plan.root or next(iter(parts)).parent)
    sheets: list[Sheet] = []
    for path, part in parts.items():
        sheets.append(read_sheet(path, plan, part != "test" and plan.labels == "auto"))
        if len(sheets) == 1:  # the first one says whether images are labelled or counted, the others follow
            plan = plan.model_copy(update={"count_column": sheets[0].columns.get("count", "none")})
    found = [_scan_one(sheet, part, root, plan) for sheet, part in zip(sheets, parts.values(), strict=True)]
    return Found(
        pl.concat([one.frame for one in found]),
        root,
        tuple(note for one in found for note in one.notes),
        tuple(fault for one in found for fault in one.faults),
        kind="cell" if plan.kind == "auto" else plan.kind,
    )


def _scan_one(sheet: Sheet, part: str | None, root: Path, plan: SourcePlan) -> Found:
    notes = [f"{sheet.path.name}: " + ", ".join(f"{meaning} from '{name}'" for meaning, name in sheet.columns.items())]
    faults = list(sheet.faults)
    known = "label" if plan.count_column == "none" else "count"
    rows = pl.DataFrame([sheet.values(meaning) for meaning in ("image", "label", "group", "count")]).with_columns(
        pl.lit(part, pl.String).alias("split"), pl.lit(sheet.path.name).alias("source"), sheet.row_N
    )
    if part is None and "split" in sheet.columns:
        rows = rows.with_columns(splits_of(sheet, plan, notes, faults))
    if plan.labels == "auto":
        rows = rows.with_columns(split=pl.when(_unlabelled_test(known)).then(pl.lit("unlabelled")).otherwise("split"))
    count = rows["split"].eq("unlabelled").sum()
    if count:
        notes.append(f"{sheet.path.name}: {count} test rows have no {known}s and wait for predictions")
    if known in sheet.columns and plan.labels == "auto":
        rows = _with_labels(rows, known, sheet, plan, notes, faults)
    if "image" in sheet.columns:
        rows = rows.with_columns(find_images(rows, sheet, root, plan, notes, faults, part))
    if known == "label":
        return Found(rows.select(*COLUMNS), root, tuple(notes), tuple(faults))
    rows = rows.with_columns(
        where=pl.format("{} row {}", "source", "row"), text="count", count=numbers_of(rows["count"])
    )
    faults += count_faults(rows.drop_nulls("text"))
    return Found(rows.select(*COLUMNS, "count"), root, tuple(notes), tuple(faults))


def _unlabelled_test(known: str) -> pl.Expr:
    """The test rows, if none of them has a label or count."""
    test = pl.col("split").eq_missing(pl.lit("test"))
    return test & ~(test & pl.col(known).is_not_null()).any()


def _with_labels(
    rows: pl.DataFrame, known: str, sheet: Sheet, plan: SourcePlan, notes: list[str], faults: list[Fault]
) -> pl.DataFrame:
    """The rows without those whose label or count is empty though it should not be; a fault unless they are skipped."""
    empty = pl.col(known).is_null() & pl.col("split").ne_missing(pl.lit("unlabelled"))
    bad = rows.filter(empty)
    if bad.is_empty():
        return rows
    first = f"row {bad['row'][0]}, {bad['image'][0]}"
    what = f"column '{sheet.columns[known]}' is empty in {len(bad)} of {len(rows)} rows (first: {first})"
    if plan.unlabelled == "skip":
        notes.append(f"{sheet.path.name}: {what}; they were left out")
        return rows.filter(~empty)
    faults.append(Fault(sheet.path.name, what, "fill it, or pass --set data.unlabelled=skip"))
    return rows


def splits_of(sheet: Sheet, plan: SourcePlan, notes: list[str], faults: list[Fault]) -> pl.Series:
    """The split of each row by the column of splits; without any where `auto` took a column of other things for it."""
    words = sheet.values("split")
    ours = words.str.to_lowercase().replace_strict(PARTS, default=None, return_dtype=pl.String)
    name, strange = sheet.columns["split"], words.filter(ours.is_null() & words.is_not_null()).unique().sort()
    shown = ", ".join(strange.head(5))
    if plan.split_column == "auto" and ours.null_count() == len(ours):
        notes.append(
            f"{sheet.path.name}: column '{name}' is none of splits ({shown or 'it is empty'}) and was not used"
        )
    elif ours.null_count():
        row = sheet.row_N.filter(ours.is_null())[0]
        what = f"column '{name}' is neither train, val nor test in {ours.null_count()} of {len(ours)} rows"
        remedy = "mend it, or pass --set data.split_column=none to divide anew"
        faults.append(Fault(sheet.place(row), f"{what}{f' ({shown})' * bool(shown)}", remedy))
    return ours


def find_images(
    rows: pl.DataFrame,
    sheet: Sheet,
    root: Path,
    plan: SourcePlan,
    notes: list[str],
    faults: list[Fault],
    part: str | None = None,
) -> pl.Series:
    """The path of each row's image from `root`, null where there is none; says what it is not sure of."""
    base = absolute(plan.root or sheet.path.parent)
    found = resolve(rows["image"], base, root, plan.image_suffix).with_columns(rows["image"].alias("name"), rows["row"])
    found = _with_those_beside(found, base, root, plan, part or part_of(sheet.path.stem))
    lost = found.filter(pl.col("image").is_null())
    if len(lost):
        column = sheet.columns["image"]
        what = f"{len(lost)} of {len(found)} images in column '{column}' cannot be found from {base}"
        what += alike_in(base, lost["name"][0] or "")
        faults.append(Fault(sheet.path.name, what, "mend the paths, or name their folder with --set data.root=FOLDER"))
        faults += [_lost(sheet, *row) for row in lost.select("row", "name", "choices").iter_rows()]
    for ways, said in HOW.items():
        loose = found.filter(pl.col("how").is_in(ways))
        if len(loose):
            row, name, image = loose.select("row", "name", "image").row(0)
            example = f"(row {row}: '{name}' is {image})"
            notes.append(f"{sheet.path.name}: {len(loose)} of {len(found)} images were found {said} {example}")
    faults += _same(sheet, found)
    masks = found.filter("masks", pl.col("image").is_not_null())
    if len(masks) and plan.masks != "beside":
        notes.append(
            f"{sheet.path.name}: a PNG lies beside {len(masks)} of the images and is taken for their mask "
            f"(first: {masks['image'][0]}); pass --set data.image_suffix=.png if it is the image"
        )
    return found["image"]


def _with_those_beside(found: pl.DataFrame, base: Path, root: Path, plan: SourcePlan, part: str | None) -> pl.DataFrame:
    """What was found, and of the rest what lies in folders of images beside the table."""
    lost = found.with_row_index("place").filter(pl.col("image").is_null(), pl.col("choices").is_null())
    lost = lost.drop_nulls("name")
    if lost.is_empty():
        return found
    more = found_beside(lost["name"], base, root, plan.image_suffix, part).with_columns(lost["place"])
    return found.with_row_index("place").update(more, on="place").drop("place")


def _same(sheet: Sheet, found: pl.DataFrame) -> list[Fault]:
    """A fault for each image that paths to different folders, which are not there, would mean."""
    moved = found.filter(pl.col("how").is_in(["end", "beside"]))
    folder = pl.col("name").str.replace_all("\\", "/", literal=True).str.extract(r"^(.*/)").fill_null("")
    twice = moved.filter(folder.n_unique().over("image") > 1).group_by("image", maintain_order=True)
    remedy = "put the folders that they name beside the table, or mend the paths"
    return [
        Fault(sheet.place(row), f"'{name}' and '{other}' would both be {image}", remedy)
        for image, row, name, other in twice.agg("row", first="name", last=pl.col("name").last())
        .select("image", pl.col("row").list.first(), pl.col("first").list.first(), "last")
        .iter_rows()
    ]


def _lost(sheet: Sheet, row: int, name: str | None, choices: list[str] | None) -> Fault:
    if name is None:
        return Fault(sheet.place(row), "the image's path is empty", "fill it or remove the row")
    if choices:
        remedy = "write the whole name, or pass --set data.image_suffix=SUFFIX"
        return Fault(sheet.place(row), f"'{name}' could be {' or '.join(choices)}", remedy)
    return Fault(sheet.place(row), f"image '{name}' does not exist", "mend the path or remove the row")
