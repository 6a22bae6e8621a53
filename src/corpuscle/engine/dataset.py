"""From a path to everything a training needs of the data: rows, parts, canvases, findings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.legend import as_plain
from corpuscle.core.progress import Progress
from corpuscle.data.budget import within_budget
from corpuscle.data.cache import Canvases, survey
from corpuscle.data.doctor.audit import Audit, audit, check_faults
from corpuscle.data.doctor.diagnosis import as_facts, contents, diagnose, told
from corpuscle.data.doctor.inspection import describe
from corpuscle.data.doctor.leaks import find_leaks, leak_message
from corpuscle.data.fingerprint import holdings, sizes
from corpuscle.data.masks import Masks, survey_masks
from corpuscle.data.points import near_neighbours
from corpuscle.data.sources import scan
from corpuscle.data.splits import PARTS, split_table
from corpuscle.data.steps import MADE, made_counts, without_made
from corpuscle.data.table import Table
from corpuscle.engine.experiment import Experiment
from corpuscle.engine.plan import choose_epochs, choose_epochs_of_crops, choose_shrink, choose_size
from corpuscle.engine.scenes import scenes_of
from corpuscle.engine.schedule import AT_ONCE
from corpuscle.engine.steps import check_steps, refuse_steps, take_steps
from corpuscle.synth.bank import is_bank
from corpuscle.tasks.classify import class_numbers
from corpuscle.tasks.task import Task

HARDLY_LARGER = 1.25  # the longer side of a picture that is learned whole, as a share of the crop


@dataclass(frozen=True)
class Ready:
    """A data set that has been read, checked and divided.

    Attributes:
        table: every row, unreadable ones too, so that places stay; those have no split.
        seen: what the survey found, a row each.
        canvases: prepared images by place.
        masks: their masks, prepared likewise; None where the data have none.
        findings: faults and copies.
        experiment: with the size and the epochs chosen.
        why: the reasons of these.
    """

    table: Table
    seen: pl.DataFrame
    canvases: Canvases
    findings: Audit
    experiment: Experiment
    why: Mapping[str, str]
    masks: Masks | None = None

    def places(self, part: str) -> np.ndarray:
        """Places of the sound images of a part."""
        chosen = (self.table.frame["split"] == part).fill_null(False) & self.findings.sound
        return np.flatnonzero(chosen.to_numpy())

    def held_K(self, places: np.ndarray) -> np.ndarray | None:
        """How much some images hold of each class: images, or the root of its pixels; None where objects are counted.

        The root, for a class of a thousandth of the pixels would else drown all others once it counts as much.

        Raises:
            CorpuscleError: images with masks are to be drawn by their class.
        """
        table = self.table
        if table.counted:
            return None
        if not table.segmented:
            return np.bincount(class_numbers(table)[places], minlength=len(table.classes))
        if self.experiment.fit.balance == "sampling":
            raise CorpuscleError(
                "fit.balance=sampling expects a class an image, these have masks; pass --set fit.balance=weights"
            )
        pixels = [row or [0] * len(table.classes) for row in table.frame["pixels"][places].to_list()]
        return np.sqrt(np.array(pixels).reshape(-1, len(table.classes)).sum(axis=0))

    def samples(self) -> str:
        """The content of samples.csv."""
        table = self.table
        frame = table.frame.select("image", "label", "group", "split")
        if table.counted:
            counts = table.frame["counts"]
            numbers = [counts.list.get(k).rename(f"true_{kind}") for k, kind in enumerate(table.classes)]
            frame = frame.drop("label").with_columns(numbers)
        if table.segmented:
            frame = frame.with_columns(table.frame["mask"])
        if table.stepped:
            frame = frame.with_columns(table.frame[name] for name in MADE)
        found = self.seen.select("content", "height", "width", "mode", "fault")
        return pl.concat([frame, found], how="horizontal").write_csv()

    def fingerprint(self) -> dict[str, Any]:
        """The content of fingerprint.json, but for the normalisation."""
        frame, made = self.table.frame, made_counts(self.table)
        modes = self.seen["mode"].drop_nulls().value_counts(sort=True)
        labelled = self.table.with_frame(frame.filter(self.findings.sound & frame["split"].is_in(PARTS)))
        return {
            "layout": self.table.layout,
            "root": str(self.table.root.resolve()),
            "notes": list(self.table.notes),
            "images": len(without_made(self.table)),
            "task": self.experiment.task,
            **holdings(without_made(labelled)),
            **({"made": made} if made else {}),
            **({"legend": as_plain(self.table.legend)} if self.table.legend else {}),
            "groups": frame["group"].drop_nulls().n_unique(),
            "group_by": self.experiment.data.group_from or self.experiment.data.group_column,
            "sizes": sizes(self.seen),
            "modes": dict(modes.rows()),
            "faults": [vars(fault) for fault in self.findings.faults],
            "copies": [list(group) for group in self.findings.copies],
            "disagreeing": [list(group) for group in self.findings.disagreeing],
            **as_facts(self.findings.found),
        }


def ready(path: Path, experiment: Experiment, task: Task, progress: Progress) -> Ready:
    """Scan, read, check and divide a data set that the task can learn from.

    Raises:
        CorpuscleError: faults of the layout or the images, or parts that leak.
    """
    if task.learns_masks and is_bank(path):
        return ready_scenes(path, experiment, progress)
    scanned = scan(path, experiment.data)
    table = as_task(scanned, task)
    progress.say(describe(table))
    task.check(table)
    check_steps(experiment, table, scanned)
    experiment, size_why = with_size(table, experiment, progress)
    looked = survey(table, experiment.read, experiment.prepare, experiment.cache.keep, progress)
    seen, masks = looked.frame, None
    if task.learns_masks:
        table, seen, masks = with_masks(table, seen, experiment, progress)
    of = experiment
    findings = diagnose(table, seen, of.guard, of.seed, progress, of.cache.keep, of.read)
    check_faults(table, findings, experiment.guard)
    experiment, crop_why = with_view(table, seen, experiment)
    for line in told(table, findings):
        progress.say(line)
    divided = divide(table, experiment, findings, seen)
    assert looked.canvases is not None
    why = {
        "size": size_why,
        **({"crop": crop_why} if experiment.prepare.fit == "keep" or table.counted else {}),
    }
    data = Ready(divided, seen, looked.canvases, findings, experiment, why, masks)
    data = take_steps(data, scanned, progress)
    counts = dict(data.table.frame["split"].value_counts().rows())
    progress.say("images: " + ", ".join(f"{part} {counts[part]}" for part in PARTS if part in counts))
    experiment, epochs_why = with_epochs(experiment, counts["train"])
    return replace(data, experiment=experiment, why=why | {"epochs": epochs_why})


def as_task(table: Table, task: Task) -> Table:
    """The table as a task learns from it: without labels, or without its masks where it wants the labels.

    Raises:
        CorpuscleError: there are masks alone.
    """
    if not task.learns_labels:
        return table.without_labels()
    if not table.segmented or task.learns_masks:
        return table
    if table.frame["label"].null_count() == len(table.frame):
        raise CorpuscleError(
            f"{table.layout}: expected images with a class each, these come with masks; pass --recipe segment"
        )
    return table.without_masks()


def ready_scenes(path: Path, experiment: Experiment, progress: Progress) -> Ready:
    """The scenes of a bank of cut-outs, divided as these are; there is nothing to survey."""
    plan, crop = experiment.compose, experiment.augment.crop
    if not plan.scenes[0]:
        raise CorpuscleError(
            f"compose.scenes expects scenes to train on, got {list(plan.scenes)}; "
            "pass --set compose.scenes=[2000,200,200], say"
        )
    refuse_steps(experiment)
    if experiment.split.budget != 1 or experiment.split.per_class:
        raise CorpuscleError(
            "split.budget and split.per_class expect images that have labels, scenes are composed with theirs; "
            "pass fewer with --set compose.scenes=[200,200,200], say"
        )
    if crop and plan.size < crop:
        raise CorpuscleError(
            f"compose.size expects at least augment.crop ({crop}), got {plan.size}; pass --set augment.crop=0 to learn "
            "scenes whole, or a larger compose.size"
        )
    keeps = experiment.prepare.model_copy(update={"fit": "keep", "shrink": 1, "size": 0})
    experiment = experiment.model_copy(update={"prepare": keeps})
    made = scenes_of(path, experiment.compose, experiment.seed)
    progress.say(describe(made.table))
    findings = audit(made.table, made.seen)
    experiment, crop_why = with_view(made.table, made.seen, experiment)
    experiment, epochs_why = with_epochs(experiment, experiment.compose.scenes[0])
    why = {"size": "scenes are composed as the net sees them", "epochs": epochs_why, "crop": crop_why}
    return Ready(made.table, made.seen, made.canvases, findings, experiment, why, made.masks)


def with_masks(
    table: Table, seen: pl.DataFrame, experiment: Experiment, progress: Progress
) -> tuple[Table, pl.DataFrame, Masks]:
    """The table with the pixels of each class, what was seen with the faults of the masks, and the masks.

    Args:
        table: names the masks.
        seen: what a survey found of the images.
        experiment: with the shrinkage chosen.
        progress: shows how far it is.

    Raises:
        CorpuscleError: canvases that are padded, cropped or stretched; what is said of one would not fit its image.
    """
    if experiment.prepare.fit != "keep":
        fit = experiment.prepare.fit
        raise CorpuscleError(f"masks expect canvases of the images' own size, got prepare.fit={fit}; pass keep")
    found = survey_masks(table, seen, experiment.read, experiment.prepare, experiment.cache.keep, progress)
    assert found.masks is not None
    masked = table.with_frame(table.frame.with_columns(found.frame["pixels"]))
    return masked, found.joined(seen), found.masks


def divide(table: Table, experiment: Experiment, findings: Audit, seen: pl.DataFrame) -> Table:
    """Give the sound rows their parts, and refuse parts that leak.

    Raises:
        CorpuscleError: names what is shared between parts.
    """
    sound = table.with_frame(table.frame.filter(findings.sound))
    parted = split_table(sound, experiment.split, experiment.seed, together=findings.together)
    leaks = find_leaks(parted, contents(table, seen), findings.near, findings.overlaps)
    if leaks and not experiment.guard.allow_leaks:
        raise CorpuscleError(leak_message(leaks))
    parted = within_budget(parted, experiment.split, experiment.seed, together=findings.copies)
    number = table.frame.with_row_index("place").filter(findings.sound)["place"].to_list()
    split: list[str | None] = [None] * len(table.frame)
    for place, part in zip(number, parted.frame["split"], strict=True):
        split[place] = part
    return table.with_frame(table.frame.with_columns(pl.Series("split", split, pl.String)))


def with_epochs(experiment: Experiment, num_train: int) -> tuple[Experiment, str]:
    """The experiment with the epochs of every stage chosen, and the reason."""
    stages = [stage for stage in experiment.stages if stage.train not in AT_ONCE]
    if not stages:
        return experiment, "what is learned is fitted in one go"
    if all(stage.epochs for stage in stages):
        return experiment, "as set"
    if experiment.prepare.fit == "keep":
        epochs, why = choose_epochs_of_crops(num_train, experiment.fit.batch_size)
    else:
        epochs, why = choose_epochs(num_train, experiment.fit.images)
    chosen = [
        stage if stage.epochs or stage.train in AT_ONCE else stage.model_copy(update={"epochs": epochs})
        for stage in experiment.stages
    ]
    return experiment.model_copy(update={"stages": tuple(chosen)}), why


def with_size(table: Table, experiment: Experiment, progress: Progress) -> tuple[Experiment, str]:
    """The experiment with the size of the canvas chosen, or with its shrinkage, and the reason."""
    if experiment.prepare.fit == "keep":
        return with_shrink(table, experiment)
    if experiment.prepare.size:
        return experiment, "as set"
    few = table.with_frame(table.frame.gather_every(max(1, len(table.frame) // 200)))
    seen = survey(few, experiment.read, None, progress=progress).frame.drop_nulls("height")
    if seen.is_empty():
        median = 0
    else:
        median = int(seen.select(pl.min_horizontal("height", "width").median()).item())
    size, why = choose_size(median)
    return experiment.model_copy(update={"prepare": experiment.prepare.model_copy(update={"size": size})}), why


def with_view(table: Table, seen: pl.DataFrame, experiment: Experiment) -> tuple[Experiment, str]:
    """The experiment with what a net that counts or gives masks sees of each image, and the reason.

    Where only numbers are known, an augmentation that takes no object out of the picture. Where places are, whole
    pictures if they are hardly larger than the crop: a net that never saw a border counts what people leave out there.

    Raises:
        CorpuscleError: pictures of several sizes, which can only be learned from in crops.
    """
    augment = experiment.augment
    keeps, alone = experiment.prepare.fit == "keep", table.counted and table.points is None
    if not (alone or keeps):
        return experiment, "as set"
    sides = set(seen.select("height", "width").drop_nulls().iter_rows())
    longest = seen.select(pl.max_horizontal("height", "width") / max(experiment.prepare.shrink, 1)).to_series()
    usual = math.ceil(longest.median() or 0)  # type: ignore[arg-type]
    if alone:
        whole = {"rotate": 0.0, "quarter_turns": True, "zoom": 0.0, "shift": 0.0, "crop": 0}
        augment, why = augment.model_copy(update=whole), "numbers without places: turned by quarters, and never cut"
    elif len(sides) == 1 and usual <= augment.crop * HARDLY_LARGER:
        augment, why = augment.model_copy(update={"crop": 0}), "the pictures are hardly larger: learned whole"
    elif usual < augment.crop:
        augment = augment.model_copy(update={"crop": usual})
        return experiment.model_copy(update={"augment": augment}), f"half the pictures are no longer than {usual}"
    elif keeps and not augment.crop and len(sides) > 1:
        raise CorpuscleError(
            f"expected images of one size to be learned whole, these have {len(sides)} sizes; "
            "pass --set augment.crop=224 to learn from crops"
        )
    else:
        return experiment, "as set"
    if keeps and len(sides) > 1:
        raise CorpuscleError(
            f"expected images of one size to learn from numbers without places, these have {len(sides)} sizes; "
            "cut them to one, or mark the objects by dots"
        )
    return experiment.model_copy(update={"augment": augment}), why


def with_shrink(table: Table, experiment: Experiment) -> tuple[Experiment, str]:
    """The experiment with the shrinkage of pictures that keep their size, and the reason."""
    if experiment.prepare.shrink:
        return experiment, "as set"
    shrink, why = choose_shrink(None if table.points is None else near_neighbours(table.points))
    prepare = experiment.prepare.model_copy(update={"shrink": shrink, "size": 0})
    return experiment.model_copy(update={"prepare": prepare}), why
