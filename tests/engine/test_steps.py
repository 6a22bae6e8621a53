"""Steps on the table of a run, from the settings to the run folder."""

from __future__ import annotations

import json
import shutil
from collections import Counter

import cv2
import numpy as np
import polars as pl
import pytest

from corpuscle.core.errors import CorpuscleError
from corpuscle.engine.dataset import ready
from corpuscle.engine.rescore import own_table
from corpuscle.engine.steps import refuse_steps
from corpuscle.engine.train import task_of
from corpuscle.recipes import compose

ALL = {"steps.apply_mask": ["removed", "replaced", "swapped"], "steps.balance": "augmented", "data.masks": "beside"}


@pytest.fixture(scope="session")
def masked(cells, tmp_path_factory):
    """The drawn cells with a mask beside each, and fewer of one kind."""
    folder = tmp_path_factory.mktemp("masked") / "cells"
    shutil.copytree(cells, folder)
    for path in sorted(folder.glob("basophil/*"))[6:]:
        path.unlink()
    for path in sorted(folder.glob("*/*")):
        mask = np.zeros((32, 32), np.uint8)
        cv2.circle(mask, (16, 16), 9, 128, -1)
        cv2.circle(mask, (16, 16), 4, 255, -1)
        cv2.imwrite(str(path.with_name(f"{path.stem}_mask.png")), mask)
    return folder


def prepared(folder, listener, **settings):
    plain = {"prepare.size": 32, "split.val": 0.2, "split.test": 0.2, "device.name": "cpu"}
    flags = plain | {name.replace("__", "."): value for name, value in settings.items()}
    experiment, _ = compose("default", flags=flags)
    return ready(folder, experiment, task_of(experiment), listener)


@pytest.fixture(scope="module")
def stepped(fit, masked, tmp_path_factory):
    """A finished run with every step but the subset."""
    return fit(tmp_path_factory.mktemp("stepped") / "run", path=masked, **ALL, epochs=[1])


def samples_of(run):
    return pl.read_csv(run / "samples.csv", infer_schema=False)


def test_samples_show_what_was_made_of_what_and_nothing_is_made_of_what_judges(stepped):
    samples = samples_of(stepped)
    made = samples.drop_nulls("of")
    train = samples.filter((pl.col("split") == "train") & pl.col("of").is_null())
    assert set(made["split"]) == {"train"} and {*made["of"], *made["donor"].drop_nulls()} <= set(train["image"])
    assert Counter(made["step"]).keys() == {
        "background removed",
        "background replaced",
        "background swapped",
        "copy",
    }
    assert made["content"].is_null().all()
    sizes = samples.filter(pl.col("split") == "train")["label"].value_counts()["count"]
    assert sizes.n_unique() == 1


def test_the_facts_count_images_and_what_was_made_apart(stepped):
    samples, facts = samples_of(stepped), json.loads((stepped / "fingerprint.json").read_text())
    images = samples.filter(pl.col("of").is_null())
    assert facts["images"] == len(images) == 54
    for name, parts in facts["classes"].items():
        own = images.filter(pl.col("label") == name)["split"].value_counts()
        assert parts == dict(own.rows())
    assert sum(sum(one.values()) for one in facts["made"].values()) == len(samples) - 54
    train = len(images.filter(pl.col("split") == "train"))
    assert f"steps.apply_mask: {train} training images made with their background swapped" in facts["notes"]
    whole = len(samples.filter(pl.col("split") == "train"))
    assert json.loads((stepped / "card.json").read_text())["trained_on"]["images"] == whole


def test_the_held_out_images_are_those_of_a_run_without_steps(stepped, fit, masked, tmp_path):
    plain = fit(tmp_path / "plain", path=masked, data__masks="beside", epochs=[1])
    for part in ("val", "test"):
        names = [samples_of(run).filter(pl.col("split") == part)["image"].to_list() for run in (stepped, plain)]
        assert names[0] == names[1] and len(names[0]) > 5
    assert sorted(own_table(stepped).frame["image"]) == sorted(own_table(plain).frame["image"])


def test_made_pictures_lie_in_the_run_beside_what_they_are_made_of(stepped):
    items = json.loads((stepped / "made" / "index.json").read_text())["items"]
    assert len(items) == 24
    assert {item["step"] for item in items} == {f"background {kind}" for kind in ("removed", "replaced", "swapped")}
    for item in items:
        made_HWC, of_HWC = (cv2.imread(str(stepped / "made" / item[name])) for name in ("picture", "original"))
        np.testing.assert_array_equal(made_HWC[13:19, 13:19], of_HWC[13:19, 13:19])
        assert not np.array_equal(made_HWC, of_HWC)


def test_a_resumed_run_makes_the_same_images(fit, masked, stepped, digest, tmp_path):
    stops = fit.with_stops(tmp_path / "run", [4], path=masked, **ALL, epochs=[1])
    assert stops == 1 and digest(tmp_path / "run") == digest(stepped)


