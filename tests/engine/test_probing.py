"""A head fitted in one go: to scikit-learn's numbers, by group, and through a whole training."""

from __future__ import annotations

import csv
import json
import shutil
import tracemalloc
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.seeds import seed_for
from corpuscle.core.stopped import Stopped
from corpuscle.data.loader import Features
from corpuscle.data.table import Table
from corpuscle.data.targets import Numbers
from corpuscle.engine import probing
from corpuscle.engine.device import DevicePlan, choose_machine
from corpuscle.engine.features import Passing
from corpuscle.engine.predict import Predictor
from corpuscle.engine.probing import GRID_C, Examples, check_probe, examples_of, fit_linear
from corpuscle.engine.train import Call
from corpuscle.nets.card import load
from corpuscle.nets.zoo import NetPlan, build
from corpuscle.recipes import compose
from corpuscle.report.page import write_report

C, K, N = 6, 3, 90
PROBE = [{"train": "probe", "views": 1}]


@pytest.fixture(scope="module")
def how():
    return Passing(choose_machine(DevicePlan(name="cpu", precision="fp32")), keep=False)


def drawn(classes=K, seed=0):
    """Overlapping clouds in unlike units, two images a group."""
    rng = np.random.default_rng(seed)
    class_N = np.arange(N) % classes
    features_NC = rng.normal(size=(N, C)) + 1.2 * rng.normal(size=(classes, C))[class_N]
    group_N = np.arange(N) // (2 * classes) * classes + class_N
    scaled_NC = features_NC * np.logspace(-2, 2, C) + np.arange(C)
    return Examples(scaled_NC.astype(np.float32), class_N, group_N, np.ones(N))


def probs(fitted, features_NC):
    logits_NK = features_NC.astype(np.float64) @ fitted.weight_KC.T + fitted.bias_K
    exp_NK = np.exp(logits_NK - logits_NK.max(axis=1, keepdims=True))
    return exp_NK / exp_NK.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_head_says_what_scikit_learns_pipeline_says_with_the_strength_its_search_finds(how, classes):
    examples = drawn(classes)
    fitted = fit_linear(examples, classes, 7, how)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=seed_for(7, "folds of the probe") % 2**32)
    grid = {"logisticregression__C": GRID_C}
    search = GridSearchCV(model, grid, scoring="neg_log_loss", cv=folds)
    search.fit(examples.features_NC, examples.class_N, groups=examples.group_N)
    assert fitted.c == search.best_params_["logisticregression__C"]
    words, _, loss = fitted.why.rpartition(" ")
    assert words == "of 5 folds, log loss"
    assert float(loss) == pytest.approx(-search.best_score_, abs=2e-3)
    expected_NK = search.predict_proba(examples.features_NC)
    np.testing.assert_allclose(probs(fitted, examples.features_NC), expected_NK, atol=2e-3)


@pytest.mark.parametrize("classes", [2, 3])
def test_more_features_than_images_are_fitted_as_they_stand(how, classes):
    few = drawn(classes)
    rng = np.random.default_rng(1)
    wide_NC = np.hstack([few.features_NC, rng.normal(size=(N, 3 * N))]).astype(np.float32)
    fitted = fit_linear(replace(few, features_NC=wide_NC), classes, 7, how)
    assert fitted.weight_KC.shape == (classes, wide_NC.shape[1])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=fitted.c, max_iter=5000))
    model.fit(wide_NC, few.class_N)
    np.testing.assert_allclose(probs(fitted, wide_NC), model.predict_proba(wide_NC), atol=2e-3)


def test_what_never_varies_has_no_say_in_a_scale_that_features_share(how):
    net = build(NetPlan(model="codebook", words=2), K, 48)
    rng = np.random.default_rng(0)
    class_N = np.arange(N) % K
    features_NC = (0.01 * (rng.normal(size=(N, net.num_features)) + np.eye(K, net.num_features)[class_N])).astype("f")
    narrow = Examples(features_NC, class_N, np.arange(N), np.ones(N))
    padded_NC = features_NC.copy()
    padded_NC[:, 4:] = 0.25  # words that no training image shows
    fitted = [
        fit_linear(replace(narrow, features_NC=one), K, 0, how, net.common_scale)
        for one in (padded_NC, 100 * padded_NC)
    ]
    assert fitted[0].c == fitted[1].c  # whatever the unit
    np.testing.assert_allclose(probs(fitted[0], padded_NC), probs(fitted[1], 100 * padded_NC), atol=1e-3)


def test_a_weight_counts_like_as_many_copies(how, monkeypatch):
    monkeypatch.setattr(probing, "choose_strength", lambda *_: (0.1, ""))
    examples = drawn()
    count_N = 1 + 2 * (examples.class_N == 0)
    weighted = Examples(*(examples.features_NC, examples.class_N, examples.group_N, count_N.astype(float)))
    scaler = StandardScaler().fit(examples.features_NC)
    copied_NC = np.repeat(scaler.transform(examples.features_NC), count_N, axis=0)
    model = LogisticRegression(C=0.1, max_iter=5000).fit(copied_NC, np.repeat(examples.class_N, count_N))
    said_NK = probs(fit_linear(weighted, K, 0, how), examples.features_NC)
    np.testing.assert_allclose(said_NK, model.predict_proba(scaler.transform(examples.features_NC)), atol=2e-3)


