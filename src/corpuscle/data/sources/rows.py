"""What the rows of every table go through: one row an image, groups, and a split that is open where none was given."""

from __future__ import annotations

import re
from collections.abc import Sequence

import polars as pl

from corpuscle.core.errors import CorpuscleError, Fault
from corpuscle.data.sources.plan import SourcePlan
from corpuscle.data.sources.resolve import TILE

MEMBER = r"^(.*#(?:[a-z]+/)?)(\d+)$"  # an image of an HDF5 or NPZ file


def in_order(labels: Sequence[str]) -> tuple[str, ...]:
    """Labels by name; by number if all are whole numbers.

    >>> in_order(["10", "9"]), in_order(["b", "10", "9"])
    (('9', '10'), ('10', '9', 'b'))
    """
    if all(re.fullmatch(r"-?\d+", label) for label in labels):
        return tuple(sorted(labels, key=lambda label: (int(label), label)))
    return tuple(sorted(labels))


def named(frame: pl.DataFrame, plan: SourcePlan, faults: list[Fault]) -> pl.DataFrame:
    """The frame with the plan's names for its labels."""
    if not plan.label_names:
        return frame
    nameless = in_order(
        frame.filter(~pl.col("label").is_in(list(plan.label_names)))["label"].drop_nulls().unique().to_list()
    )
    if nameless:
        what = f"no name for {', '.join(nameless[:12])}; the names are for {', '.join(plan.label_names)}"
        faults.append(Fault("data.label_names", what, "name every label of the data set"))
    return frame.with_columns(pl.col("label").replace(plan.label_names))


def alike(labels: pl.Series) -> list[Fault]:
    """A fault for each set of labels that differ by case or spaces alone."""
    counts = labels.drop_nulls().value_counts(name="count").sort("label")
    plain = pl.col("label").str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()
    sets = counts.group_by(plain.alias("plain")).agg("label", "count").filter(pl.col("label").list.len() > 1)
    faults = []
    for names, numbers in sets.sort("plain").select("label", "count").iter_rows():
        shown = ", ".join(f"'{name}' ({number})" for name, number in zip(names, numbers, strict=True))
        faults.append(
            Fault("labels", f"{shown} differ by case or spaces alone", "write them alike, or with more difference")
        )
    return faults


def without_copies(frame: pl.DataFrame, notes: list[str], faults: list[Fault]) -> pl.DataFrame:
    """One row per image; rows that contradict one another are faults."""
    several = frame.filter(pl.col("image").is_duplicated())
    if several.is_empty():
        return frame
    places = pl.format("{} row {}", "source", "row")
    known = "count" if "count" in frame.columns else "label"
    words = {known: "is counted" if known == "count" else "is labelled", "split": "is in the part"}
    if "mask" in frame.columns:
        words["mask"] = "has the mask"
    for column, is_what in words.items():
        differ = several.filter(pl.col(column).cast(pl.String).fill_null("").n_unique().over("image") > 1)
        shown = (
            differ.group_by("image")
            .agg(pl.format("{} ({})", pl.col(column).cast(pl.String).fill_null("none"), places))
            .sort("image")
        )
        faults += [
            Fault(image, f"{is_what} {' and '.join(claims)}", "keep one of these rows")
            for image, claims in shown.iter_rows()
        ]
    extra = several.filter(~pl.col("image").is_first_distinct())
    first = extra.select(pl.format("{}, {}", "image", places)).item(0, 0)
    notes.append(f"left out: {len(extra)} rows whose image another row names with the same {known} (first: {first})")
    return frame.unique("image", keep="first", maintain_order=True)


def with_groups(frame: pl.DataFrame, plan: SourcePlan, notes: list[str], faults: list[Fault]) -> pl.DataFrame:
    """Groups by pattern or by column; where only some images have one, each of the others is its own."""
    origin = "the column of groups is empty"
    slide_or_image = frame["image"].str.replace(TILE, "")
    if plan.group_from:
        if plan.group_column not in ("auto", "none"):
            raise CorpuscleError("groups come from group_column or from group_from, both were given; leave one out")
        pattern = re.compile(plan.group_from)
        names = slide_or_image.str.extract(r"([^/]*)$").to_list()
        groups = [(match["group"] or None) if (match := pattern.search(name)) else None for name in names]
        frame = frame.with_columns(pl.Series("group", groups, pl.String))
        origin = f"the pattern '{plan.group_from}' does not match"
    alone = frame.filter(pl.col("group").is_null())
    if alone.is_empty() or (len(alone) == len(frame) and not plan.group_from):
        return frame
    count = f"{origin} for {len(alone)} of {len(frame)} images (first: {alone['image'][0]})"
    if len(alone) == len(frame):
        faults.append(Fault("data.group_from", count, "mend the pattern; it is searched in the file's name"))
    notes.append(f"{count}; an image without a group is its own")
    return frame.with_columns(pl.col("group").fill_null(slide_or_image))


def by_path(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows by path, the images of an HDF5 or NPZ file by their rows."""
    file, number = pl.col("image").str.extract(MEMBER, 1), pl.col("image").str.extract(MEMBER, 2).cast(pl.Int64)
    return frame.sort(file.fill_null(pl.col("image")), number, nulls_last=False)


def open_if_all_train(frame: pl.DataFrame) -> pl.DataFrame:
    """Where nothing but train was told apart, the split is open: the rows are divided later."""
    labelled = frame.filter(pl.col("split").ne_missing(pl.lit("unlabelled")))
    if (labelled["split"] == "train").all():
        return frame.with_columns(split=pl.when(pl.col("split") != "train").then("split"))
    return frame
