"""From what a layout of counted objects gave to a checked table: kinds, numbers and points; all faults at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from corpuscle.core.errors import DataFault, Fault, nearest
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
from corpuscle.data.sources.sizes import sizes_of
from corpuscle.data.table import Table


def checked_counts(found: Found, layout: str, plan: SourcePlan) -> Table:
    """The table of counts of what was found, sorted by path, the images of an HDF5 file by their rows.

    Raises:
        DataFault: everything that is wrong with it.
        CorpuscleError: groups are asked for in two ways.
    """
    notes, faults = list(found.notes), list[Fault]()
    there = without_copies(found.frame.filter(pl.col("image").is_not_null()), notes, faults)
    there = with_groups(there, plan, notes, faults)
    points, known = found.points, in_order([found.kind])
    if points is not None:
        points = named(points.rename({"kind": "label"}), plan, faults)
        faults += alike(points["label"])
        points = points.rename({"label": "kind"})
        known = in_order(points["kind"].unique().to_list())
    kinds = _chosen(known, plan, faults)
    if points is not None:
        points = _of_kinds(points, kinds, notes)
        faults += _outside(points.drop_nulls("image"), found.root)
    if not found.faults and not faults:
        there = _with_counts(there, points, kinds)
        faults += _too_few(there, kinds, found)
    if faults or found.faults:
        raise DataFault([*faults, *found.faults])
    if points is not None:
        notes += _in_one_place(points)
        points = points.drop("where").join(there.select("image"), on="image", how="semi", maintain_order="left")
        points = points.sort("image", maintain_order=True)
    return Table(by_path(open_if_all_train(there)), found.root, kinds, layout, tuple(notes), points=points)


def _chosen(known: tuple[str, ...], plan: SourcePlan, faults: list[Fault]) -> tuple[str, ...]:
    """The kinds that are counted, in order; a fault for each that nobody has."""
    for kind in dict.fromkeys(plan.kinds):
        if kind not in known:
            what = f"'{kind}' is none of the {len(known)} kinds of this data set ({', '.join(known[:12])})"
            faults.append(Fault("data.kinds", what, nearest(kind, known)))
    return tuple(kind for kind in known if kind in plan.kinds) if plan.kinds else known


def _of_kinds(points: pl.DataFrame, kinds: tuple[str, ...], notes: list[str]) -> pl.DataFrame:
    others = points.filter(~pl.col("kind").is_in(list(kinds)))
    if len(others):
        each = others.group_by("kind").len().sort("kind").iter_rows()
        shown = ", ".join(f"{kind} {number}" for kind, number in each)
        notes.append(f"left out: {len(others)} objects of kinds that are not counted ({shown})")
    return points.filter(pl.col("kind").is_in(list(kinds)))


def _outside(points: pl.DataFrame, root: Path) -> list[Fault]:
    """A fault for each point that lies on no pixel of its image; an image without a readable header is not judged."""
    points = points.drop_nulls("where")
    images = points["image"].unique(maintain_order=True).to_list()
    sizes = dict(zip(images, sizes_of([root / image for image in images]), strict=True))
    faults = []
    for image, x, y, _, where in points.iter_rows():
        size = sizes[image]
        if size and not (-0.5 <= x <= size[0] - 0.5 and -0.5 <= y <= size[1] - 0.5):
            what = f"the point x {x:g}, y {y:g} lies outside of {image} ({size[0]} x {size[1]} pixels)"
            remedy = "mend it or remove it; x runs to the right and y down, from 0 at the centre of the top left pixel"
            faults.append(Fault(where, what, remedy))
    return faults


def _with_counts(frame: pl.DataFrame, points: pl.DataFrame | None, kinds: tuple[str, ...]) -> pl.DataFrame:
    """The frame with its column `counts`, null where unlabelled."""
    if points is None:
        whole = pl.when(pl.col("count").is_not_null()).then(pl.concat_list("count"))
        return frame.with_columns(counts=whole).drop("count")
    for number, kind in enumerate(kinds):
        of_kind = (
            points.filter(pl.col("kind") == kind).group_by("image").agg(pl.len().cast(pl.Int64).alias(f"#{number}"))
        )
        frame = frame.join(of_kind, on="image", how="left", maintain_order="left")
    columns = [f"#{number}" for number in range(len(kinds))]
    each = pl.concat_list(pl.col(columns).fill_null(0)) if columns else pl.lit(None, pl.List(pl.Int64))
    labelled = pl.col("split").ne_missing(pl.lit("unlabelled"))
    return frame.with_columns(counts=pl.when(labelled).then(each)).drop(columns)


def _too_few(frame: pl.DataFrame, kinds: tuple[str, ...], found: Found) -> list[Fault]:
    """Nothing to count, and kinds that are judged without being learned."""
    root = str(found.root)
    if (frame["split"] == "unlabelled").fill_null(False).all():
        return [Fault(root, "no image with a count", "give each image its count, or name the data set that has them")]
    if not kinds:
        return [Fault(root, "no object in any image", "mark the objects, or name another data set")]
    faults = []
    for number, kind in enumerate(kinds):
        has = frame.filter(pl.col("counts").list.get(number) > 0)["split"]
        judged = sorted({"val", "test"} & set(has.drop_nulls()))
        if judged and "train" in set(frame["split"]) and "train" not in set(has):
            what = f"has objects in {' and '.join(judged)} and none in train"
            faults.append(Fault(f"kind {kind}", what, "add some to train, or leave it out with data.kinds"))
    return faults


def _in_one_place(points: pl.DataFrame) -> Sequence[str]:
    several = points.filter(~pl.struct("image", "x", "y", "kind").is_first_distinct())
    if several.is_empty():
        return ()
    image, x, y, kind, _ = several.row(0)
    first = f"first: {kind} at x {x:g}, y {y:g} of {image}"
    return (f"{len(several)} objects lie in the same place as another of their kind and are counted ({first})",)


def numbers_of(texts: pl.Series) -> pl.Series:
    """Counts from texts: whole numbers from 0 on, null for all else.

    >>> numbers_of(pl.Series(["7", "7.0", "7.5", "-1", "many"])).to_list()
    [7, 7, None, None, None]
    """
    numbers = texts.cast(pl.Float64, strict=False)
    sound = numbers.is_finite() & (numbers >= 0) & (numbers <= 1e9) & (numbers == numbers.floor())
    return numbers.set(~sound.fill_null(False), None).cast(pl.Int64)


def count_faults(frame: pl.DataFrame) -> list[Fault]:
    """A fault for each count that is none.

    Args:
        frame: `where`, `image`, `text` (the count as written) and `count` (null where it is wrong).
    """
    faults = []
    for where, image, text in frame.filter(pl.col("count").is_null()).select("where", "image", "text").iter_rows():
        number = pl.Series([text]).cast(pl.Float64, strict=False)[0]
        if number is None or not -1e9 <= number <= 1e9:
            wrong = "is no count" if text is not None else "is missing"
        else:
            wrong = "is negative" if number < 0 else "is not a whole number"
        shown = "the count" if text is None else f"the count '{text}'"
        remedy = "write the number of objects, 0 or more, or remove the row"
        faults.append(Fault(where, f"{shown} of {image} {wrong}", remedy))
    return faults
