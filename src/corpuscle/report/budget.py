"""The page of a table of label budgets: the curve, what pretraining gains, and how many labels are needed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, NullLocator

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.files import write_text
from corpuscle.report import figures
from corpuscle.report.page import as_markup, render
from corpuscle.report.style import LIGHT, SERIES
from corpuscle.report.words import many

FACTS, TABLE, CURVE, NEEDED = "budget.json", "budget.csv", "curve.csv", "needed.csv"
MAIN, SCRATCH = "accuracy", "scratch"
NO_INTERVAL = "no interval: too few groups"
DODGE = 1.03  # factor on the labels that sets curves side by side, so that their intervals can be told apart


@dataclass(frozen=True)
class BudgetData:
    """A table of label budgets, as its folder tells it.

    Attributes:
        cells: a row a training.
        curve: a row a start, budget and score.
        needed: a row a start and level.
        facts: of the data.
    """

    cells: pl.DataFrame
    curve: pl.DataFrame
    needed: pl.DataFrame
    facts: Mapping[str, Any]

    @property
    def nothing(self) -> str:
        """What starting from scratch is, in words."""
        weights = self.facts["scratch_weights"]
        return "starting from nothing" if weights == "none" else f"the recipe's own start ({weights})"


def read_budget(folder: Path) -> BudgetData:
    """Read the folder of a table.

    Raises:
        CorpuscleError: it holds none.
    """
    if not (folder / FACTS).is_file() or not (folder / NEEDED).is_file():
        raise CorpuscleError(
            f"expected the folder of a table of label budgets, {folder} has no {FACTS} or {NEEDED}; name the --out of "
            "corpuscle budget"
        )
    text = {"start": pl.String, "run": pl.String, "fault": pl.String, "score": pl.String, "why": pl.String}

    def table(name: str) -> pl.DataFrame:
        known = {column: kind for column, kind in text.items() if column in pl.scan_csv(folder / name).collect_schema()}
        return pl.read_csv(folder / name, infer_schema_length=None, schema_overrides=known)

    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    return BudgetData(table(TABLE), table(CURVE), table(NEEDED), facts)


def write_budget_report(folder: Path) -> Path:
    """Write `report.html` and `figures/curve.png` from the finished numbers of a folder; returns the page."""
    data = read_budget(folder)
    drawn = {"curve": draw_curve(data)}
    figures.save_png(drawn["curve"], folder / "figures" / "curve.png")
    page = folder / "report.html"
    content = {
        "data": data,
        "answer": answer(data),
        "gains": gains(data),
        "levels": levels(data),
        "figures": as_markup(drawn),
        "main": data.curve.filter(pl.col("score") == MAIN).rows(named=True),
        "cells": data.cells.rows(named=True),
        "faults": data.cells.filter(pl.col("fault").is_not_null()).select("run", "fault").rows(named=True),
        "probed": any("linear probe" in meaning for meaning in data.facts["starts"].values()),
        "interval": _interval,
        "labels_of": _labels,
    }
    write_text(page, render("budget.html.j2", "How many labels are needed", **content))
    return page


def answer(data: BudgetData) -> str:
    """Whether pretraining helps, in one or two sentences."""
    main = data.curve.filter((pl.col("score") == MAIN) & pl.col("gain").is_not_null())
    if main.is_empty():
        return "Nothing can be said of pretraining: no start was compared with scratch at the same budget."
    told = []
    for start in main["start"].unique(maintain_order=True):
        rows = main.filter(pl.col("start") == start).sort("budget").rows(named=True)
        better = [f"{row['budget']:g} %" for row in rows if (row["gain_low"] or 0) > 0]
        worse = [f"{row['budget']:g} %" for row in rows if (row["gain_high"] or 0) < 0]
        words = [f"gains at {_and(better)}"] * bool(better) + [f"loses at {_and(worse)}"] * bool(worse)
        unknown = [f"{row['budget']:g} %" for row in rows if not _known(row["gain_low"], row["gain_high"])]
        if unknown:
            where = "any budget" if len(unknown) == len(rows) else _and(unknown)
            words.append(f"cannot be judged at {where} (too few groups)")
        left = len(rows) - len(better) - len(worse) - len(unknown)
        if left:
            where = "any budget" if left == len(rows) else "the others"
            words.append(f"shows no difference at {where}")
        told.append(f"{start} {_and(words)}")
    return f"Against {data.nothing}, by accuracy: {'; '.join(told)}."


def gains(data: BudgetData) -> list[str]:
    """What each start gains at each budget, a sentence each, the smallest budget first."""
    main = data.curve.filter((pl.col("score") == MAIN) & pl.col("gain").is_not_null())
    return [_gain(row, data.nothing) for row in main.sort("budget", maintain_order=True).rows(named=True)]


def _gain(row: Mapping[str, Any], nothing: str) -> str:
    """One difference in words.

    >>> row = dict(budget=10.0, labels=126.0, start="contrast", gain=0.06, gain_low=0.03, gain_high=0.09, pairs=3)
    >>> _gain(row, "starting from nothing")
    'With 10 % of the labels (n = 126) contrast gains 6.0 points of accuracy over starting from nothing (95 % interval \
3.0 to 9.0, 3 seeds).'
    """
    lead = f"With {row['budget']:g} % of the labels (n = {_labels(row['labels'])}) "
    low, high, seeds = row["gain_low"], row["gain_high"], many(row["pairs"], "seed")
    if not _known(low, high):
        found = f"{100 * row['gain']:+.1f} points".replace("-", "−")
        return f"{lead}{row['start']} differs from {nothing} by {found}; there are too few groups for an interval."
    if low <= 0 <= high:
        ends = f"{100 * row['gain']:+.1f} points, 95 % interval {100 * low:+.1f} to {100 * high:+.1f}, {seeds}"
        return f"{lead}no difference between {row['start']} and {nothing} is shown ({ends.replace('-', '−')})."
    verb, sign = ("gains", 1) if low > 0 else ("loses", -1)
    least, most = sorted((100 * sign * low, 100 * sign * high))
    over = f"{100 * abs(row['gain']):.1f} points of accuracy {'over' if sign > 0 else 'against'} {nothing}"
    return f"{lead}{row['start']} {verb} {over} (95 % interval {least:.1f} to {most:.1f}, {seeds})."


def levels(data: BudgetData) -> list[str]:
    """How many labels each level needs, a sentence a start and level."""
    return [_needs(row) for row in data.needed.sort("level", maintain_order=True).rows(named=True)]


def _needs(row: Mapping[str, Any]) -> str:
    """One level in words.

    >>> row = dict(start="contrast", level=0.9, why="asked", labels=210, low=120, high=math.inf, least=13, most=1260)
    >>> _needs(row)
    'For 90 % accuracy contrast needs about 210 labels (95 % interval 120 to more than 1,260).'
    """
    start, asked = row["start"], row["why"] == "asked"
    lead = f"For {100 * row['level']:.4g} % accuracy" if asked else f"To be as good as {row['why']}"
    if math.isinf(row["labels"]):
        may = (
            "" if math.isinf(row["low"]) else f" (the upper end of its interval is there from {_labels(row['low'])} on)"
        )
        return f"{lead} {_labels(row['most'])} labels are not enough for {start}{may}."
    known = row["low"] <= row["labels"]  # the upper end of the curve's intervals, where there are any, is there first
    high = f"more than {_labels(row['most'])}" if math.isinf(row["high"]) else _labels(row["high"])
    if row["labels"] <= row["least"]:
        fewest = f"{_labels(row['least'])} labels, the fewest tried"
        return f"{lead} {start} needs at most {fewest} ({f'95 % interval up to {high}' if known else NO_INTERVAL})."
    if not known:
        return f"{lead} {start} needs about {_labels(row['labels'])} labels ({NO_INTERVAL})."
    low = f"at most {_labels(row['least'])}" if row["low"] <= row["least"] else _labels(row["low"])
    return f"{lead} {start} needs about {_labels(row['labels'])} labels (95 % interval {low} to {high})."


@figures.styled
def draw_curve(data: BudgetData) -> Figure:
    """Accuracy by the number of labels, a line a start: the mean over seeds with its interval, and each seed."""
    figure = Figure(figsize=(figures.WIDTH + 1.2, 3.6), layout="constrained")
    axes = figure.add_subplot()
    main = data.curve.filter(pl.col("score") == MAIN)
    starts = main["start"].unique(maintain_order=True).to_list()
    for place, start in enumerate(starts):
        rows = main.filter(pl.col("start") == start).sort("labels")
        beside = DODGE ** (place - (len(starts) - 1) / 2)
        at, colour = (rows["labels"] * beside).to_list(), SERIES[place % len(SERIES)]
        axes.plot(at, rows["value"], "osD^vPX*"[place % 8] + "-", color=colour, markersize=4.5, label=start)
        for x, low, high in zip(at, rows["low"], rows["high"], strict=True):
            if _known(low, high):
                axes.plot([x, x], [low, high], color=colour, linewidth=1.8, alpha=0.45)
        seeds = data.cells.filter((pl.col("start") == start) & pl.col(MAIN).is_not_null())
        axes.plot(seeds["labels"] * beside, seeds[MAIN], ".", color=colour, markersize=3, alpha=0.5)
    axes.set_xscale("log")
    points = main.group_by("budget").agg(pl.col("labels").mean()).sort("budget")
    words = [f"{_labels(labels)}\n{budget:g} %" for budget, labels in points.rows()]
    axes.set_xticks(points["labels"].to_list(), words)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set(xlabel="labels that were used", ylabel="accuracy on the test part")
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(figures.percents())
    axes.tick_params(axis="x", labelcolor=LIGHT["ink"])
    figures.legend(axes, columns=3)
    return figure


def _labels(number: float) -> str:
    return f"{round(number):,}"


def _interval(low: float | None, high: float | None, sign: str = "", unit: str = "%") -> str:
    if not _known(low, high):
        return "n/a"
    return f"{100 * (low or 0):{sign}.1f} to {100 * (high or 0):{sign}.1f}\xa0{unit}".replace("-", "−")


def _known(low: float | None, high: float | None) -> bool:
    return low is not None and high is not None and math.isfinite(low) and math.isfinite(high)


def _and(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
