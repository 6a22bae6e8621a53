"""Figures say what the numbers say, whatever the classes are called, and leave matplotlib as it was."""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import polars as pl
import pytest
from PIL import Image

from corpuscle.core.records import Score
from corpuscle.metrics.calibration import Bin
from corpuscle.report import figures, style

LOG = pl.DataFrame(
    {
        "epoch": [1, 2, 3, 4],
        "stage": [1, 1, 2, 2],
        "train": ["head", "head", "all", "all"],
        "learning_rate": [0.1, 0.1, 0.001, 0.0],
        "train_loss": [2.0, 1.0, 0.5, 0.4],
        "val_loss": [2.1, 1.4, None, 1.2],
        "train_accuracy": [0.3, 0.5, 0.8, 0.9],
        "best": [True, False, True, False],
    }
)


def texts(svg: str) -> list[str]:
    return ["".join(node.itertext()) for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("}text")]


def test_loss_curves_hold_both_lines_the_stages_and_the_last_best_epoch() -> None:
    axes = figures.loss_curves(LOG).axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    assert list(lines["training"].get_ydata()) == [2.0, 1.0, 0.5, 0.4]
    assert list(lines["validation"].get_xdata()) == [1, 2, 4]  # not every epoch is validated
    assert lines["validation"].get_ydata()[-1] == 1.2
    assert [text.get_text() for text in axes.texts] == ["head only", "whole net"]
    assert [list(line.get_xdata()) for line in axes.lines if line.get_linestyle() == "--"] == [[3, 3]]


def test_a_column_that_is_not_there_draws_no_line() -> None:
    labels = {line.get_label() for line in figures.score_curves(LOG).axes[0].lines}
    assert "accuracy, training" in labels and "recall, validation" not in labels


def test_a_single_epoch_is_a_point_that_can_be_seen() -> None:
    axes = figures.loss_curves(LOG.head(1)).axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    assert lines["training"].get_marker() == "o" and axes.get_xlim() == (0.5, 1.5)


@pytest.mark.parametrize("rates", [[0.1, 0.1, 0.001, 0.0], [0.1] * 4, [0.0] * 4])
def test_any_learning_rate_can_be_drawn(rates: list[float]) -> None:
    axes = figures.learning_rate(LOG.with_columns(learning_rate=pl.Series(rates))).axes[0]
    assert axes.get_yscale() == ("log" if rates[2] == 0.001 else "linear")


def test_the_confusion_matrix_is_normalised_by_row_and_keeps_its_counts() -> None:
    shown = [text.get_text() for text in figures.confusion([[3, 1], [0, 0]], ["a", "b"]).axes[0].texts]
    assert shown == ["75\xa0%", "3", "25\xa0%", "1"]


def test_a_confusion_matrix_of_many_classes_is_drawn_without_numbers() -> None:
    counts = [[5 if i == j else 0 for j in range(80)] for i in range(80)]
    assert not figures.confusion(counts, [str(k) for k in range(80)]).axes[0].texts


def test_scores_that_are_not_defined_are_left_out() -> None:
    scores = {"a": Score(0.9, 0.8, 0.95, 10, 5, "max"), "b": Score(math.nan, math.nan, math.nan, 10, 5, "max")}
    axes = figures.whiskers(scores).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a"]
    assert list(axes.lines[0].get_xdata()) == [0.8, 0.95]
    assert figures.whiskers({}) is not None


def test_the_reliability_diagram_shows_both_curves() -> None:
    axes = figures.reliability([Bin(0.8, 0.9, 0.85, 0.7, 9)], [Bin(0.7, 0.8, 0.75, 0.72, 9)]).axes[0]
    points = {line.get_label(): (line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines}
    assert points["as the net says"] == (0.85, 0.7) and points["after temperature scaling"] == (0.75, 0.72)


def test_awkward_class_names_stay_text_in_the_svg() -> None:
    names = ["<script>alert(1)</script>", "$a_b$ & co"]
    svg = figures.as_svg(figures.class_counts({name: {"train": 3} for name in names}, {"train": "training"}))
    assert "<script" not in svg and "$a_b$ & co" in texts(svg)


def test_the_svg_follows_the_dress_of_the_page_and_names_nothing_outside() -> None:
    svg = figures.as_svg(figures.loss_curves(LOG))
    assert "var(--series-0)" in svg and style.LIGHT["series-0"] not in svg
    assert "<metadata" not in svg and 'href="http' not in svg
    ids = [node.get("id") for node in ElementTree.fromstring(svg).iter() if node.get("id")]
    assert not any(name.startswith(("figure", "axes", "text")) for name in ids if name)


def test_the_same_numbers_give_the_same_svg() -> None:
    assert figures.as_svg(figures.loss_curves(LOG)) == figures.as_svg(figures.loss_curves(LOG))


def test_the_figures_leave_the_settings_of_matplotlib_alone(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    figures.save_png(figures.loss_curves(LOG), tmp_path / "inner" / "loss.png")
    assert dict(mpl.rcParams) == before
    assert Image.open(tmp_path / "inner" / "loss.png").width == 660


@pytest.mark.parametrize("palette", [style.LIGHT, style.DARK])
def test_every_colour_that_carries_text_stands_off_its_ground(palette: dict[str, str]) -> None:
    for role, colour in palette.items():
        if role in {"ink", "muted", "good"} or role.startswith("series-"):
            for ground in ("ground", "surface", "band"):
                assert style.contrast(colour, palette[ground]) >= 4.5, (role, ground)
    assert style.contrast(palette["warn"], palette["warn-ground"]) >= 4.5
    channels = [(int(palette["heat"][i : i + 2], 16), int(palette["band"][i : i + 2], 16)) for i in (1, 3, 5)]
    fullest = "#" + "".join(
        f"{round(style.HEAT_MOST * heat + (1 - style.HEAT_MOST) * band):02x}" for heat, band in channels
    )
    assert style.contrast(palette["ink"], fullest) >= 4.5
    assert palette.keys() == style.LIGHT.keys() and len(set(palette.values())) == len(palette)
