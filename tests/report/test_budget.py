"""The page of label budgets says what its numbers say: gains, losses, no difference, labels that were not enough."""

import json
import math

import polars as pl
import pytest

from corpuscle.core.errors import CorpuscleError
from corpuscle.report.budget import answer, draw_curve, gains, levels, read_budget, write_budget_report

FACTS = {
    "data": "cells",
    "told": "train (126 images) and test (54 images)",
    "images": {"train": 126, "val": 0, "test": 54},
    "starts": {"scratch": "the recipe as it is", "contrast": "linear probe on the frozen encoder of runs/contrast"},
    "pretrained": [],
    "unlabelled": None,
    "scratch_weights": "none",
    "command": "corpuscle budget cells --starts scratch,runs/<b>",
}
NO_GAIN = (None, None, None)


def point(start, budget, labels, value, gain=NO_GAIN, score="accuracy"):
    row = {"start": start, "budget": budget, "labels": labels, "fewest": 1, "seeds": 3, "score": score, "value": value}
    row |= {"low": value - 0.1, "high": value + 0.1, "n": 54, "groups": 54, "pairs": 0 if gain == NO_GAIN else 3}
    return row | dict(zip(("gain", "gain_low", "gain_high"), gain, strict=True))


def cell(start, budget, labels, seed, accuracy, fault=None):
    row = {"budget": budget, "labels": labels, "start": start, "seed": seed}
    for name in ("accuracy", "balanced_accuracy", "f1_macro"):
        row |= {name: accuracy, f"{name}_low": accuracy, f"{name}_high": accuracy}
    return row | {"seconds": 2.0, "run": f"runs/{budget:g}-{start}-{seed}", "fault": fault}


@pytest.fixture
def folder(tmp_path):
    curve = [
        point("scratch", 100.0, 126, 0.8),
        point("scratch", 10.0, 13, 0.5),
        point("scratch", 1.0, 5, 0.4),
        point("contrast", 100.0, 126, 0.75, (-0.05, -0.08, -0.02)),
        point("contrast", 10.0, 13, 0.7, (0.2, 0.1, 0.3)),
        point("contrast", 1.0, 5, 0.4, (0.0, -0.1, 0.1)),
    ]
    curve += [row | {"score": "f1_macro", "gain": None} for row in curve]
    cells = [cell(row["start"], row["budget"], row["labels"], 0, row["value"]) for row in curve[:6]]
    cells.append(cell("contrast", 1.0, 5, 1, None, "the loss is <b>not</b> finite"))
    needed = [
        ("scratch", "accuracy", 0.9, "asked", math.inf, 60.0, math.inf, 5.0, 126.0),
        ("contrast", "accuracy", 0.9, "asked", math.inf, math.inf, math.inf, 5.0, 126.0),
        ("contrast", "accuracy", 0.725, "asked", 40.0, 9.0, math.inf, 5.0, 126.0),
        ("contrast", "accuracy", 0.3, "asked", 5.0, 5.0, 9.0, 5.0, 126.0),
        ("contrast", "accuracy", 0.8, "scratch with the most labels", 100.0, 5.0, 120.0, 5.0, 126.0),
    ]
    names = ("start", "score", "level", "why", "labels", "low", "high", "least", "most")
    pl.DataFrame(curve, infer_schema_length=None).write_csv(tmp_path / "curve.csv")
    pl.DataFrame(cells, infer_schema_length=None).write_csv(tmp_path / "budget.csv")
    pl.DataFrame(needed, schema=names, orient="row").write_csv(tmp_path / "needed.csv")
    (tmp_path / "budget.json").write_text(json.dumps(FACTS))
    return tmp_path


def test_the_answer_says_where_pretraining_gains_and_where_it_loses(folder):
    assert answer(read_budget(folder)) == (
        "Against starting from nothing, by accuracy: contrast gains at 10 %, loses at 100 % and shows no difference at "
        "the others."
    )


