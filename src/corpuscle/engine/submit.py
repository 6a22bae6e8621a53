"""What a challenge asks for: its own CSV with the label or the count filled in, or the counts of an HDF5 file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from corpuscle.core.errors import CorpuscleError, DataFault
from corpuscle.core.files import write_text
from corpuscle.core.progress import Progress
from corpuscle.data.readers.stacks import is_hdf5
from corpuscle.data.sources import SourcePlan
from corpuscle.data.sources.images import images_of_csv, list_images
from corpuscle.data.sources.sheet import Sheet, read_sheet
from corpuscle.engine.predict import Predicted, Predictor


def submit(predictor: Predictor, test_csv: Path, plan: SourcePlan, out: Path, progress: Progress) -> pl.DataFrame:
    """Fill the column of labels, or of counts, of a CSV, keeping its other columns, its rows and their order.

    Args:
        predictor: the run.
        test_csv: names the images; its label column, if it has one, is overwritten. Or an HDF5 file of images.
        plan: names of the columns and the folder of the images.
        out: the CSV to write.
        progress: shows how far it is.

    Returns:
        The table that was written.

    Raises:
        DataFault: images that are missing or cannot be read, all at once; a submission has no gaps.
        CorpuscleError: the CSV has no column of images, or the place cannot be written.
    """
    if not predictor.task.learns_labels:
        raise CorpuscleError(
            f"submit expects a run that names images or counts in them, this one is of the task "
            f"{predictor.card.task}, which learned without labels; name another run"
        )
    if is_hdf5(test_csv.name):
        return _counts_of_hdf5(predictor, test_csv, plan, out, progress)
    sheet = read_sheet(test_csv, plan, needs_label=False)
    predicted = predictor.predict(images_of_csv(test_csv, plan), progress)
    if predicted.faults:
        raise DataFault(predicted.faults)
    filled = sheet.frame.with_columns(_answers(predictor, predicted, sheet, plan))
    return _written(filled, out)


def _counts_of_hdf5(predictor: Predictor, path: Path, plan: SourcePlan, out: Path, progress: Progress) -> pl.DataFrame:
    """The CSV that the LYSTO challenge asks for: `id` from 1 in the order of the file, and `count`, a whole number."""
    predicted = predictor.predict(list_images([path], plan), progress)
    if predicted.faults:
        raise DataFault(predicted.faults)
    numbers = pl.int_range(1, len(predicted.table) + 1, eager=True).alias("id")
    return _written(pl.DataFrame([numbers, whole_counts(predicted).alias("count")]), out)


def whole_counts(predicted: Predicted) -> pl.Series:
    """The counts of all kinds together, rounded to whole numbers, halves up."""
    return pl.Series("count", np.floor(predicted.said_NK.sum(axis=1) + 0.5).astype(np.int64))


def _answers(predictor: Predictor, predicted: Predicted, sheet: Sheet, plan: SourcePlan) -> list[pl.Series]:
    """The columns that are filled in: of labels; or of counts, one a kind where the run counts several."""
    if predictor.card.task == "classify":
        name = sheet.columns.get("label", "label" if plan.label_column == "auto" else plan.label_column)
        return [predicted.table["prediction"].alias(name)]
    kinds = predictor.card.classes
    if len(kinds) == 1:
        return [whole_counts(predicted).alias(sheet.columns.get("count", "count"))]
    rounded_NK = np.floor(predicted.said_NK + 0.5).astype(np.int64)
    return [pl.Series(f"count_{kind}", rounded_NK[:, k]) for k, kind in enumerate(kinds)]


def _written(table: pl.DataFrame, out: Path) -> pl.DataFrame:
    write_text(out, table.write_csv())
    return table