def test_a_removed_background_is_the_mean_colour_of_the_training_images(masked, listener):
    data = prepared(masked, listener, data__masks="beside", steps__apply_mask=["removed"])
    frame = data.table.frame
    train = [data.canvases[place] for place in np.flatnonzero((frame["split"] == "train") & frame["of"].is_null())]
    place = int(np.flatnonzero(frame["of"].is_not_null())[0])
    assert np.abs(data.canvases[place][0, 0] - np.mean(train, axis=(0, 1, 2))).max() <= 1
    assert data.masks is None and "images: train" in listener.lines[-1]


def test_the_classes_that_are_the_object_can_be_chosen(masked, listener):
    whole, nucleus = (
        prepared(masked, listener, data__masks="beside", steps__apply_mask=["removed"], steps__keep=keep)
        for keep in ([], ["value 255"])
    )
    place = len(whole.table) - 1
    same_HW = [(data.canvases[place] == data.canvases[place][0, 0]).all(axis=2) for data in (whole, nucleus)]
    assert same_HW[0].sum() < same_HW[1].sum()


def test_a_subset_and_the_label_budget_come_before_the_masks(masked, listener):
    data = prepared(
        masked, listener, data__masks="beside", split__budget=0.7, steps__subset=0.6, steps__apply_mask=["removed"]
    )
    frame = data.table.frame
    parts = Counter(frame.filter(pl.col("of").is_null())["split"])
    left = frame.filter(pl.col("step") == "left out of the subset")
    assert parts["unlabelled"] > 5 and parts[None] == len(left) > 5
    assert len(frame.drop_nulls("of")) == parts["train"]
    assert not set(frame["of"]) & set(left["image"])


def test_training_images_whose_mask_shows_no_object_are_passed_over_and_said(masked, listener, tmp_path):
    folder = tmp_path / "cells"
    shutil.copytree(masked, folder)
    frame = prepared(folder, listener, data__masks="beside").table.frame
    first, second = frame.filter(pl.col("split") == "train")["image"][:2]
    cv2.imwrite(str(folder / first).replace(".png", "_mask.png"), np.zeros((32, 32), np.uint8))
    (folder / second.replace(".png", "_mask.png")).write_bytes(
        (folder / second.replace(".png", "_mask.png")).read_bytes()[:60]
    )
    data = prepared(folder, listener, data__masks="beside", steps__apply_mask=["swapped"])
    note = data.table.notes[-1]
    assert note.startswith(f"steps.apply_mask passes over 2 training images ({first}: its mask shows no object")
    assert second in note and not {first, second} & set(data.table.frame["of"].drop_nulls())
    assert note in listener.lines


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps.apply_mask": ["removed"], "data.masks": "none"}, r"apply_mask expects images with masks, one folder"),
        ({"steps.apply_mask": ["removed"], "steps.keep": ["nuclei"]}, r"but for the background, got 'nuclei'\. Known"),
        (
            {"steps.balance": "augmented", "fit.balance": "weights"},
            r"steps\.balance=augmented expects fit\.balance=none, for rare classes would count twice, got weights",
        ),
        ({"steps.apply_mask": ["removed"], "prepare.trim_border": True}, r"masks expect images that keep their surr"),
    ],
)
def test_steps_that_do_not_fit_the_data_are_refused(masked, listener, settings, message):
    with pytest.raises(CorpuscleError, match=message):
        prepared(masked, listener, **{"data.masks": "beside"} | settings)


SEGMENT = {"task": "segment", "net.model": "unet", "net.head": "mask", "prepare.fit": "keep", "prepare.shrink": 1}


def test_a_subset_of_images_whose_masks_are_learned(blobs, listener):
    whole, few = (prepared(blobs, listener, **SEGMENT, **{"steps.subset": share}) for share in (1.0, 0.5))
    assert [len(few.places(part)) for part in ("val", "test")] == [len(whole.places(part)) for part in ("val", "test")]
    assert 0 < len(few.places("train")) < len(whole.places("train"))


def test_masks_that_are_learned_do_not_follow_a_square_canvas(blobs, listener):
    with pytest.raises(
        CorpuscleError, match=r"masks expect canvases of the images' own size, got prepare\.fit=pad; pa"
    ):
        prepared(blobs, listener, **SEGMENT | {"prepare.fit": "pad"})


def test_composed_scenes_take_no_steps():
    experiment, _ = compose("smear", flags={"steps.subset": 0.5})
    with pytest.raises(
        CorpuscleError, match=r"steps\.\* expect images on disk, these scenes are composed; set compose"
    ):
        refuse_steps(experiment)


def test_masks_that_are_learned_are_not_applied(blobs, listener):
    with pytest.raises(
        CorpuscleError, match=r"steps\.apply_mask expects a class an image, task=segment has none; leave"
    ):
        prepared(blobs, listener, **SEGMENT, **{"steps.apply_mask": ["removed"]})
