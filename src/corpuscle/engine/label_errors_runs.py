"""Labels that may be wrong by what the finished runs of a cross-validation say of their own test parts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from corpuscle.core.errors import CorpuscleError
from corpuscle.engine.label_errors import LabelErrors, suspects_of
from corpuscle.metrics.confident import confident_learning

PROBABILITY = "p_"  # how the columns of probabilities begin
FOLDS = "train a run a fold: corpuscle train DATA --set split.folds=5 --set split.fold=1, 2, …"


def label_errors_of_runs(runs: Sequence[Path]) -> LabelErrors:
    """Look for labels that may be wrong among the images that were the test part of a run.

    Args:
        runs: folders of finished runs that classify, each a fold of one cross-validation.

    Raises:
        CorpuscleError: runs without predictions of classes, of other classes, or with the same image to test.
    """
    frame = pl.concat([_tested(Path(run)) for run in runs], how="diagonal_relaxed")
    columns = [name for name in frame.columns if name.startswith(PROBABILITY)]
    if frame.select(columns).null_count().sum_horizontal().item():
        raise CorpuscleError(f"runs of one cross-validation have the same classes, these have not; {FOLDS}")
    twice = frame["image"].filter(frame["image"].is_duplicated())
    if len(twice):
        raise CorpuscleError(
            f"an image is expected in the test part of one run, {twice.n_unique()} are in several (first: {twice[0]}); "
            f"name runs of different folds; {FOLDS}"
        )
    classes = [name.removeprefix(PROBABILITY) for name in columns]
    label_N = np.array([classes.index(name) for name in frame["label"]])
    probs_NK = frame.select(columns).to_numpy()
    found = confident_learning(probs_NK / probs_NK.sum(axis=1, keepdims=True), label_N)
    accuracy = float((probs_NK.argmax(axis=1) == label_N).mean())
    return LabelErrors(suspects_of(frame, classes, found), accuracy, len(frame))


def _tested(run: Path) -> pl.DataFrame:
    """Image, label and probabilities of a run's test part."""
    path = run / "predictions.csv"
    if not path.is_file():
        raise CorpuscleError(f"{run} has no predictions.csv; name the folder of a finished run")
    frame = pl.read_csv(path, infer_schema_length=None, schema_overrides={"image": pl.String, "label": pl.String})
    columns = [name for name in frame.columns if name.startswith(PROBABILITY)]
    if not columns or "split" not in frame.columns:
        raise CorpuscleError(
            f"{path} should hold the probabilities of classes, it does not; name a run that classifies"
        )
    tested = frame.filter(pl.col("split") == "test").drop_nulls("label")
    if not len(tested):
        raise CorpuscleError(f"{path} should hold a test part, it has none; {FOLDS}")
    return tested.select("image", "label", *(pl.col(name).cast(pl.Float64) for name in columns))
