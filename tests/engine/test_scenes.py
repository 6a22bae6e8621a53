"""Composed scenes in the place of images on disk."""

from __future__ import annotations

import json
import operator
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.legend import SMEAR
from corpuscle.engine import scenes
from corpuscle.engine.rescore import own_table
from corpuscle.engine.scenes import scenes_of
from corpuscle.engine.train import Call, train
from corpuscle.recipes import compose
from corpuscle.synth.bank import PARTS, read_bank, write_bank
from corpuscle.synth.compose import Composer
from corpuscle.synth.drawn import drawn_cutouts
from corpuscle.synth.plan_compose import ComposePlan

SMALL = {"size": 96, "field_size": 160, "num_fields": 2, "red_cells": (5, 15), "blocks": 2, "memory_mib": 16}
PLAN = ComposePlan(**SMALL, scenes=(8, 4, 4))


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn") / "bank"
    folder.mkdir()
    write_bank(folder, drawn_cutouts(10, 0.3, seed=1), 0.3)
    return folder


@pytest.fixture(scope="module")
def made(bank):
    return scenes_of(bank, PLAN, seed=3)


def digest(made, place):
    return made.canvases[place].tobytes() + made.masks[place].tobytes()


def digests(made, places):
    return [digest(made, place) for place in places]


def test_the_scenes_are_those_of_the_composer_part_by_part(bank, made):
    composer = Composer(read_bank(bank).cutouts, PLAN, 3)
    assert made.table.frame["split"].to_list() == ["train"] * 8 + ["val"] * 4 + ["test"] * 4
    for place, name in enumerate(made.table.frame["image"]):
        part, index = name.split("/")
        assert part in PARTS and part == made.table.frame["split"][place]
        scene = composer.scene(part, int(index))
        np.testing.assert_array_equal(made.canvases[place], scene.image_HWC)
        np.testing.assert_array_equal(made.masks[place], scene.mask_HW)


@pytest.mark.slow
def test_a_scene_is_the_same_in_another_process(made):
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        for place in (13, 2):
            image_HWC = pool.submit(operator.getitem, made.canvases, place).result()
            assert np.array_equal(image_HWC, made.canvases[place])


def test_a_scene_is_the_same_in_any_order(bank, made):
    expected = digests(made, range(16))
    assert len(set(expected)) == 16
    assert digests(scenes_of(bank, PLAN, seed=3), range(15, -1, -1)) == expected[::-1]
    assert digest(scenes_of(bank, PLAN, seed=4), 0) != expected[0]


def test_table_and_what_was_seen_agree(made):
    table, seen = made.table, made.seen
    assert len(table.frame) == len(seen) == 16
    assert table.segmented and table.legend is SMEAR and table.classes == SMEAR.classes
    assert seen["fault"].null_count() == 16 and seen["content"].n_unique() == 16
    assert set(seen.select("height", "width").rows()) == {(96, 96)}
    assert made.canvases.dtype == made.canvases[0].dtype == np.uint8 and made.canvases[0].shape == (96, 96, 3)
    for part, places in (("train", range(8)), ("val", range(8, 12))):
        for place in places:  # few enough for all to be counted
            counted = np.bincount(made.masks[place].ravel(), minlength=10)
            assert table.frame["pixels"][place].to_list() == counted.tolist(), part
    assert seen["pixels"].equals(table.frame["pixels"])


def test_a_part_may_be_without_scenes(bank):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = scenes_of(bank, PLAN.model_copy(update={"scenes": (2, 0, 1)}), seed=3)
    assert made.table.frame["image"].to_list() == ["train/000000", "train/000001", "test/000000"]
    assert made.masks[2].shape == (96, 96)


def test_a_process_keeps_no_more_scenes_than_it_may(bank, monkeypatch):
    monkeypatch.setattr(scenes, "KEPT_BYTES", 200_000)  # four of 96 x 96
    made = scenes_of(bank, PLAN, seed=3)
    first = digest(made, 0)
    for place in range(8):
        digest(made, place)
    assert 0 < made.canvases.stream.kept.used <= 200_000 and digest(made, 0) == first
    assert made.canvases[7] is made.canvases[7], "what is kept is not composed again"


@pytest.fixture(scope="module")
def run(bank, tmp_path_factory):
    """A training on the scenes of the bank, by the recipe smear."""
    flags = {f"compose.{name}": value for name, value in SMALL.items()} | {"compose.scenes": [8, 4, 4]}
    flags |= {"net.widths": [4, 8], "epochs": [2], "fit.batch_size": 4, "score.resamples": 100}
    flags |= {"device.name": "cpu", "device.precision": "fp32", "device.workers": 0}
    experiment, origins = compose("smear", flags=flags)
    return train(bank, experiment, tmp_path_factory.mktemp("runs") / "run", Call(origins))


def test_a_training_on_a_bank_gives_a_run(run):
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["classes"] == list(SMEAR.classes)
    assert {part: metrics["parts"][part]["n"] for part in metrics["parts"]} == {"val": 4, "test": 4}
    assert metrics["legend"]["colours"] == [list(colour) for colour in SMEAR.colours]
    samples = (run / "samples.csv").read_text().splitlines()
    assert len(samples) == 17 and samples[1].startswith("train/000000,")
    facts = json.loads((run / "fingerprint.json").read_text())
    assert "seed 0" in facts["notes"][0] and facts["layout"] == "scenes composed of cut-outs"
    assert (run / "examples" / "index.json").is_file() and (run / "improved" / "state.json").is_file()


def test_judging_such_a_run_again_says_that_its_scenes_are_composed_anew(run):
    told = (
        r"expected held-out images on disk, .*run held out scenes that are composed anew; name images with masks, such"
    )
    with pytest.raises(CorpuscleError, match=told):
        own_table(run)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"compose.scenes": [0, 4, 4]}, "compose.scenes expects scenes to train on, got [0, 4, 4]; pass"),
        ({"split.budget": 0.5}, "split.budget and split.per_class expect images that have labels, scenes are composed"),
        ({"augment.crop": 128}, "compose.size expects at least augment.crop (128), got 96; pass --set augment.crop=0"),
    ],
)
def test_scenes_that_cannot_be_learned_from_are_refused(bank, tmp_path, settings, told):
    plan = {f"compose.{name}": value for name, value in {**SMALL, "scenes": [8, 4, 4]}.items()}
    experiment, origins = compose("smear", None, plan | settings)
    with pytest.raises(CorpuscleError) as raised:
        train(bank, experiment, tmp_path / "run", Call(origins))
    assert str(raised.value).startswith(told)
