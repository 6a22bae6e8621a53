"""What a table of label budgets consists of: budgets, starting points, seeds. Settings, so without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from corpuscle.core.errors import CorpuscleError, nearest
from corpuscle.core.settings import Settings
from corpuscle.nets.card import read_card
from corpuscle.nets.zoo import FIXED, has_decoder

SCRATCH, JOINED = "scratch", "joined"
OWN = (SCRATCH, JOINED, f"{JOINED}-probe", *FIXED)  # names of starts that are no folders
HOW = ("probe", "all")  # what may follow the colon of a start
OF_STAGES = ("epochs", "learning_rate", "stages.")  # settings that a probe has no use for
Kind = Literal["scratch", "probe", "all", "joined", "joined:probe"]


class BudgetPlan(Settings):
    """The table of label budgets."""

    budgets: tuple[float, ...] = Field(
        (100.0, 50.0, 10.0, 1.0), description="how many of the training labels are used, in percent"
    )
    starts: tuple[str, ...] = Field(
        (),
        description="where training starts: scratch, a run (its frozen encoder and a linear probe), RUN:all (every "
        "parameter learns), joined (the runs' frozen encoders beside one that learns), joined:probe, covariances (a "
        "linear probe on an encoder with nothing to learn); scratch, covariances and each of pretrain if none is named",
    )
    seeds: tuple[int, ...] = Field((0, 1, 2), description="of the weights, the order and the labels drawn")
    at_once: int = Field(
        0,
        ge=0,
        le=64,
        description="cells trained at the same time; 0 is one a core on a CPU (at most 8), and one at a time on a GPU",
    )
    reach: tuple[float, ...] = Field(
        (80.0, 90.0, 95.0), description="accuracies in percent for which the labels needed are told"
    )
    pretrain: tuple[str, ...] = Field((), description="recipes that learn first, without labels")
    unlabelled: Path | None = Field(None, description="folder of further images for these")

    @field_validator("budgets", "starts", "seeds", "reach", "pretrain", mode="before")
    @classmethod
    def _with_commas(cls, values: Any) -> Any:
        return tuple(word.strip() for word in values.split(",") if word.strip()) if isinstance(values, str) else values

    @field_validator("budgets", "reach")
    @classmethod
    def _percents(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 < value <= 100 for value in values):
            raise ValueError("should be percents above 0 and at most 100, such as 100,50,10,1")
        return values

    @field_validator("seeds")
    @classmethod
    def _not_negative(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if any(seed < 0 for seed in seeds):
            raise ValueError("should be 0 or more, such as 0,1,2")
        return seeds

    @field_validator("budgets")
    @classmethod
    def _told_apart(cls, budgets: tuple[float, ...]) -> tuple[float, ...]:
        written = [f"{budget:g}" for budget in budgets]  # as folders are called
        alike = [budget for budget, word in zip(budgets, written, strict=True) if written.count(word) > 1]
        if len(set(written)) < len(set(budgets)):
            raise ValueError(f"should differ in six digits, {' and '.join(map(str, alike))} do not")
        return budgets

    @field_validator("budgets", "seeds", "pretrain", "starts")
    @classmethod
    def _each_once(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        again = {value for value in values if values.count(value) > 1}
        if again:
            raise ValueError(f"should name each once, {', '.join(map(str, sorted(again)))} is there again")
        return values

    @field_validator("budgets", "seeds")
    @classmethod
    def _at_least_one(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if not values:
            raise ValueError("should hold one at least")
        return values


@dataclass(frozen=True)
class Start:
    """Where the training of a cell starts.

    Attributes:
        name: in tables and folders.
        kind: what learns.
        runs: the earlier runs that it starts from.
    """

    name: str
    kind: Kind
    runs: tuple[Path, ...] = ()

    @property
    def probes(self) -> bool:
        """Whether a linear probe on frozen features is all that learns."""
        return self.kind.endswith("probe")

    @property
    def meaning(self) -> str:
        """What it is, in words."""
        named = " and ".join(str(run) for run in self.runs)
        return {
            "scratch": "the recipe as it is",
            "probe": f"linear probe on {f'the frozen encoder of {named}' if self.runs else self.name}",
            "all": f"every parameter, from the encoder of {named}",
            "joined": f"the frozen encoders of {named} beside one that learns",
            "joined:probe": f"linear probe on the frozen encoders of {named}",
        }[self.kind]


def read_starts(plan: BudgetPlan, pretrained: Mapping[str, Path]) -> list[Start]:
    """The starting points in the order named.

    Args:
        plan: names them.
        pretrained: folders of the runs that `pretrain` makes, by recipe.

    Raises:
        CorpuscleError: what is no starting point, with the nearest that is; a start twice; nothing to join.
    """
    words = plan.starts or (SCRATCH, *FIXED, *plan.pretrain)
    runs: dict[str, Path] = {}
    faults = []
    for word in words:
        source, _, how = word.rpartition(":") if word.endswith(tuple(f":{how}" for how in HOW)) else (word, "", "")
        if source in (SCRATCH, *FIXED) and not how:
            continue
        if source == JOINED and how != "all":
            continue
        folder = pretrained.get(source, Path(source))
        if source not in pretrained and not folder.is_dir():
            known = nearest(word, [*OWN[:2], f"{JOINED}:probe", *FIXED, *pretrained])
            faults.append(f"'{word}' is neither {SCRATCH}, {JOINED}, {FIXED[0]} nor the folder of a run. {known}")
        else:
            runs[word] = folder
    joined = tuple(dict.fromkeys([*runs.values(), *pretrained.values()]))
    if not joined and any(word.startswith(JOINED) for word in words) and not faults:
        faults.append(f"{JOINED} expects runs to join, got none; name their folders with --starts, or use --pretrain")
    if faults:
        raise CorpuscleError("\n".join(faults))
    names = _short_names(runs)
    starts = [_start(word, names, runs, joined) for word in words]
    _each_start_once(words, starts)
    return starts


def _start(word: str, names: Mapping[str, str], runs: Mapping[str, Path], joined: tuple[Path, ...]) -> Start:
    if word == SCRATCH:
        return Start(SCRATCH, "scratch")
    if word in FIXED:
        return Start(word, "probe")
    if word == JOINED:
        return Start(JOINED, "joined", joined)
    if word == f"{JOINED}:probe":
        return Start(f"{JOINED}-probe", "joined:probe", joined)
    every = word.endswith(":all")
    return Start(names[word] + ("-all" if every else ""), "all" if every else "probe", (runs[word],))


def _short_names(runs: Mapping[str, Path]) -> dict[str, str]:
    """The last part of each folder's name, or as much of it as tells the folders apart."""
    folders = {word: folder.resolve().parts for word, folder in runs.items()}
    apart = set(folders.values())
    names = {}
    for word, parts in folders.items():
        depth = next(d for d in range(1, len(parts) + 1) if sum(other[-d:] == parts[-d:] for other in apart) == 1)
        names[word] = "-".join(parts[-depth:])
    return names


