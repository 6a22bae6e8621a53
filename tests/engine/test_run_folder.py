"""The run folder: what may be written where, and what is refused in words."""

from __future__ import annotations

import os

import pytest

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.settings import read_toml, resolve
from corpuscle.engine import run_folder
from corpuscle.engine.experiment import Experiment
from corpuscle.engine.schedule import FitPlan, Stage

EXPERIMENT = Experiment(stages=(Stage(train="head", epochs=2), Stage(schedule="table", table=((1, 0.1), (3, 1e-5)))))


def begin(out, experiment=EXPERIMENT, samples="image\na.png\n"):
    with run_folder.only_writer(out):
        run_folder.check(out, experiment)
        run_folder.begin(out, experiment, samples)


def test_a_new_a_deep_and_an_empty_folder_will_do(tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("new", "a/b/c", "empty"):
        begin(tmp_path / name)
        assert (tmp_path / name / "experiment.toml").is_file()


def test_settings_are_read_back_as_they_were(tmp_path):
    experiment = EXPERIMENT.model_copy(
        update={"data": EXPERIMENT.data.model_copy(update={"label_names": {"1": "a neutrophil", "2.5": "é"}})}
    )
    begin(tmp_path / "run", experiment)
    begin(tmp_path / "run", experiment)  # goes on
    values = read_toml(tmp_path / "run" / "experiment.toml")
    assert resolve(Experiment(), {"file": values})[0] == experiment


def test_what_is_unset_is_left_out_of_the_settings():
    assert "root" not in run_folder.plain_settings(Experiment())["data"]


def test_other_settings_are_refused_with_the_keys_named(tmp_path):
    begin(tmp_path / "run")
    other = EXPERIMENT.model_copy(update={"seed": 3, "fit": FitPlan(batch_size=7)})
    with pytest.raises(CorpuscleError) as raised:
        begin(tmp_path / "run", other)
    assert str(raised.value) == (
        f"{tmp_path / 'run'} holds a run with other settings (fit.batch_size was 32, is 7, seed was 0, is 3); "
        "pass another --out, or the same settings to go on"
    )
    fewer = EXPERIMENT.model_copy(update={"stages": (Stage(epochs=1),)})
    with pytest.raises(CorpuscleError, match=r"stages\.0\.epochs was 2, is 1, .* and \d+ more\)"):
        begin(tmp_path / "run", fewer)


def test_a_folder_of_something_else_is_refused_and_left_as_it_was(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"x")
    with pytest.raises(CorpuscleError, match=r"photos is not empty and holds no run; name a new folder with --out"):
        begin(tmp_path / "photos")
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["a.jpg"]


def test_a_file_in_the_way_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("x")
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(
            CorpuscleError, match=r"cannot be written \(.*\); name a place you may write to, with --out"
        ):
            begin(out)
    assert (tmp_path / "file").read_text() == "x"


def test_changed_data_are_refused(tmp_path):
    begin(tmp_path / "run")
    with pytest.raises(CorpuscleError, match=r"the images or labels have changed since .*run was begun; pass another"):
        begin(tmp_path / "run", samples="image\nb.png\n")


@pytest.mark.parametrize("written", [[], [".lock"], [".lock", "experiment.toml"], [".lock", ".experiment.toml.x.part"]])
def test_a_kill_at_the_very_beginning_leaves_a_folder_that_can_be_gone_on_with(tmp_path, written):
    begin(tmp_path / "whole")
    out = tmp_path / "run"
    out.mkdir()
    for name in written:
        content = (tmp_path / "whole" / name).read_bytes() if name == "experiment.toml" else b""
        (out / name).write_bytes(content)
    begin(out)
    begin(out)
    assert (out / "samples.csv").read_text() == "image\na.png\n"


def test_two_writers_are_refused_and_the_second_changes_nothing(tmp_path):
    out = tmp_path / "run"
    with run_folder.only_writer(out):
        with pytest.raises(CorpuscleError, match=r"another training writes into .*run right now; wait for it, or pass"):
            begin(out)
        run_folder.begin(out, EXPERIMENT, "image\na.png\n")
    begin(out)  # free again


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_child_that_outlives_a_killed_training_does_not_hold_its_folder(tmp_path):
    reader, writer = os.pipe()
    born_reader, born_writer = os.pipe()
    with run_folder.only_writer(tmp_path / "run"):
        (tmp_path / "run" / run_folder.EXPERIMENT).touch()
        child = os.fork()
        if child == 0:  # a loader, which waits for a parent that is gone
            os.write(born_writer, b".")
            os.read(reader, 1)
            os._exit(0)
    try:
        os.read(born_reader, 1)
        with run_folder.only_writer(tmp_path / "run"):
            assert os.waitpid(child, os.WNOHANG) == (0, 0)
    finally:
        os.write(writer, b".")
        os.waitpid(child, 0)


def test_a_run_that_never_began_leaves_no_folder(tmp_path):
    with pytest.raises(ZeroDivisionError), run_folder.only_writer(tmp_path / "run"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_processes_that_do_not_write_hold_nothing(tmp_path):
    with run_folder.only_writer(tmp_path / "run", writes=False):
        assert not (tmp_path / "run").exists()


def test_an_error_of_the_training_is_not_taken_for_one_of_the_folder(tmp_path):
    with pytest.raises(PermissionError), run_folder.only_writer(tmp_path / "run"):
        raise PermissionError(13, "Permission denied")


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(CorpuscleError, match=r"expected a run folder with metrics\.json, .* has none; name one that"):
        run_folder.read_json(tmp_path / "metrics.json")
    (tmp_path / "metrics.json").write_text("{")
    with pytest.raises(CorpuscleError, match=r"metrics\.json is not whole"):
        run_folder.read_json(tmp_path / "metrics.json")


def test_the_log_is_a_row_an_epoch_with_every_column(tmp_path):
    rows = [{"epoch": 1, "best": True}, {"epoch": 2, "val_loss": 0.5, "best": False}]
    run_folder.write_log(tmp_path, rows)
    assert (tmp_path / "log.csv").read_text() == "epoch,best,val_loss\n1,true,\n2,false,0.5\n"


def test_the_plan_says_where_each_value_came_from(tmp_path):
    run_folder.write_plan(tmp_path, Experiment(), {"seed": "flag"}, {"precision": {"value": "fp32", "why": "so"}})
    plan = run_folder.read_json(tmp_path / "plan.json")
    assert plan["settings"]["seed"] == {"value": 0, "from": "flag"}
    assert plan["settings"]["fit.batch_size"] == {"value": 32, "from": "default"}
    assert plan["derived"]["precision"]["why"] == "so"
