"""Segmentation from the folder to the answer: one mask wherever one asks for it, and what is refused in words."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from typer.testing import CliRunner

from corpuscle import api
from corpuscle.cli.main import app
from corpuscle.core.errors import CorpuscleError
from corpuscle.core.stopped import Stopped
from corpuscle.data.prepare import PreparePlan
from corpuscle.engine.train import Call, train
from corpuscle.nets.card import Card, save
from corpuscle.nets.zoo import NetPlan, build
from corpuscle.recipes import compose
from corpuscle.synth.folder import write_cells

CLASSES = ["background", "cell", "nucleus"]
LEARNS = {"epochs": [12], "learning_rate": [0.03], "fit.average": 0}


@pytest.fixture(scope="module")
def run(blobs, segmenting, tmp_path_factory):
    """A finished run whose page is not drawn: that takes longer than all else."""
    experiment, origins = compose("segment", None, segmenting | LEARNS)
    return api.Run(train(blobs, experiment, tmp_path_factory.mktemp("segmented") / "run", Call(origins)))


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """The net and card of a classifier, which is all that prediction asks for."""
    folder = tmp_path_factory.mktemp("classified")
    net = build(NetPlan(model="timm/test_resnet"), num_outputs=2, size=32)
    known = {"prepare": PreparePlan(size=32).model_dump(mode="json"), "calibration": {"temperature": 1.0}}
    plain = {"mean": (0.5, 0.5, 0.5), "std": (0.2, 0.2, 0.2), "trained_on": {"images": 1}}
    save(folder, net, Card(task="classify", classes=("a", "b"), net=net.plan, num_outputs=2, size=32, **known, **plain))
    return folder


def invoke(*words: object):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_the_run_folder_holds_what_explains_the_masks(run, blobs):
    metrics = run.metrics
    assert metrics["task"] == "segment" and metrics["classes"] == CLASSES
    assert [len(colour) for colour in metrics["legend"]["colours"]] == [3, 3, 3]
    scores = metrics["parts"]["test"]["scores"]
    assert {"mean_dice", "mean_iou", "pixel_accuracy"} <= scores.keys()
    assert scores["mean_dice"]["value"] > 0.5, "twelve epochs teach three colours"
    held = run.predictions
    for word in ("true", "said", "both", "area"):
        assert {f"{word}_{name}" for name in CLASSES} <= set(held.columns)
    judged = held.select(pl.sum_horizontal(pl.col("^true_.*$"))).to_series().unique().to_list()
    assert judged == [42 * 52], "the two rows that nobody judges are left out"
    assert held.select(pl.sum_horizontal(pl.col("^area_.*$"))).to_series().unique().to_list() == [44 * 52]
    index = json.loads((run.folder / "examples" / "index.json").read_text())
    assert {item["image"] for item in index["items"]} == set(held["image"])


@pytest.mark.slow
def test_the_page_of_a_run_that_segments_is_drawn(run, tmp_path):
    shutil.copytree(run.folder, tmp_path / "run")
    page = api.report(tmp_path / "run").read_text(encoding="utf-8")
    assert len(page) < 10e6 and all(name in page for name in ("Dice", *CLASSES))


def test_the_masks_are_the_same_from_the_file_the_api_and_the_command_line(run, blobs, tmp_path, monkeypatch):
    held = run.predictions
    paths = [blobs / name for name in held["image"]]
    columns = [f"area_{name}" for name in CLASSES] + ["count_cell", "count_nucleus"]
    called = api.predict(run, paths).table.select(columns)
    assert called.equals(held.select(columns))
    done = invoke("predict", run.folder, *paths, "--out", tmp_path / "areas.csv", "--masks", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert pl.read_csv(tmp_path / "areas.csv").select(columns).equals(called)
    for path, row in zip(paths, called.iter_rows(named=True), strict=True):
        mask_HW = np.asarray(Image.open(tmp_path / "out" / "masks" / path.name))
        assert np.bincount(mask_HW.ravel(), minlength=3).tolist() == [row[f"area_{name}"] for name in CLASSES]
    monkeypatch.setattr(api, "report", lambda folder: None)
    again = api.evaluate(run, out=tmp_path / "again")
    told = [one.metrics["parts"]["test"]["scores"]["mean_dice"]["value"] for one in (run, again)]
    assert told[0] == pytest.approx(told[1], abs=1e-6)


def test_a_stopped_segmentation_goes_on_to_the_same_weights(blobs, segmenting, tmp_path):
    experiment, origins = compose("segment", None, segmenting)
    train(blobs, experiment, tmp_path / "whole", Call(origins))
    asked = iter([0, 0, 15])
    with pytest.raises(Stopped):
        train(blobs, experiment, tmp_path / "stopped", Call(origins, stopping=lambda: next(asked, 0)))
    assert not (tmp_path / "stopped" / "metrics.json").exists()
    train(blobs, experiment, tmp_path / "stopped", Call(origins))
    whole, stopped = ((tmp_path / name / "weights.safetensors").read_bytes() for name in ("whole", "stopped"))
    assert whole == stopped
    assert (tmp_path / "whole" / "predictions.csv").read_text() == (
        tmp_path / "stopped" / "predictions.csv"
    ).read_text()


def test_masks_of_a_classifier_and_dots_of_a_segmenter_are_refused(run, classifier, blobs, tmp_path):
    images = blobs / "images"
    told = (
        r"expected a run that segments for --masks, .*classified0 does not; leave --masks out, or train with --recipe"
    )
    with pytest.raises(CorpuscleError, match=told):
        api.predict(classifier, images, masks=tmp_path / "masks")
    told = r"expected a run that finds dots for --points, .*run finds none; leave --points out, or train with"
    with pytest.raises(CorpuscleError, match=told):
        api.predict(run.folder, images, points=tmp_path / "points")
    assert not list(tmp_path.iterdir())


def test_images_without_masks_are_refused_with_where_to_put_them(tmp_path):
    write_cells(tmp_path / "cells", 4, 32, 0)
    with pytest.raises(CorpuscleError, match=r"\.png has no mask; add it|\.png: has no mask; add it"):
        api.train(tmp_path / "cells", recipe="segment", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_images_with_masks_can_be_divided_and_inspected(blobs, tmp_path):
    divided = api.split(
        blobs, tmp_path / "parts.csv", settings={"data.group_from": r"(?P<group>s\d+)_", "split.test": 0.3}
    )
    parts = divided.frame.group_by("group").agg(pl.col("split").n_unique())["split"]
    assert parts.to_list() == [1] * 6
    assert Path(tmp_path / "parts.csv").is_file()


def refused(path, recipe, settings, tmp_path):
    """What is said to a training that cannot be."""
    with pytest.raises(CorpuscleError) as raised:
        experiment, origins = compose(recipe, None, settings)
        train(path, experiment, tmp_path / "refused", Call(origins))
    assert not (tmp_path / "refused" / "experiment.toml").exists(), "nothing is left behind"
    return str(raised.value)


def test_masks_without_labels_are_not_for_a_classifier(blobs, tmp_path):
    told = refused(blobs, "default", {}, tmp_path)
    assert told.endswith("expected images with a class each, these come with masks; pass --recipe segment")


def test_images_of_several_sizes_are_not_learned_whole(blobs, segmenting, tmp_path):
    shutil.copytree(blobs, tmp_path / "blobs")
    for kind in ("images", "masks"):
        path = tmp_path / "blobs" / kind / "s0_0.png"
        Image.open(path).crop((0, 0, 40, 40)).save(path)
    told = refused(tmp_path / "blobs", "segment", segmenting | {"augment.crop": 0}, tmp_path)
    assert told.startswith(
        "expected images of one size to be learned whole, these have 2 sizes; pass --set augment.crop"
    )


def test_a_classifier_is_judged_on_images_that_have_masks_besides(tmp_path):
    write_cells(tmp_path / "cells", 8, 32, 0)
    images = sorted((tmp_path / "cells").rglob("*.png"))
    (tmp_path / "masks").mkdir()
    for image in images:
        mask = Image.new("L", (32, 32))
        mask.paste(255, (8, 8, 24, 24))
        mask.save(tmp_path / "masks" / image.name)
    rows = [f"cells/{image.parent.name}/{image.name},{image.parent.name},masks/{image.name}" for image in images]
    (tmp_path / "all.csv").write_text("\n".join(["image,label,mask", *rows]))
    flags = {"net.model": "timm/test_resnet", "prepare.size": 32, "epochs": [1], "score.resamples": 100}
    experiment, origins = compose("default", None, flags)
    run = train(tmp_path / "all.csv", experiment, tmp_path / "run", Call(origins))
    judged = api.evaluate(run, tmp_path / "all.csv", out=tmp_path / "judged")
    assert judged.metrics["task"] == "classify" and judged.metrics["parts"]["test"]["n"] == len(images)


def test_the_command_tells_the_main_scores(blobs, run, tmp_path):
    said = invoke("evaluate", run.folder, blobs, "--out", tmp_path / "judged").output
    assert "test (12 images): mean dice 0." in said and "mean iou 0." in said and "boundary f1 0." in said


def test_rare_classes_weigh_by_the_root_of_their_pixels(blobs, segmenting, tmp_path):
    experiment, origins = compose("segment", None, segmenting | {"epochs": [1], "fit.balance": "weights"})
    run = api.Run(train(blobs, experiment, tmp_path / "run", Call(origins)))
    facts, plan = (json.loads((run.folder / name).read_text()) for name in ("fingerprint.json", "plan.json"))
    held_K = np.sqrt([facts["pixels"][name]["train"]["pixels"] for name in CLASSES])
    told = plan["derived"]["class weights"]
    assert told["value"] == pytest.approx((held_K.sum() / (3 * held_K)).tolist(), abs=1e-4)
    assert "of masks the root of its pixels" in told["why"]
