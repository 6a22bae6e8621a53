"""The verbs as functions. Each does what the command of its name does, and returns tables and figures.

`settings` are what `--set` sets on the command line: values by dotted key, such as `{"data.label_column": "dx"}`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.files import check_place
from corpuscle.core.progress import SILENT, Progress
from corpuscle.core.settings import resolve
from corpuscle.data.readers.read import read_pixels
from corpuscle.engine.experiment import Experiment

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from corpuscle.data.inspection import Inspection
    from corpuscle.data.table import Table
    from corpuscle.engine.predict import Predicted, Predictor
    from corpuscle.report.compare import Comparison

PathLike = str | os.PathLike[str]
Values = Mapping[str, Any]


LOOK = "data.", "read.", "split."  # settings that inspect knows
USE = "data.", "score.views", "device.name"  # settings that the use of a run knows


@dataclass(frozen=True)
class Run:
    """A finished run or evaluation, read from its folder; wherever a run's path is wanted, it stands for it."""

    folder: Path

    def __fspath__(self) -> str:
        return str(self.folder)

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
    def points(self) -> pl.DataFrame | None:
        """A row a dot in these images: image, what (found or true), kind, x, y, score; None where none are found."""
        path = self.folder / "points.csv"
        return pl.read_csv(path, infer_schema_length=None) if path.is_file() else None

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
    path: PathLike, *, pixels: bool = True, settings: Values | None = None, progress: Progress = SILENT
) -> Inspection:
    """What a data set holds and what is wrong with it.

    Args:
        path: a folder a class, train, val and test folders of those, or a CSV.
        pixels: open every image; without, only names and rows are judged.
        settings: of `data`, `read` and `split`.
        progress: says what was understood first, then how far it is.

    Raises:
        DataFault: the data cannot be used as they are; every fault with its place and remedy.
    """
    from corpuscle.data.inspection import inspect as look

    settled = _settled(Experiment(), settings, *LOOK)
    return look(Path(path), settled.data, settled.read, settled.split, pixels, progress)


def split(
    path: PathLike,
    out: PathLike,
    *,
    how: Literal["csv", "copy", "link"] = "csv",
    anew: bool = False,
    settings: Values | None = None,
    progress: Progress = SILENT,
) -> Table:
    """Divide a data set by group and class, identical images together, and write the division.

    Args:
        path: whatever `inspect` understands.
        out: a CSV to write, or the folder of a divided copy or of links.
        how: which of these.
        anew: divide again what comes divided; else its parts stay, and a validation part that lacks is added.
        settings: of `data`, `read`, `split`, and the `seed`.
        progress: shows how far it is.

    Raises:
        CorpuscleError: bad data or settings, a place that cannot be written, or parts that leak and are to stay.
    """
    from corpuscle.data.inspection import contents
    from corpuscle.data.inspection import inspect as look
    from corpuscle.data.leaks import find_leaks, leak_message
    from corpuscle.data.splits import divide_anew, split_table, write_split_csv, write_split_folder

    settled, out = _settled(Experiment(), settings, *LOOK, "seed"), Path(out)
    if settled.split.folds and how != "csv":
        raise CorpuscleError(
            "a divided folder holds one split, folds make one a fold; write folds as a CSV, with --as csv"
        )
    check_place(out, (".csv",) if how == "csv" else (), inputs=[Path(path)])
    looked = look(Path(path), settled.data, settled.read, settled.split, progress=progress)
    assert looked.findings is not None and looked.seen is not None
    for fault in looked.findings.faults:
        progress.say(f"left out: {fault}")
    sound = looked.table.with_frame(looked.table.frame.filter(looked.findings.sound))
    whole = divide_anew(sound) if anew else sound
    divided = split_table(whole, settled.split, settled.seed, together=looked.findings.copies)
    if leaks := find_leaks(divided, contents(looked.table, looked.seen)):
        raise CorpuscleError(leak_message(leaks))
    if how == "csv":
        write_split_csv(divided, out)
    else:
        if divided.frame["group"].drop_nulls().len():
            progress.say("note: a folder cannot hold the groups; give --group-from again where you train on it")
        write_split_folder(divided, out, how)
    return divided


