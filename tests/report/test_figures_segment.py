"""Figures of masks hold the numbers they are drawn from."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from corpuscle.core.records import Score
from corpuscle.report import figures_segment
from corpuscle.report.part import MaskPart
from corpuscle.report.run_data import read_run

MakeRun = Callable[..., Path]


def part(classes: int = 3) -> MaskPart:
    scores = {"dice": Score(0.8, 0.7, 0.9, 9, 9, "max"), "iou": Score(0.67, 0.55, 0.8, 9, 9, "max")}
    names = [f"<kind {k}> $a_b$" for k in range(classes)]
    matrix = tuple(tuple(2_000_000 if row == column else 1 for column in range(classes)) for row in range(classes))
    return MaskPart(
        "test", 9, 9, {}, dict.fromkeys(names, scores), dict.fromkeys(names, 5), dict.fromkeys(names, 2), matrix
    )


def test_each_class_has_its_dice_and_its_iou() -> None:
    figure = figures_segment.class_scores(part())
    assert figure is not None
    drawn = {line.get_label(): list(line.get_xdata()) for line in figure.axes[0].lines}
    assert drawn["Dice"] == [0.8] * 3 and drawn["IoU"] == [0.67] * 3
    assert figure.axes[0].xaxis.get_major_formatter()(0.825) == "82.5\u2009%"


def test_classes_without_a_score_are_left_out() -> None:
    one = part()
    nothing = {name: replace(score, value=math.nan) for name, score in next(iter(one.per_class.values())).items()}
    kinds = list(one.per_class)
    figure = figures_segment.class_scores(replace(one, per_class={**one.per_class, kinds[0]: nothing}))
    assert figure is not None
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == kinds[1:]
    assert figures_segment.class_scores(replace(one, per_class=dict.fromkeys(kinds, nothing))) is None


def test_the_confusion_tells_pixels_short_and_leaves_specks_without_text() -> None:
    texts = [text.get_text() for text in figures_segment.pixel_confusion(part()).axes[0].texts]
    assert texts == ["100\xa0%", "2.0M"] * 3


def test_every_image_lies_in_a_bin_and_the_line_is_the_median() -> None:
    axes = figures_segment.image_scores(np.array([0.0, 0.2, 0.9, 1.0, 1.0])).axes[0]
    assert sum(bar.get_height() for bar in axes.patches) == 5
    assert axes.lines[0].get_xdata()[0] == 0.9


def test_forty_classes_can_be_drawn(make_segment_run: MakeRun) -> None:
    classes = ("background", *(f"kind {k}" for k in range(39)))
    run = read_run(make_segment_run(classes=classes, images=3, absent=()))
    assert isinstance(run.main_part, MaskPart)
    assert len(figures_segment.pixel_confusion(run.main_part).axes[0].get_yticklabels()) == 40
