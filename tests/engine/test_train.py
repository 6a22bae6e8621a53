"""A whole training: odd data sets, what is written, and what is refused."""

from __future__ import annotations

import errno
import gc
import json
import os
import shutil

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from corpuscle.core.errors import CorpuscleError, DataFault
from corpuscle.core.progress import Progress
from corpuscle.engine import run_folder
from corpuscle.engine.checkpoint import Place, load_state
from corpuscle.engine.train import Call
from corpuscle.nets.card import load

FILES = {
    "experiment.toml",
    "plan.json",
    "fingerprint.json",
    "samples.csv",
    "log.csv",
    "metrics.json",
    "predictions.csv",
    "environment.json",
    "weights.safetensors",
    "card.json",
    ".lock",
}


def metrics(run):
    return json.loads((run / "metrics.json").read_text())


def test_a_run_folder_holds_all_its_files_and_no_scraps(finished):
    assert {path.name for path in finished.iterdir()} == FILES


def test_the_card_carries_what_use_needs(finished):
    card = load(finished).card
    assert card.classes == ("basophil", "eosinophil", "lymphocyte", "monocyte", "neutrophil")
    assert (card.size, card.views, card.prepare["size"]) == (32, 4, 32)
    assert card.calibration["temperature"] == metrics(finished)["temperature"] != 1
    assert card.trained_on["images"] == 35


def test_facts_say_what_happened(finished):
    environment = json.loads((finished / "environment.json").read_text())
    assert environment["seconds"] > 0
    assert (environment["device"], environment["precision"], environment["processes"]) == ("cpu", "fp32", 1)
    plan = json.loads((finished / "plan.json").read_text())
    assert plan["settings"]["prepare.size"] == {"value": 32, "from": "default"}  # no origins were given
    assert plan["derived"]["device"]["why"] == "asked for"


def test_a_finished_run_says_so_and_is_left_alone(fit, finished, tmp_path, listener):
    before = {path.name: path.read_bytes() for path in finished.iterdir()}
    fit(finished, Call({}, progress=listener), score__views=4)
    assert f"{finished} is finished; name another --out to train again" in listener.lines
    assert {path.name: path.read_bytes() for path in finished.iterdir()} == before


@pytest.fixture
def few(cells, tmp_path):
    """Builds a folder with some of the drawn cells."""

    def copy(per_class, classes=("basophil", "monocyte")):
        folder = tmp_path / "few"
        for name in classes:
            (folder / name).mkdir(parents=True)
            for path in sorted((cells / name).iterdir())[:per_class]:
                shutil.copy(path, folder / name)
        return folder

    return copy


def test_two_classes_are_enough(fit, few, tmp_path):
    run = fit(tmp_path / "run", path=few(10))
    assert metrics(run)["classes"] == ["basophil", "monocyte"]
    assert set(metrics(run)["parts"]) == {"val", "test"}


def test_a_training_part_smaller_than_a_batch_is_one_batch(fit, few, tmp_path, listener):
    run = fit(tmp_path / "run", Call({}, progress=listener), path=few(4), fit__batch_size=32)
    plan = json.loads((run / "plan.json").read_text())
    assert plan["derived"]["fit.batch_size"] == {"value": 4, "why": "the training part has 4 images"}


@pytest.mark.parametrize(
    ("shares", "parts"),
    [({"split__val": 0}, {"test"}), ({"split__test": 0}, {"val"}), ({"split__val": 0, "split__test": 0}, set())],
)
def test_parts_may_be_missing(fit, tmp_path, shares, parts):
    run = fit(tmp_path / "run", **shares)
    assert set(metrics(run)["parts"]) == parts
    predictions = pl.read_csv(run / "predictions.csv")
    assert set(predictions["split"]) == parts
    assert {"image", "label", "prediction", "confidence", "p_basophil", "raw_monocyte"} <= set(predictions.columns)
    if "val" not in parts:
        assert metrics(run)["temperature"] == 1
        assert "val_recall" not in (run / "log.csv").read_text()


def test_16_bits_are_used_in_full(fit, few, tmp_path):
    folder = few(8)
    for path in folder.rglob("*.png"):
        grey = np.asarray(Image.open(path).convert("L")).astype(np.uint16) * 16 + 7  # a 12-bit camera
        Image.fromarray(grey).save(path)
    run = fit(tmp_path / "run", path=folder)
    fingerprint = json.loads((run / "fingerprint.json").read_text())
    assert list(fingerprint["modes"]) != []
    assert max(fingerprint["mean"]) < 0.07  # 12 of 16 bits
    assert all(value.isfinite().all() for value in load(run).net.state_dict().values())


