"""From what a layout gave to a checked table: names, groups, copies and classes; all faults at once."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from corpuscle.core.errors import DataFault, Fault
from corpuscle.data.sources.counts import checked_counts
from corpuscle.data.sources.found import Found
from corpuscle.data.sources.plan import SourcePlan
from corpuscle.data.sources.rows import (
    alike,
    by_path,
    in_order,
    named,
    open_if_all_train,
    with_groups,
    without_copies,
)
from corpuscle.data.sources.segmented import checked_masks
from corpuscle.data.table import ANYTHING, Table


def checked(found: Found, layout: str, plan: SourcePlan, min_classes: int, spelling: bool = True) -> Table:
    """The table of what was found, sorted by path.

    Raises:
        DataFault: everything that is wrong with it.
        CorpuscleError: groups are asked for in two ways.
    """
    if plan.labels == "none":
        frame = found.frame.drop("count", "mask", strict=False).with_columns(label=pl.lit(ANYTHING))
        found = replace(found, frame=frame, points=None)
    if found.counted:
        return checked_counts(found, layout, plan)
    if found.segmented:
        return checked_masks(found, layout, plan)
    notes = list(found.notes)
    faults: list[Fault] = []
    frame = named(found.frame, plan, faults)
    faults += alike(frame["label"]) if spelling else []
    there = without_copies(frame.filter(pl.col("image").is_not_null()), notes, faults)
    there = with_groups(there, plan, notes, faults)
    if not frame["label"].is_null().all() or not found.faults:
        faults += _class_faults(frame, str(found.root), min_classes)
    if faults or found.faults:
        raise DataFault([*faults, *found.faults])
    classes = in_order(frame["label"].drop_nulls().unique().to_list())
    return Table(by_path(open_if_all_train(there)), found.root, classes, layout, tuple(notes))


def _class_faults(frame: pl.DataFrame, root: str, min_classes: int) -> list[Fault]:
    """Too few classes, and classes that are judged without being learned."""
    classes = in_order(frame["label"].drop_nulls().unique().to_list())
    if not classes:
        return [Fault(root, "no labelled image", "give each image a label")]
    faults = []
    if len(classes) < min_classes:
        what = f"a single class ('{classes[0]}'), at least {min_classes} were expected"
        remedy = "add the images of another class; if the classes lie one folder deeper, name that folder"
        faults.append(Fault(root, what, remedy))
    learned = frame.filter(pl.col("split") == "train")["label"].unique().to_list()
    judged = frame.filter(pl.col("split").is_in(["val", "test"]) & ~pl.col("label").is_in(learned))
    parts = judged.drop_nulls("label").group_by("label").agg(pl.col("split").unique().sort()).sort("label")
    for name, splits in parts.iter_rows() if learned else ():
        what = f"has images in {' and '.join(splits)} and none in train"
        faults.append(Fault(f"class {name}", what, "add some to train, or remove the class"))
    return faults