def _each_start_once(words: Sequence[str], starts: Sequence[Start]) -> None:
    seen: dict[tuple[Kind, tuple[Path, ...]], str] = {}
    for word, start in zip(words, starts, strict=True):
        key = (start.kind, tuple(run.resolve() for run in start.runs))
        if key in seen:
            raise CorpuscleError(f"starts expects each once, '{seen[key]}' and '{word}' are the same; leave one out")
        seen[key] = word
    for start in starts:
        if start.name in OWN and start.kind in ("probe", "all") and start.runs:
            raise CorpuscleError(
                f"{start.runs[0]} would be called {start.name} in the table, which is a start of its own; rename the "
                "folder"
            )
    taken = [start.name for start in starts]
    for name in taken:
        if taken.count(name) > 1:
            raise CorpuscleError(f"starts expects a name for each, two would be called '{name}'; rename one's folder")


def settings_of(start: Start, given: Mapping[str, Any], models: Mapping[Path, Mapping[str, Any]]) -> dict[str, Any]:
    """The settings of a training from a starting point.

    Args:
        start: where it starts.
        given: settings that all cells share, by dotted key.
        models: of each earlier run, `net.model` and what else its encoder is built by.
    """
    if not start.probes:
        shared = dict(given)
    else:
        shared = {key: value for key, value in given.items() if not key.startswith(OF_STAGES)}
        # plain features are shared by all seeds, varied ones are not
        shared["stages"] = [{"train": "probe", "views": 1}]
    if start.kind == "probe" and not start.runs:
        return shared | {"net.model": start.name}
    if start.kind in ("probe", "all"):
        return shared | dict(models[start.runs[0]]) | {"net.weights": str(start.runs[0].absolute())}
    if start.kind == "scratch":
        return shared
    if start.kind == "joined:probe":
        shared["net.model"] = "none"
    return shared | {"net.joined": [str(run.absolute()) for run in start.runs]}


def encoder_settings(run: Path) -> dict[str, Any]:
    """What the encoder of an earlier run is built by.

    Raises:
        CorpuscleError: no finished run, one that joins encoders, that gives maps, or that has nothing to learn.
    """
    net = read_card(run).net
    if net.model in FIXED:
        raise CorpuscleError(
            f"expected a run whose encoder has learned, {run} is of {net.model}; name {net.model} itself"
        )
    if net.joined:
        inner = ", ".join(one.run for one in net.joined)
        raise CorpuscleError(f"expected a run of one encoder, {run} joins {inner} itself; name these in its place")
    if has_decoder(net.model):
        raise CorpuscleError(
            f"expected a run whose encoder gives features, {run} is of {net.model}, which gives maps; name a run of "
            "another model, such as resnet18"
        )
    pool = "avg" if net.pool == "none" else net.pool  # features of one that gave maps are their mean
    return {"net.model": net.model, "net.norm": net.norm, "net.pool": pool, "net.words": net.words}


def other_sizes(starts: Sequence[Start], size: int) -> list[str]:
    """What must be said of earlier runs that saw images at another size than the cells do."""
    cards = {run: read_card(run) for start in starts for run in start.runs}
    return [
        f"note: {run} learned from images of {card.size} pixels, the cells see {size}; "
        f"--size {card.size} makes them alike"
        for run, card in cards.items()
        if card.size not in (0, size)
    ]
