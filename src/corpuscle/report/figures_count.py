"""Figures of counts: predicted against true, Bland–Altman, the intervals, and how the true counts are spread."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from corpuscle.report.figures import WIDTH, legend, shortened, styled
from corpuscle.report.kind_counts import KindCounts
from corpuscle.report.style import DASHES, LIGHT, TRAIN, VAL
from corpuscle.report.words import written

MOST_POINTS = 1200  # images of a scatter; more are drawn from at random
MOST_BARS = 100  # images of the interval figure
SKEWED = 8  # times the median that the largest count is, from where on the scale is by square roots
ROOT_TICKS = (0, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000)
TICK_GAP = 0.1  # least distance of two ticks, as a share of the axis
PARTS = {"training": (TRAIN, "-"), "validation": (VAL, DASHES[1]), "test": (LIGHT["series-2"], DASHES[2])}


@styled
def predicted_against_true(kinds: Mapping[str, KindCounts]) -> Figure:
    """Predicted against true counts with the identity line and each count's interval; a panel a kind."""

    def draw(axes: Axes, counts: KindCounts) -> None:
        shown = counts.thinned(MOST_POINTS)
        most = 1.04 * max(1.0, *(float(np.nanmax(v)) for v in (counts.true_N, counts.count_N)), _top(shown.high_N))
        axes.plot([0, most], [0, most], color=LIGHT["muted"], linewidth=0.9, linestyle=DASHES[1])
        missed_N = shown.missed_N
        for picked_N, colour, label in (
            (~missed_N, TRAIN, "interval holds the truth"),
            (missed_N, VAL, "interval misses it"),
        ):
            some = shown.at(np.flatnonzero(picked_N))
            label = label if some.has_interval_N.any() else ""
            _bars(axes, some.true_N, some.low_N, some.high_N, color=colour, linewidth=1.0, alpha=0.4)
            axes.plot(some.true_N, some.count_N, "o", color=colour, markersize=3.2, alpha=0.85, label=label)
        _count_scale(axes, counts.true_N, most, "xy")
        axes.set_aspect("equal")

    return _panels(kinds, draw, ("true count", "predicted count"), 4.1)


@styled
def bland_altman(kinds: Mapping[str, KindCounts]) -> Figure:
    """Difference of predicted and true count against their mean, with the limits of agreement; a panel a kind.

    Bland & Altman, Statistical methods for assessing agreement between two methods of clinical measurement, 1986.
    """

    def draw(axes: Axes, counts: KindCounts) -> None:
        shown = counts.thinned(MOST_POINTS)
        middle_N, off_N = (shown.true_N + shown.count_N) / 2, shown.count_N - shown.true_N
        agreement = limits_of_agreement(counts)
        axes.plot(middle_N, off_N, "o", color=TRAIN, markersize=3.2, alpha=0.7)
        largest = max((abs(value) for value, _, _ in agreement), default=0.0)
        for value, half, dash in agreement:
            axes.axhspan(value - half, value + half, color=LIGHT["series-7"], alpha=0.14, linewidth=0)
            axes.axhline(value, color=LIGHT["ink"], linewidth=0.9, linestyle=dash)
            axes.annotate(
                written(value, "signed", largest),
                (1, value),
                (3, 0),
                ("axes fraction", "data"),
                "offset points",
                va="center",
                size=8,
            )
        axes.axhline(0, color=LIGHT["muted"], linewidth=0.6)
        most = 1.04 * max(1.0, float(((counts.true_N + counts.count_N) / 2).max()))
        _count_scale(axes, counts.true_N, most, "x")

    return _panels(kinds, draw, ("mean of predicted and true", "predicted − true"), 3.3)


def limits_of_agreement(counts: KindCounts) -> list[tuple[float, float, str | tuple[float, tuple[float, ...]]]]:
    """The mean difference and the two limits, each with half the width of its 95 % band and how it is drawn.

    The standard error of a limit is about the root of 3 s²/n (Bland & Altman 1986); below three images there are none.
    """
    from scipy.stats import t

    off_N = counts.count_N - counts.true_N
    n = len(off_N)
    if n < 3:
        return []
    mean, spread, quantile = float(off_N.mean()), float(off_N.std(ddof=1)), float(t.ppf(0.975, n - 1))
    limit = quantile * spread * math.sqrt(3 / n)
    return [
        (mean, quantile * spread / math.sqrt(n), "-"),
        (mean - 1.96 * spread, limit, DASHES[1]),
        (mean + 1.96 * spread, limit, DASHES[1]),
    ]


@styled
def intervals(kinds: Mapping[str, KindCounts]) -> Figure:
    """Each image's interval and true count, in order of the true counts; a panel a kind."""

    def draw(axes: Axes, counts: KindCounts) -> None:
        there = counts.at(np.flatnonzero(counts.has_interval_N))
        order = np.lexsort((there.count_N, there.true_N))
        picked = np.unique(np.linspace(0, len(order) - 1, min(len(order), MOST_BARS)).round().astype(int))
        shown = there.at(order[picked])
        at_N, missed_N = np.arange(len(shown)), shown.missed_N
        width = max(0.8, min(5.0, 110 / max(len(shown), 1)))
        for picked_N, colour, alpha, label in (
            (~missed_N, TRAIN, 0.55, "interval"),
            (missed_N, VAL, 0.85, "interval that misses"),
        ):
            look = {"color": colour, "alpha": alpha, "linewidth": width, "label": label if picked_N.any() else ""}
            _bars(axes, at_N[picked_N], shown.low_N[picked_N], shown.high_N[picked_N], **look)
        axes.plot(at_N, shown.true_N, "o", color=LIGHT["ink"], markersize=2.4, label="true count")
        axes.set_xlim(-1, max(len(shown), 1))
        _count_scale(axes, there.true_N, 1.04 * max(1.0, _top(shown.high_N), _top(shown.true_N)), "y")
        axes.set_xticks([])
        axes.grid(axis="x", visible=False)

    return _panels(kinds, draw, ("images, in order of their true count", "count"), 3.1)


