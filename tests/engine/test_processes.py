"""Two processes that torchrun starts train as one."""

from __future__ import annotations

import csv
import json
import signal
import time

import pytest

from corpuscle.engine.run_folder import CHECKPOINT, LOG

pytestmark = pytest.mark.slow

PATIENCE_S = 240
TWO = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
STAGES = [{"train": "head", "epochs": 1, "views": 2, "warm_up": 0}, {"train": "all", "epochs": 3}]


def ended(process):
    out, error = process.communicate(timeout=PATIENCE_S)
    return process.returncode, out, error


def log(run):
    with (run / LOG).open() as file:
        return [
            {name: value for name, value in row.items() if name not in ("seconds", "images_per_second", "data_wait")}
            for row in csv.DictReader(file)
        ]


@pytest.fixture(scope="module")
def words(command, cells):
    """The command under torchrun."""
    return lambda out, *more: TWO + command(cells, out, "--set", f"stages={json.dumps(STAGES)}", *more)


@pytest.fixture
def both(launch, words, tmp_path):
    """A run by two processes that nobody stopped."""
    code, _, error = ended(launch(words(tmp_path / "both")))
    assert code == 0, error
    return tmp_path / "both"


def test_two_processes_agree_and_a_stop_between_changes_nothing(launch, words, both, digest, tmp_path):
    assert json.loads((both / "environment.json").read_text())["processes"] == 2
    assert [row["train"] for row in log(both)] == ["head", "all", "all", "all"]

    more = ("--set", "fit.save_every=0")
    process = launch(words(tmp_path / "run", *more))
    until = time.monotonic() + PATIENCE_S
    while not (tmp_path / "run" / CHECKPOINT).is_file():
        assert process.poll() is None and time.monotonic() < until, process.communicate()
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    code, _, error = ended(process)
    assert code != 0
    assert "stopping: the state is saved at the next step" in error
    assert "stopped and saved; the same command goes on" in error
    assert (tmp_path / "run" / CHECKPOINT).is_file()
    code, _, error = ended(launch(words(tmp_path / "run", *more)))
    assert code == 0, error
    assert "going on from epoch" in error
    assert digest(tmp_path / "run") == digest(both)
    assert log(tmp_path / "run") == log(both)


def test_two_processes_fit_a_probe_as_one_does(launch, command, cells, finished, digest, tmp_path):
    stages = json.dumps([{"train": "probe", "views": 2}])
    for name, start in (("one", []), ("two", TWO)):
        more = ("--weights", str(finished), "--set", f"stages={stages}", "--set", "cache.keep=false")
        code, _, error = ended(launch(start + command(cells, tmp_path / name, *more)))
        assert code == 0, error
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    one, two = (log(tmp_path / name)[0] for name in ("one", "two"))
    assert float(one.pop("train_loss")) == pytest.approx(float(two.pop("train_loss")), rel=1e-5)
    assert float(one.pop("val_loss")) == pytest.approx(float(two.pop("val_loss")), rel=1e-5)
    assert one == two


def test_two_processes_find_the_words_of_one(launch, command, cells, digest, tmp_path):
    of_words = {"task": "cluster", "net.model": "codebook", "net.head": "none", "net.pool": "none", "net.words": 8}
    of_words |= {"stages": '[{"train": "words"}]', "data.labels": "none"}
    more = [word for key, value in of_words.items() for word in ("--set", f"{key}={value}")]
    for name, start in (("one", []), ("two", TWO)):
        code, _, error = ended(launch(start + command(cells, tmp_path / name, *more)))
        assert code == 0, error
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    one, two = (log(tmp_path / name)[0] for name in ("one", "two"))
    assert float(one["train_distortion"]) == pytest.approx(float(two["train_distortion"]), rel=1e-6)
