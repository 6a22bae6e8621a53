"""Judging a finished run on any labelled images: its own held-out parts again, or another data set."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.files import disk_errors, write_json
from corpuscle.core.legend import IGNORED, Legend, from_plain
from corpuscle.core.progress import Progress
from corpuscle.core.settings import resolve, validated
from corpuscle.data.doctor.audit import Audit, GuardPlan, audit, check_faults
from corpuscle.data.fingerprint import holdings, sizes
from corpuscle.data.masks import ReadEachTime
from corpuscle.data.prepare import PreparePlan
from corpuscle.data.readers.image import ReadPlan
from corpuscle.data.sources import SourcePlan, scan
from corpuscle.data.table import Table
from corpuscle.engine import run_folder
from corpuscle.engine.dataset import as_task, with_masks
from corpuscle.engine.environment import describe
from corpuscle.engine.evaluate import write_scores
from corpuscle.engine.experiment import Experiment
from corpuscle.engine.predict import Predicted, Predictor, Show
from corpuscle.metrics.overlap import Overlap, overlap_of
from corpuscle.synth.bank import is_bank
from corpuscle.tasks.segment import colours_of
from corpuscle.tasks.task import Held, Judging
from corpuscle.tasks.zoo import Choices, build_task

if TYPE_CHECKING:
    from corpuscle.nets.card import Card


def own_table(run: Path) -> Table:
    """The held-out images that a run was judged on, from its samples.csv.

    Raises:
        CorpuscleError: no finished run, or its images are gone.
    """
    facts = run_folder.read_json(run / run_folder.FINGERPRINT)
    frame = pl.read_csv(run / run_folder.SAMPLES, infer_schema=False)
    frame = frame.filter(pl.col("split").is_in(["val", "test"]) & pl.col("fault").is_null())
    root = Path(facts["root"])
    if not root.exists():
        raise CorpuscleError(f"the images of {run} were in {root}, which is gone; pass the path they have now")
    legend = from_plain(facts["legend"]) if "legend" in facts else None
    classes, points = legend.classes if legend else tuple(facts.get("classes") or facts["counts"]), None
    if legend and is_bank(root):
        raise CorpuscleError(
            f"expected held-out images on disk, {run} held out scenes that are composed anew; name images with masks, "
            "such as corpuscle compose writes"
        )
    if "counts" in facts:
        counts = pl.concat_list(pl.col(f"true_{kind}").cast(pl.Int64) for kind in classes)
        frame = frame.with_columns(counts=counts, label=pl.lit(None, pl.String))
        points = _own_points(run)
    columns = ("image", "label", "group", "split", "counts", "mask")
    return Table(
        frame=frame.select(name for name in columns if name in frame.columns),
        root=root,
        classes=classes,
        layout="the run's own held-out images",
        points=points,
        legend=legend,
    )


def _own_points(run: Path) -> pl.DataFrame | None:
    """The true dots of the held-out images, None where the run never knew any."""
    if not (run / run_folder.POINTS).is_file():
        return None
    points = pl.read_csv(run / run_folder.POINTS, schema_overrides={"image": pl.String, "kind": pl.String})
    true = points.filter(pl.col("what") == "true").select("image", "x", "y", "kind")
    return None if true.is_empty() else true


def labelled_table(path: Path, plan: SourcePlan, card: Card) -> Table:
    """Another data set, whose classes are checked against the run's; it counts as a test part as a whole.

    Raises:
        CorpuscleError: it has classes that the run does not know.
    """
    task = build_task(card.task)
    table = as_task(scan(path, plan, min_classes=1), task)
    task.check(table)
    if table.counted:
        return _counted_alike(table, card)
    if task.learns_masks:
        return _segmented_alike(table, card)
    unknown = sorted(set(table.classes) - set(card.classes))
    if unknown:
        raise CorpuscleError(
            f"expected the classes {', '.join(card.classes)}, {path} also has {', '.join(unknown)}; "
            "rename them, remove them, or train on them"
        )
    frame = table.frame.filter(pl.col("label").is_not_null()).with_columns(split=pl.lit("test"))
    return replace(table.with_frame(frame), classes=card.classes)


def _counted_alike(table: Table, card: Card) -> Table:
    """The table with the kinds of the run in the run's order; a kind that the table does not name was not counted.

    Raises:
        CorpuscleError: it does not name a kind that the run counts.
    """
    lost = [kind for kind in card.classes if kind not in table.classes]
    if lost:
        raise CorpuscleError(
            f"expected counts of {', '.join(card.classes)}, the data have none of {', '.join(lost)} (they have "
            f"{', '.join(table.classes)}); name what is counted alike, with --set data.kind=NAME where it has no name"
        )
    places = [table.classes.index(kind) for kind in card.classes]
    frame = table.frame.filter(pl.col("counts").is_not_null())
    counts = frame["counts"].list.gather(places)
    points = None if table.points is None else table.points.filter(pl.col("kind").is_in(list(card.classes)))
    frame = frame.with_columns(counts, split=pl.lit("test"))
    return replace(table, frame=frame, classes=card.classes, points=points)


def _segmented_alike(table: Table, card: Card) -> Table:
    """The table with the classes of the run in the run's order; a class that its legend lacks is absent.

    Raises:
        CorpuscleError: its masks have a class that the run does not know.
    """
    assert table.legend is not None
    unknown = [name for name in table.classes if name not in card.classes]
    if unknown:
        raise CorpuscleError(
            f"expected masks of {', '.join(card.classes)}, these also have {', '.join(unknown)}; name what they hold "
            'as the run does, with --set \'data.legend={"128": "NAME"}\', or "ignore" for what is not to be judged'
        )
    own = table.legend
    number_of = {
        value: number if number == IGNORED else card.classes.index(own.classes[number])
        for value, number in own.number_of.items()
    }
    legend = Legend(card.classes, number_of, colours_of(card.calibration, card.classes))
    frame = table.frame.filter(pl.col("mask").is_not_null()).with_columns(split=pl.lit("test"))
    return replace(table, frame=frame, classes=card.classes, legend=legend)


def rescore(
    run: Path,
    table: Table,
    out: Path,
    experiment: Experiment,
    predictor: Predictor,
    progress: Progress,
    command: str = "",
) -> dict[str, Any]:
    """Predict the images of a table with a run, and write scores, predictions and facts into another folder.

    Returns:
        The content of metrics.json.

    Raises:
        CorpuscleError: unreadable images beyond what is accepted, or a folder that cannot be written.
    """
    card = predictor.card
    if predictor.task.views > 1:
        raise CorpuscleError(
            f"evaluate expects a run that says something of each image, {run} learned without labels which views are "
            "of one image; judge a classifier that starts from it: corpuscle train DATA --weights RUN"
        )
    _check_out(out)
    task = build_task(card.task, Choices(experiment.count, experiment.segment))
    overlaps: dict[int, Overlap] = {}
    show = _judging(table, predictor, overlaps) if task.learns_masks else None
    predicted = predictor.predict([table.path_of(image) for image in table.frame["image"]], progress, show)
    seen = predicted.seen.with_columns(pl.col("content").fill_null(table.frame["image"]))  # tiles have no digest
    if task.learns_masks:
        prepared = experiment.model_copy(update={"prepare": validated(PreparePlan, card.prepare)})
        table, seen, _ = with_masks(table, seen, prepared, progress)
    findings = audit(table, seen)
    present = table
    if not (table.counted or table.segmented):
        present = replace(table, classes=tuple(sorted(table.frame["label"].drop_nulls().unique())))
    check_faults(present, findings, GuardPlan(max_faulty=experiment.guard.max_faulty))
    known = _known_to_the_net(run, table, predicted.seen)
    for note in known:
        progress.say(f"note: {note}")
    facts = {
        "layout": table.layout,
        "root": str(table.root.resolve()),
        "notes": [f"judged with the run {run}", *known, *table.notes],
        "images": len(table.frame),
        "task": card.task,
        **holdings(table.with_frame(table.frame.filter(findings.sound))),
        "groups": table.frame["group"].drop_nulls().n_unique(),
        "sizes": sizes(predicted.seen),
        "faults": [vars(fault) for fault in findings.faults],
        "copies": [list(group) for group in findings.copies],
        "disagreeing": [list(group) for group in findings.disagreeing],
    }
    write_json(out / run_folder.FINGERPRINT, facts)
    environment = describe(predictor.machine, command or f"evaluate {run}", experiment.seed)
    write_json(out / run_folder.ENVIRONMENT, environment | {"weights_digest": card.weights_digest})
    how = Judging(experiment.seed, experiment.score.resamples)
    parts = _held(table, findings, predicted, overlaps)
    return write_scores(out, parts, task, card.task, card.calibration, how)


def _held(table: Table, findings: Audit, predicted: Predicted, overlaps: Mapping[int, Overlap]) -> dict[str, Held]:
    """What was said of the sound images of each part that has some."""
    parts = {}
    for name in ("val", "test"):
        places = np.flatnonzero(((table.frame["split"] == name) & findings.sound).to_numpy())
        if len(places):
            part = table.with_frame(table.frame[places])
            judged = [overlaps[place] for place in places.tolist()] if overlaps else ()
            parts[name] = Held(part, predicted.said_NK[places], _found(table, predicted, places), judged)
    return parts


def _judging(table: Table, predictor: Predictor, overlaps: dict[int, Overlap]) -> Show:
    """What compares the mask that is said of each image with the true one, and keeps no mask.

    A true mask that cannot be used is passed over; the survey of the masks names it.
    """
    assert table.legend is not None
    read, prepare = validated(ReadPlan, predictor.card.read), validated(PreparePlan, predictor.card.prepare)
    paths = [table.path_of(mask) for mask in table.frame["mask"]]
    masks = ReadEachTime(paths, table.legend, read, prepare)

    def show(place: int, said_HW: np.ndarray) -> None:
        with contextlib.suppress(CorpuscleError):
            overlaps[place] = overlap_of(masks[place], said_HW, len(table.classes), predictor.tolerance)

    return show


def _found(table: Table, predicted: Predicted, places: np.ndarray) -> pl.DataFrame | None:
    """The dots that were found in some images, under the names that the table has for these."""
    if predicted.found is None:
        return None
    names = table.frame["image"][places].to_list()
    paths = [str(table.path_of(name)) for name in names]
    found = predicted.found.filter(pl.col("image").is_in(paths))
    return found.with_columns(pl.col("image").replace_strict(paths, names, return_dtype=pl.String))


def _known_to_the_net(run: Path, table: Table, seen: pl.DataFrame) -> list[str]:
    """What must be said where a run is judged on images that it was trained on."""
    if not (run / run_folder.SAMPLES).is_file():
        return []
    samples = pl.read_csv(run / run_folder.SAMPLES, infer_schema=False)
    trained = samples.filter(pl.col("split") == "train")["content"].drop_nulls()
    same = table.frame["image"].filter(seen["content"].is_in(trained.implode()))
    if same.is_empty():
        return []
    some = f"{len(same)} of {len(table)} images have the same pixels as images that the run was trained on"
    return [f"{some} (first: {same[0]}); the scores flatter it"]


def _check_out(out: Path) -> None:
    if (out / run_folder.EXPERIMENT).is_file():
        raise CorpuscleError(f"{out} is what a training wrote and would be overwritten; name another folder with --out")
    with disk_errors(out):
        if out.exists() and any(out.iterdir()) and not (out / run_folder.METRICS).is_file():
            raise CorpuscleError(f"{out} is not empty and holds no evaluation; name a new folder with --out")


def experiment_of(run: Path) -> Experiment:
    """The settings a run was trained with.

    Raises:
        CorpuscleError: the folder is no run, or its settings cannot be read.
    """
    if not (run / run_folder.EXPERIMENT).is_file():
        raise CorpuscleError(
            f"expected a run folder with {run_folder.EXPERIMENT}, {run} has none; name one that training wrote"
        )
    return resolve(Experiment(), {"file": run_folder.read_toml(run / run_folder.EXPERIMENT)})[0]
