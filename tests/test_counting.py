"""Counting from the folder to the answer: one number wherever one asks for it, and what is refused in words."""

from __future__ import annotations

import json
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
from corpuscle.data.sources import scan
from corpuscle.engine.train import Call, train
from corpuscle.recipes import compose
from corpuscle.synth.lysto import write_lysto

SMALL = {
    "net.widths": [4, 8],
    "epochs": [2],
    "fit.batch_size": 2,
    "score.views": 1,
    "score.resamples": 100,
    "prepare.shrink": 1,
    "device.name": "cpu",
    "split.test": 0.3,
    "split.val": 0.3,
}


def field(folder: Path, number: int, size: int = 40) -> None:
    """An image of bright dots on dark ground, and its image of dots."""
    random = np.random.default_rng(number)
    image_HW3, dots_HW = np.zeros((size, size, 3), np.uint8), np.zeros((size, size), np.uint8)
    for y, x in random.integers(3, size - 3, (4 + number % 5, 2)):
        image_HW3[y - 1 : y + 2, x - 1 : x + 2] = 220
        dots_HW[y, x] = 255
    Image.fromarray(image_HW3 + random.integers(30, size=image_HW3.shape, dtype=np.uint8)).save(
        folder / f"{number:03}cell.png"
    )
    Image.fromarray(dots_HW).save(folder / f"{number:03}dots.png")


