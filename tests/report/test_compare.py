"""Runs side by side: the same epochs, the same part, and differences in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from corpuscle.core.errors import CorpuscleError
from corpuscle.report.compare import Difference, Spread, compare_runs, write_comparison

MakeRun = Callable[..., Path]


def test_curves_end_at_the_last_epoch_that_all_runs_have(make_run: MakeRun) -> None:
    comparison = compare_runs([make_run("long", epochs=12), make_run("short", epochs=7)])
    assert comparison.epochs == 7
    assert {name: log["epoch"].max() for name, log in comparison.curves.items()} == {"long": 7, "short": 7}


def test_the_part_is_the_one_that_every_run_was_scored_on(make_run: MakeRun) -> None:
    both, val = make_run("both"), make_run("val", parts=("val",))
    assert compare_runs([both, both], ["a", "b"]).part == "test"
    assert compare_runs([both, val]).part == "val"
    with pytest.raises(CorpuscleError, match="expects a part that every run was scored on, got val: val; test: test;"):
        compare_runs([val, make_run("test", parts=("test",))])


def test_runs_on_other_images_are_marked(make_run: MakeRun, tmp_path: Path) -> None:
    one, other = make_run("one"), make_run("other")
    assert compare_runs([one, other]).same_images is True
    frame = pl.read_csv(other / "predictions.csv")
    frame.filter(pl.col("image") != frame["image"][0]).write_csv(other / "predictions.csv")
    comparison = compare_runs([one, other])
    assert comparison.same_images is False
    assert "not scored on the same images" in write_comparison(comparison, tmp_path / "out").read_text(encoding="utf-8")
    (other / "predictions.csv").unlink()
    assert compare_runs([one, other]).same_images is None


def test_a_comparison_is_written_as_a_page_and_tables(make_run: MakeRun, tmp_path: Path) -> None:
    difference = Difference("balanced_accuracy", "<b>a</b>", "b", 0.021, 0.004, 0.039, 96)
    runs = [make_run("x", epochs=3), make_run("y", epochs=5)]
    page = write_comparison(compare_runs(runs, ["<b>a</b>", "b"], [difference]), tmp_path / "out")
    source = page.read_text(encoding="utf-8")
    assert page == tmp_path / "out" / "comparison.html"
    assert "<b>a</b>" not in source and "is above b by 2.1 points of balanced accuracy" in source
    assert "Up to epoch 3" in source and "src=" not in source and 'href="http' not in source
    assert len(pl.read_csv(tmp_path / "out" / "scores.csv")) == 20
    assert len(pl.read_csv(tmp_path / "out" / "curves.csv")) == 6
    assert pl.read_csv(tmp_path / "out" / "differences.csv")["low"].to_list() == [0.004]
    figures = {figure.stem for figure in (tmp_path / "out" / "figures").glob("*.png")}
    assert figures == {"scores", "train-loss", "val-loss", "val-accuracy", "val-recall"}


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        (
            Difference("auroc", "a", "b", -0.003, -0.012, 0.005, 1200),
            "a is below b by 0.003 of AUROC (95 % interval -0.005 to 0.012, 1,200 images): chance could explain it.",
        ),
        (
            Difference("accuracy", "a", "b", -0.03, -0.05, -0.01, 9),
            "a is below b by 3.0 points of accuracy (95 % interval 1.0 to 5.0, 9 images): more than chance explains.",
        ),
        (
            Difference("kappa", "a", "b", 0.0, 0.0, 0.0, 9),
            "a and b are equal in Cohen's kappa (9 images).",
        ),
        (
            Difference("accuracy", "a", "b", 0.0, -0.02, 0.03, 9),
            "a and b are equal in accuracy (95 % interval of the difference -2.0 to 3.0 points, 9 images).",
        ),
        (
            Difference("mae", "a", "b", -0.314, -0.52, -0.1, 100, "min", "count"),
            "a is below b by 0.31 of mean absolute error, where less is better (95 % interval 0.10 to 0.52, 100 images)"
            ": more than chance explains.",
        ),
        (
            Difference("kappa", "a", "b", 0.01, -0.02, 0.04, 100, "max", "count"),
            "a is above b by 0.010 of quadratic kappa (95 % interval -0.020 to 0.040, 100 images): "
            "chance could explain it.",
        ),
    ],
)
def test_a_difference_is_a_sentence(difference: Difference, words: str) -> None:
    assert str(difference) == words


def test_what_cannot_be_compared_is_refused(make_run: MakeRun) -> None:
    run = make_run("run")
    with pytest.raises(CorpuscleError, match="expects two runs or more, got 1; name another run folder"):
        compare_runs([run])
    with pytest.raises(
        CorpuscleError, match=r"a name of its own for each of 2 runs, got .*; name each run folder once"
    ):
        compare_runs([run, run])
    unfinished = make_run("unfinished")
    (unfinished / "metrics.json").unlink()
    with pytest.raises(CorpuscleError, match=r"one, two have no metrics\.json yet; finish a run first"):
        compare_runs([unfinished, unfinished], ["one", "two"])


def test_an_unfinished_run_is_left_out_by_name(make_run: MakeRun, tmp_path: Path) -> None:
    runs = [make_run(name, epochs=epochs) for name, epochs in (("a", 5), ("b", 6), ("stopped", 2))]
    (runs[2] / "metrics.json").unlink()
    comparison = compare_runs(runs)
    assert list(comparison.scores) == ["a", "b"] and comparison.unfinished == ("stopped",) and comparison.epochs == 5
    assert comparison.folders == {"a": runs[0], "b": runs[1]}
    assert "stopped has not finished" in write_comparison(comparison, tmp_path / "out").read_text(encoding="utf-8")
    alone = compare_runs(runs[1:])
    assert list(alone.scores) == ["b"] and alone.spreads == {}
    assert "One run" in write_comparison(alone, tmp_path / "alone").read_text(encoding="utf-8")


def test_the_mean_and_spread_over_folds_are_those_of_the_runs(make_count_run: MakeRun, tmp_path: Path) -> None:
    folds = [make_count_run(f"fold-{place}", images=6) for place in range(3)]
    for place, fold in enumerate(folds):
        metrics = json.loads((fold / "metrics.json").read_text())
        metrics["parts"]["test"]["scores"]["mae"]["value"] = 2.0 + place
        metrics["parts"]["test"]["scores"]["r2"]["value"] = None if place else 0.5
        (fold / "metrics.json").write_text(json.dumps(metrics))
    comparison = compare_runs(folds)
    assert comparison.spreads["mae"] == Spread(3.0, 1.0, 2.0, 4.0, 3) and "r2" not in comparison.spreads
    page = write_comparison(comparison, tmp_path / "out").read_text(encoding="utf-8")
    assert "Mean and spread over 3 runs" in page and "3.00 ± 1.00" in page
    assert pl.read_csv(tmp_path / "out" / "spread.csv").row(0) == ("mae", 3.0, 1.0, 2.0, 4.0, 3)
    figures = {figure.stem for figure in (tmp_path / "out" / "figures").glob("*.png")}
    assert figures == {"scores", "errors", "train-loss", "val-loss", "train-mae", "val-mae"}


def test_runs_of_two_tasks_are_not_set_side_by_side(make_run: MakeRun, make_count_run: MakeRun) -> None:
    with pytest.raises(CorpuscleError, match="expects runs of one task, got run: classify, counts: count; compare"):
        compare_runs([make_run(), make_count_run(images=4)])
