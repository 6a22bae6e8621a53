"""Several runs side by side: curves over the epochs all of them have, scores with intervals, differences in words."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import polars as pl
from matplotlib.figure import Figure

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.files import write_bytes, write_text
from corpuscle.core.records import Score
from corpuscle.report import figures
from corpuscle.report.page import as_markup, render
from corpuscle.report.part import PART_WORDS
from corpuscle.report.run_data import RunData, read_run
from corpuscle.report.score_words import DRAWN_SCORES, in_sentence, title_of, unit_of

CURVES = {
    "classify": {
        "train_loss": "training loss",
        "val_loss": "validation loss",
        "val_accuracy": "validation accuracy",
        "val_recall": "validation recall",
    },
    "count": {
        "train_loss": "training loss",
        "val_loss": "validation loss",
        "train_mae": "training error, objects an image",
        "val_mae": "validation error, objects an image",
    },
    "segment": {
        "train_loss": "training loss",
        "val_loss": "validation loss",
        "val_mean_dice": "validation mean Dice",
        "val_mean_iou": "validation mean IoU",
    },
    "cluster": {"train_distortion": "training distortion", "val_distortion": "validation distortion"},
    "contrast": {
        "train_loss": "training loss",
        "val_loss": "validation loss",
        "val_retrieval": "validation retrieval",
    },
    "reconstruct": {
        "train_loss": "training loss",
        "val_loss": "validation loss",
        "val_ssim": "validation SSIM",
    },
}
# scores that have no end, drawn apart from those that end at 1
ERRORS: dict[str, tuple[str, ...]] = {
    "classify": (),
    "cluster": ("distortion",),
    "contrast": ("loss",),
    "count": ("mae", "rmse"),
    "reconstruct": ("mae",),
    "segment": (),
}


@dataclass(frozen=True)
class Difference:
    """Score `name` of run `a` minus that of run `b` on the same n images, with its paired 95 % interval.

    Attributes:
        direction: of the score; `min` where less is better.
        task: whose score it is.
    """

    name: str
    a: str
    b: str
    value: float
    low: float
    high: float
    n: int
    direction: Literal["max", "min"] = "max"
    task: str = "classify"

    def __str__(self) -> str:
        """The difference as a sentence.

        >>> print(Difference("accuracy", "wide", "deep", 0.02, 0.005, 0.034, 400))
        wide is above deep by 2.0 points of accuracy (95 % interval 0.5 to 3.4, 400 images): more than chance explains.
        >>> print(Difference("mae", "a", "b", -0.3, -0.5, -0.1, 400, "min", "count"))
        a is below b by 0.30 of mean absolute error, where less is better (95 % interval 0.10 to 0.50, 400 images): \
