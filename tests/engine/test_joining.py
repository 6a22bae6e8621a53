"""A training beside frozen encoders of earlier runs: what is computed once, what is kept, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import safetensors.torch
import torch

from corpuscle.core.errors import CorpuscleError, DataFault
from corpuscle.core.stopped import Stopped
from corpuscle.data.cache import InMemory
from corpuscle.data.loader import Images, Loader, Order
from corpuscle.data.targets import Numbers
from corpuscle.data.transforms import AugmentPlan
from corpuscle.engine.checkpoint import load_state
from corpuscle.engine.device import DevicePlan, choose_machine
from corpuscle.engine.features import Passing, encoder_features
from corpuscle.engine.joining import beside_of, joined_features, with_joined
from corpuscle.engine.predict import Predictor
from corpuscle.engine.run_folder import CHECKPOINT
from corpuscle.engine.train import Call, task_of
from corpuscle.nets.card import load, save
from corpuscle.nets.zoo import NetPlan, build
from corpuscle.recipes import compose

OTHER, WIDTH = "timm/test_efficientnet", 256
HEAD = [{"train": "head", "epochs": 2, "views": 2, "warm_up": 0}]


@pytest.fixture(scope="module")
def earlier(finished, fit, tmp_path_factory) -> list[str]:
    """Two runs: the tiny one of all tests, and another encoder at another size with a normalisation of its own."""
    other = fit(tmp_path_factory.mktemp("earlier") / "other", net__model=OTHER, seed=3, prepare__size=48)
    edit(other, mean=[0.1, 0.2, 0.3], std=[0.4, 0.5, 0.6])
    return [str(finished), str(other)]


@pytest.fixture(scope="module")
def joined(fit, earlier, tmp_path_factory) -> Path:
    """A run of two epochs that joins them; to be read only."""
    return fit(tmp_path_factory.mktemp("joined") / "run", net__joined=earlier)


def edit(run: Path, **changes) -> None:
    """Change the card of a run."""
    card = json.loads((run / "card.json").read_text())
    (run / "card.json").write_text(json.dumps(card | changes))


def images_for(run: Path, count: int = 40) -> Images:
    """Random images, normalised as the run wants them."""
    card, random = load(run).card, np.random.default_rng(0)
    canvases = {place: random.integers(256, size=(32, 32, 3), dtype=np.uint8) for place in range(count)}
    return Images(
        InMemory(canvases, np.dtype(np.uint8)), Numbers(np.zeros(count, int)), np.array(card.mean), np.array(card.std)
    )


@pytest.fixture
def how() -> Passing:
    return Passing(choose_machine(DevicePlan(name="cpu", precision="fp32", workers=0)))


# --- what comes of it


def test_the_frozen_encoders_are_those_of_their_runs_and_the_run_does_without_them(joined, earlier, cells, tmp_path):
    content = load(joined).net.state_dict()
    for number, run in enumerate(earlier):
        for name, value in load(Path(run)).net.encoder.state_dict().items():
            assert torch.equal(content[f"joined.frozen.{number}.encoder.{name}"], value), name
    moved = shutil.copytree(joined, tmp_path / "moved")
    net = json.loads((moved / "card.json").read_text())["net"]
    edit(moved, net=net | {"joined": [one | {"run": "gone"} for one in net["joined"]]})
    paths = sorted(cells.rglob("*.png"))[:3]
    said, again = (Predictor.of(run, "cpu").predict(paths).said_NK for run in (joined, moved))
    assert np.isfinite(said).all() and np.array_equal(said, again)
    held = pl.read_csv(joined / "predictions.csv")
    columns = [name for name in held.columns if name.startswith("p_")]
    told = Predictor.of(moved, "cpu").predict([cells / image for image in held["image"]]).table
    np.testing.assert_allclose(told.select(columns), held.select(columns), atol=1e-3)


def test_the_numbers_of_use_are_those_of_training(joined, how):
    net, images, places = load(joined).net, images_for(joined), np.arange(5, 37)
    beside = beside_of(net, replace(images, augment=AugmentPlan()), places, how)
    batch = beside.laid_by(images[0, [36, 7]], epoch=5)
    with torch.inference_mode():
        torch.testing.assert_close(batch.beside_NC, net.joined(batch.image_NCHW), rtol=1e-4, atol=1e-4)
        trained = net.learner()(batch.image_NCHW, *batch.beside)
        torch.testing.assert_close(trained, net(batch.image_NCHW), rtol=1e-4, atol=1e-4)
        whole = joined_features(net, images, places, how)
        torch.testing.assert_close(net.head(whole[0, [36, 7]].image_NCHW), net(batch.image_NCHW), rtol=1e-4, atol=1e-4)


def test_the_scale_of_the_features_is_that_of_the_training_images(joined, fit, how):
    frozen = list(load(joined).net.joined)
    assert all(one.std_C.min() > 0 and torch.isfinite(one.mean_C).all() for one in frozen)
    assert not any(torch.equal(one.std_C, torch.ones_like(one.std_C)) for one in frozen)
    assert torch.allclose(frozen[1].gain_3 * torch.tensor([0.4, 0.5, 0.6]), torch.tensor(load(joined).card.std))


def test_the_features_of_the_frozen_are_computed_once_for_all_epochs_and_all_runs(fit, earlier, tmp_path, monkeypatch):
    passed = []

    def counted(net, images, places, how, views=1):
        handle = net.encoder.register_forward_hook(lambda *_: passed.append(net.plan.model))
        try:
            return encoder_features(net, images, places, how, views)
        finally:
            handle.remove()

    def never(*_):
        raise AssertionError("a frozen encoder was asked within an epoch")

    monkeypatch.setattr("corpuscle.engine.joining.encoder_features", counted)
    monkeypatch.setattr("corpuscle.nets.joined.Frozen.forward", never)
    monkeypatch.setenv("CORPUSCLE_CACHE", str(tmp_path / "cache"))
    fit(tmp_path / "one", net__joined=earlier[0], stages=[{"epochs": 3, "views": 2}])
    assert passed == ["timm/test_resnet"] * 4, "a batch for each view of train, one of val and one of test"
    fit(tmp_path / "two", net__joined=earlier[0], net__model="resnet18", stages=[{"epochs": 1, "views": 2}])
    assert len(passed) == 4, "another run finds them in the cache"


def test_where_the_settings_came_from_is_told_and_they_can_be_given_again(
    fit, earlier, joined, cells, digest, tmp_path
):
    flags = {"net.joined": earlier, "prepare.size": 32, "net.model": "none", "epochs": [1]}
    experiment, origins = compose("default", flags=flags)
    found = with_joined(experiment, task_of(experiment))
    assert [one.size for one in found.net.joined] == [32, 48]
    assert found.net.joined[0].known_net == NetPlan(model="timm/test_resnet")
    assert [stage.train for stage in found.stages] == ["head"]
    assert origins["net.joined.0.run"] == "flag"
    again, _ = compose("default", joined / "experiment.toml")
    assert with_joined(again, task_of(again)) == again


def test_frozen_alone_train_the_head_and_weights_fill_the_one_that_learns(fit, earlier, joined, tmp_path, listener):
    alone = load(fit(tmp_path / "alone", net__model="none", net__joined=earlier)).net
    assert alone.num_features == 0 and alone.head[-1].in_features == 96 + WIDTH
    call = Call({}, progress=listener)
    from_run = fit(tmp_path / "from", call, net__joined=earlier[1:], net__weights=str(joined), stages=HEAD)
    own, start = (dict(load(run).net.encoder.named_parameters()) for run in (from_run, joined))
    assert all(torch.equal(own[name], start[name]) for name in start)
    assert (
        f"joined: the encoder of {earlier[1]} ({OTHER}, {WIDTH} features; it learned from images of 48 pixels, "
        "these have 32)"
    ) in listener.lines


def test_a_probe_fits_the_head_on_all_frozen_encoders(fit, earlier, tmp_path):
    run = fit(tmp_path / "probe", net__model="none", net__joined=earlier, stages=[{"train": "probe"}])
    net, images = load(run).net, images_for(run, 2)
    assert net.head[-1].in_features == 96 + WIDTH
    with torch.inference_mode():
        assert torch.isfinite(net(images[0, [0, 1]].image_NCHW)).all()


# --- stop and go on


@pytest.mark.parametrize("stops", [(9, 4), (5, 30)])
def test_stopped_and_gone_on_with_it_ends_with_the_same_weights(fit, earlier, digest, tmp_path, stops):
    settings = {"net__joined": earlier, "stages": [*HEAD, {"epochs": 2}]}
    unbroken = fit(tmp_path / "unbroken", **settings)
    assert fit.with_stops(tmp_path / "run", stops, **settings) > 0
    assert digest(tmp_path / "run") == digest(unbroken)


def test_a_checkpoint_holds_what_learns_alone_and_a_run_that_has_changed_since_is_refused(fit, earlier, tmp_path):
    run = Path(shutil.copytree(earlier[0], tmp_path / "earlier"))
    settings = {"net__joined": str(run), "epochs": [3]}
    asked = iter([0] * 6 + [15] * 99)
    with pytest.raises(Stopped):
        fit(tmp_path / "run", Call({}, stopping=lambda: next(asked)), **settings)
    kept = load_state(tmp_path / "run" / CHECKPOINT)
    assert kept.net and not any(name.startswith("joined") for name in (*kept.net, *kept.state.average))
    net = load(run).net
    with torch.no_grad():
        next(net.encoder.parameters()).add_(1)
    save(run, net, load(run).card)
    with pytest.raises(
        CorpuscleError, match=r"holds a run with other settings \(net\.joined\.0\.digest was \w+, is \w+\)"
    ):
        fit(tmp_path / "run", **settings)


# --- what is refused


def test_all_runs_that_cannot_be_joined_are_told_at_once_with_their_remedies(fit, earlier, joined, tmp_path):
    good = earlier[0]
    copied = shutil.copytree(good, tmp_path / "copied")
    damaged = shutil.copytree(good, tmp_path / "damaged")
    content = safetensors.torch.load_file(damaged / "weights.safetensors")
    safetensors.torch.save_file({name: value + 1 for name, value in content.items()}, damaged / "weights.safetensors")
    maps = build(NetPlan(model="unet", head="density", widths=(4, 8)), 1, 0)
    (tmp_path / "maps").mkdir()
    save(
        tmp_path / "maps",
        maps,
        load(Path(good)).card.model_copy(update={"net": maps.plan, "num_outputs": 1, "size": 0}),
    )
    vit = build(NetPlan(model="timm/test_vit"), 5, 48)
    (tmp_path / "vit").mkdir()
    save(tmp_path / "vit", vit, load(Path(good)).card.model_copy(update={"net": vit.plan, "size": 48}))
    runs = [
        str(tmp_path / "none"),
        str(damaged),
        str(joined),
        str(tmp_path / "maps"),
        str(tmp_path / "vit"),
        good,
        str(copied),
    ]
    with pytest.raises(DataFault) as caught:
        fit(tmp_path / "run", net__joined=runs)
    lines = str(caught.value).splitlines()
    assert lines[0] == (
        f"net.joined: {runs[0]} is not the folder of a finished run (it has no card.json); "
        "pass the folder that training named with --out"
    )
    assert lines[1].startswith(
        f"net.joined: {damaged / 'weights.safetensors'} does not match its card: expected digest "
    )
    assert lines[2] == (
        f"net.joined: expected a run of one encoder, {joined} joins {earlier[0]}, {earlier[1]} itself; "
        "name these in its place"
    )
    assert lines[3] == (
        f"net.joined: expected a run whose encoder gives features, {runs[3]} is of unet, which gives maps; "
        "name a run of another model, such as resnet18"
    )
    assert lines[4] == (
        f"net.joined: the encoder of {runs[4]} (timm/test_vit) learned from images of 48 pixels and takes no others, "
        "these have 32 (pos_embed expected (1, 5, 64), got (1, 10, 64)); pass --size 48, or leave it out of net.joined"
    )
    assert lines[5] == f"net.joined: {good} and {copied} hold the same encoder; name it once"
    assert len(lines) == 6 and not (tmp_path / "run").exists()


def test_an_encoder_that_cannot_be_built_for_the_size_says_which_it_takes(fit, earlier, tmp_path):
    vit = build(NetPlan(model="timm/test_vit"), 5, 48)
    save(tmp_path, vit, load(Path(earlier[0])).card.model_copy(update={"net": vit.plan, "size": 48}))
    with pytest.raises(DataFault) as caught:
        fit(tmp_path / "run", net__joined=str(tmp_path), prepare__size=40)
    assert str(caught.value) == (
        f"net.joined: {tmp_path}: timm/test_vit cannot take images of 40 pixels (it takes multiples of 16, such as "
        "32); pass --size 48, or leave it out of net.joined"
    )


def test_a_run_whose_encoder_is_another_than_was_read_is_refused(earlier, tmp_path):
    flags = {"net.joined": [{"run": earlier[0], "digest": "0123"}]}
    experiment, _ = compose("default", flags=flags)
    with pytest.raises(DataFault) as caught:
        with_joined(experiment, task_of(experiment))
    now = compose("default", flags={"net.joined": earlier[0]})[0]
    digest = with_joined(now, task_of(now)).net.joined[0].digest
    assert str(caught.value) == (
        f"net.joined: {earlier[0]} holds another encoder than before (digest 0123, now {digest}); restore that run, or "
        "name its folder alone in net.joined, with a new --out"
    )


def test_a_task_without_labels_joins_nothing(earlier):
    experiment, _ = compose("contrast", flags={"net.joined": earlier})
    with pytest.raises(CorpuscleError) as caught:
        with_joined(experiment, task_of(experiment))
    assert str(caught.value) == (
        "net.joined expects a task that learns labels, got contrast; leave net.joined out, or choose another --recipe"
    )


def test_features_travel_beside_the_images_and_their_views_take_turns(joined, how):
    net, images, places = load(joined).net, replace(images_for(joined), augment=AugmentPlan()), np.arange(40)
    beside = beside_of(net, images, places, how, views=3)
    loader = Loader(images, Order(places, 8, seed=0), beside=beside)
    for epoch in range(4):
        for batch in loader.epoch(epoch):
            for piece in batch.to(torch.device("cpu")).pieces(2):
                assert torch.equal(piece.beside[0], beside.features_VNC[epoch % 3][piece.place_N])
    with torch.inference_mode():
        plain, varied = (net.joined(one[0, [7]].image_NCHW)[0] for one in (images_for(joined), images))
        torch.testing.assert_close(beside.features_VNC[0, 7], plain, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(beside.features_VNC[1, 7], varied, rtol=1e-4, atol=1e-4)
        assert not torch.allclose(plain, varied, atol=0.01)