@pytest.fixture(scope="module")
def fields(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fields")
    for number in range(12):
        field(folder, number)
    return folder


@pytest.fixture(scope="module")
def run(fields, tmp_path_factory):
    return api.train(fields, recipe="count", out=tmp_path_factory.mktemp("counted") / "run", settings=SMALL)


def patches(path: Path, count: int = 12, size: int = 40) -> Path:
    random = np.random.default_rng(0)
    image_NHWC = random.integers(255, size=(count, size, size, 3), dtype=np.uint8)
    write_lysto(path, image_NHWC, np.arange(count) % 7)
    return path


def invoke(*words: object):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_the_run_folder_holds_what_explains_the_count(run):
    metrics = run.metrics
    assert metrics["task"] == "count" and metrics["classes"] == ["cell"]
    scores = metrics["parts"]["test"]["scores"]
    assert {"mae", "rmse", "r", "r2", "bias", "kappa", "dot_precision", "dot_recall", "dot_f1"} <= scores.keys()
    assert metrics["calibration"]["quantiles"] == {"cell": None}  # three held-out images set no 90 % interval
    held = run.predictions
    assert held.columns == ["image", "split", "group", "true_cell", "count_cell", "low_cell", "high_cell"]
    points = run.points
    assert points is not None
    true = points.filter(pl.col("what") == "true").group_by("image").len()
    assert dict(true.rows()) == dict(held.select("image", "true_cell").rows())
    found = dict(points.filter(pl.col("what") == "found").group_by("image").len().rows())
    for image, count in held.select("image", "count_cell").iter_rows():
        assert found.get(image, 0) <= round(count)
    index = json.loads((run.folder / "heatmaps" / "index.json").read_text())
    assert set(index) <= set(held["image"]) and all(
        (run.folder / "heatmaps" / e["file"]).is_file() for e in index.values()
    )
    assert run.report.stat().st_size < 10e6


def test_the_count_is_the_same_from_the_file_the_api_and_the_command_line(run, fields, tmp_path):
    held = run.predictions
    paths = [fields / name for name in held["image"]]
    called = api.predict(run, paths).table["count_cell"]
    done = invoke("predict", run.folder, *paths, "--out", tmp_path / "counts.csv", "--points", tmp_path / "points")
    assert done.exit_code == 0, done.output
    typed = pl.read_csv(tmp_path / "counts.csv")["count_cell"]
    assert called.to_list() == typed.to_list()
    assert called.to_list() == pytest.approx(held["count_cell"].to_list(), abs=2e-4)  # written with four digits
    assert {path.name for path in (tmp_path / "points").iterdir()} == {
        "points.csv",
        *(f"{Path(name).stem}.geojson" for name in held["image"]),
    }
    again = api.evaluate(run, out=tmp_path / "again")
    told = [one.metrics["parts"]["test"]["scores"]["mae"]["value"] for one in (run, again)]
    assert told[0] == pytest.approx(told[1], abs=1e-4)


def test_a_stopped_counting_goes_on_to_the_same_weights(fields, tmp_path):
    experiment, origins = compose("count", None, SMALL)
    train(fields, experiment, tmp_path / "whole", Call(origins))
    asked = iter([0, 0, 0, 15])
    with pytest.raises(Stopped):
        train(fields, experiment, tmp_path / "stopped", Call(origins, stopping=lambda: next(asked, 0)))
    train(fields, experiment, tmp_path / "stopped", Call(origins))
    whole, stopped = ((tmp_path / name / "weights.safetensors").read_bytes() for name in ("whole", "stopped"))
    assert whole == stopped


@pytest.mark.slow
def test_numbers_alone_teach_a_regression_and_a_density(tmp_path):
    data = patches(tmp_path / "train.h5")
    small = {name: value for name, value in SMALL.items() if name not in ("net.widths", "prepare.shrink")}
    regression = {**small, "net.model": "resnet18", "net.weights": "none", "prepare.size": 32}
    ways = {"lysto": regression, "count": SMALL}
    for recipe, settings in ways.items():
        made = api.train(data, recipe=recipe, out=tmp_path / recipe, settings=settings)
        assert made.metrics["classes"] == ["lymphocyte"]
        filled = api.submit(made, data, tmp_path / f"{recipe}.csv")
        assert filled.columns == ["id", "count"] and filled["id"].to_list() == list(range(1, 13))
        assert (filled["count"] >= 0).all()
    with pytest.raises(CorpuscleError, match=r"expected a run that finds dots for --points, .* finds none"):
        api.predict(tmp_path / "lysto", data, points=tmp_path / "points")
    Image.new("RGB", (40, 80)).save(tmp_path / "tall.png")
    told = api.predict(tmp_path / "lysto", tmp_path / "tall.png")
    assert [fault.what for fault in told.faults] == ["is 80 × 40 pixels, the net counts whole images of 40 × 40"]
    assert api.predict(tmp_path / "count", tmp_path / "tall.png").faults == ()
    comparison = api.compare([tmp_path / "lysto", tmp_path / "count"], out=tmp_path / "comparison")
    assert [one.name for one in comparison.differences] == ["mae"]


def test_a_csv_of_counts_is_filled_in_its_own_order(run, fields, tmp_path):
    rows = [{"image": str(fields / f"{number:03}cell.png"), "smear": f"s{number}"} for number in (5, 2, 9)]
    pl.DataFrame(rows).write_csv(tmp_path / "test.csv")
    filled = api.submit(run, tmp_path / "test.csv", tmp_path / "filled.csv")
    assert filled.columns == ["image", "smear", "count"] and filled["smear"].to_list() == ["s5", "s2", "s9"]


def test_data_of_the_other_task_are_refused_in_words(fields, tmp_path):
    with pytest.raises(CorpuscleError, match=r"expected images with a class each, .* count them with --recipe count"):
        api.train(fields, out=tmp_path / "run")
    for name in "ab":
        (tmp_path / "classes" / name).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (20, 20), (number, 0, 0)).save(tmp_path / "classes" / name / f"{number}.png")
    with pytest.raises(
        CorpuscleError, match=r"expected images with numbers of objects, dots or boxes, these come with"
    ):
        api.train(tmp_path / "classes", recipe="count", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_numbers_alone_of_images_of_several_sizes_are_refused_by_a_density(tmp_path):
    rows = []
    for number, size in enumerate((40, 40, 40, 40, 48, 48, 48, 48)):
        field(tmp_path, number, size)
        rows.append({"image": f"{number:03}cell.png", "count": number})
    pl.DataFrame(rows).write_csv(tmp_path / "counts.csv")
    with pytest.raises(
        CorpuscleError, match=r"expected images of one size .* these have 2 sizes; cut them to one, or mark"
    ):
        api.train(tmp_path / "counts.csv", recipe="count", out=tmp_path / "run", settings=SMALL)


def test_a_classifier_and_a_counter_cannot_be_judged_on_each_others_data(run, tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        Image.new("RGB", (20, 20)).save(tmp_path / name / "1.png")
    with pytest.raises(CorpuscleError, match="expected images with numbers of objects"):
        api.evaluate(run, tmp_path, out=tmp_path / "out")


def test_folds_of_a_counted_set_stay_apart_by_slide(fields, tmp_path):
    slides = {"data.group_from": r"(?P<group>\d)cell"}
    table = api.split(fields, tmp_path / "parts.csv", settings={**slides, "split.folds": 3})
    of_slide = table.frame.group_by("group").agg(pl.col("fold").n_unique())
    assert len(of_slide) == 10 and of_slide["fold"].unique().to_list() == [1]
    kept = scan(tmp_path / "parts.csv")
    assert kept.frame["counts"].list.sum().sum() == table.frame["counts"].list.sum().sum()
