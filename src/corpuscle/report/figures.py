"""Figures drawn from finished numbers: plain data in, a matplotlib Figure out; no pyplot, no current figure."""

from __future__ import annotations

import functools
import io
import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import matplotlib as mpl
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from corpuscle.core.files import whole_file
from corpuscle.core.records import Score
from corpuscle.metrics.calibration import Bin
from corpuscle.report.style import DASHES, FIGURE_RC, HEAT_MOST, LIGHT, SERIES, TRAIN, VAL
from corpuscle.report.words import percent

WIDTH = 4.4  # inches: about as wide as a phone, so that the text keeps its size there
MOST_CELLS_WITH_TEXT = 16  # classes of a confusion matrix whose cells still hold a number
ACCURACY_AND_RECALL = {"accuracy": "accuracy", "recall": "recall"}
F = TypeVar("F", bound=Callable[..., Any])


def styled(draw: F) -> F:
    """Draw in the report's style and leave matplotlib's own settings as they were."""

    @functools.wraps(draw)
    def inner(*args: Any, **kwargs: Any) -> Any:
        with mpl.rc_context(FIGURE_RC), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing")  # the page's own fonts have it
            return draw(*args, **kwargs)

    return inner  # type: ignore[return-value]


@styled
def loss_curves(log: pl.DataFrame, log_over: float = math.inf) -> Figure:
    """Training and validation loss by epoch, stages shaded, the kept epoch marked.

    Args:
        log: a row an epoch.
        log_over: the scale is logarithmic where the largest loss is more than so many times the smallest.
    """
    figure, axes = _epochs(log, "loss")
    _lines(axes, log, {"training": ("train_loss", TRAIN, "-"), "validation": ("val_loss", VAL, "-")})
    _log_scale(axes, log, ("train_loss", "val_loss"), log_over)
    return figure


@styled
def score_curves(
    log: pl.DataFrame, names: Mapping[str, str] = ACCURACY_AND_RECALL, label: str = "share correct", share: bool = True
) -> Figure:
    """Scores by epoch, of both parts: the first a full line, the second dotted.

    Args:
        log: a row an epoch, with columns `train_<score>` and `val_<score>`.
        names: score to what it is called; without a name the part alone is.
        label: of the axis.
        share: whether the scores are shares, written as percentages.
    """
    figure, axes = _epochs(log, label)
    lines = {}
    for (name, title), dash in zip(names.items(), (DASHES[0], DASHES[2], DASHES[1], DASHES[3]), strict=False):
        lead = f"{title}, " if title else ""
        lines[f"{lead}training"] = (f"train_{name}", TRAIN, dash)
        lines[f"{lead}validation"] = (f"val_{name}", VAL, dash)
    _lines(axes, log, lines)
    if share:
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_formatter(percents())
    else:
        _log_scale(axes, log, [column for column, _, _ in lines.values()], 20)
    return figure


@styled
def learning_rate(log: pl.DataFrame) -> Figure:
    """The learning rate by epoch, small."""
    figure, axes = _epochs(log, "learning rate", height=1.5)
    axes.plot(log["epoch"], log["learning_rate"], color=TRAIN, drawstyle="steps-mid")
    rates = [rate for rate in log["learning_rate"] if rate]
    if rates and max(rates) > 20 * min(rates):
        axes.set_yscale("log")
        axes.set_ylim(max(min(rates), max(rates) * 1e-3) / 1.5, max(rates) * 1.5)
        axes.yaxis.set_major_locator(LogLocator(numticks=4))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:g}"))
    return figure


@styled
def confusion(
    counts: Sequence[Sequence[int]], classes: Sequence[str], short: Callable[[int], str] = str, least: float = 0.0
) -> Figure:
    """True classes in rows, predicted ones in columns; the tint is the share of the row, the number the count.

    Args:
        counts: a row a true class.
        classes: in the order of the rows.
        short: how a count is written.
        least: share of its row below which a cell stays without text.
    """
    matrix_KK = np.asarray(counts, dtype=float).reshape(len(classes), len(classes))
    share_KK = matrix_KK / np.maximum(matrix_KK.sum(1, keepdims=True), 1)
    side = min(7.5, 1.6 + 0.5 * len(classes)) if len(classes) > 3 else 3.2
    figure, axes = _axes(side + 0.6, side)
    axes.grid(False)
    with_text = len(classes) <= MOST_CELLS_WITH_TEXT
    for row, column in np.argwhere((matrix_KK > 0) | with_text):
        count, share = int(matrix_KK[row, column]), share_KK[row, column]
        cell = mpl.patches.Rectangle((column - 0.48, row - 0.48), 0.96, 0.96, fc=LIGHT["band"], ec="none")
        axes.add_patch(cell)
        if count:
            axes.add_patch(
                mpl.patches.Rectangle(cell.get_xy(), 0.96, 0.96, fc=LIGHT["heat"], alpha=HEAT_MOST * share, ec="none")
            )
        if count and with_text and share >= least:
            axes.text(column, row - 0.13, percent(share, 0), ha="center", va="center", size=9)
            axes.text(column, row + 0.22, short(count), ha="center", va="center", size=7.5)
    ticks = range(len(classes)) if len(classes) <= 60 else []
    names = [shortened(name, 16) for name in classes] if len(classes) <= 60 else []
    axes.set_xticks(ticks, names, rotation=40 if len(classes) > 3 else 0, ha="left" if len(classes) > 3 else "center")
    axes.set_yticks(ticks, names)
    axes.tick_params(length=0, labeltop=True, labelbottom=False, labelcolor=LIGHT["ink"])
    axes.set(xlim=(-0.5, len(classes) - 0.5), ylim=(len(classes) - 0.5, -0.5), ylabel="true class", aspect="equal")
    axes.set_xlabel("predicted class")
    axes.xaxis.set_label_position("top")
    axes.spines[:].set_visible(False)
    return figure


