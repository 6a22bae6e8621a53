"""A codebook is found without labels or steps, the same each time, and few labels do more with it than with noise."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.stopped import Stopped
from corpuscle.data.loader import Images
from corpuscle.data.targets import Numbers
from corpuscle.engine import words as finding
from corpuscle.engine.device import DevicePlan, choose_machine
from corpuscle.engine.features import Passing
from corpuscle.engine.train import task_of
from corpuscle.engine.words import Search, words_of
from corpuscle.nets.card import load
from corpuscle.nets.codebook import Words
from corpuscle.nets.zoo import NetPlan, build
from corpuscle.recipes import compose
from corpuscle.report.page import write_report

OF_WORDS = {"task": "cluster", "net.model": "codebook", "net.head": "none", "net.pool": "none", "net.words": 16}
OF_WORDS |= {"stages": [{"train": "words"}], "data.labels": "none", "fit.keep": "last"}


def test_words_lie_in_the_middle_of_what_is_alike():
    rng = np.random.default_rng(0)
    centre_K3 = np.array([[0.1, 0.2, 0.9], [0.8, 0.1, 0.2], [0.3, 0.9, 0.4], [0.9, 0.9, 0.9]])
    square_PC = np.repeat(centre_K3, 200, axis=0) + 0.01 * rng.standard_normal((800, 3))
    words = Words(1, 4)
    words.load_state_dict(words_of(square_PC.astype(np.float32), 4, seed=0))
    called_P = words.nearest(torch.from_numpy(square_PC).float()[None])[0].reshape(4, 200)
    assert all(len(set(row.tolist())) == 1 for row in called_P) and len(set(called_P[:, 0].tolist())) == 4
    white_PD = (torch.from_numpy(square_PC).float() - words.mean_C) @ words.white_DC.T
    torch.testing.assert_close(torch.cov(white_PD.T), torch.eye(3), atol=0.02, rtol=0)


def test_fewer_squares_than_words_are_refused():
    with pytest.raises(CorpuscleError, match="a codebook of 16 words expects as many squares at least, the training "):
        words_of(np.zeros((15, 3), np.float32), 16, seed=0)


def test_one_colour_alone_is_no_trouble():
    found = words_of(np.full((50, 3), 0.5, np.float32), 4, seed=0)
    assert all(values.isfinite().all() for values in found.values())


@pytest.fixture(scope="module")
def book(fit, tmp_path_factory):
    return fit(tmp_path_factory.mktemp("book") / "run", **OF_WORDS)


def test_a_codebook_is_found_in_one_row_of_the_log_and_judged(book):
    with (book / "log.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["train"] == "words" and 0 < float(row["val_distortion"]) < 1
    scores = json.loads((book / "metrics.json").read_text())["parts"]["test"]["scores"]
    assert scores["distortion"]["low"] < scores["distortion"]["value"] < scores["distortion"]["high"]
    assert load(book).net.encoder.words[0].word_KD.unique(dim=0).shape == (16, 3)


def test_its_report_tells_that_words_were_found_and_not_a_head_fitted(book):
    page = write_report(book).read_text()
    assert "The words were found in one go: there are no epochs, and no curves." in page and "The head was" not in page


def test_it_is_the_same_each_time(fit, digest, book, tmp_path):
    assert digest(fit(tmp_path / "again", **OF_WORDS)) == digest(book)
    assert digest(fit(tmp_path / "other", **OF_WORDS, seed=5)) != digest(book)


def test_a_probe_on_it_tells_cells_apart(fit, book, tmp_path):
    of_probe = {
        "net.model": "codebook",
        "net.words": 16,
        "net.weights": str(book),
        "stages": [{"train": "probe", "views": 1}],
    }
    run = fit(tmp_path / "probe", **of_probe)
    scores = json.loads((run / "metrics.json").read_text())["parts"]["test"]["scores"]
    assert scores["accuracy"]["value"] > 0.4  # of five kinds
    assert torch.equal(load(run).net.encoder.words[1].word_KD, load(book).net.encoder.words[1].word_KD)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"net.model": "codebook"},
            r"net\.model=codebook expects words, got net\.weights=none; find some with --recipe co",
        ),
        (
            OF_WORDS | {"stages": [{"train": "all"}]},
            r"got task cluster, model codebook, stages of all; pass --recipe codebook",
        ),
        ({"stages": [{"train": "words"}]}, r"got task classify, model .*, stages of words; pass --recipe codebook"),
        (OF_WORDS | {"net.model": "resnet18"}, r"net\.head=none expects net\.model=codebook, got resnet18"),
        (
            OF_WORDS | {"stages": [{"train": "words", "epochs": 3}]},
            "words are found in one go and expect no epochs, got 3; leave --epochs at 0",
        ),
        (
            OF_WORDS | {"net.weights": "runs/words"},
            r"words are found anew and expect net\.weights=none, got runs/words; leave --weights out",
        ),
    ],
)
def test_words_are_asked_for_where_there_is_a_codebook(fit, tmp_path, changes, told):
    with pytest.raises(CorpuscleError, match=told):
        fit(tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_of_many_images_those_are_judged_whose_squares_were_looked_at(fit, tmp_path, monkeypatch):
    judged, judge = [], finding._judged
    monkeypatch.setattr(finding, "MOST_IMAGES", 10)
    monkeypatch.setattr(finding, "_judged", lambda work, places: judged.append(len(places)) or judge(work, places))
    fit(tmp_path / "run", **OF_WORDS)
    assert judged == [10, 12]  # of 35 to learn from, and all that validate


def test_a_process_whose_fellows_wait_for_the_words_goes_on_to_their_end():
    experiment, _ = compose("codebook")
    net = build(NetPlan(model="codebook", head="none", pool="none", words=4), 3, 32)
    canvases = np.random.default_rng(0).integers(0, 255, (3, 32, 32, 3)).astype(np.uint8)
    images = Images(canvases, Numbers(np.zeros(3, np.int64)), np.zeros(3), np.ones(3))
    machine = choose_machine(DevicePlan(name="cpu", precision="fp32"))
    how, places = Passing(machine, keep=False, stopping=lambda: 15), np.arange(3)
    work = Search(net, task_of(experiment), images, places, places[:0], 0, how)
    with pytest.raises(Stopped):
        list(finding._found(work, net.encoder, places))
    shared = replace(work, how=replace(how, machine=replace(machine, world=2)))
    assert len(list(finding._found(shared, net.encoder, places))) == 3
