"""The weights of better epochs: the newest few, and how the training stands."""

from __future__ import annotations

import json

import pytest
import safetensors.torch
import torch

from corpuscle.core.stopped import Stopped
from corpuscle.engine.checkpoint import State
from corpuscle.engine.improved import keep_improved
from corpuscle.engine.run_folder import IMPROVED
from corpuscle.engine.train import Call

FACTS = {"batch_size": 8, "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}


def state_after(best):
    """The state after some epochs, each better than all before it or not; the weights tell the epoch."""
    history = [{"epoch": epoch, "learning_rate": 0.1 / epoch, "best": one} for epoch, one in enumerate(best, 1)]
    return State(history=history, best=0.5, best_weights={"w": torch.full((2,), float(len(best)))})


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_newest_of_the_better_epochs_are_kept(tmp_path):
    better = [True, False, True, True, True, False, True, True, False]
    for end in range(1, len(better) + 1):
        keep_improved(tmp_path, state_after(better[:end]), 5, FACTS, "val_recall")
    assert names(tmp_path) == [*(f"epoch-{epoch:03d}.safetensors" for epoch in (3, 4, 5, 7, 8)), "state.json"]
    for epoch in (3, 8):
        weights = safetensors.torch.load_file(tmp_path / f"epoch-{epoch:03d}.safetensors")
        assert weights["w"].tolist() == [epoch, epoch]


def test_the_state_says_how_the_training_stands(tmp_path):
    keep_improved(tmp_path, state_after([True, False]), 5, FACTS, "val_recall")
    told = json.loads((tmp_path / "state.json").read_text())
    assert told == {
        "epoch": 2,
        "learning_rate": 0.05,
        **FACTS,
        "best": {"val_recall": 0.5},
        "history": state_after([True, False]).history,
    }


def test_epochs_beyond_999_are_newer_than_those_before(tmp_path):
    for epoch in (998, 999, 1000, 1001):
        keep_improved(tmp_path, state_after([False] * (epoch - 1) + [True]), 2, FACTS, "val_recall")
    assert {"epoch-1000.safetensors", "epoch-1001.safetensors"} < set(names(tmp_path)) and len(names(tmp_path)) == 3


def test_a_run_keeps_them_and_the_best_is_the_weights_of_the_run(fit, tmp_path):
    settings = {"stages": [{"epochs": 4}], "fit__keep_improved": 5, "fit__keep": "best"}
    run = fit(tmp_path / "run", **settings)
    rows = json.loads((run / IMPROVED / "state.json").read_text())["history"]
    better = [row["epoch"] for row in rows if row["best"]]
    assert len(rows) == 4 and better
    assert names(run / IMPROVED) == [*(f"epoch-{epoch:03d}.safetensors" for epoch in better), "state.json"]
    kept = safetensors.torch.load_file(run / IMPROVED / f"epoch-{better[-1]:03d}.safetensors")
    final = safetensors.torch.load_file(run / "weights.safetensors")
    assert kept.keys() == final.keys() and all(torch.equal(kept[name], final[name]) for name in final)


def test_a_training_that_was_stopped_goes_on_with_them(fit, digest, tmp_path):
    settings = {"stages": [{"epochs": 4}], "fit__keep_improved": 2, "fit__keep": "best"}
    whole = fit(tmp_path / "whole", **settings)
    asked = iter([0] * 9 + [15])  # four steps an epoch: in the third
    with pytest.raises(Stopped):
        fit(tmp_path / "run", Call({}, stopping=lambda: next(asked, 0)), **settings)
    assert len(json.loads((tmp_path / "run" / IMPROVED / "state.json").read_text())["history"]) == 2
    run = fit(tmp_path / "run", **settings)
    assert digest(run) == digest(whole) and names(run / IMPROVED) == names(whole / IMPROVED)
    for name in names(whole / IMPROVED)[:-1]:
        assert (run / IMPROVED / name).read_bytes() == (whole / IMPROVED / name).read_bytes()


def test_none_are_kept_unless_asked_for(finished):
    assert not (finished / IMPROVED).exists()
