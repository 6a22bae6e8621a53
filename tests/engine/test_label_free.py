"""Trainings without labels: from the images to an encoder that others start from."""

from __future__ import annotations

import json
import shutil

import numpy as np
import polars as pl
import pytest
from PIL import Image

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.progress import SILENT
from corpuscle.core.stopped import Stopped
from corpuscle.data.sources import SourcePlan
from corpuscle.engine.predict import Predictor
from corpuscle.engine.rescore import experiment_of, own_table, rescore
from corpuscle.engine.submit import submit
from corpuscle.engine.train import Call, train
from corpuscle.nets.card import load
from corpuscle.recipes import compose

RECIPES = ("contrast", "prcc")
TINY = {
    "net.model": "timm/test_resnet",
    "prepare.size": 32,
    "fit.batch_size": 8,
    "score.resamples": 100,
    "device.name": "cpu",
    "device.precision": "fp32",
    "epochs": [2],
}


def pretrain(recipe, path, out, call=None, **settings):
    flags = TINY | {name.replace("__", "."): value for name, value in settings.items()}
    return train(path, compose(recipe, flags=flags)[0], out, call or Call({}))


@pytest.fixture(scope="module")
def runs(cells, tmp_path_factory):
    """A finished run of each recipe on the drawn cells."""
    folder = tmp_path_factory.mktemp("label free")
    return {recipe: pretrain(recipe, cells, folder / recipe) for recipe in RECIPES}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_run_is_complete_and_no_label_is_in_it(recipe, runs):
    run = runs[recipe]
    assert load(run).card.classes == ("image",)
    samples = pl.read_csv(run / "samples.csv")
    assert samples["label"].unique().to_list() == ["image"]
    metrics = json.loads((run / "metrics.json").read_text())
    assert set(metrics["parts"]) == {"val", "test"}
    predictions = pl.read_csv(run / "predictions.csv")
    for part, judged in metrics["parts"].items():
        rows = predictions.filter(pl.col("split") == part)
        assert len(rows) == judged["n"] == (samples["split"] == part).sum()
        for name, score in judged["scores"].items():
            assert score["value"] == pytest.approx(rows[name].mean(), abs=1e-5)
    rows = pl.read_csv(run / "log.csv")
    assert {"train_loss", "val_loss"} <= set(rows.columns) and rows["train_loss"].is_finite().all()


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_classifier_starts_from_its_encoder(recipe, runs, fit, tmp_path):
    run = fit(tmp_path / "run", net__weights=str(runs[recipe]), stages=[{"train": "head", "epochs": 1}])
    started, came = (load(folder).net.encoder.state_dict() for folder in (run, runs[recipe]))
    learned = [name for name in came if not name.endswith("num_batches_tracked")]
    assert len(learned) > 20 and all(started[name].equal(came[name]) for name in learned)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_stopped_training_goes_on_to_the_same_weights(recipe, cells, runs, tmp_path):
    asked = iter(range(1000))
    with pytest.raises(Stopped):
        pretrain(recipe, cells, tmp_path / "run", Call({}, stopping=lambda: 2 * (next(asked) == 3)))
    resumed = pretrain(recipe, cells, tmp_path / "run")
    assert load(resumed).card.weights_digest == load(runs[recipe]).card.weights_digest


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_held_out_images_of_another_run_stay_held_out(recipe, cells, fit, tmp_path):
    other = fit(tmp_path / "classifier", seed=5)
    run = pretrain(recipe, cells, tmp_path / "run", data__split_file=other / "samples.csv", epochs=[1])
    parts = [dict(pl.read_csv(folder / "samples.csv").select("image", "split").rows()) for folder in (other, run)]
    assert parts[0] == parts[1] and list(parts[0].values()).count("test") == 12
    trained = load(run).card.trained_on["images"]
    assert trained == list(parts[0].values()).count("train")


def test_images_whose_labels_a_budget_withholds_are_learned_from(cells, fit, tmp_path):
    other = fit(tmp_path / "classifier")
    samples = pl.read_csv(other / "samples.csv")
    few = samples.with_columns(
        split=pl.when((pl.col("split") == "train") & (pl.int_range(pl.len()) % 3 > 0))
        .then(pl.lit("unlabelled"))
        .otherwise("split")
    )
    few.write_csv(tmp_path / "few.csv")
    assert (few["split"] == "unlabelled").sum() > 10
    run = pretrain("contrast", cells, tmp_path / "run", data__split_file=tmp_path / "few.csv", epochs=[1])
    assert dict(pl.read_csv(run / "samples.csv").select("image", "split").rows()) == dict(
        samples.select("image", "split").rows()
    )


def test_an_image_is_told_by_its_features(runs, cells):
    predictor = Predictor.of(runs["contrast"])
    paths = sorted(cells.rglob("*.png"))[:3]
    table = predictor.predict([*paths, cells / "none.png"]).table
    width = predictor.net.num_features
    assert table.columns == ["image", *(f"f_{k}" for k in range(width)), "fault", "remedy"]
    assert table["f_0"].null_count() == 1 and table["fault"].null_count() == 3
    assert len(table.head(3).select(f"f_{k}" for k in range(width)).unique()) == 3


