"""Judging a finished run again, and on other images."""

from __future__ import annotations

import json
import shutil

import numpy as np
import polars as pl
import pytest

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.progress import SILENT
from corpuscle.data.sources import SourcePlan
from corpuscle.engine.predict import Predictor
from corpuscle.engine.rescore import experiment_of, labelled_table, own_table, rescore
from corpuscle.engine.train import Call, train
from corpuscle.recipes import compose

PLAN = SourcePlan()


@pytest.fixture(scope="module")
def predictor(finished):
    return Predictor.of(finished, "cpu")


@pytest.fixture
def judge(finished, predictor, tmp_path):
    """Rescore the finished run on a table."""

    def run(table, out=tmp_path / "judged"):
        return rescore(finished, table, out, experiment_of(finished), predictor, SILENT), out

    return run


def test_its_own_parts_have_the_scores_of_the_run(finished, judge):
    found, out = judge(own_table(finished))
    expected = json.loads((finished / "metrics.json").read_text())
    assert found["classes"] == expected["classes"]
    for part in ("val", "test"):
        now, then = found["parts"][part], expected["parts"][part]
        assert (now["n"], now["groups"], now["confusion"]) == (then["n"], then["groups"], then["confusion"])
        for name, score in then["scores"].items():
            for end in ("value", "low", "high"):
                assert now["scores"][name][end] == pytest.approx(score[end], abs=1e-5), (part, name, end)
    was, now = (
        pl.read_csv(folder / "predictions.csv").select("image", "split", pl.selectors.starts_with("p_")).sort("image")
        for folder in (finished, out)
    )
    assert was["split"].to_list() == now["split"].to_list()
    np.testing.assert_allclose(was.drop("image", "split"), now.drop("image", "split"), atol=1e-6)


def test_another_data_set_is_a_test_part_as_a_whole(judge, predictor, cells, tmp_path):
    found, out = judge(labelled_table(cells, PLAN, predictor.card))
    assert list(found["parts"]) == ["test"] and found["parts"]["test"]["n"] == 60
    assert {path.name for path in out.iterdir()} == {
        "metrics.json",
        "predictions.csv",
        "fingerprint.json",
        "environment.json",
    }
    again, _ = judge(labelled_table(cells, PLAN, predictor.card))  # into the same folder
    assert again == found


def test_another_data_set_may_lack_classes(judge, predictor, cells, tmp_path):
    for name in ("basophil", "neutrophil"):
        shutil.copytree(cells / name, tmp_path / "other" / name)
    found, _ = judge(labelled_table(tmp_path / "other", PLAN, predictor.card))
    assert found["parts"]["test"]["n"] == 24
    assert len(found["classes"]) == 5


def test_classes_that_the_run_does_not_know_are_refused(predictor, cells, tmp_path):
    for name, new in (("basophil", "basophil"), ("monocyte", "blast")):
        shutil.copytree(cells / name, tmp_path / "other" / new)
    with pytest.raises(CorpuscleError, match=r"expected the classes basophil, .*, .*other also has blast; rename them"):
        labelled_table(tmp_path / "other", PLAN, predictor.card)


def test_a_run_is_not_overwritten_by_its_evaluation(finished, judge):
    before = (finished / "predictions.csv").read_bytes()
    with pytest.raises(CorpuscleError, match="is what a training wrote and would be overwritten; name another folder"):
        judge(own_table(finished), finished)
    assert (finished / "predictions.csv").read_bytes() == before


def test_a_folder_or_file_of_something_else_is_left_alone(finished, judge, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"x")
    with pytest.raises(CorpuscleError, match="is not empty and holds no evaluation; name a new folder with --out"):
        judge(own_table(finished), tmp_path / "photos")
    with pytest.raises(CorpuscleError, match=r"a\.png cannot be written"):
        judge(own_table(finished), tmp_path / "photos" / "a.png")


def test_images_that_are_gone_are_named(finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    facts = json.loads((run / "fingerprint.json").read_text())
    (run / "fingerprint.json").write_text(json.dumps(facts | {"root": str(tmp_path / "gone")}))
    with pytest.raises(
        CorpuscleError, match=r"the images of .* were in .*gone, which is gone; pass the path they have"
    ):
        own_table(run)


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(
        CorpuscleError, match=r"expected a run folder with experiment\.toml, .* has none; name one that"
    ):
        experiment_of(tmp_path)


# --- masks


@pytest.fixture(scope="module")
def segmenter(blobs, segmenting, tmp_path_factory):
    """A finished run that segments."""
    experiment, origins = compose("segment", flags=segmenting)
    return train(blobs, experiment, tmp_path_factory.mktemp("runs") / "run", Call(origins))


@pytest.fixture
def judge_masks(segmenter, blobs, tmp_path):
    """Rescore the run that segments on its own images, whose masks mean something else."""

    def run(**legend):
        predictor = Predictor.of(segmenter, "cpu")
        named = {value.removeprefix("v"): name for value, name in legend.items()}
        table = labelled_table(blobs, SourcePlan(masks="beside", legend=named), predictor.card)
        return rescore(segmenter, table, tmp_path / "judged", experiment_of(segmenter), predictor, SILENT)

    return run


def test_masks_of_its_own_parts_have_the_scores_of_the_run(segmenter, tmp_path):
    again = rescore(
        segmenter, own_table(segmenter), tmp_path, experiment_of(segmenter), Predictor.of(segmenter, "cpu"), SILENT
    )
    expected = json.loads((segmenter / "metrics.json").read_text())
    assert again["classes"] == expected["classes"] and again["legend"] == expected["legend"]
    for part in ("val", "test"):
        assert again["parts"][part]["confusion"] == expected["parts"][part]["confusion"]
        assert again["parts"][part]["scores"] == expected["parts"][part]["scores"]


def test_masks_may_lack_classes_and_leave_pixels_out(judge_masks):
    whole = judge_masks(v0="background", v128="cell", v255="nucleus", v7="ignore")["parts"]["test"]
    assert whole["n"] == 12 and np.sum(whole["confusion"]) == 12 * 42 * 52
    fewer = judge_masks(v0="background", v128="ignore", v255="nucleus", v7="ignore")
    assert fewer["classes"] == ["background", "cell", "nucleus"]
    rows = np.array(fewer["parts"]["test"]["confusion"])
    np.testing.assert_array_equal(rows[[0, 2]], np.array(whole["confusion"])[[0, 2]])
    assert not rows[1].any() and np.array(whole["confusion"])[1].any()


def test_masks_with_a_class_that_the_run_does_not_know_are_refused(judge_masks):
    told = r"expected masks of background, cell, nucleus, these also have vacuole; name what they hold .* or \"ignore\""
    with pytest.raises(CorpuscleError, match=told):
        judge_masks(v0="background", v128="vacuole", v255="nucleus", v7="ignore")
