"""The data of a table of label budgets: labels that each budget draws, parts, what learns without labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from corpuscle.core.errors import CorpuscleError, DataFault, Fault
from corpuscle.core.files import write_text
from corpuscle.core.progress import Progress
from corpuscle.core.settings import validated
from corpuscle.data.budget import BudgetFault, within_budget
from corpuscle.data.cache import survey
from corpuscle.data.sources import SourcePlan, scan
from corpuscle.data.splits import PARTS, SplitPlan, counted
from corpuscle.data.table import Table
from corpuscle.engine import run_folder
from corpuscle.engine.budget_plan import BudgetPlan, Start
from corpuscle.engine.dataset import Ready

SPLIT = "split.csv"


def drawn_labels(data: Ready, plan: BudgetPlan) -> dict[tuple[float, int], dict[str, int]]:
    """How many labels of each class every budget and seed draws.

    Raises:
        CorpuscleError: no test part, or no two training images.
        DataFault: budgets that are too small; all at once.
    """
    sound = found_images(data)
    if not (sound.frame["split"] == "test").any():
        raise CorpuscleError(
            "corpuscle budget expects a test part, these data have none; pass --set split.test=0.3, say"
        )
    counts, small = {}, list[BudgetFault]()
    for budget in plan.budgets:
        split = validated(SplitPlan, {"budget": budget / 100})
        for seed in plan.seeds:
            try:
                used = within_budget(sound, split, seed, together=data.findings.copies).part("train")
            except BudgetFault as error:
                small.append(error)
            else:
                found = dict(used.frame["label"].value_counts().rows())
                counts[budget, seed] = {name: found.get(name, 0) for name in data.table.classes}
    if small:
        raise DataFault(_too_small(small))
    return counts


def _too_small(errors: Sequence[BudgetFault]) -> list[Fault]:
    """What is wrong with all budgets, each fault once, with the budget that does for every seed."""
    most = max(errors, key=lambda error: error.smallest)
    remedy = f"the smallest that works is --budgets {100 * most.smallest:g} ({counted(most.images, 'image')})"
    return list(dict.fromkeys(replace(fault, remedy=remedy) for error in errors for fault in error.faults))


def found_images(data: Ready) -> Table:
    """The images of the data set that can be read and have a part, without those that steps have made of others."""
    frame = data.table.frame.filter(data.findings.sound & data.table.frame["split"].is_in(PARTS))
    return data.table.with_frame(frame.filter(pl.col("of").is_null()) if data.table.stepped else frame)


def write_split(data: Ready, out: Path, settings: Mapping[str, Any]) -> None:
    """Write which image is in which part, or see that it is as it was when the table was begun.

    Raises:
        CorpuscleError: the data or how they are divided have changed.
    """
    content = dict(zip(data.table.frame["image"], data.seen["content"], strict=True))
    rows = found_images(data).frame.sort("image")
    rows = rows.with_columns(content=pl.col("image").replace_strict(content, return_dtype=pl.String))
    columns = {"image": _column(settings, "image"), "split": _column(settings, "split")}
    text = rows.select("image", "label", "group", "split", "content").rename(columns).write_csv()
    place = out / SPLIT
    if place.is_file() and place.read_text(encoding="utf-8") != text:
        raise CorpuscleError(
            f"the images, the labels or how they are divided have changed since {out} was begun; "
            "pass another --out, or restore them"
        )
    write_text(place, text)


def _column(settings: Mapping[str, Any], meaning: str) -> str:
    """What a column of the division is called, so that it is found where the data set's own columns are named."""
    named = str(settings.get(f"data.{meaning}_column", "auto"))
    return meaning if named in ("auto", "none") else named


def pretraining_rows(data: Ready, unlabelled: Path | None, progress: Progress) -> str:
    """A CSV of images and parts: those of the data, where what has no label trains, and those of a folder.

    Nothing trains that has the pixels of an image of the validation or the test part.
    """
    table, held = found_images(data), _content_of(data, "val", "test")
    unlike = ~data.seen["content"].is_in(held.implode())
    free = (data.table.frame["split"] == "unlabelled").fill_null(False) & unlike
    more = data.table.frame.filter(data.findings.sound & free).with_columns(split=pl.lit("train"))
    frame = pl.concat([table.frame, more]).sort("image")
    images = [str(table.path_of(image).absolute()) for image in frame["image"]]
    rows = frame.select("group", "split").with_columns(pl.Series("image", images, pl.String))
    if unlabelled is not None:
        new = _beside(data, unlabelled, held, progress).filter(~pl.col("image").is_in(images))
        rows = pl.concat([rows, new.with_columns(split=pl.lit("train"))], how="diagonal")
    if rows["group"].is_not_null().any():  # a column of groups has one for each row
        rows = rows.with_columns(pl.col("group").fill_null(pl.col("image")))
    else:
        rows = rows.drop("group")
    return rows.select("image", *(name for name in ("group", "split") if name in rows.columns)).write_csv()


def known_tests(data: Ready, starts: Sequence[Start]) -> list[str]:
    """What must be said of earlier runs that learned from images of the test part."""
    test, notes = _content_of(data, "test"), []
    for run in dict.fromkeys(run for start in starts for run in start.runs):
        if not (run / run_folder.SAMPLES).is_file():
            continue
        samples = pl.read_csv(run / run_folder.SAMPLES, infer_schema=False)
        learned = samples.filter(pl.col("split") == "train")["content"].drop_nulls()
        if both := int(test.is_in(learned.implode()).sum()):
            notes.append(
                f"warning: {run} learned from {both} of the {counted(len(test), 'test image')}, which flatters it; "
                f"use --pretrain, or train it again with --set data.split_file=FOLDER/{SPLIT} of this table"
            )
    return notes


def _content_of(data: Ready, *parts: str) -> pl.Series:
    """Digests of the pixels of some parts."""
    held = data.table.frame["split"].is_in(parts).fill_null(False)
    return data.seen["content"].filter(held).drop_nulls()


def _beside(data: Ready, unlabelled: Path, held: pl.Series, progress: Progress) -> pl.DataFrame:
    """The images of a folder, not its masks or dots, without those of a held-out image's pixels, which are counted."""
    tiles = data.experiment.data.slides.model_copy(update={"annotations": None})
    table = scan(unlabelled, SourcePlan(labels="none", slides=tiles))
    content = survey(table, data.experiment.read, None, progress=progress).frame["content"]
    known = content.is_in(held.implode()).fill_null(False)
    if known.any():
        progress.say(
            f"left out of {unlabelled}: {counted(int(known.sum()), 'image')} with the pixels of the validation or the "
            "test part"
        )
    paths = [str(table.path_of(image).absolute()) for image in table.frame["image"]]
    return pl.DataFrame({"image": paths}, schema={"image": pl.String}).filter(~known)
