"""Judging a finished run on any labelled images: its own held-out parts again, or another data set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.files import disk_errors, write_json
from corpuscle.core.progress import Progress
from corpuscle.core.settings import resolve
from corpuscle.data.audit import GuardPlan, audit, check_faults
from corpuscle.data.fingerprint import class_counts, sizes
from corpuscle.data.sources import SourcePlan, scan
from corpuscle.data.table import Table
from corpuscle.engine import run_folder
from corpuscle.engine.environment import describe
from corpuscle.engine.evaluate import Scored, write_scores
from corpuscle.engine.experiment import Experiment
from corpuscle.engine.predict import Predictor

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
    return Table(
        frame=frame.select("image", "label", "group", "split"),
        root=root,
        classes=tuple(facts["classes"]),
        layout="the run's own held-out images",
        notes=(),
    )


def labelled_table(path: Path, plan: SourcePlan, card: Card) -> Table:
    """Another data set, whose classes are checked against the run's; it counts as a test part as a whole.

    Raises:
        CorpuscleError: it has classes that the run does not know.
    """
    table = scan(path, plan, min_classes=1)
    unknown = sorted(set(table.classes) - set(card.classes))
    if unknown:
        raise CorpuscleError(
            f"expected the classes {', '.join(card.classes)}, {path} also has {', '.join(unknown)}; "
            "rename them, remove them, or train on them"
        )
    frame = table.frame.filter(pl.col("label").is_not_null()).with_columns(split=pl.lit("test"))
    return replace(table.with_frame(frame), classes=card.classes)


def rescore(
    run: Path, table: Table, out: Path, experiment: Experiment, predictor: Predictor, progress: Progress
) -> dict[str, Any]:
    """Predict the images of a table with a run, and write scores, predictions and facts into another folder.

    Returns:
        The content of metrics.json.

    Raises:
        CorpuscleError: unreadable images beyond what is accepted, or a folder that cannot be written.
    """
    _check_out(out)
    card = predictor.card
    predicted = predictor.predict([table.path_of(image) for image in table.frame["image"]], progress)
    findings = audit(table, predicted.seen)
    present = replace(table, classes=tuple(sorted(table.frame["label"].unique())))  # others may know no such class
    check_faults(present, findings, GuardPlan(max_faulty=experiment.guard.max_faulty))
    known = _known_to_the_net(run, table, predicted.seen)
    for note in known:
        progress.say(f"note: {note}")
    rows = pl.concat([table.frame, predicted.table.select(f"raw_{n}" for n in card.classes)], how="horizontal")
    rows = rows.filter(findings.sound)
    number = {name: k for k, name in enumerate(card.classes)}
    parts = {}
    for name in ("val", "test"):
        part = rows.filter(pl.col("split") == name)
        if len(part):
            probs_NK = part.select(f"raw_{n}" for n in card.classes).to_numpy()
            target_N = np.array([number[label] for label in part["label"]], dtype=np.int64)
            parts[name] = Scored(part, probs_NK, target_N)
    facts = {
        "layout": table.layout,
        "root": str(table.root.resolve()),
        "notes": [f"judged with the run {run}", *known, *table.notes],
        "images": len(table.frame),
        "classes": class_counts(table.with_frame(table.frame.filter(findings.sound))),
        "groups": table.frame["group"].drop_nulls().n_unique(),
        "sizes": sizes(predicted.seen),
        "faults": [vars(fault) for fault in findings.faults],
        "copies": [list(group) for group in findings.copies],
        "disagreeing": [list(group) for group in findings.disagreeing],
    }
    write_json(out / run_folder.FINGERPRINT, facts)
    environment = describe(predictor.machine, f"evaluate {run}", experiment.seed)
    write_json(out / run_folder.ENVIRONMENT, environment | {"weights_digest": card.weights_digest})
    return write_scores(out, parts, card.classes, experiment.score, experiment.seed, card.temperature)


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
