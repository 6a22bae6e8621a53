"""The verbs as functions. Each does what the command of its name does, and returns tables and figures.

`settings` are what `--set` sets on the command line: values by dotted key, such as `{"data.label_column": "dx"}`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from corpuscle.core.errors import CorpuscleError, Fault
from corpuscle.core.files import check_place
from corpuscle.core.progress import SILENT, Progress
from corpuscle.core.settings import resolve
from corpuscle.data.readers.read import read_pixels
from corpuscle.engine.experiment import Experiment
from corpuscle.run import Run

if TYPE_CHECKING:
    from corpuscle.data.doctor.inspection import Inspection
    from corpuscle.data.table import Table
    from corpuscle.engine.explain.explain import Explained
    from corpuscle.engine.predict import Predicted, Predictor
    from corpuscle.report.compare import Comparison

PathLike = str | os.PathLike[str]
Values = Mapping[str, Any]


LOOK = "data.", "read.", "split.", "guard.", "seed"  # settings that inspect knows
USE = "data.", "score.views", "device.name"  # settings that the use of a run knows


def inspect(
    path: PathLike,
    *,
    pixels: bool = True,
    label_errors: bool | PathLike | Sequence[PathLike] = False,
    html: PathLike | None = None,
    fix: PathLike | None = None,
    settings: Values | None = None,
    progress: Progress = SILENT,
) -> Inspection:
    """What a data set holds and what is wrong with it.

    Args:
        path: a folder a class, train, val and test folders of those, or a CSV.
        pixels: open every image; without, only names and rows are judged.
        label_errors: also look for labels that may be wrong: True by models of its own, or by runs that are named.
        html: a page to write, with the pictures of what was found.
        fix: a CSV to write, cleaned of what was found; beside it the changes.
        settings: of `data`, `read`, `split` and `guard`, and the `seed`.
        progress: says what was understood first, then how far it is.

    Raises:
        DataFault: the data cannot be used as they are; every fault with its place and remedy.
        CorpuscleError: a place that cannot be written, or what a cleaned table cannot say.
    """
    from corpuscle.data.doctor.fix import changes_of, check_fix, check_said, fixed, write_fixed
    from corpuscle.engine.inspecting import look_at

    settled, written = settled_from(Experiment(), settings, *LOOK), []
    if html is not None:
        check_place(Path(html), (".html",), inputs=[Path(path)], flag="--html")
    if fix is not None:
        check_fix(Path(fix))
    check = None if fix is None else check_said
    judges = ([] if label_errors else None) if isinstance(label_errors, bool) else _run_folders(label_errors)
    found = look_at(Path(path), settled, progress, pixels, judges, check=check)
    if fix is not None:
        cleaned = fixed(found)
        write_fixed(cleaned, Path(fix))
        written.append(f"{fix} ({cleaned}), {changes_of(Path(fix))}")
    if html is not None:
        from corpuscle.report.inspection import write_inspection

        write_inspection(found, Path(html), title=Path(path).resolve().name, read=read_pixels)
        written.append(str(html))
    return replace(found, written=tuple(written))


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
        settings: of `data`, `read`, `split` and `guard`, and the `seed`.
        progress: shows how far it is.

    Raises:
        CorpuscleError: bad data or settings, a place that cannot be written, or parts that leak and are to stay.
    """
    from corpuscle.data.split_files import write_split_csv, write_split_folder
    from corpuscle.engine.inspecting import divided as divide

    settled, out = settled_from(Experiment(), settings, *LOOK), Path(out)
    if settled.split.folds and how != "csv":
        raise CorpuscleError(
            "a divided folder holds one split, folds make one a fold; write folds as a CSV, with --as csv"
        )
    check_place(out, (".csv",) if how == "csv" else (), inputs=[Path(path)])
    divided = divide(Path(path), settled, anew, progress)
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
    from corpuscle.data.doctor.inspection import describe
    from corpuscle.engine.rescore import experiment_of, labelled_table, own_table, rescore

    run = Path(run)
    name = "own" if path is None else Path(path).resolve().stem
    folder = Path(out) if out else Path("runs") / f"{run.resolve().name}-on-{name}"
    check_place(folder)
    trained = experiment_of(run)
    if path is not None:  # where the run's own images lay says nothing of these
        elsewhere = {"valid": None, "test": None, "root": None}
        trained = trained.model_copy(update={"data": trained.data.model_copy(update=elsewhere)})
    settled = settled_from(trained, settings, "data.", "score.", "guard.", "device.name")
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
    masks: PathLike | None = None,
    settings: Values | None = None,
    progress: Progress = SILENT,
) -> Predicted:
    """Predict images with a finished run; what cannot be read is reported and passed over.

    Args:
        run: the run folder.
        images: files, folders, globs, or a CSV that names images; of whole slides a run that classifies takes tiles.
        out: a CSV or Parquet file to write, by its ending; nothing is written if None.
        points: a folder for the dots of a run that counts: `points.csv`, and a GeoJSON an image as QuPath opens it.
        masks: a folder for what a run that segments says: `masks/` as indexed PNGs, `instances/` with the number of the
            object at each pixel in 16 bits, and `legend.json`.
        settings: of `data`, for a CSV; `score.views`, those of the run if not given; `device.name`.
        progress: shows how far it is.
    """
    from corpuscle.data.sources.images import list_images
    from corpuscle.engine.mask_files import mask_writer
    from corpuscle.engine.predict import write_points, write_table

    named = _paths(images)
    if out is not None:
        check_place(Path(out), (".csv", ".parquet"), inputs=named)
    for folder in (points, masks):
        if folder is not None:
            check_place(Path(folder))
    settled = settled_from(Experiment(), settings, *USE)
    predictor = _predictor(Path(run), settled, settings)
    net = predictor.net
    if points is not None and (not net.gives_maps or net.gives_masks):
        raise CorpuscleError(
            f"expected a run that finds dots for --points, {Path(run)} finds none; leave --points out, or train with "
            "--recipe count"
        )
    if masks is not None and not net.gives_masks:
        raise CorpuscleError(
            f"expected a run that segments for --masks, {Path(run)} does not; leave --masks out, or train with "
            "--recipe segment"
        )
    paths, faults = list_images(named, settled.data), list[Fault]()
    if not net.gives_maps:
        of_slides = predictor.card.trained_on.get("layout") == "whole slides"
        paths, faults = _with_tiles(paths, Path(run), of_slides, settings)
    predicted = predictor.predict(
        paths, progress, None if masks is None else mask_writer(Path(masks), paths, predictor)
    ).with_faults(faults)
    if out is not None:
        write_table(predicted.table, Path(out))
    if points is not None:
        write_points(predicted, Path(points))
    return predicted


