"""The verbs as functions. Each does what the command of its name does, and returns tables and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.progress import SILENT, Progress
from corpuscle.data.readers.image import ReadPlan, read_image
from corpuscle.data.sources import SourcePlan

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from corpuscle.data.inspection import Inspection
    from corpuscle.data.splits import SplitPlan
    from corpuscle.data.table import Table
    from corpuscle.engine.predict import Predicted
    from corpuscle.report.compare import Comparison

PathLike = str | Path


@dataclass(frozen=True)
class Run:
    """A finished run or evaluation, read from its folder."""

    folder: Path

    @property
    def metrics(self) -> dict[str, Any]:
        """Every score of every part with its interval: metrics.json."""
        from corpuscle.engine.run_folder import METRICS, read_json

        content: dict[str, Any] = read_json(self.folder / METRICS)
        return content

    @property
    def scores(self) -> pl.DataFrame:
        """A row a part and score: part, score, value, low, high, n, groups, direction."""
        rows = [
            {"part": part, "score": name, **score}
            for part, content in self.metrics["parts"].items()
            for name, score in content["scores"].items()
        ]
        return pl.DataFrame(rows)

    @property
    def log(self) -> pl.DataFrame:
        """A row an epoch."""
        return pl.read_csv(self.folder / "log.csv")

    @property
    def predictions(self) -> pl.DataFrame:
        """A row an image that was held out."""
        return pl.read_csv(self.folder / "predictions.csv", infer_schema_length=None)

    @property
    def figures(self) -> dict[str, Figure]:
        """The figures of the report, by name."""
        from corpuscle.report.page import draw
        from corpuscle.report.run_data import read_run

        return draw(read_run(self.folder))

    @property
    def report(self) -> Path:
        """The page to look at."""
        return self.folder / "report.html"


def inspect(
    path: PathLike,
    *,
    source: SourcePlan | None = None,
    read: ReadPlan | None = None,
    pixels: bool = True,
    progress: Progress = SILENT,
) -> Inspection:
    """What a data set holds and what is wrong with it; see `corpuscle.data.inspection.inspect`."""
    from corpuscle.data.inspection import inspect as look

    return look(Path(path), source or SourcePlan(), read or ReadPlan(), pixels, progress)


def split(
    path: PathLike,
    out: PathLike,
    *,
    how: Literal["csv", "copy", "link"] = "csv",
    source: SourcePlan | None = None,
    plan: SplitPlan | None = None,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Table:
    """Divide a data set by group and class, identical images together, and write the division.

    Args:
        path: whatever a source understands.
        out: a CSV to write, or the folder of a divided copy or of links.
        how: which of these.
        source: how the data set is laid out.
        plan: shares or folds.
        seed: the same seed gives the same division.
        progress: shows how far it is.
    """
    from corpuscle.data.splits import SplitPlan, split_table, write_split_csv, write_split_folder

    plan = plan or SplitPlan()
    if plan.folds and how != "csv":
        raise CorpuscleError(
            "a divided folder holds one split, folds make one a fold; write folds as a CSV, with --as csv"
        )
    looked = inspect(path, source=source, progress=progress)
    assert looked.findings is not None
    for fault in looked.findings.faults:
        progress.say(f"left out: {fault}")
    sound = looked.table.with_frame(looked.table.frame.filter(looked.findings.sound))
    divided = split_table(sound, plan, seed, together=looked.findings.copies)
    if how == "csv":
        write_split_csv(divided, Path(out))
    else:
        write_split_folder(divided, Path(out), how)
    return divided


def train(
    path: PathLike,
    *,
    recipe: str = "default",
    out: PathLike | None = None,
    file: PathLike | None = None,
    settings: Mapping[str, Any] | None = None,
    command: str = "",
    progress: Progress = SILENT,
) -> Run:
    """Train on a data set, judge the result on what was held out, and write the report.

    Args:
        path: whatever a source understands.
        recipe: a name in `corpuscle.recipes.RECIPES`.
        out: the run folder; `runs/<data>-<recipe>` if none is named. A run begun there is gone on with.
        file: TOML with settings.
        settings: values by dotted key, such as `{"fit.batch_size": 64}`.
        command: what was typed, for the record.
        progress: shows how far it is.

    Raises:
        CorpuscleError: bad data or settings, each with what to do.
    """
    from corpuscle.engine.train import Call
    from corpuscle.engine.train import train as run_training
    from corpuscle.recipes import compose

    experiment, origins = compose(recipe, Path(file) if file else None, settings)
    folder = Path(out) if out else Path("runs") / f"{Path(path).resolve().name}-{recipe}"
    run = run_training(Path(path), experiment, folder, Call(origins, command, progress))
    return run_after(run)


def run_after(folder: Path) -> Run:
    """Write the report of what has just been computed, in the first process alone."""
    import os

    if int(os.environ.get("RANK", 0)) == 0:
        report(folder)
    return Run(folder)


def evaluate(
    run: PathLike,
    path: PathLike | None = None,
    *,
    out: PathLike | None = None,
    source: SourcePlan | None = None,
    device: str = "auto",
    progress: Progress = SILENT,
) -> Run:
    """Judge a finished run on other labelled images, or on its own held-out ones again.

    Args:
        run: the run folder.
        path: labelled images; the run's own val and test parts if None.
        out: folder for the scores; `runs/<run>-on-<data>` if none is named.
        source: how the data are laid out.
        device: what computes.
        progress: shows how far it is.
    """
    from corpuscle.engine.predict import Predictor
    from corpuscle.engine.rescore import experiment_of, labelled_table, own_table, rescore

    run = Path(run)
    predictor, experiment = Predictor.of(run, device), experiment_of(run)
    if path is None:
        table = own_table(run)
    else:
        table = labelled_table(Path(path), source or experiment.data, predictor.card)
    name = "own" if path is None else Path(path).resolve().stem
    folder = Path(out) if out else Path("runs") / f"{run.resolve().name}-on-{name}"
    rescore(run, table, folder, experiment, predictor, progress)
    return run_after(folder)


def predict(
    run: PathLike,
    images: Sequence[PathLike] | PathLike,
    *,
    out: PathLike | None = None,
    device: str = "auto",
    progress: Progress = SILENT,
) -> Predicted:
    """Predict images with a finished run; what cannot be read is reported and passed over.

    Args:
        run: the run folder.
        images: files, folders, globs, or a CSV that names images.
        out: a CSV or Parquet file to write, by its ending; nothing is written if None.
        device: what computes.
        progress: shows how far it is.
    """
    from corpuscle.data.sources.images import list_images
    from corpuscle.engine.predict import Predictor, write_table

    predictor = Predictor.of(Path(run), device)
    named = [images] if isinstance(images, str | Path) else list(images)
    predicted = predictor.predict(list_images([str(name) for name in named]), progress)
    if out is not None:
        write_table(predicted.table, Path(out))
    return predicted


def compare(runs: Sequence[PathLike] | PathLike, *, out: PathLike | None = None) -> Comparison:
    """Set runs side by side: curves, scores, and paired intervals for their differences.

    Args:
        runs: run folders, or a folder of them.
        out: folder for the page, tables and figures; nothing is written if None.
    """
    from corpuscle.engine.differences import differences
    from corpuscle.report.compare import Difference, compare_runs, write_comparison
    from corpuscle.report.run_data import find_runs

    named = [runs] if isinstance(runs, str | Path) else list(runs)
    folders = [folder for name in named for folder in find_runs(Path(name))]
    plain = compare_runs(folders)
    by_name = dict(zip(plain.scores, folders, strict=True))
    found = [
        Difference(one.name, one.a, one.b, one.score.value, one.score.low, one.score.high, one.score.n)
        for one in differences(by_name, plain.part)
    ]
    comparison = replace(plain, differences=tuple(found))
    if out is not None:
        write_comparison(comparison, Path(out))
    return comparison


def submit(
    run: PathLike,
    test_csv: PathLike,
    out: PathLike,
    *,
    source: SourcePlan | None = None,
    device: str = "auto",
    progress: Progress = SILENT,
) -> pl.DataFrame:
    """Fill the label column of a CSV, in its own order; see `corpuscle.engine.submit.submit`."""
    from corpuscle.engine.predict import Predictor
    from corpuscle.engine.submit import submit as fill

    predictor = Predictor.of(Path(run), device)
    return fill(predictor, Path(test_csv), source or SourcePlan(), Path(out), progress)


def report(run: PathLike) -> Path:
    """Write the report of a run or evaluation anew, from its finished numbers."""
    from corpuscle.report.page import write_report

    return write_report(Path(run), read=read_image)


def demo(out: PathLike = "runs/demo", *, per_class: int = 120, seed: int = 0, progress: Progress = SILENT) -> Run:
    """Draw white cells of five kinds, train on them, and write the report: needs no data.

    Args:
        out: the run folder; the drawn cells lie beside it, in `<out>-cells`.
        per_class: cells of each kind.
        seed: of the drawing and the training.
        progress: shows how far it is.
    """
    from corpuscle.synth.folder import write_cells

    if per_class < 20:
        raise CorpuscleError(f"expected at least 20 cells of each kind, got {per_class}; pass --per-class 120, say")
    out = Path(out)
    cells = out.with_name(f"{out.name}-cells")
    if not cells.is_dir():
        progress.say(f"drawing {5 * per_class} white cells of five kinds into {cells}")
        write_cells(cells, per_class, 96, seed)
    settings = {"data.group_from": r"_(?P<group>s\d+)_", "prepare.size": 64, "epochs": [12], "seed": seed}
    return train(cells, out=out, settings=settings, command="corpuscle demo", progress=progress)