@styled
def distribution(kinds: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """How the true counts of each part's images are spread, as shares of the part; a panel a kind."""

    def draw(axes: Axes, parts: Mapping[str, np.ndarray]) -> None:
        every_N = np.concatenate(list(parts.values()))
        most = max(1.0, float(every_N.max()))
        edges = _edges(every_N)
        for part, counts_N in parts.items():
            colour, dash = PARTS.get(part, (LIGHT["series-7"], "-"))
            share = np.histogram(counts_N, edges)[0] / len(counts_N)
            axes.stairs(share, edges, color=colour, linestyle=dash, linewidth=1.5, label=part)
            if part == "training":
                axes.stairs(share, edges, color=colour, fill=True, alpha=0.14, linewidth=0)
        _count_scale(axes, every_N, 1.02 * max(most, edges[-1]), "x")
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.3g}\u2009%"))

    return _panels(kinds, draw, ("true count of an image", "images of the part"), 2.6)


def evenly_coloured(share_HW: np.ndarray) -> np.ndarray:
    """Shares from 0 to 1 as colours_HW3 (uint8) of viridis, whose steps look alike everywhere."""
    colours = mpl.colormaps["viridis"](np.clip(share_HW, 0, 1), bytes=True)
    return np.ascontiguousarray(colours[..., :3])


def _panels(
    kinds: Mapping[str, KindCounts] | Mapping[str, Mapping[str, np.ndarray]],
    draw: Callable[..., None],
    labels: Sequence[str],
    height: float,
) -> Figure:
    """A panel a kind, two beside one another; the labels stand once, the key above."""
    columns = min(len(kinds), 2)
    rows = math.ceil(len(kinds) / max(columns, 1))
    tall = height if columns < 2 else rows * (0.55 * height) + 0.5
    figure = Figure(figsize=(WIDTH, tall), layout="constrained")
    drawn = []
    for place, (kind, content) in enumerate(kinds.items()):
        axes = figure.add_subplot(rows, columns, place + 1)
        draw(axes, content)
        if columns > 1:
            axes.set_title(shortened(kind, 24), size=9, color=LIGHT["ink"], loc="left")
        drawn.append(axes)
    if columns == 1:
        drawn[0].set(xlabel=labels[0], ylabel=labels[1])
        legend(drawn[0], columns=3)
    elif drawn:
        figure.supxlabel(labels[0], size=9, color=LIGHT["muted"])
        figure.supylabel(labels[1], size=9, color=LIGHT["muted"])
        keys = {label: line for axes in drawn for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
        if keys:
            figure.legend(keys.values(), keys.keys(), loc="outside upper left", ncols=3, handlelength=1.8)
    return figure


def _bars(axes: Axes, at_N: np.ndarray, low_N: np.ndarray, high_N: np.ndarray, **look: object) -> None:
    """Upright bars as one line with gaps, which keeps the page small."""
    gap_N = np.full(len(at_N), np.nan)
    x_M = np.stack([at_N, at_N, gap_N], axis=1).ravel()
    y_M = np.stack([low_N, high_N, gap_N], axis=1).ravel()
    axes.plot(x_M, y_M, "-", solid_capstyle="butt", **look)  # type: ignore[arg-type]


def _count_scale(axes: Axes, true_N: np.ndarray, most: float, which: str) -> None:
    """Axes of counts from 0 on, by square roots where a few images hold most of the objects."""
    for name in which:
        axis = axes.xaxis if name == "x" else axes.yaxis
        if _is_skewed(true_N):
            (axes.set_xscale if name == "x" else axes.set_yscale)("function", functions=(_root, np.square))
            ticks: list[int] = []
            for tick in (tick for tick in ROOT_TICKS if tick <= most):
                if not ticks or math.sqrt(tick) - math.sqrt(ticks[-1]) > TICK_GAP * math.sqrt(most):
                    ticks.append(tick)
            axis.set_major_locator(FixedLocator(ticks))
        else:
            axis.set_major_locator(MaxNLocator(5, integer=True))
        axis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))
        (axes.set_xlim if name == "x" else axes.set_ylim)(0 if _is_skewed(true_N) else -0.02 * most, most)


def _is_skewed(true_N: np.ndarray) -> bool:
    return bool(len(true_N)) and float(true_N.max()) > SKEWED * (float(np.median(true_N)) + 1)


def _root(value_N: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(value_N, 0))


def _edges(true_N: np.ndarray) -> np.ndarray:
    """Edges of bins at half numbers, at most 20 and fewer for few images, even on the scale they are drawn in."""
    most_bins = min(20, max(6, round(2 * math.sqrt(len(true_N)))))
    least, most = (0.0 if _is_skewed(true_N) else float(true_N.min())), float(true_N.max())
    if _is_skewed(true_N):
        edges = np.square(np.linspace(0, math.sqrt(most + 1), most_bins + 1)).round() - 0.5
        return np.unique(np.maximum(edges, 0.0))
    step = max(1, math.ceil((most - least + 1) / most_bins))
    return np.arange(least - 0.5, most + 0.5 + step, step)


def _top(values_N: np.ndarray) -> float:
    there_N = values_N[np.isfinite(values_N)]
    return float(there_N.max()) if len(there_N) else 0.0
