"""The verbs as functions: tables and figures, and not a word unless asked."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import corpuscle
from corpuscle import api, making
from corpuscle.core.errors import CorpuscleError
from corpuscle.synth.folder import write_cells

TINY = {"net.model": "timm/test_resnet", "prepare.size": 32, "fit.batch_size": 8, "score.resamples": 100, "epochs": 1}
TINY |= {"device.name": "cpu", "device.precision": "fp32"}


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """60 drawn cells of five kinds."""
    folder = tmp_path_factory.mktemp("drawn") / "cells"
    write_cells(folder, 12, 32, 0)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory, cells):
    """A finished run on them."""
    return corpuscle.train(cells, out=tmp_path_factory.mktemp("runs") / "first", settings=TINY)


def test_importing_the_package_is_cheap_and_torch_waits_until_it_is_needed(cells):
    code = (
        "import sys, corpuscle; print('numpy' in sys.modules, corpuscle.__all__ == sorted(corpuscle.__all__))\n"
        "corpuscle.inspect(sys.argv[1]); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, cells], capture_output=True, text=True)
    assert done.stdout.split() == ["False", "True", "False"] and done.stderr == ""


def test_every_public_name_is_a_verb_whatever_room_is_imported_and_there_is_no_other():
    importlib.import_module("corpuscle.report.page")
    for name in corpuscle.__all__:
        assert getattr(corpuscle, name) is getattr(making if name in corpuscle.MAKING else api, name)
    with pytest.raises(AttributeError, match="module 'corpuscle' has no attribute 'trian'"):
        corpuscle.trian  # noqa: B018


@pytest.mark.slow
def test_the_example_of_the_package_runs(cells, tmp_path, monkeypatch, capsys):
    example = textwrap.dedent(corpuscle.__doc__.partition("as functions:\n")[2])
    (tmp_path / "cells").symlink_to(cells)
    monkeypatch.chdir(tmp_path)
    exec(example, {})
    said = capsys.readouterr()
    assert "no faults found" in said.out and "balanced_accuracy" in said.out and "prediction" in said.out
    assert said.err == ""


def test_a_run_gives_its_tables_figures_and_page(run):
    assert set(run.scores["part"]) == {"val", "test"} and "accuracy" in set(run.scores["score"])
    assert run.scores.columns == ["part", "score", "value", "low", "high", "n", "groups", "direction"]
    assert run.log["epoch"].to_list() == [1]
    assert len(run.predictions) == 20 and {"image", "label", "prediction", "p_monocyte"} <= set(run.predictions.columns)
    assert run.metrics["classes"] == ["basophil", "eosinophil", "lymphocyte", "monocyte", "neutrophil"]
    assert run.report.is_file()
    assert all(type(figure).__name__ == "Figure" for figure in run.figures.values()) and run.figures


def test_a_run_stands_for_its_path(run, cells):
    one = corpuscle.predict(run, cells / "monocyte")
    other = corpuscle.predict(str(run.folder), [str(cells / "monocyte")])
    assert one.table.equals(other.table) and len(one.table) == 12 and one.faults == ()
    assert corpuscle.Run(Path(run)).scores.equals(run.scores)


def test_no_verb_says_a_word_unless_asked(run, cells, tmp_path, capfd, unreported):
    corpuscle.inspect(cells)
    corpuscle.split(cells, tmp_path / "split.csv")
    corpuscle.predict(run, cells, out=tmp_path / "p.csv")
    corpuscle.evaluate(run, cells, out=tmp_path / "scores")
    assert capfd.readouterr() == ("", "")


def test_split_returns_the_table_that_was_written(cells, tmp_path):
    divided = corpuscle.split(cells, tmp_path / "s.csv", settings={"split.folds": 3, "split.val": 0, "seed": 1})
    written = pl.read_csv(tmp_path / "s.csv")
    assert written["fold"].equals(divided.frame["fold"]) and set(written["split"]) == {"train", "test"}


@pytest.fixture
def unreported(monkeypatch):
    """No page is drawn: it takes longer than all else."""
    monkeypatch.setattr(api, "report", lambda folder: None)


def test_evaluating_a_run_on_its_own_images_gives_its_own_scores(run, tmp_path, unreported):
    again = corpuscle.evaluate(run, out=tmp_path / "again")
    who = ["part", "score", "n", "groups"]
    assert again.scores.select(who).equals(run.scores.select(who))
    assert np.allclose(again.scores["value"], run.scores["value"], atol=1e-5, equal_nan=True)  # batches are others


def test_evaluating_uses_the_views_that_are_asked_for(run, cells, tmp_path, unreported):
    plain = corpuscle.evaluate(run, cells, out=tmp_path / "one")
    eight = corpuscle.evaluate(run, cells, out=tmp_path / "eight", settings={"score.views": 8})
    assert not plain.predictions["p_monocyte"].equals(eight.predictions["p_monocyte"])


def test_submitting_returns_the_table_that_was_written(run, cells, tmp_path):
    images = sorted(cells.rglob("*.png"))[::-9]
    (tmp_path / "test.csv").write_text("Path\n" + "".join(f"{image}\n" for image in images))
    filled = corpuscle.submit(run, tmp_path / "test.csv", tmp_path / "filled.csv")
    assert filled.equals(pl.read_csv(tmp_path / "filled.csv")) and filled["Path"].to_list() == list(map(str, images))


def test_runs_are_compared_in_tables(run, tmp_path):
    shutil.copytree(run, tmp_path / "second")
    comparison = corpuscle.compare([run, tmp_path / "second"])
    assert set(comparison.scores) == {"first", "second"}
    assert [one.name for one in comparison.differences] == ["accuracy", "balanced_accuracy"]


@pytest.mark.parametrize(
    ("call", "known"),
    [
        (
            lambda run, cells, wrong: corpuscle.inspect(cells, settings=wrong),
            r"data.\*, read.\*, split.\*, guard.\*, seed here",
        ),
        (
            lambda run, cells, wrong: corpuscle.split(cells, "x.csv", settings=wrong),
            r"data.\*, read.\*, split.\*, guard.\*, seed here",
        ),
        (lambda run, cells, wrong: corpuscle.evaluate(run, settings=wrong), r"score.\*, guard.\*, device.name here"),
        (lambda run, cells, wrong: corpuscle.predict(run, cells, settings=wrong), "score.views, device.name here"),
        (
            lambda run, cells, wrong: corpuscle.submit(run, cells, "x.csv", settings=wrong),
            "score.views, device.name here",
        ),
    ],
)
def test_settings_that_a_verb_does_not_know_are_refused(run, cells, call, known):
    with pytest.raises(
        CorpuscleError, match=rf"^expected settings of .*{known}, got fit.batch_size; it belongs to train"
    ):
        call(run, cells, {"fit.batch_size": 8})
    with pytest.raises(CorpuscleError, match=r"^fit.batchsize is not a setting. Did you mean fit.batch_size"):
        call(run, cells, {"fit.batchsize": 8})


def test_only_the_first_process_writes_the_report(tmp_path, monkeypatch):
    monkeypatch.setattr(api, "report", lambda folder: (folder / "written").touch())
    for rank in ("1", "0"):
        assert not list(tmp_path.iterdir())
        monkeypatch.setenv("RANK", rank)
        assert api.run_after(tmp_path) == corpuscle.Run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["written"]