def test_a_bad_image_among_many_is_set_aside_by_name(fit, cells, tmp_path, listener):
    folder = tmp_path / "cells"
    shutil.copytree(cells, folder)
    bad = sorted((folder / "monocyte").iterdir())[0]
    bad.write_text("no image")
    run = fit(tmp_path / "run", Call({}, progress=listener), path=folder, guard__max_faulty=0.02)
    assert [line for line in listener.lines if line.startswith(f"set aside: monocyte/{bad.name}: ")]
    assert bad.name not in (run / "predictions.csv").read_text()
    with pytest.raises(DataFault, match=r"1 of 60 images: cannot be read, more than the 1 % a run goes on without"):
        fit(tmp_path / "other", path=folder)
    assert not (tmp_path / "other").exists()


def test_changed_images_are_refused(fit, few, tmp_path):
    folder = few(8)
    fit(tmp_path / "run", path=folder)
    first = next(iter(sorted(folder.rglob("*.png"))))
    Image.new("RGB", (32, 32)).save(first)
    with pytest.raises(CorpuscleError, match="the images or labels have changed since"):
        fit(tmp_path / "run", path=folder)


def test_an_unknown_model_is_refused_before_a_folder_is_made(fit, tmp_path):
    with pytest.raises(CorpuscleError, match="'resnet19' is no model of Corpuscle's or timm's"):
        fit(tmp_path / "run", net__model="resnet19")
    assert not (tmp_path / "run").exists()


def test_weights_of_another_run_start_a_new_one(fit, finished, tmp_path, listener):
    run = fit(tmp_path / "run", Call({}, progress=listener), net__weights=str(finished), epochs=[1])
    assert [line for line in listener.lines if line.startswith("weights: ")]
    before, after = load(finished).card, load(run).card
    assert (before.mean, before.std) == (after.mean, after.std)
    derived = json.loads((run / "plan.json").read_text())["derived"]
    assert derived["normalisation"]["why"] == "what the starting weights were trained with"


def test_memory_is_flat_over_epochs(fit, tmp_path):
    sizes = []

    class Scales(Progress):
        def say(self, line):
            if line.startswith("epoch "):
                gc.collect()
                tensors = {
                    one.untyped_storage().data_ptr(): one.untyped_storage().nbytes()
                    for one in gc.get_objects()
                    if issubclass(type(one), torch.Tensor)
                }
                sizes.append(sum(tensors.values()))

    fit(tmp_path / "run", Call({}, progress=Scales()), stages=[{"epochs": 4}], fit__keep="best")
    assert len(sizes) == 4
    assert sizes[-1] == sizes[1], sizes


def test_killed_while_it_is_judged_a_run_is_only_judged_again(fit, digest, tmp_path, monkeypatch):
    from corpuscle.engine import train as module

    with monkeypatch.context() as killed:
        killed.setattr(module, "write_scores", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            fit(tmp_path / "run")
    assert not (tmp_path / "run" / "metrics.json").exists()
    weights = (tmp_path / "run" / "weights.safetensors").read_bytes()
    with monkeypatch.context() as watched:
        watched.setattr(module, "fit_stage", lambda *_: 1 / 0)
        fit(tmp_path / "run")
    assert (tmp_path / "run" / "weights.safetensors").read_bytes() == weights
    assert metrics(tmp_path / "run")["parts"]


def test_a_full_disk_at_the_end_keeps_what_was_trained(fit, tmp_path, monkeypatch, listener):
    sound, full = os.fsync, []

    def fsync(handle):
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sound(handle)

    monkeypatch.setattr(os, "fsync", fsync)

    class Fills(Progress):
        def say(self, line):
            if line.startswith("epoch   2"):
                full.append(True)

    with pytest.raises(CorpuscleError, match=r"^the disk is full: .* could not be written; free some space and give"):
        fit(tmp_path / "run", Call({}, progress=Fills()), stages=[{"epochs": 3}], fit__save_every=0)
    full.clear()
    assert load_state(tmp_path / "run" / run_folder.CHECKPOINT).state.place == Place(0, 1, 0)
    fit(tmp_path / "run", Call({}, progress=listener), stages=[{"epochs": 3}], fit__save_every=0)
    assert "going on from epoch 2, step 1" in listener.lines