def test_no_group_is_divided_and_each_fold_learns_from_every_class():
    examples = drawn()
    folds = probing._folds(examples, 0)
    assert len(folds) == 5
    for learn_M, left_M in folds:
        assert not set(examples.group_N[learn_M]) & set(examples.group_N[left_M])
        assert set(examples.class_N[learn_M]) == set(range(K))


def test_features_are_copied_for_one_fold_at_a_time(how, monkeypatch):
    monkeypatch.setattr(probing, "GRID_C", GRID_C[:2])
    rng = np.random.default_rng(0)
    features_NC = rng.normal(size=(600, 200)).astype(np.float32)
    examples = Examples(features_NC, np.arange(600) % 2, np.arange(600), np.ones(600))
    tracemalloc.start()
    probing.choose_strength(examples, 0, how)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.5 * features_NC.nbytes


def test_with_one_group_a_class_the_strength_is_fixed(how):
    examples = drawn()
    group_N = np.where(examples.class_N == 1, 1000, examples.group_N)
    fitted = fit_linear(Examples(examples.features_NC, examples.class_N, group_N, examples.weight_N), K, 0, how)
    assert (fitted.c, fitted.why) == (0.03, "fixed: a class has too few groups for cross-validation")


def test_a_class_without_a_training_image_is_never_said_and_a_constant_feature_harms_nothing(how):
    examples = drawn()
    features_NC = examples.features_NC.copy()
    features_NC[:, 2] = 4
    fitted = fit_linear(Examples(features_NC, 2 * examples.class_N, examples.group_N, examples.weight_N), 5, 0, how)
    said_NK = probs(fitted, features_NC)
    assert np.isfinite(said_NK).all() and said_NK[:, [1, 3]].max() < 1e-6
    assert (said_NK.argmax(axis=1) == 2 * examples.class_N).mean() > 0.6


def test_views_of_an_image_and_what_was_made_of_it_stay_in_its_group():
    frame = pl.DataFrame(
        {"image": ["a", "b", "c", "d", "e"], "of": [None, None, "b", None, None], "group": [None] * 5},
        schema_overrides={"group": pl.String},
    )
    table = Table(frame, None, ("x", "y"), "")
    features = Features(torch.arange(24.0).view(2, 4, 3), {1: 0, 2: 1, 3: 2, 4: 3}, Numbers(np.array([0, 0, 1, 1, 0])))
    examples = examples_of(features, table, np.array([1.0, 3.0]))
    assert np.array_equal(examples.features_NC, np.arange(24).reshape(8, 3))
    assert examples.class_N.tolist() == [0, 1, 1, 0] * 2 and examples.weight_N.tolist() == [1, 3, 3, 1] * 2
    first, second, third, fourth = examples.group_N[:4].tolist()
    assert first == second and len({first, third, fourth}) == 3
    assert examples.group_N[4:].tolist() == examples.group_N[:4].tolist()


# --- a whole training


@pytest.fixture
def probe(fit, finished):
    """Fits a head on the encoder of a finished run."""

    def run(out, call=None, **settings):
        stages = {"stages": PROBE, "net__weights": str(finished), "net__dropout": 0.0}
        return fit(out, call, **stages | settings)

    return run