more than chance explains.
        """
        name, unit = in_sentence(self.name, self.task), unit_of(self.name, self.task)
        factor, digits, of = (
            (100, 1, "points of ") if unit == "share" else (1, 3, "of ") if unit == "number" else (1, 2, "of ")
        )
        place, sign = ("above", 1) if self.value >= 0 else ("below", -1)
        value, low, high = (
            f"{factor * sign * end + 0.0:.{digits}f}"
            for end in (self.value, *sorted((self.low, self.high), key=lambda end: sign * end))
        )
        if float(value) == 0:
            if self.value == self.low == self.high == 0:
                return f"{self.a} and {self.b} are equal in {name} ({self.n:,} images)."
            ends = f"95 % interval of the difference {low} to {high}{' points' if unit == 'share' else ''}"
            return f"{self.a} and {self.b} are equal in {name} ({ends}, {self.n:,} images)."
        less = ", where less is better" if self.direction == "min" else ""
        sure = "more than chance explains" if self.low > 0 or self.high < 0 else "chance could explain it"
        return (
            f"{self.a} is {place} {self.b} by {value} {of}{name}{less} "
            f"(95 % interval {low} to {high}, {self.n:,} images): {sure}."
        )


@dataclass(frozen=True)
class Spread:
    """A score over several runs, as of the folds of one data set.

    Attributes:
        spread: standard deviation over the runs (n - 1).
        runs: in which the score is defined.
    """

    mean: float
    spread: float
    least: float
    most: float
    runs: int


@dataclass(frozen=True)
class Comparison:
    """Several runs side by side.

    Attributes:
        part: the part of the data that every run was scored on, test where all have one.
        scores: run name to score name to score.
        epochs: the last epoch that all runs have; their curves end there, so that none is judged by its patience.
        curves: run name to its log up to that epoch; runs without a log (evaluations) have none.
        same_images: whether all were scored on the same images; unknown (None) without predictions.
        differences: paired differences, computed by the caller from the predictions.
        task: of all the runs.
        folders: run name to its folder.
        unfinished: names of runs that have no scores yet and were left out.
    """

    part: str
    scores: Mapping[str, Mapping[str, Score]]
    epochs: int
    curves: Mapping[str, pl.DataFrame]
    same_images: bool | None
    differences: Sequence[Difference] = ()
    task: str = "classify"
    folders: Mapping[str, Path] = field(default_factory=dict)
    unfinished: Sequence[str] = ()

    @property
    def spreads(self) -> dict[str, Spread]:
        """Each score's mean and standard deviation over the runs; empty for fewer than two runs."""
        if len(self.scores) < 2:
            return {}
        names = dict.fromkeys(name for scores in self.scores.values() for name in scores)
        found = {name: [scores[name].value for scores in self.scores.values() if name in scores] for name in names}
        defined = {name: [value for value in values if math.isfinite(value)] for name, values in found.items()}
        return {
            name: Spread(statistics.fmean(values), statistics.stdev(values), min(values), max(values), len(values))
            for name, values in defined.items()
            if len(values) > 1
        }


def compare_runs(
    folders: Sequence[Path], names: Sequence[str] = (), differences: Sequence[Difference] = ()
) -> Comparison:
    """Read several runs and set them side by side; those without scores yet are left out by name.

    Args:
        folders: two or more run folders (see `find_runs` for a folder of them).
        names: what to call them; their folders' names, or paths where those are alike, if none are given.
        differences: paired differences to show with them.

    Raises:
        CorpuscleError: fewer than two runs or none finished, a name twice, a folder that is no run, runs of several
            tasks, or no part all were scored on.
    """
    if len(folders) < 2:
        raise CorpuscleError(f"compare expects two runs or more, got {len(folders)}; name another run folder")
    names = tuple(names) or _names(folders)
    if len(names) != len(folders) or len(set(names)) != len(names):
        raise CorpuscleError(
            f"compare expects a name of its own for each of {len(folders)} runs, got {', '.join(names)}; "
            "name each run folder once"
        )
    every = {name: read_run(folder) for name, folder in zip(names, folders, strict=True)}
    runs = {name: run for name, run in every.items() if run.parts}
    task = _common_task(every, runs)
    part = _common_part(runs)
    logs = {name: run.log for name, run in runs.items() if run.log is not None}
    epochs = min((int(log["epoch"].max()) for log in logs.values()), default=0)  # type: ignore[arg-type]
    return Comparison(
        part=part,
        scores={name: run.parts[part].scores for name, run in runs.items()},
        epochs=epochs,
        curves={name: log.filter(pl.col("epoch") <= epochs) for name, log in logs.items()},
        same_images=_same_images(list(runs.values()), part),
        differences=tuple(differences),
        task=task,
        folders={name: run.folder for name, run in runs.items()},
        unfinished=tuple(name for name in every if name not in runs),
    )


