"""Scenes on disk are those of the composer, whole, and gone on with where they were stopped."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple

import numpy as np
import polars as pl
import pytest
from PIL import Image

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.legend import SMEAR
from corpuscle.engine import compose as engine
from corpuscle.engine.compose import composer_for, write_scenes
from corpuscle.synth.bank import PARTS, write_bank
from corpuscle.synth.compose import Composer
from corpuscle.synth.drawn import drawn_cutouts
from corpuscle.synth.plan_compose import ComposePlan

PLAN = ComposePlan(size=96, field_size=200, num_fields=3, red_cells=(5, 15), scenes=(5, 2, 1), blocks=2, memory_mib=16)


@pytest.fixture(scope="module")
def cutouts():
    return drawn_cutouts(10, 0.3, seed=1)


@pytest.fixture
def composer(cutouts):
    return Composer(cutouts, PLAN, seed=3)


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def pixels(path):
    return np.asarray(Image.open(path))


def test_files_hold_the_scenes_and_boxes_of_the_composer(composer, tmp_path):
    written = write_scenes(tmp_path / "out", composer, instances=True, workers=1)
    boxes = pl.read_csv(tmp_path / "out" / "boxes.csv")
    assert written.scenes == {"train": 5, "val": 2, "test": 1}
    for part, index in (("train", 0), ("train", 4), ("val", 1), ("test", 0)):
        scene, name = composer.scene(part, index), f"{index:06d}.png"
        folder = tmp_path / "out" / part
        np.testing.assert_array_equal(pixels(folder / "images" / name), scene.image_HWC)
        np.testing.assert_array_equal(pixels(folder / "instances" / name), scene.instance_HW)
        mask = Image.open(folder / "masks" / name)
        assert mask.mode == "P"
        np.testing.assert_array_equal(np.asarray(mask), scene.mask_HW)
        assert mask.convert("RGB").getpixel((0, 0)) == SMEAR.colours[scene.mask_HW[0, 0]]
        rows = boxes.filter(pl.col("image") == f"{part}/images/{name}")
        assert rows["kind"].to_list() == [SMEAR.classes[kind] for kind in scene.kind_M]
        assert rows.select("left", "top", "width", "height").rows() == [tuple(box) for box in scene.box_M4.tolist()]
    for part in PARTS:
        images = boxes.filter(pl.col("image").str.starts_with(part))["kind"].to_list()
        assert written.objects[part] == {kind: images.count(kind) for kind in SMEAR.classes[1:]}
    assert json.loads((tmp_path / "out" / "legend.json").read_text())["classes"] == list(SMEAR.classes)
    assert not (tmp_path / "out" / ".rows").exists()


def test_coco_files_hold_the_same(composer, tmp_path):
    write_scenes(tmp_path / "out", composer, "coco", workers=1)
    held = json.loads((tmp_path / "out" / "train.json").read_text())
    assert [one["name"] for one in held["categories"]] == list(SMEAR.classes[1:])
    assert len(held["images"]) == 5 and (tmp_path / "out" / held["images"][3]["file_name"]).is_file()
    scene = composer.scene("train", 3)
    mine = [one for one in held["annotations"] if one["image_id"] == held["images"][3]["id"]]
    assert [one["bbox"] for one in mine] == scene.box_M4.tolist()
    assert [one["category_id"] for one in mine] == scene.kind_M.tolist()
    assert [one["area"] for one in mine] == np.bincount(scene.instance_HW.ravel())[1:].tolist()
    assert not (tmp_path / "out" / "boxes.csv").exists()


@pytest.mark.slow
def test_what_is_stopped_goes_on_and_ends_the_same_with_any_workers(composer, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "RUN", 2)
    whole = tmp_path / "whole"
    write_scenes(whole, composer, workers=2)
    original, calls = engine._write_run, []

    def stopped(task):
        calls.append(task)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(task)

    monkeypatch.setattr(engine, "_write_run", stopped)
    with pytest.raises(KeyboardInterrupt):
        write_scenes(tmp_path / "out", composer, workers=1)
    assert not (tmp_path / "out" / "legend.json").exists() and len(calls) == 3
    written = write_scenes(tmp_path / "out", composer, workers=1)
    assert len(calls) == 3 + 3, "five runs in all, of which two were whole"
    assert contents(tmp_path / "out") == contents(whole)
    assert write_scenes(tmp_path / "out", composer, workers=1) == written and len(calls) == 6


def test_a_folder_of_something_else_or_of_other_scenes_is_left_alone(composer, cutouts, tmp_path):
    write_scenes(tmp_path / "out", composer, workers=1)
    with pytest.raises(CorpuscleError, match="holds scenes composed with another seed; name a new folder"):
        write_scenes(tmp_path / "out", Composer(cutouts, PLAN, seed=4), workers=1)
    with pytest.raises(CorpuscleError, match="composed with another layout and cutouts"):
        write_scenes(tmp_path / "out", Composer(cutouts[:-1], PLAN, seed=3), "coco", workers=1)
    shutil.rmtree(tmp_path / "out")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").touch()
    with pytest.raises(CorpuscleError, match="is not empty and holds no composed scenes"):
        write_scenes(tmp_path / "out", composer, workers=1)


def test_a_disk_without_room_is_told_before_any_scene(composer, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(engine.shutil, "disk_usage", lambda _: usage(0, 0, 1 << 20))
    with pytest.raises(CorpuscleError, match=r"has 0.0 GiB free, 8 scenes need about 0.1 GiB; .* --scenes"):
        write_scenes(tmp_path / "out", composer, workers=1)
    assert not (tmp_path / "out" / "train").exists()


def test_a_bank_is_read_and_its_gaps_are_told_before_any_scene(cutouts, tmp_path):
    (tmp_path / "bank").mkdir()
    write_bank(tmp_path / "bank", cutouts, 0.3)
    one, other = composer_for(tmp_path / "bank", PLAN, 3).scene("val", 0), Composer(cutouts, PLAN, 3).scene("val", 0)
    assert one.image_HWC.shape == other.image_HWC.shape
    (tmp_path / "poor").mkdir()
    write_bank(tmp_path / "poor", [one for one in cutouts if one.part == "train"], 0.3)
    with pytest.raises(CorpuscleError, match="val: there is no cut-out of eosinophil"):
        composer_for(tmp_path / "poor", PLAN, 3)
    composer_for(tmp_path / "poor", PLAN.model_copy(update={"scenes": (5, 0, 0)}), 3)
