"""A CSV of images without labels, given back in its own order with the label filled in."""

from __future__ import annotations

import io
from pathlib import Path

import polars as pl

from corpuscle.core.errors import DataFault
from corpuscle.core.files import write_text
from corpuscle.core.progress import Progress
from corpuscle.data.sources import SourcePlan
from corpuscle.data.sources.images import images_of_csv
from corpuscle.data.sources.sheet import read_sheet
from corpuscle.engine.predict import Predictor


def submit(predictor: Predictor, test_csv: Path, plan: SourcePlan, out: Path, progress: Progress) -> pl.DataFrame:
    """Fill the label column of a CSV, keeping its other columns, its rows and their order.

    Args:
        predictor: the run.
        test_csv: names the images; its label column, if it has one, is overwritten.
        plan: names of the columns and the folder of the images.
        out: the CSV to write.
        progress: shows how far it is.

    Returns:
        The table that was written.

    Raises:
        DataFault: images that are missing or cannot be read, all at once; a submission has no gaps.
        CorpuscleError: the CSV has no column of images, or the place cannot be written.
    """
    sheet = read_sheet(test_csv, plan, needs_label=False)
    predicted = predictor.predict(images_of_csv(test_csv, plan), progress)
    if predicted.faults:
        raise DataFault(predicted.faults)
    label = sheet.columns.get("label", "label" if plan.label_column == "auto" else plan.label_column)
    filled = sheet.frame.with_columns(predicted.table["prediction"].alias(label))
    text = io.StringIO()
    filled.write_csv(text)
    write_text(out, text.getvalue())
    return filled
