"""The verbs that make data sets or many runs, as functions: cut-outs, scenes, other formats, a demo, label budgets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from corpuscle.api import PathLike, Values, settled_from, train
from corpuscle.core.errors import CorpuscleError
from corpuscle.core.files import check_place
from corpuscle.core.progress import SILENT, Progress
from corpuscle.core.settings import resolve
from corpuscle.engine.experiment import Experiment
from corpuscle.run import Run

if TYPE_CHECKING:
    from corpuscle.data.annotations.convert import Converted
    from corpuscle.engine.budget_table import Budget
    from corpuscle.engine.compose import Written
    from corpuscle.engine.cutouts import Cutouts


def cutouts(
    paths: Sequence[PathLike], out: PathLike, *, settings: Values | None = None, progress: Progress = SILENT
) -> Cutouts:
    """Cut single cells out of images into a bank; what cannot be cut is reported and passed over.

    Args:
        paths: data sets, and banks that are to go into the new one.
        out: the folder of the bank.
        settings: of `corpuscle.engine.cutouts.CutoutPlan`, and of `data`.
        progress: shows how far it is.

    Raises:
        DataFault: kinds whose name is not known, or that a part would lack.
        CorpuscleError: nothing is left, or a folder that cannot be written.
    """
    from corpuscle.engine.cutouts import cut_out

    return cut_out(paths, out, settings, progress)


def compose(
    out: PathLike,
    bank: PathLike | None = None,
    *,
    how: Literal["boxes", "coco"] = "boxes",
    instances: bool = False,
    workers: int | None = None,
    settings: Values | None = None,
    progress: Progress = SILENT,
) -> Written:
    """Compose scenes of cut-out cells, with masks and boxes; what was begun is gone on with.

    Args:
        out: the folder for them.
        bank: of cut-outs; drawn cells if None.
        how: boxes as one CSV, or as a COCO file a part.
        instances: also write the number of the object at each pixel.
        workers: processes; one a core if None.
        settings: of `compose`, and the `seed`.
        progress: shows how far it is.

    Raises:
        DataFault: kinds that a part lacks, or cut-outs that do not fit.
        CorpuscleError: no bank, or a folder that holds something else or cannot be written.
    """
    from corpuscle.engine.compose import composer_for, write_scenes

    settled = settled_from(Experiment(), settings, "compose.", "seed")
    composer = composer_for(None if bank is None else Path(bank), settled.compose, settled.seed)
    return write_scenes(Path(out), composer, how, instances, workers, progress)


def convert(
    path: PathLike,
    to: str,
    out: PathLike,
    *,
    images: Literal["copy", "link", "none"] = "copy",
    settings: Values | None = None,
    progress: Progress = SILENT,
) -> Converted:
    """Write the boxes, outlines or points of a data set in another format; nothing is lost without a note.

    Args:
        path: whatever `inspect` understands that has such annotations.
        to: voc, coco, yolo, labelme, cvat, qupath, masks or points.
        out: a new or empty folder, written whole or not at all.
        images: copy them beside the annotations, link them (hard links), or write none.
        settings: of `data`.
        progress: shows how far it is.

    Raises:
        DataFault: annotations that cannot be read, or do not fit their images; all at once.
        CorpuscleError: nothing to convert, a format without room for any of it, or a folder that cannot be written.
    """
    from corpuscle.data.annotations.convert import convert as write

    settled = settled_from(Experiment(), settings, "data.")
    check_place(Path(out))
    return write(Path(path), to, Path(out), images, settled.data, progress)


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


def budget(
    path: PathLike,
    out: PathLike,
    *,
    how: Values | None = None,
    recipe: str = "default",
    settings: Values | None = None,
    command: str = "",
    progress: Progress = SILENT,
) -> Budget:
    """Train with several budgets of labels from several starting points, and say what labels and pretraining are worth.

    Args:
        path: whatever a source understands, with a class for each image.
        out: folder for the runs, the tables and the page; what is finished in it is not trained again.
        how: values of `corpuscle.engine.budget_plan.BudgetPlan`, such as `{"starts": ["scratch", "runs/contrast"]}`.
        recipe: of every cell.
        settings: of every cell, by dotted key; what begins with the name of a recipe of `pretrain` is for that.
        command: what was typed, for the record.
        progress: shows how far it is.

    Raises:
        Stopped: a signal came; the same call goes on.
        CorpuscleError: bad data, settings, starts or budgets, or no cell that could be trained.
    """
    from corpuscle.engine.budget import Asked, train_cells
    from corpuscle.engine.budget_plan import BudgetPlan
    from corpuscle.engine.budget_table import tabulate
    from corpuscle.engine.train import Call
    from corpuscle.recipes import compose as settled
    from corpuscle.report.budget import write_budget_report

    plan, _ = resolve(BudgetPlan(), {"flag": dict(how or {})})
    folder = Path(out)
    check_place(folder)
    asked = Asked(
        Path(path), folder, plan, recipe, dict(settings or {}), lambda name, values: settled(name, None, values)
    )
    found = tabulate(folder, train_cells(asked, Call({}, command, progress)), plan.reach)
    write_budget_report(folder)
    return found
