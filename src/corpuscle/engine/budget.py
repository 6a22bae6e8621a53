"""How much labels are worth: a run for each budget of labels, starting point and seed, all judged on one test part."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.files import write_json, write_text
from corpuscle.core.progress import Bars
from corpuscle.core.settings import flatten
from corpuscle.data.splits import PARTS, in_parts
from corpuscle.engine import run_folder
from corpuscle.engine.budget_cells import Cell, train_each
from corpuscle.engine.budget_data import SPLIT, drawn_labels, found_images, known_tests, pretraining_rows, write_split
from corpuscle.engine.budget_plan import (
    JOINED,
    BudgetPlan,
    Start,
    encoder_settings,
    other_sizes,
    read_starts,
    settings_of,
)
from corpuscle.engine.dataset import Ready, ready
from corpuscle.engine.experiment import Experiment
from corpuscle.engine.joining import with_joined
from corpuscle.engine.probing import check_probe
from corpuscle.engine.train import Call, task_of, train
from corpuscle.engine.words import check_words
from corpuscle.nets.card import read_card
from corpuscle.nets.zoo import check_plan

FACTS, STARTS, PRETRAIN = "budget.json", "starts.json", "pretrain.csv"
RUNS, PRETRAINED = "runs", "pretrained"
OF_BUDGET = ("split.budget", "split.per_class")  # what the command itself says
OF_ALL = ("read.", "prepare.", "cache.", "device.")  # settings of the cells that hold for pretraining too

Composed = tuple[Experiment, dict[str, str]]
Compose = Callable[[str, Mapping[str, Any]], Composed]


@dataclass(frozen=True)
class Asked:
    """What was asked for.

    Attributes:
        path: the data set.
        out: folder for everything.
        plan: the table.
        recipe: of the cells.
        settings: of all cells, by dotted key; what begins with the name of a recipe of `plan.pretrain` is for that.
        compose: from a recipe and settings to an experiment, with where each value came from.
    """

    path: Path
    out: Path
    plan: BudgetPlan
    recipe: str
    settings: Mapping[str, Any]
    compose: Compose

    @property
    def of_cells(self) -> dict[str, Any]:
        """The settings that are not for pretraining."""
        own = tuple(f"{name}." for name in self.plan.pretrain)
        return {key: value for key, value in self.settings.items() if not (own and key.startswith(own))}

    def of_pretraining(self, recipe: str) -> dict[str, Any]:
        """Those that are for pretraining by a recipe."""
        shared = {key: value for key, value in self.of_cells.items() if key.startswith(OF_ALL) or key == "seed"}
        prefix = f"{recipe}."
        known = dict(flatten(self.compose(recipe, {})[0].model_dump(mode="json")))
        own = {}
        for key, value in self.settings.items():
            if key.startswith(prefix):  # a section may be called as the recipe is
                short = key.removeprefix(prefix)
                own[key if key in known and short not in known else short] = value
        return shared | own


@dataclass(frozen=True)
class Cells:
    """The table once all is trained.

    Attributes:
        cells: in the order of the plan.
        faults: name of a cell that could not be trained to the reason.
        facts: of the data, for the record.
    """

    cells: Sequence[Cell]
    faults: Mapping[str, str]
    facts: Mapping[str, Any] = field(default_factory=dict)


def train_cells(asked: Asked, call: Call) -> Cells:
    """Divide the data once, pretrain where that was asked, and train every cell that is not finished.

    Raises:
        Stopped: a signal came; what was begun is saved, and the same call goes on.
        CorpuscleError: bad data, settings, starts or budgets, before anything is trained.
    """
    out, say = asked.out, call.progress.say
    base = check_asked(asked)
    begun = time.perf_counter()
    with run_folder.only_writer(out):
        data = ready(asked.path, base, task_of(base), Bars(call.progress.shown))
        counts = drawn_labels(data, asked.plan)
        write_split(data, out, asked.of_cells)
        starts = read_starts(asked.plan, pretrain(asked, data, call))
        keep_starts(starts, out)
        warnings = known_tests(data, starts)
        for note in [*other_sizes(starts, data.experiment.prepare.size), *warnings]:
            say(note)
        cells = compose_cells(asked, starts, counts, data.experiment.prepare.size)
        for cell in cells:
            check_plan(cell.experiment.net)
            check_probe(cell.experiment)
            check_words(cell.experiment)
            if cell.folder.is_dir():
                run_folder.check(cell.folder, with_joined(cell.experiment, task_of(cell.experiment)))
        faults = dict(train_each(asked.path, cells, asked.plan.at_once, call))
        before = run_folder.read_json(out / FACTS)["seconds"] if (out / FACTS).is_file() else 0.0
        seconds = before + time.perf_counter() - begun
        facts = facts_of(asked, data, starts, seconds, call.command) | {"warnings": warnings}
        write_json(out / FACTS, facts)
        return Cells(cells, faults, facts)


def check_asked(asked: Asked) -> Experiment:
    """See that the call makes sense before any image is read; gives the settings that all cells share.

    Raises:
        CorpuscleError: it does not.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise CorpuscleError(
            "corpuscle budget expects one process, torchrun started several; start it without torchrun"
        )
    said = [key for key in OF_BUDGET if key in asked.of_cells]
    if said:
        raise CorpuscleError(f"expected the budgets from --budgets, got {said[0]} as a setting; leave it out")
    base, _ = asked.compose(asked.recipe, asked.of_cells)
    check_plan(base.net)
    if base.task != "classify":
        raise CorpuscleError(
            f"corpuscle budget expects a recipe that classifies, {asked.recipe} is for task {base.task}; "
            "pass --recipe default, say"
        )
    for recipe in asked.plan.pretrain:
        first, _ = asked.compose(recipe, asked.of_pretraining(recipe))
        if task_of(first).learns_labels:
            raise CorpuscleError(f"--pretrain expects recipes that need no labels, {recipe} does; pass contrast, say")
    if asked.plan.unlabelled and not asked.plan.pretrain:
        raise CorpuscleError("--unlabelled expects a recipe that learns from it; name one with --pretrain")
    if asked.plan.unlabelled and not asked.plan.unlabelled.exists():
        raise CorpuscleError(f"--unlabelled expects a folder of images, {asked.plan.unlabelled} is not there")
    known = {recipe: asked.out / PRETRAINED / recipe for recipe in asked.plan.pretrain}
    for start in read_starts(asked.plan, known):
        for run in start.runs:
            if run not in known.values():
                encoder_settings(run)
    there = [path for path in asked.out.iterdir() if not path.name.startswith(".")] if asked.out.is_dir() else []
    if there and not (asked.out / SPLIT).is_file():
        raise CorpuscleError(f"{asked.out} is not empty and holds no budget; name a new folder with --out")
    return base