def test_a_gain_without_an_interval_is_no_word_on_a_difference(folder):
    curve = pl.read_csv(folder / "curve.csv")
    few = pl.col("budget") == 1
    ends = [pl.when(few).then(math.nan).otherwise(name).alias(name) for name in ("gain_low", "gain_high")]
    curve.with_columns(ends).write_csv(folder / "curve.csv")
    assert answer(read_budget(folder)).endswith(
        "contrast gains at 10 %, loses at 100 % and cannot be judged at 1 % (too few groups)."
    )
    none = [pl.lit(None, pl.Float64).alias(name) for name in ("gain_low", "gain_high")]
    curve.with_columns(none).write_csv(folder / "curve.csv")
    assert answer(read_budget(folder)).endswith("contrast cannot be judged at any budget (too few groups).")


def test_labels_that_are_needed_have_no_interval_where_the_curve_has_none(folder):
    needed = [
        ("contrast", "accuracy", 0.725, "asked", 40.0, math.inf, math.inf, 5.0, 126.0),
        ("contrast", "accuracy", 0.3, "asked", 5.0, math.inf, math.inf, 5.0, 126.0),
    ]
    pl.DataFrame(needed, schema=pl.read_csv(folder / "needed.csv").columns, orient="row").write_csv(
        folder / "needed.csv"
    )
    assert levels(read_budget(folder)) == [
        "For 30 % accuracy contrast needs at most 5 labels, the fewest tried (no interval: too few groups).",
        "For 72.5 % accuracy contrast needs about 40 labels (no interval: too few groups).",
    ]


def test_a_recipe_that_starts_from_weights_is_not_called_nothing(folder):
    (folder / "budget.json").write_text(json.dumps(FACTS | {"scratch_weights": "imagenet"}))
    assert answer(read_budget(folder)).startswith("Against the recipe's own start (imagenet), by accuracy: ")


def test_each_difference_is_a_sentence_with_its_interval(folder):
    assert gains(read_budget(folder)) == [
        "With 1 % of the labels (n = 5) no difference between contrast and starting from nothing is shown (+0.0 "
        "points, 95 % interval −10.0 to +10.0, 3 seeds).",
        "With 10 % of the labels (n = 13) contrast gains 20.0 points of accuracy over starting from nothing (95 % "
        "interval 10.0 to 30.0, 3 seeds).",
        "With 100 % of the labels (n = 126) contrast loses 5.0 points of accuracy against starting from nothing (95 % "
        "interval 2.0 to 8.0, 3 seeds).",
    ]


def test_labels_that_are_needed_are_told_with_what_is_not_known(folder):
    assert levels(read_budget(folder)) == [
        "For 30 % accuracy contrast needs at most 5 labels, the fewest tried (95 % interval up to 9).",
        "For 72.5 % accuracy contrast needs about 40 labels (95 % interval 9 to more than 126).",
        "To be as good as scratch with the most labels contrast needs about 100 labels (95 % interval at most 5 to "
        "120).",
        "For 90 % accuracy 126 labels are not enough for scratch (the upper end of its interval is there from 60 on).",
        "For 90 % accuracy 126 labels are not enough for contrast.",
    ]


def test_the_page_is_whole_and_escapes_what_comes_from_data(folder):
    page = write_budget_report(folder).read_text()
    assert "<svg" in page and "default-src 'none'" in page and "https:" not in page
    assert "the loss is &lt;b&gt;not&lt;/b&gt; finite" in page and "runs/&lt;b&gt;" in page
    assert "1 training could not be done" in page and page.count("left out</td>") == 1
    assert "+20.0&nbsp;points" in page and "+10.0 to +30.0\xa0points" in page
    assert "sees each image once and as it is" in page  # for one of the starts is a probe
    assert "keeps its" not in page  # there is no validation part
    assert (folder / "figures" / "curve.png").is_file()


def test_the_curve_has_a_line_for_each_start_in_the_order_of_the_table(folder):
    axes = draw_curve(read_budget(folder)).axes[0]
    handles, names = axes.get_legend_handles_labels()
    assert names == ["scratch", "contrast"] and handles[1].get_ydata().tolist() == [0.4, 0.7, 0.75]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["5\n1 %", "13\n10 %", "126\n100 %"]


def test_a_folder_without_a_table_is_refused(tmp_path):
    with pytest.raises(
        CorpuscleError, match=r"expected the folder of a table of label budgets, .* has no budget\.json"
    ):
        read_budget(tmp_path)
