"""From the cells of a table of label budgets to its curve: means over seeds, differences, and the labels needed."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.files import write_text
from corpuscle.core.records import Score
from corpuscle.engine import run_folder
from corpuscle.engine.budget import Cells
from corpuscle.engine.budget_cells import Cell
from corpuscle.engine.budget_plan import SCRATCH
from corpuscle.metrics.budget import labels_for, mean_over_seeds, paired_over_seeds

TABLE, CURVE, NEEDED = "budget.csv", "curve.csv", "needed.csv"
SCORES = ("accuracy", "balanced_accuracy", "f1_macro")
ENDS = ("value", "low", "high", "n", "groups")
MAIN = "accuracy"  # the score whose levels are asked for


@dataclass(frozen=True)
class Budget:
    """What a table of label budgets tells.

    Attributes:
        folder: where everything lies.
        cells: a row a training: budget, labels, start, seed, its scores with intervals, seconds, run, fault.
        curve: a row a start, budget and score: the mean over seeds, and what it gains over starting from nothing.
        needed: a row a start and level: the labels that it needs.
        facts: of the data, for the record.
    """

    folder: Path
    cells: pl.DataFrame
    curve: pl.DataFrame
    needed: pl.DataFrame
    facts: Mapping[str, Any]

    @property
    def report(self) -> Path:
        """The page to look at."""
        return self.folder / "report.html"


@dataclass(frozen=True)
class Judged:
    """What the nets of a start and a budget said of the test images, by seed."""

    probs_NK: Mapping[int, np.ndarray]
    target_N: np.ndarray
    groups: Sequence[str | None]

    def of(self, seeds: Sequence[int]) -> np.ndarray:
        """probs_SNK of some seeds."""
        return np.stack([self.probs_NK[seed] for seed in seeds])


def tabulate(out: Path, trained: Cells, reach: Sequence[float]) -> Budget:
    """Compute the table and the curve of all finished cells, and write `budget.csv`, `curve.csv` and `needed.csv`.

    Args:
        out: the folder of the table.
        trained: its cells.
        reach: levels of the main score, in percent, for which the labels that are needed are told.

    Raises:
        CorpuscleError: no cell could be trained.
    """
    done = [cell for cell in trained.cells if cell.finished and cell.name not in trained.faults]
    if not done:
        name, reason = next(iter(trained.faults.items()))
        raise CorpuscleError(
            f"none of the {len(trained.cells)} cells could be trained (first: {name}: {reason}); mend that and give "
            "the same command again"
        )
    cells = pl.DataFrame(
        [_row(cell, trained.faults.get(cell.name)) for cell in trained.cells], infer_schema_length=None
    )
    curve = pl.DataFrame(_curve(done), infer_schema_length=None)
    needed = pl.DataFrame(_needed(curve, [level / 100 for level in reach]), schema=NEEDED_COLUMNS, orient="row")
    for name, frame in ((TABLE, cells), (CURVE, curve), (NEEDED, needed)):
        write_text(out / name, frame.write_csv())
    return Budget(out, cells, curve, needed, trained.facts)


def _row(cell: Cell, fault: str | None) -> dict[str, Any]:
    row: dict[str, Any] = {"budget": cell.budget, "labels": cell.labels}
    row |= {f"labels_{name}": number for name, number in cell.counts.items()}
    row |= {"start": cell.start.name, "seed": cell.seed}
    scores, seconds = {}, None
    if cell.finished and fault is None:
        scores = run_folder.read_json(cell.folder / run_folder.METRICS)["parts"]["test"]["scores"]
        seconds = run_folder.read_json(cell.folder / run_folder.ENVIRONMENT)["seconds"]
    for name in SCORES:
        found = scores.get(name, {})
        row |= {name: found.get("value"), f"{name}_low": found.get("low"), f"{name}_high": found.get("high")}
    run = cell.folder.relative_to(cell.folder.parents[1]).as_posix()
    return row | {"seconds": seconds, "run": run, "fault": fault}


def _curve(done: Sequence[Cell]) -> list[dict[str, Any]]:
    points: dict[tuple[str, float], list[Cell]] = {}
    for cell in done:
        points.setdefault((cell.start.name, cell.budget), []).append(cell)
    judged = {point: _judged(cells) for point, cells in points.items()}
    rows = []
    for (start, budget), cells in points.items():
        own, plain = judged[start, budget], judged.get((SCRATCH, budget))
        both = [] if plain is None or start == SCRATCH else sorted(own.probs_NK.keys() & plain.probs_NK.keys())
        told = {"start": start, "budget": budget, "labels": statistics.fmean(cell.labels for cell in cells)}
        told |= {"fewest": min(min(cell.counts.values()) for cell in cells), "seeds": len(cells)}
        for name in SCORES:
            found = mean_over_seeds(name, own.of(sorted(own.probs_NK)), own.target_N, own.groups)
            row = told | {"score": name, **_told(("value", "low", "high"), found), "n": found.n, "groups": found.groups}
            gain = None
            if plain is not None and both:
                gain = paired_over_seeds(name, own.of(both), plain.of(both), own.target_N, own.groups)
            rows.append(row | {"pairs": len(both), **_told(("gain", "gain_low", "gain_high"), gain)})
    return rows


def _told(names: Sequence[str], found: Score | None) -> dict[str, float | None]:
    ends = (None, None, None) if found is None else (found.value, found.low, found.high)
    return dict(zip(names, ends, strict=True))


def _judged(cells: Sequence[Cell]) -> Judged:
    """What some cells said of the test images, in the order of the images' names.

    Raises:
        CorpuscleError: they were judged on other images.
    """
    tables = {cell.seed: _predictions(cell.folder) for cell in cells}
    first = next(iter(tables.values()))
    for cell in cells:
        if not tables[cell.seed].select("image", "label").equals(first.select("image", "label")):
            raise CorpuscleError(
                f"{cell.folder} was judged on other images or labels than {cells[0].folder}; remove it and give the "
                "same command again"
            )
    classes = [name.removeprefix("p_") for name in first.columns if name.startswith("p_")]
    number = {name: k for k, name in enumerate(classes)}
    target_N = first["label"].replace_strict(number, return_dtype=pl.Int64).to_numpy()
    probs = {seed: table.select(f"p_{name}" for name in classes).to_numpy() for seed, table in tables.items()}
    return Judged(probs, target_N, first["group"].to_list())


def _predictions(folder: Path) -> pl.DataFrame:
    text = dict.fromkeys(("image", "label", "split", "group", "prediction"), pl.String)
    frame = pl.read_csv(folder / run_folder.PREDICTIONS, infer_schema_length=None, schema_overrides=text)
    return frame.filter(pl.col("split") == "test").sort("image")


NEEDED_COLUMNS = {
    "start": pl.String,
    "score": pl.String,
    "level": pl.Float64,
    "why": pl.String,
    "labels": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "least": pl.Float64,
    "most": pl.Float64,
}


def _needed(curve: pl.DataFrame, levels: Sequence[float]) -> list[tuple[Any, ...]]:
    """The labels that each start needs for each level, and for what starting from nothing reaches with all labels."""
    main = curve.filter(pl.col("score") == MAIN).sort("labels")
    asked = [(level, "asked") for level in levels]
    plain = main.filter(pl.col("start") == SCRATCH)["value"].to_list()[-1:]
    rows = []
    for start in curve["start"].unique(maintain_order=True):
        own = main.filter(pl.col("start") == start)
        scores = [Score(v, low, high, n, g, "max") for v, low, high, n, g in own.select(*ENDS).rows()]
        whole = [] if start == SCRATCH else [(level, f"{SCRATCH} with the most labels") for level in plain]
        for level, why in asked + whole:
            found = labels_for(level, own["labels"].to_list(), scores)
            most = float(own["labels"][-1])
            rows.append((start, MAIN, level, why, found.labels, found.low, found.high, found.least, most))
    return rows