@styled
def reliability(before: Sequence[Bin], after: Sequence[Bin]) -> Figure:
    """How often the net is right against how sure it says it is, before and after temperature scaling."""
    figure = Figure(figsize=(WIDTH, 3.9), layout="constrained")
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    axes.plot([0, 1], [0, 1], color=LIGHT["muted"], linewidth=0.9, linestyle=DASHES[1])
    for bins, label, colour, marker, dash in (
        (before, "as the net says", VAL, "s", DASHES[2]),
        (after, "after temperature scaling", TRAIN, "o", "-"),
    ):
        axes.plot(
            [b.confidence for b in bins], [b.accuracy for b in bins], color=colour, marker=marker, ls=dash, label=label
        )
    axes.legend(loc="upper left")
    axes.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="share correct")
    for b in after:
        below.bar((b.low + b.high) / 2, b.n, width=(b.high - b.low) * 0.9, color=TRAIN, alpha=0.55)
    below.set(ylabel="images", xlabel="probability the net gives its answer")
    below.yaxis.set_major_locator(MaxNLocator(2, integer=True))
    below.grid(False)
    for one in (axes, below):
        one.xaxis.set_major_formatter(percents())
    axes.yaxis.set_major_formatter(percents())
    return figure


@styled
def whiskers(scores: Mapping[str, Score], label: str = "", share: bool = False) -> Figure:
    """A dot a score with its 95 % interval, in percent for a share; scores that are not defined are left out."""
    shown = {name: score for name, score in scores.items() if math.isfinite(score.value)}
    figure, axes = _axes(WIDTH, 0.75 + 0.27 * max(len(shown), 1))
    for place, score in enumerate(shown.values()):
        axes.plot(
            [score.low, score.high], [place, place], color=TRAIN, linewidth=2.4, alpha=0.45, solid_capstyle="round"
        )
        axes.plot([score.value], [place], "o", color=TRAIN, markersize=5)
    axes.set_yticks(range(len(shown)), [shortened(name, 24) for name in shown])
    axes.tick_params(axis="y", length=0, labelcolor=LIGHT["ink"])
    least = min((v for s in shown.values() for v in (s.value, s.low) if math.isfinite(v)), default=0)
    most = max((v for s in shown.values() for v in (s.value, s.high) if math.isfinite(v)), default=1)
    axes.set(
        xlim=(math.floor(least * 10 - 0.2) / 10, max(1.0, most) + 0.015), ylim=(len(shown) - 0.4, -0.6), xlabel=label
    )
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    if share:
        axes.xaxis.set_major_formatter(percents())
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    return figure


@styled
def class_counts(classes: Mapping[str, Mapping[str, int]], words: Mapping[str, str]) -> Figure:
    """How many images each class has in each part; `words` names the parts in order."""
    shown = list(classes)[:60]
    figure, axes = _axes(WIDTH, 1.0 + 0.25 * len(shown))
    start = np.zeros(len(shown))
    for place, (part, word) in enumerate(words.items()):
        counts = np.array([classes[name].get(part, 0) for name in shown], dtype=float)
        if counts.any():
            axes.barh(range(len(shown)), counts, left=start, height=0.68, color=SERIES[place], alpha=0.85, label=word)
            start += counts
    axes.set_yticks(range(len(shown)), [shortened(name, 24) for name in shown])
    axes.tick_params(axis="y", length=0, labelcolor=LIGHT["ink"])
    axes.set(ylim=(len(shown) - 0.5, -0.6), xlabel="images")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    if len(words) > 1:
        legend(axes, columns=3)
    return figure


@styled
def compared_curves(curves: Mapping[str, pl.DataFrame], column: str, label: str) -> Figure:
    """One column of several runs' logs by epoch."""
    figure, axes = _axes(WIDTH, 2.9)
    for place, (name, log) in enumerate(curves.items()):
        axes.plot(log["epoch"], log[column], label=shortened(name, 28), marker=_marker(log), **_series(place))
    axes.set(xlabel="epoch", ylabel=label)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    legend(axes)
    return figure