def pretrain(asked: Asked, data: Ready, call: Call) -> dict[str, Path]:
    """Train the recipes that need no labels on the training part and on what else is unlabelled; the test part judges.

    Returns:
        The run of each recipe.
    """
    runs = {recipe: asked.out / PRETRAINED / recipe for recipe in asked.plan.pretrain}
    place = asked.out / PRETRAIN
    if not all((run / run_folder.METRICS).is_file() for run in runs.values()):
        write_text(place, pretraining_rows(data, asked.plan.unlabelled, call.progress))
    alike = {f"prepare.{name}": value for name, value in data.experiment.prepare.model_dump(mode="json").items()}
    for recipe, run in runs.items():
        call.progress.say(f"pretraining: {recipe}")
        experiment, origins = asked.compose(recipe, alike | asked.of_pretraining(recipe))
        if (run / run_folder.METRICS).is_file():
            run_folder.check(run, experiment)
        else:
            train(place, experiment, run, replace(call, origins=origins))
    return runs


def keep_starts(starts: Sequence[Start], out: Path) -> None:
    """Write which weights each run held, and which runs are joined, or see that they are as they were.

    Raises:
        CorpuscleError: a run has been trained again since the table was begun, or others are joined.
    """
    place = out / STARTS
    begun = place.is_file() and (out / RUNS).is_dir()
    old = run_folder.read_json(place) if begun else {"weights": {}, JOINED: []}
    weights = {str(run.absolute()): read_card(run).weights_digest for start in starts for run in start.runs}
    changed = [run for run, digest in weights.items() if old["weights"].get(run, digest) != digest]
    if changed:
        raise CorpuscleError(
            f"the weights of {' and '.join(changed)} have changed since {out} was begun; pass another --out, or "
            "restore them"
        )
    runs = next((start.runs for start in starts if JOINED in start.kind), old[JOINED])
    joined = [str(Path(run).absolute()) for run in runs]
    if old[JOINED] and joined != old[JOINED]:
        raise CorpuscleError(
            f"{JOINED} stood for {' and '.join(old[JOINED])}, now for {' and '.join(joined)}; pass another --out"
        )
    write_json(place, {"weights": old["weights"] | weights, JOINED: joined})


def compose_cells(
    asked: Asked, starts: Sequence[Start], counts: Mapping[tuple[float, int], Mapping[str, int]], size: int = 0
) -> list[Cell]:
    """Every cell with its settings.

    Args:
        asked: what was asked for.
        starts: where training starts.
        counts: labels of each class by budget and seed.
        size: side of the images that was chosen for all, 0 where none was.

    Raises:
        CorpuscleError: an earlier run that no cell can start from.
    """
    models = {run: encoder_settings(run) for start in starts for run in start.runs}
    divided: dict[str, Any] = {
        "data.split_file": str((asked.out / SPLIT).absolute()),
        "split.folds": 0,
        "split.fold": 1,
    }
    if size:
        divided["prepare.size"] = size
    if asked.of_cells.get("data.split_column") == "none":
        divided["data.split_column"] = "auto"
    cells = []
    for start in starts:
        for budget in asked.plan.budgets:
            for seed in asked.plan.seeds:
                own = {"split.budget": budget / 100, "seed": seed}
                settings = settings_of(start, asked.of_cells | divided | own, models)
                experiment, origins = asked.compose(asked.recipe, settings)
                folder = asked.out / RUNS / f"{budget:g}-{start.name}-{seed}"
                cells.append(Cell(budget, start, seed, folder, counts[budget, seed], experiment, origins))
    return cells


def facts_of(asked: Asked, data: Ready, starts: Sequence[Start], seconds: float, command: str) -> dict[str, Any]:
    """What the table rests on, for the record and the page."""
    parts = found_images(data).frame["split"]
    counts = {part: int((parts == part).sum()) for part in PARTS}
    return {
        "data": str(asked.path),
        "images": counts,
        "told": in_parts(counts),
        "groups": data.table.frame["group"].drop_nulls().n_unique(),
        "classes": list(data.table.classes),
        "recipe": asked.recipe,
        "pretrained": list(asked.plan.pretrain),
        "unlabelled": None if asked.plan.unlabelled is None else str(asked.plan.unlabelled),
        "split_seed": data.experiment.seed,
        "starts": {start.name: start.meaning for start in starts},
        "scratch_weights": data.experiment.net.weights,
        "plan": asked.plan.model_dump(mode="json"),
        "seconds": round(seconds, 1),
        "command": command,
    }
