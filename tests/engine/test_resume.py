"""Stopped at any step and gone on with, a training ends with the very weights of one that was never stopped."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.stopped import Stopped
from corpuscle.engine.checkpoint import Place, load_state
from corpuscle.engine.run_folder import CHECKPOINT, LOG, METRICS
from corpuscle.engine.train import Call

# Two stages of two epochs of four steps. The head's stage first asks once a batch of features: two views, and val.
PLACES = {
    "the first step": (4, Place(0, 0, 1)),
    "within an epoch of the head": (5, Place(0, 0, 2)),
    "the last step of an epoch of the head": (7, Place(0, 0, 4)),
    "the last step of the head's stage": (11, Place(0, 1, 4)),
    "between the stages": (12, Place(1, 0, 0)),
    "the first step of all parameters": (13, Place(1, 0, 1)),
    "within an epoch": (18, Place(1, 1, 2)),
    "the last step of an epoch": (16, Place(1, 0, 4)),
    "the last step of all": (20, Place(1, 1, 4)),
    "the end of the last stage": (21, Place(2, 0, 0)),
}
VARIANTS = {
    "adamw": {},
    "sgd": {"optim__optimiser": "sgd"},
    "bf16": {"device__precision": "bf16"},
    "in pieces": {"fit__accumulate": 2},
    "no average": {"fit__average": 0, "optim__optimiser": "adam"},
    "drawn": {"fit__balance": "sampling", "stages": [{"epochs": 2, "schedule": "constant"}]},
    "early stop": {"fit__patience": 1, "fit__keep": "best", "stages": [{"epochs": 4}]},
}


@pytest.fixture(scope="module")
def unbroken(fit, tmp_path_factory):
    """A run that nobody stopped, for some settings; each is done once."""
    done: dict[str, Path] = {}

    def run(**settings):
        key = repr(sorted(settings.items()))
        if key not in done:
            done[key] = fit(tmp_path_factory.mktemp("unbroken"), **settings)
        return done[key]

    return run


def anew(fit):
    """Two stages whose features are computed each time, so that each start asks as often whether to stop."""
    return {"stages": fit.two_stages, "cache__keep": False}


def test_features_that_were_kept_give_the_same_weights(fit, digest, unbroken, tmp_path):
    first, again = (fit(tmp_path / name, stages=fit.two_stages) for name in ("first", "again"))
    assert digest(first) == digest(again) == digest(unbroken(**anew(fit)))


@pytest.mark.parametrize("where", PLACES)
def test_stopped_anywhere_it_goes_on_to_the_same_weights(fit, digest, unbroken, tmp_path, where):
    question, place = PLACES[where]
    asked = 0

    def stopping():
        nonlocal asked
        asked += 1
        return 2 if asked == question else 0

    with pytest.raises(Stopped) as stopped:
        fit(tmp_path / "run", Call({}, stopping=stopping), **anew(fit))
    assert stopped.value.signal == 2
    assert load_state(tmp_path / "run" / CHECKPOINT).state.place == place
    assert not (tmp_path / "run" / METRICS).exists()
    fit(tmp_path / "run", **anew(fit))
    assert digest(tmp_path / "run") == digest(unbroken(**anew(fit)))


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_stopped_after_each_step_it_goes_on_to_the_same_weights(fit, digest, unbroken, tmp_path, variant):
    settings = anew(fit) | VARIANTS[variant]
    whole = unbroken(**settings)
    head = [4, 4, 4, 5, 6, 4] if settings["stages"] is fit.two_stages else []  # three questions about features each
    assert fit.with_stops(tmp_path / "run", [*head, *[1] * 9], **settings) == len(head) + 9
    assert digest(tmp_path / "run") == digest(whole)
    assert columns(tmp_path / "run") == columns(whole)


def columns(run):
    """The log without what depends on the clock."""
    clock = ("seconds", "images_per_second", "data_wait")
    header, *rows = [line.split(",") for line in (run / LOG).read_text().splitlines()]
    return [[value for name, value in zip(header, row, strict=True) if name not in clock] for row in [header, *rows]]


@pytest.mark.slow
@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_two_loader_processes_and_two_stops_give_the_same_weights(fit, digest, unbroken, tmp_path, optimiser):
    stages = [{"epochs": 3}]
    settings = {"stages": stages, "optim__optimiser": optimiser}
    assert fit.with_stops(tmp_path / "run", [2, 6], device__workers=2, **settings) == 2
    assert multiprocessing.active_children() == []
    assert digest(tmp_path / "run") == digest(unbroken(**settings))


@pytest.mark.slow
def test_a_resnet_of_our_own_goes_on_to_the_same_weights(fit, digest, tmp_path):
    whole = fit(tmp_path / "whole", net__model="resnet18", stages=[{"epochs": 1}])
    fit.with_stops(tmp_path / "run", [1, 2], net__model="resnet18", stages=[{"epochs": 1}])
    assert digest(tmp_path / "run") == digest(whole)


def test_no_loader_process_is_left_behind_by_a_stop(fit, tmp_path):
    with pytest.raises(Stopped):
        fit(tmp_path / "run", Call({}, stopping=lambda: 15), device__workers=2)
    assert multiprocessing.active_children() == []


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(fit, digest, tmp_path):
    first, again, other = (fit(tmp_path / name, seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    assert digest(first) == digest(again) != digest(other)


def test_a_stop_while_features_are_computed_loses_nothing(fit, digest, unbroken, tmp_path):
    with pytest.raises(Stopped):
        fit(tmp_path / "run", Call({}, stopping=lambda: 15), **anew(fit))
    assert not (tmp_path / "run" / CHECKPOINT).exists()
    fit(tmp_path / "run", **anew(fit))
    assert digest(tmp_path / "run") == digest(unbroken(**anew(fit)))


def test_a_damaged_checkpoint_is_named_and_kept(fit, tmp_path):
    asked = iter([0, 15])
    with pytest.raises(Stopped):
        fit(tmp_path / "run", Call({}, stopping=lambda: next(asked)))
    path = tmp_path / "run" / CHECKPOINT
    half = path.read_bytes()[: path.stat().st_size // 2]
    path.write_bytes(half)
    with pytest.raises(CorpuscleError, match=r"last\.safetensors is not a whole checkpoint .*; remove it to begin"):
        fit(tmp_path / "run")
    assert path.read_bytes() == half


def test_a_finished_run_needs_its_checkpoint_no_more(fit, tmp_path):
    with pytest.raises(Stopped):
        fit(tmp_path / "run", Call({}, stopping=lambda: 15))
    assert (tmp_path / "run" / CHECKPOINT).is_file()
    fit(tmp_path / "run")
    assert not (tmp_path / "run" / CHECKPOINT).parent.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_reaches_the_loader_processes_too_loses_nothing(fit, digest, unbroken, tmp_path, number):
    """As a terminal or a batch system sends it: to every process of the group."""
    asked = itertools.count()

    def stopping():
        if next(asked) != 1:
            return 0
        children = multiprocessing.active_children()
        assert len(children) == 2
        for child in children:
            os.kill(child.pid, number)
        time.sleep(0.3)
        return number

    stages = [{"epochs": 3}]
    with pytest.raises(Stopped):
        fit(tmp_path / "run", Call({}, stopping=stopping), stages=stages, device__workers=2)
    assert load_state(tmp_path / "run" / CHECKPOINT).state.place == Place(0, 0, 2)
    fit(tmp_path / "run", stages=stages, device__workers=2)
    assert digest(tmp_path / "run") == digest(unbroken(stages=stages))
