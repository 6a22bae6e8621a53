"""The command itself, stopped and killed from outside, goes on to the weights of one that ran through."""

from __future__ import annotations

import resource
import signal
import time

import pytest

from corpuscle.engine.checkpoint import load_state
from corpuscle.engine.run_folder import CHECKPOINT, LOG, METRICS, WEIGHTS

pytestmark = pytest.mark.slow

PATIENCE_S = 240
EPOCHS = ("-e", "20", "--set", "fit.save_every=0")


def ended(process):
    out, error = process.communicate(timeout=PATIENCE_S)
    return process.returncode, out, error


def wait_for_epochs(run, process, count):
    """Wait until so many epochs are in the log."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        if (run / LOG).is_file() and len((run / LOG).read_text().splitlines()) > count:
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    raise AssertionError(f"no {count} epochs in {PATIENCE_S} s")


@pytest.fixture(scope="module")
def whole(fit, tmp_path_factory):
    return fit(tmp_path_factory.mktemp("signals") / "whole", epochs=[20], fit__save_every=0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_the_same_command_goes_on(launch, command, cells, digest, whole, tmp_path, number):
    words = command(cells, tmp_path / "run", *EPOCHS)
    process = launch(words)
    wait_for_epochs(tmp_path / "run", process, 3)
    process.send_signal(number)
    code, _, error = ended(process)
    assert code == 128 + number
    assert "stopping: the state is saved at the next step" in error
    assert f"stopped and saved; the same command goes on: corpuscle train {cells}" in error
    assert "Traceback" not in error
    assert not (tmp_path / "run" / METRICS).exists()
    code, out, error = ended(launch(words))
    assert code == 0, error
    assert "going on from epoch " in error
    assert "report: " in out
    assert digest(tmp_path / "run") == digest(whole)


def test_killed_in_the_middle_it_goes_on_from_the_last_epoch(launch, command, cells, digest, whole, tmp_path):
    words = command(cells, tmp_path / "run", *EPOCHS)
    for epochs in (2, 9):
        process = launch(words)
        wait_for_epochs(tmp_path / "run", process, epochs)
        process.kill()
        assert ended(process)[0] == -signal.SIGKILL
        assert load_state(tmp_path / "run" / CHECKPOINT).state.place.epoch >= epochs - 1
    code, _, error = ended(launch(words))
    assert code == 0, error
    assert digest(tmp_path / "run") == digest(whole)


def test_two_commands_at_once_are_refused(launch, command, cells, tmp_path):
    words = command(cells, tmp_path / "run", *EPOCHS)
    first = launch(words)
    wait_for_epochs(tmp_path / "run", first, 1)
    first.send_signal(signal.SIGSTOP)
    code, _, error = ended(launch(words))
    assert code == 2
    expected = f"error: another training writes into {tmp_path / 'run'} right now; wait for it, or pass another --out\n"
    assert error == expected


def test_a_file_that_cannot_grow_ends_in_one_clear_line(launch, command, cells, tmp_path):
    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))

    code, _, error = ended(launch(command(cells, tmp_path / "run", "-e", "1"), preexec_fn=small_files))
    assert code == 2, error
    assert error.splitlines()[-1].startswith("error: ") and "cannot be written (File too large)" in error
    assert "Traceback" not in error
    assert not (tmp_path / "run" / WEIGHTS).exists()
