"""From what a net said of images that were held out to scores and predictions, written into a run folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from corpuscle.core.files import write_json, write_text
from corpuscle.engine.run_folder import METRICS, POINTS, PREDICTIONS
from corpuscle.tasks.task import Calibration, Held, Judging, Task


def write_scores(
    out: Path, parts: Mapping[str, Held], task: Task, name: str, calibration: Calibration, how: Judging
) -> dict[str, Any]:
    """Write metrics.json, predictions.csv and, where dots were found, points.csv.

    Args:
        out: the run folder.
        parts: what was held out, by part; one without images is not judged, and gives the tables their columns.
        task: judges.
        name: of the task.
        calibration: what makes the numbers honest.
        how: of the intervals.

    Returns:
        The content of metrics.json.
    """
    classes = next((list(held.table.classes) for held in parts.values()), [])
    judged = {part: task.judge(held, calibration, how) for part, held in parts.items() if len(held.table)}
    metrics = {"task": name, "classes": classes, **task.headline(calibration, classes), "parts": judged}
    tables = [task.predictions(held, calibration) for held in parts.values()]
    nothing = pl.DataFrame(schema={"image": pl.String, "split": pl.String, "group": pl.String})
    write_text(out / PREDICTIONS, (pl.concat(tables) if tables else nothing).write_csv())
    dots = [_dots(held) for held in parts.values() if held.found is not None]
    if dots:
        write_text(out / POINTS, pl.concat(dots).write_csv())
    write_json(out / METRICS, metrics)
    return metrics


def _dots(held: Held) -> pl.DataFrame:
    """Every dot that was found, and every true one where they are known."""
    assert held.found is not None
    columns = ("image", "what", "kind", "x", "y", "score")
    found = held.found.with_columns(what=pl.lit("found")).select(columns)
    if held.table.points is None:
        return found
    true = held.table.points.filter(pl.col("image").is_in(held.table.frame["image"].implode()))
    true = true.with_columns(what=pl.lit("true"), score=pl.lit(None, pl.Float64)).select(columns)
    return pl.concat([found, true])
