"""A run folder is read whole, in part, or refused with one clear line."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from corpuscle.core.errors import CorpuscleError
from corpuscle.report.part import CountPart
from corpuscle.report.run_data import find_runs, read_run

MakeRun = Callable[..., Path]


def test_a_finished_run_gives_its_scores_log_and_settings(make_run: MakeRun) -> None:
    run = read_run(make_run())
    assert run.main_part is not None and run.main_part.name == "test" and run.main_part.n == 96
    assert run.main_part.scores["auroc"].value == 0.962
    assert math.isnan(run.main_part.per_class["basophil"].auroc.value)
    assert [b.n > 0 for b in run.main_part.before] == [True] * 7  # the three empty bins are left out
    assert run.best_epoch == 9
    assert run.settings["fit.batch_size"] == {"value": 64, "from": "flag"}


def test_where_the_last_epoch_was_kept_it_is_the_one_that_is_named(make_run: MakeRun) -> None:
    folder = make_run()
    plan = json.loads((folder / "plan.json").read_text())
    plan["settings"]["fit.keep"] = {"value": "last", "from": "recipe count"}
    (folder / "plan.json").write_text(json.dumps(plan))
    assert read_run(folder).best_epoch == 12


def test_a_run_without_a_test_part_counts_by_its_validation_part(make_run: MakeRun) -> None:
    run = read_run(make_run(parts=("val",)))
    assert run.main_part is not None and run.main_part.words == "validation"


def test_an_interrupted_run_has_a_log_and_no_parts(make_run: MakeRun) -> None:
    folder = make_run()
    (folder / "metrics.json").unlink()
    run = read_run(folder)
    assert run.main_part is None and run.log is not None and len(run.log) == 12 and run.classes[0] == "basophil"


def test_an_evaluation_has_scores_and_no_log(make_run: MakeRun) -> None:
    folder = make_run()
    for name in ("log.csv", "plan.json", "samples.csv", "environment.json"):
        (folder / name).unlink()
    run = read_run(folder)
    assert run.log is None and run.best_epoch is None and run.main_part is not None


def test_classes_and_groups_that_look_like_numbers_keep_their_names(make_run: MakeRun) -> None:
    folder = make_run(classes=("1", "007"))
    predictions = read_run(folder).predictions
    assert predictions is not None and set(predictions["label"]) == {"1", "007"}
    assert predictions.schema["p_007"] == pl.Float64


def test_a_log_with_missing_validation_scores_is_read(make_run: MakeRun) -> None:
    folder = make_run()
    pl.read_csv(folder / "log.csv").with_columns(val_loss=pl.lit(None)).write_csv(folder / "log.csv")
    log = read_run(folder).log
    assert log is not None and log["val_loss"].null_count() == 12


@pytest.mark.parametrize(
    ("make", "came"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.write_text("x"), "is a file"),
        (lambda path: path.mkdir(), "has neither log.csv nor metrics.json"),
    ],
)
def test_what_is_no_run_is_refused_in_one_line(tmp_path: Path, make: Callable[[Path], object], came: str) -> None:
    make(tmp_path / "no run")
    with pytest.raises(CorpuscleError) as error:
        read_run(tmp_path / "no run")
    remedy = "name the folder that corpuscle train wrote (its --out)"
    assert str(error.value) == f"expected a run folder, but {tmp_path / 'no run'} {came}; {remedy}"


def test_a_folder_of_runs_is_named_when_one_run_was_expected(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("b")
    make_run("a")
    with pytest.raises(CorpuscleError, match=r"did you mean .*[\\/]a\?$"):
        read_run(tmp_path)
    assert find_runs(tmp_path) == (tmp_path / "a", tmp_path / "b")
    assert find_runs(tmp_path / "a") == (tmp_path / "a",)


def test_damaged_files_are_named(make_run: MakeRun) -> None:
    folder = make_run()
    (folder / "plan.json").write_text("{")
    with pytest.raises(CorpuscleError, match=r"plan\.json should be JSON, but cannot be read"):
        read_run(folder)
    (folder / "plan.json").unlink()
    metrics = json.loads((folder / "metrics.json").read_text())
    del metrics["parts"]["val"]["n"]
    (folder / "metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(CorpuscleError, match=r"metrics\.json should hold the scores of a run, but KeyError\('n'\)"):
        read_run(folder)


def test_a_counting_run_gives_its_parts_points_and_calibration(make_count_run: MakeRun) -> None:
    run = read_run(make_count_run(kinds=("red", "white"), images=6))
    part = run.main_part
    assert run.task == "count" and isinstance(part, CountPart) and part.distance == 6.0
    assert part.objects == {kind: run.scored()[f"true_{kind}"].sum() for kind in ("red", "white")}  # type: ignore[index]
    assert part.mean_count == sum(part.objects.values()) / 6
    assert run.calibration["quantiles"] == {"red": 0.9, "white": 0.9} and len(run.heatmaps) == 3
    assert run.predictions is not None and run.predictions.schema["low_white"] == pl.Float64
    assert run.points is not None and set(run.points["what"]) == {"true", "found"}


def test_an_interrupted_counting_run_knows_its_kinds(make_count_run: MakeRun) -> None:
    folder = make_count_run(kinds=("red", "white"), images=4)
    (folder / "metrics.json").unlink()
    run = read_run(folder)
    assert run.task == "count" and run.classes == ("red", "white") and run.main_part is None


def test_a_task_without_a_report_is_named(make_count_run: MakeRun) -> None:
    folder = make_count_run(images=4)
    (folder / "metrics.json").write_text('{"task": "trace"}')
    with pytest.raises(
        CorpuscleError,
        match=r"a task with a report \(classify, cluster, .*, segment\), but its task is trace; install",
    ):
        read_run(folder)
