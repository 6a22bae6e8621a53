"""Predictions and scores of a finished training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from sklearn import metrics as sk

from corpuscle.data.table import Table
from corpuscle.engine.device import DevicePlan, choose_machine
from corpuscle.engine.evaluate import write_scores
from corpuscle.engine.predict import Predictor, dihedral
from corpuscle.metrics.calibration import apply_temperature, fit_temperature
from corpuscle.tasks.classify import Classify
from corpuscle.tasks.task import Held, Judging
from corpuscle.tasks.zoo import build_task

CLASSES = ("basophil", "eosinophil", "lymphocyte", "monocyte", "neutrophil")


@pytest.fixture(scope="module")
def predictions(finished):
    return pl.read_csv(finished / "predictions.csv")


@pytest.fixture(scope="module")
def metrics(finished):
    return json.loads((finished / "metrics.json").read_text())


def columns(frame, prefix):
    return frame.select(f"{prefix}_{name}" for name in CLASSES).to_numpy()


def test_training_and_predicting_give_the_same_probabilities(finished, predictions, cells):
    predicted = Predictor.of(finished, "cpu").predict([cells / image for image in predictions["image"]]).table
    assert predicted["prediction"].to_list() == predictions["prediction"].to_list()
    for prefix in ("p", "raw"):
        np.testing.assert_allclose(columns(predicted, prefix), columns(predictions, prefix), rtol=0, atol=1e-6)


def test_an_image_alone_has_the_probabilities_it_has_among_others(finished, predictions, cells):
    predictor = Predictor.of(finished, "cpu")
    for row in range(0, len(predictions), 7):
        alone = predictor.predict([cells / predictions["image"][row]]).table
        np.testing.assert_allclose(columns(alone, "p")[0], columns(predictions, "p")[row], rtol=0, atol=1e-5)


def test_every_held_out_image_is_predicted_once(finished, predictions):
    samples = pl.read_csv(finished / "samples.csv").filter(pl.col("split").is_in(["val", "test"]))
    assert sorted(predictions["image"]) == sorted(samples["image"])
    assert set(predictions["split"]) == {"val", "test"}
    labels = dict(samples.select("image", "label").rows())
    assert [labels[image] for image in predictions["image"]] == predictions["label"].to_list()


def test_the_columns_agree_with_one_another(predictions, metrics):
    p_NK, raw_NK = columns(predictions, "p"), columns(predictions, "raw")
    np.testing.assert_allclose(p_NK.sum(axis=1), 1, atol=1e-9)
    np.testing.assert_allclose(apply_temperature(raw_NK, metrics["temperature"]), p_NK, atol=1e-9)
    assert predictions["prediction"].to_list() == [CLASSES[k] for k in p_NK.argmax(axis=1)]
    np.testing.assert_allclose(predictions["confidence"], p_NK.max(axis=1))


def test_the_temperature_is_fitted_to_the_validation_part_alone(predictions, metrics):
    val = predictions.filter(pl.col("split") == "val")
    target_N = np.array([CLASSES.index(label) for label in val["label"]])
    assert metrics["temperature"] == pytest.approx(fit_temperature(columns(val, "raw"), target_N), rel=1e-6)
    assert Classify().calibrate(None) == {"temperature": 1.0}


@pytest.mark.parametrize("part", ["val", "test"])
def test_the_scores_are_those_of_scikit_learn(predictions, metrics, part):
    rows, found = predictions.filter(pl.col("split") == part), metrics["parts"][part]
    true, said = rows["label"].to_list(), rows["prediction"].to_list()
    expected = {
        "accuracy": sk.accuracy_score(true, said),
        "balanced_accuracy": sk.balanced_accuracy_score(true, said),
        "f1_macro": sk.f1_score(true, said, average="macro", labels=CLASSES, zero_division=0),
        "f1_weighted": sk.f1_score(true, said, average="weighted", zero_division=0),
        "kappa": sk.cohen_kappa_score(true, said),
        "auroc": sk.roc_auc_score(true, columns(rows, "raw"), multi_class="ovr", labels=CLASSES),
    }
    for name, value in expected.items():
        assert found["scores"][name]["value"] == pytest.approx(value, abs=1e-9), name
    assert found["confusion"] == sk.confusion_matrix(true, said, labels=CLASSES).tolist()
    assert (found["n"], found["groups"]) == (len(rows), len(rows))
    assert {"ece", "ece_calibrated", "nll", "recall_macro"} <= set(found["scores"])
    assert set(found["per_class"]) == set(CLASSES)
    assert {"before", "after"} == set(found["calibration"])


@pytest.mark.parametrize("views", [1, 4, 8])
def test_views_are_the_symmetries_of_a_square_and_all_different(views):
    image_NCHW = torch.arange(9.0).view(1, 1, 3, 3)
    seen = dihedral(image_NCHW, views)
    assert torch.equal(seen[0], image_NCHW)
    assert len({tuple(view.flatten().tolist()) for view in seen}) == views
    assert all(sorted(view.flatten().tolist()) == list(range(9)) for view in seen)


@pytest.mark.parametrize("views", [4, 8])
def test_views_make_a_prediction_blind_to_mirroring(finished, cells, tmp_path, views):
    import cv2

    from corpuscle.nets.card import load

    loaded = load(finished)
    card = loaded.card.model_copy(update={"views": views})
    predictor = Predictor(loaded.net, card, choose_machine(DevicePlan(name="cpu")), Classify())
    image = cv2.imread(str(sorted((cells / "monocyte").iterdir())[0]))
    turns = {"mirrored": image[:, ::-1], "upside": image[::-1], "turned": image.transpose(1, 0, 2)}
    for name, content in {"as": image, **turns}.items():
        cv2.imwrite(str(tmp_path / f"{name}.png"), content)
    probs = {
        name: columns(predictor.predict([tmp_path / f"{name}.png"]).table, "raw")[0]
        for name in ("as", "mirrored", "upside", "turned")
    }
    for name in ("mirrored", "upside"):
        np.testing.assert_allclose(probs[name], probs["as"], atol=1e-5)
    assert (np.abs(probs["turned"] - probs["as"]).max() < 1e-5) == (views == 8)


def test_no_images_have_no_rows_but_all_columns():
    calibration = {"temperature": 2.0}
    empty, full = (Classify().columns(np.full((count, 2), 0.5), ["a", "b"], calibration) for count in (0, 3))
    assert empty.schema == full.schema
    assert len(empty) == 0


@pytest.mark.parametrize("name", ["classify", "count"])
def test_a_part_without_images_is_not_judged_and_gives_the_tables_their_columns(tmp_path, name):
    task = build_task(name)
    frame = pl.DataFrame(schema={"image": pl.String, "label": pl.String, "split": pl.String, "group": pl.String})
    counts = pl.Series("counts", [], pl.List(pl.Int64))
    table = Table(frame.with_columns(counts) if name == "count" else frame, tmp_path, ("a", "b"), "rows")
    found = write_scores(tmp_path, {"val": Held(table, np.zeros((0, 2)))}, task, name, task.calibrate(None), Judging())
    assert list(found)[:2] == ["task", "classes"] and found["classes"] == ["a", "b"]
    assert found["parts"] == {} and found == json.loads((tmp_path / "metrics.json").read_text())
    written = pl.read_csv(tmp_path / "predictions.csv")
    assert len(written) == 0 and {"image", "split", "group"} < set(written.columns)
    assert set(task.columns(np.zeros((0, 2)), ("a", "b"), task.calibrate(None)).columns) < set(written.columns)


def test_scores_of_no_part_at_all_are_empty_files_that_can_be_read(tmp_path):
    found = write_scores(tmp_path, {}, Classify(), "classify", {"temperature": 1.0}, Judging())
    assert found == {"task": "classify", "classes": [], "temperature": 1.0, "parts": {}}
    assert pl.read_csv(tmp_path / "predictions.csv").columns == ["image", "split", "group"]


def counting(images, dots=True):
    """A part of counted images with their true and their found dots."""
    frame = pl.DataFrame({"image": images}).with_columns(
        pl.Series("counts", [[1]] * len(images), pl.List(pl.Int64)), split=pl.lit("test"), group=pl.lit(None, pl.String)
    )
    true = [(image, 3.0, 4.0, "cell") for image in ["a.png", "b.png", "elsewhere.png"]]
    points = pl.DataFrame(true, ["image", "x", "y", "kind"], orient="row") if dots else None
    found = pl.DataFrame(
        [(image, "cell", 3.5, 4.5, 0.9) for image in images], ["image", "kind", "x", "y", "score"], orient="row"
    )
    return Held(Table(frame, Path(), ("cell",), "dots", points=points), np.ones((len(images), 1)), found)


@pytest.mark.parametrize("dots", [True, False])
def test_found_dots_stand_beside_the_true_ones_of_the_same_images(tmp_path, dots):
    task = build_task("count")
    parts = {"val": counting(["a.png"], dots), "test": counting(["b.png"], dots)}
    found = write_scores(tmp_path, parts, task, "count", task.calibrate(None), Judging(resamples=10))
    points = pl.read_csv(tmp_path / "points.csv")
    assert points.columns == ["image", "what", "kind", "x", "y", "score"]
    assert sorted(points.select("image", "what").rows()) == [
        (image, what) for image in ("a.png", "b.png") for what in (("found", "true") if dots else ("found",))
    ]
    assert points.filter(pl.col("what") == "true")["score"].null_count() == 2 * dots
    assert ("dot_f1" in found["parts"]["test"]["scores"]) == dots
    assert list(found) == ["task", "classes", "calibration", "parts"]