def explain(
    run: PathLike,
    images: Sequence[PathLike] | PathLike | None = None,
    *,
    out: PathLike,
    how: Values | None = None,
    settings: Values | None = None,
    progress: Progress = SILENT,
) -> Explained:
    """Show where a classifier looks: a heat map an image, and whether it depends on what was learned.

    Args:
        run: the run folder.
        images: files, folders, globs, or a CSV that names images; the run's own held-out images if None.
        out: the folder for pictures and tables.
        how: values of `corpuscle.engine.explain.explain.ExplainPlan`, such as `{"method": "gradcam"}`.
        settings: of `data`, for a CSV; `score.views`, those of the run if not given; `device.name`.
        progress: shows how far it is.

    Raises:
        CorpuscleError: no run that can be explained, or choices that do not fit it.
    """
    from corpuscle.data.sources.images import list_images
    from corpuscle.engine.explain.explain import ExplainPlan
    from corpuscle.engine.explain.explain import explain as run_explaining

    plan, _ = resolve(ExplainPlan(), {"flag": dict(how or {})})
    check_place(Path(out))
    settled = settled_from(Experiment(), settings, *USE)
    listed = None if images is None else list_images(_paths(images), settled.data)
    return run_explaining(_predictor(Path(run), settled, settings), Path(run), listed, Path(out), plan, progress)


def compare(runs: Sequence[PathLike] | PathLike, *, out: PathLike | None = None) -> Comparison:
    """Set runs side by side: curves, scores, and paired intervals for their differences.

    Args:
        runs: run folders, or a folder of them.
        out: folder for the page, tables and figures; nothing is written if None.
    """
    from corpuscle.engine.differences import differences
    from corpuscle.report.compare import Difference, compare_runs, write_comparison

    plain = compare_runs(_run_folders(runs))
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
    settled = settled_from(Experiment(), settings, *USE)
    return fill(_predictor(Path(run), settled, settings), Path(test_csv), settled.data, Path(out), progress)


def report(run: PathLike) -> Path:
    """Write the report of a run or evaluation anew, from its finished numbers."""
    from corpuscle.report.page import write_report

    return write_report(Path(run), read=read_pixels)


def _paths(named: Sequence[PathLike] | PathLike) -> list[Path]:
    return [Path(name) for name in ([named] if isinstance(named, str | os.PathLike) else named)]


def settled_from(base: Experiment, given: Values | None, *accepted: str) -> Experiment:
    """Settings with the given ones laid over them; those that begin like none of the accepted are refused."""
    given = dict(given or {})
    settled, _ = resolve(base, {"flag": given})
    strange = [key for key in given if not key.startswith(accepted)]
    if strange:
        known = ", ".join(f"{name}*" if name.endswith(".") else name for name in accepted)
        raise CorpuscleError(f"expected settings of {known} here, got {strange[0]}; it belongs to train: leave it out")
    return settled


def _with_tiles(paths: list[Path], run: Path, of_slides: bool, given: Values | None) -> tuple[list[Path], list[Fault]]:
    """The images, whole slides as the tiles that the run was trained on, and the slides that cannot be used.

    To a run of slides any tiled TIFF is one, also of a single size.
    """
    from corpuscle.data.readers.slides import is_slide
    from corpuscle.data.sources import SourcePlan
    from corpuscle.data.sources.slides import tiles_of_slides
    from corpuscle.engine.rescore import experiment_of

    if not any(is_slide(path, named=of_slides) for path in paths):
        return paths, []
    trained = SourcePlan(slides=experiment_of(run).data.slides)
    how = settled_from(Experiment(data=trained), given, *USE).data.slides
    return tiles_of_slides(paths, how, named=of_slides)


def _predictor(run: Path, settled: Experiment, given: Values | None) -> Predictor:
    """The run's net on the device that was settled, with as many views as were given."""
    from corpuscle.engine.predict import Predictor

    predictor = Predictor.of(run, settled.device.name)
    if "score.views" not in (given or {}):
        return predictor
    return replace(predictor, card=predictor.card.model_copy(update={"views": settled.score.views}))


def _run_folders(named: Sequence[PathLike] | PathLike) -> list[Path]:
    """The runs that are named, or that lie in the folders that are."""
    from corpuscle.report.run_data import find_runs

    return [run for one in ([named] if isinstance(named, str | os.PathLike) else named) for run in find_runs(Path(one))]