@styled
def compared_scores(scores: Mapping[str, Mapping[str, Score]]) -> Figure:
    """Scores of several runs with their intervals; run name to score name to score."""
    names = list(dict.fromkeys(name for run in scores.values() for name in run))
    figure, axes = _axes(WIDTH, 1.0 + len(names) * (0.12 + 0.14 * len(scores)))
    for place, (run, values) in enumerate(scores.items()):
        at = [names.index(name) + 0.7 * ((place + 0.5) / len(scores) - 0.5) for name in values]
        colour, marker = SERIES[place % len(SERIES)], "osD^vPX*"[place % 8]
        for height, score in zip(at, values.values(), strict=True):
            axes.plot([score.low, score.high], [height, height], color=colour, linewidth=1.8, alpha=0.45)
        axes.plot(
            [s.value for s in values.values()], at, marker, color=colour, label=shortened(run, 28), markersize=4.5
        )
    axes.set_yticks(range(len(names)), [shortened(name, 28) for name in names])
    axes.tick_params(axis="y", length=0, labelcolor=LIGHT["ink"])
    axes.set(ylim=(len(names) - 0.45, -0.55))
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    legend(axes)
    return figure


@styled
def as_svg(figure: Figure) -> str:
    """The figure as an SVG element to stand in a page: text stays text, colours follow the page's dress."""
    content = io.StringIO()
    figure.savefig(content, format="svg", metadata={"Date": None})
    svg = content.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # matplotlib counts them from 1 in each figure: not unique in a page
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    for role, colour in LIGHT.items():
        svg = svg.replace(colour, f"var(--{role})")
    return svg


@styled
def save_png(figure: Figure, path: Path) -> None:
    """Write the figure as a PNG file on a light ground."""
    with whole_file(path) as part:
        figure.savefig(part, format="png", dpi=150, facecolor=LIGHT["surface"])


def shortened(name: str, most: int) -> str:
    """A name cut in its middle to at most so many characters.

    >>> shortened("erythroblast", 9)
    'eryt…last'
    """
    half = (most - 1) // 2
    return name if len(name) <= most else f"{name[: most - 1 - half]}…{name[-half:]}"


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _epochs(log: pl.DataFrame, label: str, height: float = 2.9) -> tuple[Figure, Axes]:
    """Axes over the epochs with the stages behind and the kept epoch marked."""
    figure, axes = _axes(WIDTH, height)
    first, last = float(log["epoch"].min()), float(log["epoch"].max())  # type: ignore[arg-type]
    axes.set(xlim=(first - 0.5, last + 0.5), xlabel="epoch", ylabel=label)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True) if last > first else FixedLocator([first]))
    stages = log.group_by("stage", maintain_order=True).agg(
        pl.col("epoch").min().alias("first"), pl.col("epoch").max().alias("last"), pl.col("train").first()
    )
    for place, stage in enumerate(stages.iter_rows(named=True) if len(stages) > 1 else ()):
        if place % 2 == 0:
            axes.axvspan(stage["first"] - 0.5, stage["last"] + 0.5, color=LIGHT["band"], zorder=0, linewidth=0)
        middle = (stage["first"] + stage["last"]) / 2
        words = {"head": "head only", "probe": "head in one go", "all": "whole net"}.get(stage["train"], stage["train"])
        axes.annotate(
            words, (middle, 1), (0, 2), ("data", "axes fraction"), "offset points", ha="center", va="bottom", size=8
        )
    if "best" in log.columns and log["best"].any():
        axes.axvline(log.filter("best")["epoch"][-1], color=LIGHT["muted"], linewidth=0.9, linestyle=DASHES[1])
    return figure, axes


def _lines(axes: Axes, log: pl.DataFrame, lines: Mapping[str, tuple[str, str, Any]]) -> None:
    for label, (column, colour, dash) in lines.items():
        if column in log.columns and log[column].is_not_null().any():
            seen = log.drop_nulls(column)
            axes.plot(seen["epoch"], seen[column], label=label, color=colour, linestyle=dash, marker=_marker(log))
    legend(axes, over=1.08 if log["stage"].n_unique() > 1 else 1.0)


def _log_scale(axes: Axes, log: pl.DataFrame, columns: Sequence[str], log_over: float) -> None:
    """A logarithmic scale where the numbers go over more than so many times their least."""
    values = [value for name in columns if name in log.columns for value in log[name] if value is not None]
    if values and min(values) > 0 and max(values) > log_over * min(values):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    elif values and math.isfinite(log_over):
        axes.set_ylim(bottom=0)


def legend(axes: Axes, columns: int = 2, over: float = 1.0) -> None:
    """The key above the axes, `over` that share of their height."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, over), ncols=columns, borderaxespad=0.2, handlelength=1.8)


def percents() -> FuncFormatter:
    """Ticks of shares as percentages."""
    return FuncFormatter(lambda share, _: f"{100 * share:.3g}\u2009%")


def _marker(log: pl.DataFrame) -> str:
    return "o" if len(log) <= 3 else ""


def _series(place: int) -> dict[str, Any]:
    return {"color": SERIES[place % len(SERIES)], "linestyle": DASHES[place % len(DASHES)]}
