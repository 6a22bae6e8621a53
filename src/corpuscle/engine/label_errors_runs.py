"""Labels that may be wrong by what trained runs say of their own test parts, as the folds of a cross-validation do."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import polars as pl

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.progress import SILENT, Progress
from corpuscle.data.table import Table
from corpuscle.engine.label_errors import LabelErrors, check_classes, weighed
from corpuscle.engine.run_folder import PREDICTIONS, SAMPLES

PROBABILITY = "p_"  # how the columns of probabilities begin
FOLDS = "train a run a fold: corpuscle train DATA --set split.folds=5 --set split.fold=1 --out runs/fold1, and so on"


def label_errors_of_runs(
    runs: Sequence[Path],
    table: Table,
    copies: Iterable[Collection[str]] = (),
    progress: Progress = SILENT,
) -> LabelErrors:
    """Look for labels that may be wrong among the images that were in the test part of a run.

    A run judges the images that it neither learned from nor was chosen by; what several have tested, by their mean.

    Args:
        runs: folders of finished runs that classify.
        table: the images with their labels of now, under the names that the runs know them by.
        copies: sets of images that show nearly the same: labels of theirs that differ cannot all be right.
        progress: says how well the classes are told apart.

    Raises:
        CorpuscleError: images without classes, runs that tested none of them, or runs of other classes.
    """
    check_classes(table)
    tested = {run: _tested(run) for run in dict.fromkeys(Path(run).resolve() for run in runs)}
    labels = table.frame["label"].drop_nulls().unique().sort().to_list()
    classes = [name.removeprefix(PROBABILITY) for name in next(iter(tested.values())).columns[1:]]
    for run, frame in tested.items():
        told = [name.removeprefix(PROBABILITY) for name in frame.columns[1:]]
        if set(told) != set(classes) or not set(labels) <= set(told):
            raise CorpuscleError(
                f"runs are expected to tell the labels of these images ({', '.join(labels)}), {run.name} tells "
                f"{', '.join(told)}; name runs that were trained on them"
            )
    together = pl.concat(tested.values(), how="diagonal").group_by("image").mean()
    known = table.frame.filter(table.known)
    judged = known.join(together, on="image", how="inner", maintain_order="left")
    if judged.is_empty():
        first = together["image"].sort()[0]
        raise CorpuscleError(
            f"the runs have tested none of the images (theirs: {first}, here: {known['image'][0]}); "
            "inspect the data that they were trained on, by the same path"
        )
    left = len(known) - len(judged)
    notes = [f"{left} of {len(known)} images are in no run's test part and are not judged"] if left else []
    probs_NK = judged.select(PROBABILITY + name for name in classes).to_numpy()
    return weighed(judged, classes, probs_NK / probs_NK.sum(axis=1, keepdims=True), copies, notes, progress)


def _tested(run: Path) -> pl.DataFrame:
    """Image and probabilities of a run's test part."""
    for name in (SAMPLES, PREDICTIONS):
        if not (run / name).is_file():
            raise CorpuscleError(f"a finished run is expected, {run} has no {name}; name the folder of a training")
    frame = pl.read_csv(run / PREDICTIONS, infer_schema_length=None, schema_overrides={"image": pl.String})
    columns = [name for name in frame.columns if name.startswith(PROBABILITY)]
    if not columns:
        raise CorpuscleError(f"probabilities of classes are expected, {run / PREDICTIONS} has none; name other runs")
    samples = pl.read_csv(run / SAMPLES, infer_schema=False)
    unseen = samples.filter(pl.col("split") == "test")["image"]
    tested = frame.filter(pl.col("image").is_in(unseen.implode()))
    if tested.is_empty():
        raise CorpuscleError(
            f"runs judge the images of their test part alone, {run} has none: it has learned from all or was chosen by "
            f"them; {FOLDS}"
        )
    return tested.select("image", *(pl.col(name).cast(pl.Float64) for name in columns))