def log(run):
    with (run / "log.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_probe_is_one_row_on_an_encoder_that_stays_as_it_was(probe, finished, tmp_path, listener):
    run = probe(tmp_path / "run", Call({}, progress=listener))
    (row,) = log(run)
    assert (row["epoch"], row["train"], row["learning_rate"], row["best"]) == ("1", "probe", "", "true")
    said = next(line for line in listener.lines if line.startswith("probe: "))
    assert said.startswith(f"probe: logistic regression with C = {float(row['C']):g} (of ")
    assert float(row["train_accuracy"]) > 0.4 and 0 < float(row["val_loss"]) < 5
    assert "epochs: 0 (what is learned is fitted in one go)" in listener.lines
    before, after = (load(folder).net.encoder.state_dict() for folder in (finished, run))
    assert all(torch.equal(before[name], after[name]) for name in before if not name.endswith("num_batches_tracked"))


@pytest.mark.parametrize("head", ["linear", "neighbours"])
def test_the_run_says_later_what_it_said_at_its_end(probe, fit, tmp_path, head):
    run = probe(tmp_path / "run", net__head=head)
    told = pl.read_csv(run / "predictions.csv").filter(pl.col("split") == "test")
    paths = [fit.cells / image for image in told["image"]]
    again = Predictor.of(run, "cpu").predict(paths).table
    assert again["prediction"].to_list() == told["prediction"].to_list()
    np.testing.assert_allclose(again["confidence"], told["confidence"], rtol=1e-4)
    assert json.loads((run / "card.json").read_text())["net"]["memory"] == (35 if head == "neighbours" else 0)


def test_its_report_tells_that_there_were_no_epochs(probe, tmp_path):
    page = write_report(probe(tmp_path / "run")).read_text()
    assert "was left as it was, and a head fitted to it on 35 images" in page
    assert "there are no epochs, and no curves" in page and "Learning rate" not in page


def test_an_encoder_with_nothing_to_learn_needs_no_weights(fit, tmp_path):
    run = fit(tmp_path / "run", stages=PROBE, net__model="covariances", score__views=8)
    (row,) = log(run)
    assert float(row["train_accuracy"]) > 0.6
    told = pl.read_csv(run / "predictions.csv").filter(pl.col("split") == "test")
    predictor = Predictor.of(run, "cpu")
    seen = []
    predictor.net.encoder.register_forward_hook(lambda *_: seen.append(1))
    again = predictor.predict([fit.cells / image for image in told["image"]]).table
    assert again["prediction"].to_list() == told["prediction"].to_list() and len(seen) == 1  # views would be alike
    page = write_report(run).read_text()
    assert "A head was fitted to the covariances of colours and edges on 35 images of" in page


@pytest.mark.parametrize("head", ["linear", "neighbours"])
def test_it_is_the_same_with_the_cache_and_without(probe, digest, tmp_path, head):
    runs = [
        probe(tmp_path / str(number), cache__keep=keep, net__head=head, stages=[{"train": "probe", "views": 2}])
        for number, keep in enumerate((True, True, False))
    ]
    assert len({digest(run) for run in runs}) == 1
    assert len({(run / "predictions.csv").read_bytes() for run in runs}) == 1


def test_stopped_anywhere_it_goes_on_to_the_same_weights(probe, digest, tmp_path):
    stages = [{"epochs": 1}, {"train": "probe", "views": 2}, {"train": "head", "epochs": 1}]
    settings = {"stages": stages, "cache__keep": False}
    whole = probe(tmp_path / "whole", **settings)
    stopped = 0
    for question in (1, 5, 6, 8, 9, 20, 5):  # in the first stage, at its end, in the features, the folds, and after
        asked = iter(range(1, 10_000))
        try:
            probe(tmp_path / "run", Call({}, stopping=lambda asked=asked, at=question: next(asked) == at), **settings)
        except Stopped:
            stopped += 1
    probe(tmp_path / "run", **settings)
    assert stopped >= 5 and digest(tmp_path / "run") == digest(whole)
    assert [row["train"] for row in log(whole)] == ["all", "probe", "head"]


def test_balance_reaches_the_fit(probe, digest, tmp_path, fit):
    assert len({digest(probe(tmp_path / way, fit__balance=way)) for way in ("none", "weights")}) == 1  # 7 of each
    uneven = tmp_path / "uneven"
    for path in sorted(fit.cells.glob("*/*.png")):
        if path.parent.name != "basophil" or int(path.stem.split("_")[-1]) % 2:
            (uneven / path.parent.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, uneven / path.parent.name)
    runs = [probe(tmp_path / f"{way} 2", fit__balance=way, path=uneven) for way in ("none", "weights", "sampling")]
    none, weights, sampling = map(digest, runs)
    assert none != weights == sampling


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"net.head": "mlp"}, "a probe expects net.head=linear or neighbours, got mlp; pass --set net.head=linear"),
        ({"net.weights": "none"}, "a probe expects an encoder that has learned something, got net.weights=none, which"),
        ({"epochs": [4]}, "a probe is fitted in one go and expects no epochs, got 4; leave --epochs at 0"),
        ({"task": "count"}, "a probe tells classes apart: it expects task=classify, got count; pass stages that train"),
        (
            {"net.head": "neighbours", "stages": [{"train": "all"}, {"train": "probe"}]},
            "net.head=neighbours remembers images and learns by no steps: it expects stages of probe alone, got all, ",
        ),
    ],
)
def test_what_cannot_be_fitted_in_one_go_is_said(settings, message):
    experiment, _ = compose("few", flags={"net.weights": "run"} | settings)
    with pytest.raises(CorpuscleError) as raised:
        check_probe(experiment)
    assert str(raised.value).startswith(message)


def test_an_encoder_that_learns_first_needs_no_weights():
    check_probe(compose("few", flags={"stages": [{"train": "all"}, {"train": "probe"}]})[0])


def test_features_that_are_not_finite_and_a_single_class_are_refused():
    table = Table(pl.DataFrame({"image": ["a", "b"]}), None, ("x", "y"), "")
    examples = Examples(np.array([[1.0], [np.nan]]), np.array([0, 1]), np.arange(2), np.ones(2))
    with pytest.raises(
        CorpuscleError, match=r"expects finite features, the encoder gave others for 1 of 2 views; pass"
    ):
        probing._check(examples, table)
    with pytest.raises(CorpuscleError, match=r"expects training images of at least two classes, got x alone; see that"):
        probing._check(Examples(np.ones((2, 1)), np.zeros(2, int), np.arange(2), np.ones(2)), table)