def write_comparison(comparison: Comparison, out: Path) -> Path:
    """Write the page, its tables (scores, spread, curves, differences) as CSV and `figures/*.png`; returns the page."""
    drawn = draw(comparison)
    for name, figure in drawn.items():
        figures.save_png(figure, out / "figures" / f"{name}.png")
    for name, table in _tables(comparison).items():
        write_bytes(out / f"{name}.csv", table.write_csv().encode())
    page = out / "comparison.html"
    count = len(comparison.scores)
    content = {
        "comparison": comparison,
        "part": PART_WORDS.get(comparison.part, comparison.part),
        "figures": as_markup(drawn),
        "title_of": partial(title_of, task=comparison.task),
        "unit_of": partial(unit_of, task=comparison.task),
        "labels": {column.replace("_", "-"): label for column, label in CURVES[comparison.task].items()},
    }
    write_text(page, render("compare.html.j2", f"{count} runs side by side" if count > 1 else "One run", **content))
    return page


def draw(comparison: Comparison) -> dict[str, Figure]:
    """The scores, and each curve that any of the runs has."""
    drawn = {}
    for figure, names in (("scores", DRAWN_SCORES[comparison.task]), ("errors", ERRORS[comparison.task])):
        shown = {run: _shown(scores, names, comparison.task) for run, scores in comparison.scores.items()}
        if figure == "scores" or any(shown.values()):
            drawn[figure] = figures.compared_scores(shown)
    for column, label in CURVES[comparison.task].items():
        curves = {
            name: log
            for name, log in comparison.curves.items()
            if column in log.columns and log[column].is_not_null().any()
        }
        if curves:
            drawn[column.replace("_", "-")] = figures.compared_curves(curves, column, label)
    return drawn


def _shown(scores: Mapping[str, Score], names: Sequence[str], task: str) -> dict[str, Score]:
    """The scores that are there and defined, by title."""
    return {title_of(n, task): scores[n] for n in names if n in scores and math.isfinite(scores[n].value)}


def _tables(comparison: Comparison) -> dict[str, pl.DataFrame]:
    scores = [
        {"run": run, "part": comparison.part, "score": name, **score.as_dict()}
        for run, values in comparison.scores.items()
        for name, score in values.items()
    ]
    tables = {"scores": pl.DataFrame(scores, infer_schema_length=None)}
    if comparison.spreads:
        spreads = [{"score": name, **vars(spread)} for name, spread in comparison.spreads.items()]
        tables["spread"] = pl.DataFrame(spreads)
    if comparison.curves:
        logs = [log.select(pl.lit(name).alias("run"), pl.all()) for name, log in comparison.curves.items()]
        tables["curves"] = pl.concat(logs, how="diagonal_relaxed")
    if comparison.differences:
        tables["differences"] = pl.DataFrame([vars(difference) for difference in comparison.differences])
    return tables


def _names(folders: Sequence[Path]) -> tuple[str, ...]:
    names = tuple(Path(folder).resolve().name for folder in folders)
    return names if len(set(names)) == len(names) else tuple(Path(folder).as_posix() for folder in folders)


def _common_task(every: Mapping[str, RunData], finished: Mapping[str, RunData]) -> str:
    if not finished:
        raise CorpuscleError(
            f"compare expects a run with scores, but {', '.join(every)} {'has' if len(every) == 1 else 'have'} no "
            "metrics.json yet; finish a run first"
        )
    tasks = {run.task for run in finished.values()}
    if len(tasks) > 1:
        told = ", ".join(f"{name}: {run.task}" for name, run in finished.items())
        raise CorpuscleError(f"compare expects runs of one task, got {told}; compare those of each task alone")
    return tasks.pop()


def _common_part(runs: Mapping[str, RunData]) -> str:
    common = [
        part
        for part in ("test", "val", *next(iter(runs.values())).parts)
        if all(part in run.parts for run in runs.values())
    ]
    if not common:
        parts = "; ".join(f"{name}: {', '.join(run.parts)}" for name, run in runs.items())
        raise CorpuscleError(
            f"compare expects a part that every run was scored on, got {parts}; evaluate them on the same data"
        )
    return common[0]


def _same_images(runs: Sequence[RunData], part: str) -> bool | None:
    images = []
    for run in runs:
        if run.predictions is None or not {"image", "split"} <= set(run.predictions.columns):
            return None
        images.append(set(run.predictions.filter(pl.col("split") == part)["image"]))
    return all(other == images[0] for other in images[1:])
