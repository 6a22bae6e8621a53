"""From a finished run and images to pictures, a table, a check, and scores against masks."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import polars as pl
import pytest
from PIL import Image

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.settings import validated
from corpuscle.data.readers.image import ReadPlan
from corpuscle.data.readers.read import read_pixels
from corpuscle.engine.explain.cam import Explainer
from corpuscle.engine.explain.explain import ExplainPlan, explain
from corpuscle.engine.explain.localise import find_masks, localise_scores, summary
from corpuscle.engine.predict import Predictor
from corpuscle.engine.rescore import own_table
from corpuscle.metrics.localisation import choose_thresholds, locate
from corpuscle.synth.folder import cell_of

KINDS = 5  # of the drawn cells


@pytest.fixture(scope="module")
def run(fit, tmp_path_factory):
    """A localiser that was trained for two epochs."""
    return fit(tmp_path_factory.mktemp("runs") / "localiser", net__model="localiser", net__pool="max")


@pytest.fixture(scope="module")
def predictor(run):
    return Predictor.of(run, "cpu")


@pytest.fixture(scope="module")
def masks(cells, tmp_path_factory):
    """The true masks of the drawn cells in a folder of their own, laid out as the images are."""
    folder = tmp_path_factory.mktemp("masks")
    for path in sorted(cells.rglob("*.png")):
        kind, _, number = path.stem.split("_")
        index = next(i for i in range(60) if i // KINDS == int(number) and cell_of(0, i, 32).kind == kind)
        place = folder / path.relative_to(cells)
        place.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(place), cell_of(0, index, 32).mask_HW)
    return folder


def test_each_image_gets_pictures_and_a_row_and_bad_ones_a_fault(predictor, run, cells, tmp_path):
    sound = sorted(cells.rglob("*.png"))[:5]
    bad = tmp_path / "bad.png"
    bad.write_text("no image")
    explained = explain(predictor, run, [*sound[:2], bad, *sound[2:]], tmp_path / "out")
    table = pl.read_csv(tmp_path / "out" / "explained.csv")
    assert table["image"].to_list() == [str(path) for path in (*sound[:2], bad, *sound[2:])]
    assert table["fault"].is_not_null().to_list() == [False, False, True, False, False, False]
    assert [fault.where for fault in explained.faults] == [str(bad)]
    predicted = predictor.predict(sound).table
    kept = table.filter(pl.col("fault").is_null())
    assert kept["class"].to_list() == predicted["prediction"].to_list() == kept["prediction"].to_list()
    assert kept["probability"].to_list() == pytest.approx(predicted["confidence"].to_list(), abs=1e-5)
    for path in sound:
        heat, over, said = (
            Image.open(tmp_path / "out" / f"{path.stem}_{what}.png") for what in ("heat", "over", "said")
        )
        assert heat.size == over.size == (32, 32) and said.size == (320, 320)
    with Image.open(tmp_path / "out" / "animation.gif") as gif:
        assert gif.n_frames == 5
    assert len(json.loads((tmp_path / "out" / "check.json").read_text())["images"]) == 5
    assert explained.localisation is None and not (tmp_path / "out" / "localisation.json").exists()


def test_the_box_is_that_of_the_heat_above_the_threshold(predictor, run, cells, tmp_path):
    path = min(cells.rglob("*.png"))
    low, high = (
        explain(predictor, run, [path], tmp_path / str(least), ExplainPlan(threshold=least, animation="none")).table
        for least in (0.0, 0.9)
    )
    assert low.select("left", "top", "width", "height").row(0) == (0, 0, 32, 32)
    explainer = Explainer(predictor.net, predictor.card)
    image_HWC = read_pixels(path).array_HWC
    target = predictor.card.classes.index(high["class"][0])
    hot_HW = explainer.heat(explainer.look(image_HWC), target) >= 0.9
    left, top, width, height = high.select("left", "top", "width", "height").row(0)
    assert width * height < 32 * 32 and hot_HW[top : top + height, left : left + width].sum() > 0
    assert not list((tmp_path / "0.9").glob("animation*"))


@pytest.mark.parametrize("method", ["cam", "gradcam"])
def test_the_map_of_a_named_class_and_of_the_known_one(predictor, run, cells, tmp_path, method):
    paths = sorted(cells.rglob("*.png"))[::7]
    plan = ExplainPlan(method=method, animation="none", of="monocyte")
    named = explain(predictor, run, paths, tmp_path / "named", plan).table
    assert set(named["class"]) == {"monocyte"}
    by_name = predictor.predict(paths).table["p_monocyte"].to_list()
    assert named["probability"].to_list() == pytest.approx(by_name, abs=1e-5)
    known = explain(predictor, run, paths, tmp_path / "known", plan.model_copy(update={"of": "known"})).table
    assert known["class"].to_list() == [path.parent.name for path in paths]


def test_a_class_that_the_run_does_not_know_is_refused(predictor, run, cells, tmp_path):
    plan = ExplainPlan(of="monocite")
    text = "--class expects a class of the run, predicted or known, got 'monocite'. Did you mean monocyte?"
    with pytest.raises(CorpuscleError, match=text.replace("?", r"\?")):
        explain(predictor, run, [min(cells.rglob("*.png"))], tmp_path / "out", plan)
    assert not (tmp_path / "out").exists()


def test_without_images_the_held_out_ones_are_explained_and_scored(predictor, run, masks, tmp_path):
    explained = explain(predictor, run, None, tmp_path / "out", ExplainPlan(masks=str(masks), animation="none"))
    table = own_table(run)
    assert explained.table["image"].to_list() == [str(table.path_of(image)) for image in table.frame["image"]]
    scores = json.loads((tmp_path / "out" / "localisation.json").read_text())
    assert scores["chosen"]["images"] == len(table.part("val")) and scores["parts"]["test"]["n"] == len(
        table.part("test")
    )
    assert 0 < scores["parts"]["test"]["scores"]["pxap"]["value"] < 1
    assert f"against masks of {len(table.part('test'))} test images: PxAP 0." in summary(scores)


def test_thresholds_rest_on_the_validation_part_alone(predictor, run, masks, tmp_path):
    """Other masks of the test part change the scores and leave the thresholds."""
    table, explainer = own_table(run), Explainer(predictor.net, predictor.card)
    held = []
    for row in table.part("val").frame.iter_rows(named=True):
        looked = explainer.look(read_pixels(table.path_of(row["image"])).array_HWC)
        mask_HW = read_pixels(masks / row["image"]).array_HWC.any(axis=2)
        held.append(locate(explainer.heat(looked, table.classes.index(row["label"])), mask_HW))
    found = localise_scores(explainer, table, masks)
    assert found.thresholds == choose_thresholds(held)
    other = shutil.copytree(masks, tmp_path / "other")
    for image in table.part("test").frame["image"]:
        cv2.imwrite(str(other / image), 255 * np.eye(32, dtype=np.uint8))
    changed = localise_scores(explainer, table, other)
    assert changed.thresholds == found.thresholds and changed.scores["parts"] != found.scores["parts"]


def test_masks_are_found_beside_and_in_folders_and_never_the_image_itself(predictor, run, cells, masks, tmp_path):
    table = own_table(run)
    assert find_masks(table, "beside") == {}
    assert find_masks(table, masks) == {image: masks / image for image in table.frame["image"]}
    flat = tmp_path / "flat"
    flat.mkdir()
    one, two = table.frame["image"][:2]
    shutil.copy(masks / one, flat / f"{(masks / one).stem}_mask.png")
    Image.open(masks / two).save(flat / f"{(masks / two).stem}.bmp")
    assert [path.name for path in find_masks(table, flat).values()] == [
        f"{(masks / one).stem}_mask.png",
        f"{(masks / two).stem}.bmp",
    ]
    with pytest.raises(
        CorpuscleError, match=rf"masks of the run's validation images, beside .* one of the {len(table.part('val'))};"
    ):
        localise_scores(Explainer(predictor.net, predictor.card), table, "beside")


def test_masks_that_do_not_fit_are_named_and_passed_over(predictor, run, masks, tmp_path):
    table = own_table(run)
    broken = shutil.copytree(masks, tmp_path / "masks")
    small, torn = table.part("val").frame["image"][:2]
    cv2.imwrite(str(broken / small), np.ones((8, 9), np.uint8))
    (broken / torn).write_bytes(b"")
    found = localise_scores(Explainer(predictor.net, predictor.card), table, broken)
    assert [fault.where for fault in found.faults] == [str(broken / small), str(broken / torn)]
    assert found.faults[0].what == "is 8 × 9 pixels, its image 32 × 32" and found.faults[1].remedy
    assert found.scores["chosen"]["images"] == len(table.part("val")) - 2


def test_a_run_without_test_images_tells_thresholds_alone(predictor, run, masks):
    table = own_table(run)
    val = table.with_frame(table.frame.filter(pl.col("split") == "val"))
    found = localise_scores(Explainer(predictor.net, predictor.card), val, masks)
    assert found.scores["parts"] == {} and "there are no test images with masks" in summary(found.scores)


def test_masks_made_of_maps_are_laid_out_to_train_on(predictor, run, cells, masks, tmp_path):
    paths = sorted(cells.rglob("*.png"))[::9]
    plan = ExplainPlan(of="known", masks=str(masks), pseudo_masks=str(tmp_path / "made"), animation="none")
    explain(predictor, run, paths, tmp_path / "out", plan)
    legend = json.loads((tmp_path / "made" / "legend.json").read_text())
    assert legend == {"0": "background"} | {str(k): name for k, name in enumerate(predictor.card.classes, 1)}
    told = json.loads((tmp_path / "out" / "localisation.json").read_text())["masks_of_maps"]
    assert told["refinement"] == max(told["val_dice"], key=told["val_dice"].get)
    assert set(told["val_dice"]) == {"none", "otsu", "grabcut"} and 0 < told["test_dice"]["value"] <= 1
    for path in paths:
        mask_HW = np.asarray(Image.open(tmp_path / "made" / "masks" / path.name))
        number = 1 + predictor.card.classes.index(path.parent.name)
        assert mask_HW.shape == (32, 32) and set(np.unique(mask_HW)) <= {0, number}
        assert (tmp_path / "made" / "images" / path.name).read_bytes() == path.read_bytes()
    with pytest.raises(CorpuscleError, match=r"--pseudo-masks expects a new or empty folder, .*made is none; name"):
        explain(predictor, run, paths, tmp_path / "again", plan)


def test_images_of_any_size_and_rows_of_files_are_explained(predictor, run, tmp_path):
    import h5py

    random = np.random.default_rng(0)
    with h5py.File(tmp_path / "images.h5", "w") as file:
        file["x"] = random.integers(0, 255, (2, 40, 40, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "wide.png"), random.integers(0, 255, (50, 210, 3), np.uint8))
    paths = [tmp_path / "images.h5#1", tmp_path / "wide.png"]
    plan = ExplainPlan(at="native", pseudo_masks=str(tmp_path / "made"))
    explained = explain(predictor, run, paths, tmp_path / "out", plan)
    assert explained.faults == ()
    assert Image.open(tmp_path / "out" / "wide_heat.png").size == (210, 50)
    row_HWC = read_pixels(paths[0], validated(ReadPlan, {})).array_HWC
    assert np.array_equal(np.asarray(Image.open(next((tmp_path / "made" / "images").glob("*h5*.png")))), row_HWC)


def test_nothing_to_read_gives_a_table_of_faults(predictor, run, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_text("no image")
    explained = explain(predictor, run, [bad], tmp_path / "out")
    assert len(explained.faults) == 1 and explained.check is None
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["explained.csv"]


def test_images_that_differ_in_their_ending_alone_do_not_overwrite_one_another(predictor, run, cells, tmp_path):
    path = min(cells.rglob("*.png"))
    for ending in ("png", "bmp"):
        Image.open(path).save(tmp_path / f"a.{ending}")
    shutil.copy(path, tmp_path / "b.png")
    paths = [tmp_path / name for name in ("a.bmp", "a.png", "b.png")]
    explain(predictor, run, paths, tmp_path / "out", ExplainPlan(animation="none"))
    assert sorted(made.name for made in (tmp_path / "out").glob("*_over.png")) == [
        "a_bmp_over.png",
        "a_png_over.png",
        "b_over.png",
    ]
