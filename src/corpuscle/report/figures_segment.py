"""Figures of masks: the classes' scores side by side, what is taken for what, and how the images fare."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from corpuscle.core.records import Score
from corpuscle.report.figures import WIDTH, compared_scores, confusion, percents, styled
from corpuscle.report.part import MaskPart
from corpuscle.report.score_words import title_of
from corpuscle.report.style import DASHES, LIGHT, TRAIN
from corpuscle.report.words_segment import short_count

BARS = 20  # of the histogram, from 0 to 1
LEAST_TOLD = 0.005  # share of a class's pixels whose cell holds text: the others would say 0 %
OF_CLASSES = ("dice", "iou")


def class_scores(part: MaskPart) -> Figure | None:
    """Dice and IoU of each class with their intervals; None where no class has any."""
    shown: dict[str, dict[str, Score]] = {
        title_of(name, "segment"): {
            kind: scores[name]
            for kind, scores in part.per_class.items()
            if name in scores and math.isfinite(scores[name].value)
        }
        for name in OF_CLASSES
    }
    if not any(shown.values()):
        return None
    figure = compared_scores(shown)
    figure.axes[0].xaxis.set_major_formatter(percents())
    return figure


def pixel_confusion(part: MaskPart) -> Figure:
    """True classes in rows, predicted ones in columns, in shares of the row's pixels."""
    return confusion(part.confusion, list(part.per_class), short_count, LEAST_TOLD)


@styled
def image_scores(dice_N: np.ndarray) -> Figure:
    """How many images reach which Dice, with the median."""
    figure = Figure(figsize=(WIDTH, 2.4), layout="constrained")
    axes = figure.add_subplot()
    axes.hist(dice_N, BARS, range=(0, 1), color=TRAIN, alpha=0.75, rwidth=0.92)
    axes.axvline(float(np.median(dice_N)), color=LIGHT["ink"], linewidth=0.9, linestyle=DASHES[1])
    axes.set(xlabel="Dice of the image", ylabel="images", xlim=(0, 1))
    axes.xaxis.set_major_formatter(percents())
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.grid(axis="x", visible=False)
    return figure