def test_an_image_is_told_by_how_well_it_is_made_again(runs, cells):
    predictor = Predictor.of(runs["prcc"])
    paths = sorted(cells.rglob("*.png"))[:3]
    table = predictor.predict(paths).table
    assert table.columns == ["image", "mae", "ssim", "fault", "remedy"]
    assert table["mae"].is_between(0.001, 1).all() and table["ssim"].is_between(-1, 0.999).all()


def test_held_out_pictures_are_kept_as_seen_and_as_made_again(runs, cells):
    items = json.loads((runs["prcc"] / "examples" / "index.json").read_text())["items"]
    told = {row["image"]: row for row in pl.read_csv(runs["prcc"] / "predictions.csv").iter_rows(named=True)}
    assert len(items) == len({item["image"] for item in items}) > 3
    for item in items:
        seen, made = (
            np.asarray(Image.open(runs["prcc"] / "examples" / item[name]), float) / 255 for name in ("picture", "said")
        )
        assert item["part"] == "test" and item["ssim"] == pytest.approx(told[item["image"]]["ssim"], abs=1e-4)
        assert np.abs(seen - made).mean() == pytest.approx(told[item["image"]]["mae"], abs=0.01)
        original = np.asarray(Image.open(cells / item["image"]).convert("RGB"), float) / 255
        assert np.abs(seen - original).max() <= 1 / 255 + 1e-6


@pytest.mark.parametrize("flat", [True, False])
def test_a_plain_folder_of_images_will_do(flat, cells, tmp_path):
    for number, path in enumerate(sorted(cells.rglob("*.png"))[:30]):
        folder = tmp_path / "plain" / ("" if flat else "tiles/of one slide")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / f"{number}.png")
    run = pretrain("contrast", tmp_path / "plain", tmp_path / "run", epochs=[1])
    facts = json.loads((run / "fingerprint.json").read_text())
    assert (facts["layout"], facts["images"]) == ("a folder of images", 30)


def test_sides_that_the_decoder_cannot_reach_are_seen_with_their_mirror_image(cells, tmp_path):
    run = pretrain("prcc", cells, tmp_path / "run", net__model="localiser", prepare__size=36, epochs=[1])
    assert Predictor.of(run).predict([next(cells.rglob("*.png"))]).table["ssim"].null_count() == 0


@pytest.mark.parametrize(
    ("recipe", "settings", "message"),
    [
        ("default", {"data__labels": "none"}, r"^data\.labels=none expects a task without labels, got task classify; "),
        (
            "contrast",
            {"stages": [{"train": "head", "epochs": 1}]},
            r"^task=contrast expects stages that train all, got head; ",
        ),
        (
            "prcc",
            {"fit__balance": "weights"},
            r"^task=reconstruct has no classes to balance, got fit\.balance=weights; ",
        ),
        (
            "contrast",
            {"fit__accumulate": 2},
            r"^task=contrast compares all images of a batch, .* got fit\.accumulate=2; leave it at 1",
        ),
    ],
)
def test_what_cannot_be_learned_without_labels_is_refused_before_anything_is_written(
    recipe, settings, message, cells, tmp_path
):
    flags = {name.replace("__", "."): value for name, value in settings.items()}
    experiment = compose(recipe, flags=flags)[0]
    with pytest.raises(CorpuscleError, match=message):
        train(cells, experiment, tmp_path / "run", Call({}))
    assert not (tmp_path / "run").exists()


def test_what_learned_without_labels_fills_in_no_submission_and_is_not_evaluated(runs, cells, tmp_path):
    (tmp_path / "test.csv").write_text("image\na.png\n")
    with pytest.raises(
        CorpuscleError, match=r"^submit expects a run that names images .* of the task reconstruct, which"
    ):
        submit(Predictor.of(runs["prcc"]), tmp_path / "test.csv", SourcePlan(), tmp_path / "out.csv", SILENT)
    run = runs["contrast"]
    table = own_table(run)
    with pytest.raises(CorpuscleError, match=r"^evaluate expects a run that says something of each image, .*contrast"):
        rescore(run, table, tmp_path / "out", experiment_of(run), Predictor.of(run), SILENT)
    assert not (tmp_path / "out").exists()


def test_an_autoencoder_is_evaluated_again_to_the_same_scores(runs, tmp_path):
    run = runs["prcc"]
    again = rescore(run, own_table(run), tmp_path / "out", experiment_of(run), Predictor.of(run), SILENT)
    metrics = json.loads((run / "metrics.json").read_text())
    for part, judged in metrics["parts"].items():
        for name, score in judged["scores"].items():
            assert again["parts"][part]["scores"][name]["value"] == pytest.approx(score["value"], abs=1e-4)