def train(
    path: PathLike,
    *,
    recipe: str = "default",
    out: PathLike | None = None,
    file: PathLike | None = None,
    settings: Values | None = None,
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
    check_place(folder)
    run = run_training(Path(path), experiment, folder, Call(origins, command, progress))
    return run_after(run)


def run_after(folder: Path) -> Run:
    """Write the report of what has just been computed, in the first process alone."""
    if int(os.environ.get("RANK", 0)) == 0:
        report(folder)
    return Run(folder)


def evaluate(
    run: PathLike,
    path: PathLike | None = None,
    *,
    out: PathLike | None = None,
    settings: Values | None = None,
    command: str = "",
    progress: Progress = SILENT,
) -> Run:
    """Judge a finished run on other labelled images, or on its own held-out ones again.

    Args:
        run: the run folder.
        path: labelled images; the run's own val and test parts if None.
        out: folder for the scores; `runs/<run>-on-<data>` if none is named.
        settings: of `data`, `score` and `guard`, and `device.name`; those of the run where none are given.
        command: what was typed, for the record.
        progress: shows how far it is.

    Raises:
        CorpuscleError: no finished run, bad data, or classes that the run does not know.
    """
    from corpuscle.data.inspection import describe
    from corpuscle.engine.rescore import experiment_of, labelled_table, own_table, rescore

    run = Path(run)
    name = "own" if path is None else Path(path).resolve().stem
    folder = Path(out) if out else Path("runs") / f"{run.resolve().name}-on-{name}"
    check_place(folder)
    trained = experiment_of(run)
    if path is not None:  # where the run's own images lay says nothing of these
        elsewhere = {"valid": None, "test": None, "root": None}
        trained = trained.model_copy(update={"data": trained.data.model_copy(update=elsewhere)})
    settled = _settled(trained, settings, "data.", "score.", "guard.", "device.name")
    predictor = _predictor(run, settled, settings)
    table = own_table(run) if path is None else labelled_table(Path(path), settled.data, predictor.card)
    progress.say(describe(table))
    rescore(run, table, folder, settled, predictor, progress, command)
    return run_after(folder)


def predict(
    run: PathLike,
    images: Sequence[PathLike] | PathLike,
    *,
    out: PathLike | None = None,
    points: PathLike | None = None,
    settings: Values | None = None,
    progress: Progress = SILENT,
) -> Predicted:
    """Predict images with a finished run; what cannot be read is reported and passed over.

    Args:
        run: the run folder.
        images: files, folders, globs, or a CSV that names images.
        out: a CSV or Parquet file to write, by its ending; nothing is written if None.
        points: a folder for the dots of a run that counts: `points.csv`, and a GeoJSON an image as QuPath opens it.
        settings: of `data`, for a CSV; `score.views`, those of the run if not given; `device.name`.
        progress: shows how far it is.
    """
    from corpuscle.data.sources.images import list_images
    from corpuscle.engine.predict import write_points, write_table

    named = [Path(name) for name in ([images] if isinstance(images, str | os.PathLike) else images)]
    if out is not None:
        check_place(Path(out), (".csv", ".parquet"), inputs=named)
    if points is not None:
        check_place(Path(points))
    settled = _settled(Experiment(), settings, *USE)
    predictor = _predictor(Path(run), settled, settings)
    if points is not None and not predictor.net.gives_maps:
        raise CorpuscleError(
            f"expected a run that finds dots for --points, {run} says only numbers; leave --points out, or train with "
            "--recipe count"
        )
    predicted = predictor.predict(list_images(named, settled.data), progress)
    if out is not None:
        write_table(predicted.table, Path(out))
    if points is not None:
        write_points(predicted, Path(points))
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

    named = [runs] if isinstance(runs, str | os.PathLike) else list(runs)
    folders = [folder for name in named for folder in find_runs(Path(name))]
    plain = compare_runs(folders)
    found = [
        Difference(one.name, one.a, one.b, score.value, score.low, score.high, score.n, score.direction, plain.task)
        for one in differences(plain.folders, plain.part)
        for score in (one.score,)
    ]
    comparison = replace(plain, differences=tuple(found))
    if out is not None:
        write_comparison(comparison, Path(out))
    return comparison


def submit(
    run: PathLike, test_csv: PathLike, out: PathLike, *, settings: Values | None = None, progress: Progress = SILENT
) -> pl.DataFrame:
    """Fill the column of labels or counts of a CSV, in its own order.

    Args:
        run: the run folder.
        test_csv: names the images; its other columns are kept. Or an HDF5 file of images, as LYSTO's test set is.
        out: the CSV to write.
        settings: as for `predict`.
        progress: shows how far it is.

    Raises:
        DataFault: images that are missing or cannot be read, all at once; a submission has no gaps.
    """
    from corpuscle.engine.submit import submit as fill

    check_place(Path(out), (".csv",), inputs=[Path(test_csv)])
    settled = _settled(Experiment(), settings, *USE)
    return fill(_predictor(Path(run), settled, settings), Path(test_csv), settled.data, Path(out), progress)


def report(run: PathLike) -> Path:
    """Write the report of a run or evaluation anew, from its finished numbers."""
    from corpuscle.report.page import write_report

    return write_report(Path(run), read=read_pixels)


def demo(
    out: PathLike = "runs/demo",
    *,
    per_class: int = 120,
    seed: int = 0,
    command: str = "corpuscle demo",
    progress: Progress = SILENT,
) -> Run:
    """Draw white cells of five kinds, train on them, and write the report: needs no data.

    Args:
        out: the run folder; the drawn cells lie beside it, in `<out>-cells`.
        per_class: cells of each kind.
        seed: of the drawing and the training.
        command: what was typed, for the record.
        progress: shows how far it is.

    Raises:
        CorpuscleError: too few cells, or a folder that holds other cells or another run.
    """
    from corpuscle.synth.folder import provide_cells

    if per_class < 20:
        raise CorpuscleError(f"expected at least 20 cells of each kind, got {per_class}; pass --per-class 120, say")
    out = Path(out)
    cells = out.with_name(f"{out.name}-cells")
    provide_cells(cells, per_class, 96, seed, progress)
    settings = {"data.group_from": r"_(?P<group>s\d+)_", "prepare.size": 64, "epochs": [12], "seed": seed}
    return train(cells, out=out, settings=settings, command=command, progress=progress)


def _settled(base: Experiment, given: Values | None, *accepted: str) -> Experiment:
    """Settings with the given ones laid over them; those that begin like none of the accepted are refused."""
    given = dict(given or {})
    settled, _ = resolve(base, {"flag": given})
    strange = [key for key in given if not key.startswith(accepted)]
    if strange:
        known = ", ".join(f"{name}*" if name.endswith(".") else name for name in accepted)
        raise CorpuscleError(f"expected settings of {known} here, got {strange[0]}; it belongs to train: leave it out")
    return settled


def _predictor(run: Path, settled: Experiment, given: Values | None) -> Predictor:
    """The run's net on the device that was settled, with as many views as were given."""
    from corpuscle.engine.predict import Predictor

    predictor = Predictor.of(run, settled.device.name)
    if "score.views" not in (given or {}):
        return predictor
    return replace(predictor, card=predictor.card.model_copy(update={"views": settled.score.views}))
