"""Several runs side by side: curves over the epochs all of them have, scores with intervals, differences in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from matplotlib.figure import Figure

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.files import write_bytes, write_text
from corpuscle.core.records import Score
from corpuscle.report import figures, words
from corpuscle.report.page import as_markup, render
from corpuscle.report.run_data import PART_WORDS, RunData, read_run

CURVES = {
    "train_loss": "training loss",
    "val_loss": "validation loss",
    "val_accuracy": "validation accuracy",
    "val_recall": "validation recall",
}


@dataclass(frozen=True)
class Difference:
    """Score `name` of run `a` minus that of run `b` on the same n images, with its paired 95 % interval."""

    name: str
    a: str
    b: str
    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        """The difference as a sentence.

        >>> print(Difference("accuracy", "wide", "deep", 0.02, 0.005, 0.034, 400))
        wide is above deep by 2.0 points of accuracy (95 % interval 0.5 to 3.4, 400 images): more than chance explains.
        """
        factor, digits, unit = (100, 1, "points of ") if words.is_share(self.name) else (1, 3, "of ")
        place, sign = ("above", 1) if self.value >= 0 else ("below", -1)
        value, low, high = (
            f"{factor * sign * end:.{digits}f}"
            for end in (self.value, *sorted((self.low, self.high), key=lambda e: sign * e))
        )
        sure = "more than chance explains" if self.low > 0 or self.high < 0 else "chance could explain it"
        return (
            f"{self.a} is {place} {self.b} by {value} {unit}{words.in_sentence(self.name)} "
            f"(95 % interval {low} to {high}, {self.n:,} images): {sure}."
        )


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
    """

    part: str
    scores: Mapping[str, Mapping[str, Score]]
    epochs: int
    curves: Mapping[str, pl.DataFrame]
    same_images: bool | None
    differences: Sequence[Difference] = ()


def compare_runs(
    folders: Sequence[Path], names: Sequence[str] = (), differences: Sequence[Difference] = ()
) -> Comparison:
    """Read several runs and set them side by side.

    Args:
        folders: two or more run folders (see `find_runs` for a folder of them).
        names: what to call them; their folders' names, or paths where those are alike, if none are given.
        differences: paired differences to show with them.

    Raises:
        CorpuscleError: fewer than two runs, a name twice, a folder that is no run, or no part all were scored on.
    """
    if len(folders) < 2:
        raise CorpuscleError(f"compare expects two runs or more, got {len(folders)}; name another run folder")
    names = tuple(names) or _names(folders)
    if len(names) != len(folders) or len(set(names)) != len(names):
        raise CorpuscleError(
            f"compare expects a name of its own for each of {len(folders)} runs, got {', '.join(names)}; "
            "name each run folder once"
        )
    runs = {name: read_run(folder) for name, folder in zip(names, folders, strict=True)}
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
    )


def write_comparison(comparison: Comparison, out: Path) -> Path:
    """Write `comparison.html`, `scores.csv`, `curves.csv`, `differences.csv` and `figures/*.png`; returns the page."""
    drawn = draw(comparison)
    for name, figure in drawn.items():
        figures.save_png(figure, out / "figures" / f"{name}.png")
    for name, table in _tables(comparison).items():
        write_bytes(out / f"{name}.csv", table.write_csv().encode())
    page = out / "comparison.html"
    title = f"{len(comparison.scores)} runs side by side"
    part = PART_WORDS.get(comparison.part, comparison.part)
    write_text(page, render("compare.html.j2", title, comparison=comparison, part=part, figures=as_markup(drawn)))
    return page


def draw(comparison: Comparison) -> dict[str, Figure]:
    """The scores, and each curve that any of the runs has."""
    shown = {
        run: {
            words.title_of(name): scores[name]
            for name in words.DRAWN_SCORES
            if name in scores and math.isfinite(scores[name].value)
        }
        for run, scores in comparison.scores.items()
    }
    drawn = {"scores": figures.compared_scores(shown)}
    for column, label in CURVES.items():
        curves = {
            name: log
            for name, log in comparison.curves.items()
            if column in log.columns and log[column].is_not_null().any()
        }
        if curves:
            drawn[column.replace("_", "-")] = figures.compared_curves(curves, column, label)
    return drawn


def _tables(comparison: Comparison) -> dict[str, pl.DataFrame]:
    scores = [
        {"run": run, "part": comparison.part, "score": name, **score.as_dict()}
        for run, values in comparison.scores.items()
        for name, score in values.items()
    ]
    tables = {"scores": pl.DataFrame(scores, infer_schema_length=None)}
    if comparison.curves:
        logs = [log.select(pl.lit(name).alias("run"), pl.all()) for name, log in comparison.curves.items()]
        tables["curves"] = pl.concat(logs, how="diagonal_relaxed")
    if comparison.differences:
        tables["differences"] = pl.DataFrame([vars(difference) for difference in comparison.differences])
    return tables


def _names(folders: Sequence[Path]) -> tuple[str, ...]:
    names = tuple(Path(folder).resolve().name for folder in folders)
    return names if len(set(names)) == len(names) else tuple(Path(folder).as_posix() for folder in folders)


def _common_part(runs: Mapping[str, RunData]) -> str:
    unfinished = [name for name, run in runs.items() if not run.parts]
    if unfinished:
        raise CorpuscleError(
            f"compare expects runs with scores, but {', '.join(unfinished)} has no metrics.json yet; "
            "finish the run or leave it out"
        )
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
