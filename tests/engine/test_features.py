"""Features of a frozen encoder, computed once and kept."""

from __future__ import annotations

import copy
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from corpuscle.core.stopped import Stopped
from corpuscle.data.cache import InMemory
from corpuscle.data.loader import Images, Loader, Order
from corpuscle.data.targets import Numbers
from corpuscle.data.transforms import AugmentPlan
from corpuscle.engine import features as module
from corpuscle.engine.device import DevicePlan, choose_machine
from corpuscle.engine.features import Passing, encoder_features
from corpuscle.engine.joining import joined_features
from corpuscle.nets.zoo import NetPlan, build

NUM, SIZE = 70, 16  # more than a batch of features


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return build(NetPlan(model="timm/test_resnet"), 3, SIZE)


@pytest.fixture
def images():
    random = np.random.default_rng(0)
    canvases = {place: random.integers(256, size=(SIZE, SIZE, 3), dtype=np.uint8) for place in range(NUM)}
    half = np.full(3, 0.5)
    return Images(
        InMemory(canvases, np.dtype(np.uint8)), Numbers(np.arange(NUM) % 3), half, half, AugmentPlan(), seed=3
    )


@pytest.fixture(scope="module")
def machine():
    return choose_machine(DevicePlan(name="cpu", precision="fp32"))


@pytest.fixture
def how(machine):
    return Passing(machine, keep=False)


class Listener:
    """Keeps what was said."""

    def __init__(self):
        self.said = []

    def say(self, line):
        self.said.append(line)

    def track(self, items, *_, **__):
        return items


def test_features_equal_passing_image_by_image(net, images, how):
    places = np.array([5, 3, 69, *range(10, 68)])
    features = joined_features(net, images, places, how, 3)
    assert features.features_VNC.shape == (3, len(places), net.num_features)
    net.eval()
    for view in range(3):
        for place in (5, 3, 69, 67):
            with torch.inference_mode():
                alone = net.encoder(images[view, [place]].image_NCHW)
            torch.testing.assert_close(features[view, [place]].image_NCHW, alone, rtol=1e-4, atol=1e-5)
    assert features[0, [5, 69]].target.tolist() == [2, 0]
    assert features[0, [5, 69]].place_N.tolist() == [5, 69]


def test_views_differ_and_take_turns(net, images, how):
    features = joined_features(net, images, np.arange(NUM), how, 2)
    first, second, third = (features[epoch, [1, 2]].image_NCHW for epoch in range(3))
    assert torch.equal(first, third) and not torch.equal(first, second)


def test_the_encoder_is_left_as_it_was(net, images, how):
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net.train()
    joined_features(net, images, np.arange(NUM), how)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_fewer_views_are_used_where_memory_is_short(net, images, machine, monkeypatch):
    listener = Listener()
    monkeypatch.setattr(module, "MEMORY_BYTES", NUM * net.num_features * 4 * 2.5)
    features = joined_features(net, images, np.arange(NUM), Passing(machine, False, listener), 8)
    assert len(features.features_VNC) == 2
    assert listener.said == ["features of 8 views would not fit into memory: 2 are used"]


def test_it_can_be_stopped(net, images, machine):
    with pytest.raises(Stopped):
        joined_features(net, images, np.arange(NUM), Passing(machine, False, stopping=lambda: 2))


# --- kept on disk


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """A cache of the test's own, and how to use it."""
    monkeypatch.setenv("CORPUSCLE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "features"


@pytest.fixture
def passed(monkeypatch):
    """The places that were passed through the encoder, in batches."""
    batches = []

    class Counted(Order):
        def batches(self, epoch):
            batches.extend((epoch, batch.tolist()) for batch in super().batches(epoch))
            return super().batches(epoch)

    monkeypatch.setattr(module, "Order", Counted)
    return batches


def test_the_numbers_are_the_same_without_the_cache_with_it_and_from_it(net, images, machine, how, kept, passed):
    places = np.arange(NUM)[::-1]
    without = encoder_features(net, images, places, how, 2)
    assert not kept.exists()
    keeping = Passing(machine)
    filled = encoder_features(net, images, places, keeping, 2)
    count = len(passed)
    again = encoder_features(net, images, places, keeping, 2)
    assert torch.equal(without, filled) and torch.equal(filled, again)
    assert len(passed) == count > 0
    assert len(list(kept.iterdir())) == 2  # a folder for each view


def test_only_what_is_missing_is_passed_and_in_whatever_company_the_numbers_are_the_same(
    net, images, machine, how, kept, passed
):
    encoder_features(net, images, np.array([7, 3, 50]), Passing(machine))
    passed.clear()
    some = encoder_features(net, images, np.arange(NUM), Passing(machine))
    seen = {place for _, batch in passed for place in batch}
    assert seen == set(range(NUM)) - {3, 7, 50} and {len(batch) for _, batch in passed} == {module.AT_ONCE}
    assert torch.equal(some, encoder_features(net, images, np.arange(NUM), how))


def test_what_was_done_before_a_stop_is_not_done_again(net, images, machine, kept, passed):
    asked = iter([0, 0, 15])
    with pytest.raises(Stopped):
        encoder_features(net, images, np.arange(NUM), Passing(machine, stopping=lambda: next(asked)), 2)
    passed.clear()
    encoder_features(net, images, np.arange(NUM), Passing(machine), 2)
    assert {view for view, _ in passed} == {1}


@pytest.mark.parametrize(
    "change", ["encoder", "canvas", "normalisation", "augmentation", "seed", "precision", "pool", "multiple"]
)
def test_another_encoder_or_image_is_never_taken_for_the_old(net, images, machine, kept, passed, change):
    encoder_features(net, images, np.arange(4), Passing(machine))
    passed.clear()
    if change == "encoder":
        net = copy.deepcopy(net)
        next(net.encoder.parameters()).data[0] += 1
    if change == "canvas":
        canvases = dict(images.canvases.canvas_HWC)
        canvases[2] = 255 - canvases[2]
        images = replace(images, canvases=InMemory(canvases, np.dtype(np.uint8)))
    if change == "normalisation":
        images = replace(images, mean_3=np.full(3, 0.4))
    if change == "augmentation":
        images = replace(images, augment=None)
    if change == "seed":
        images = replace(images, seed=4)
    if change == "precision":
        machine = replace(machine, precision="bf16")
    if change == "pool":
        weights = net.state_dict()
        net = build(NetPlan(model="timm/test_resnet", pool="max"), 3, SIZE)
        net.load_state_dict(weights)
    if change == "multiple":
        images = replace(images, multiple=5)
    how = Passing(machine)
    features = encoder_features(net, images, np.arange(4), how)
    seen = {place for _, batch in passed for place in batch}
    assert seen == ({2} if change == "canvas" else {0, 1, 2, 3})
    assert torch.equal(features, encoder_features(net, images, np.arange(4), replace(how, keep=False)))


def test_an_image_as_it_is_has_the_same_features_at_any_place_and_seed(net, images, machine, kept, passed):
    plain = replace(images, augment=None)
    first = encoder_features(net, plain, np.arange(NUM), Passing(machine))
    turned = {place: plain.canvases[NUM - 1 - place] for place in range(NUM)}
    passed.clear()
    other = replace(plain, canvases=InMemory(turned, np.dtype(np.uint8)), seed=9)
    assert torch.equal(encoder_features(net, other, np.arange(NUM), Passing(machine)), first.flip(1))
    assert passed == []


@pytest.mark.parametrize("damage", ["cut short", "emptied", "gone"])
def test_a_damaged_file_is_computed_anew(net, images, machine, kept, damage):
    sound = encoder_features(net, images, np.arange(9), Passing(machine))
    (file,) = kept.glob("*/*.npy")
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[: 300 if damage == "cut short" else 0])
    assert torch.equal(encoder_features(net, images, np.arange(9), Passing(machine)), sound)
    assert np.array_equal(np.load(file), sound[0].numpy())


def test_a_disk_without_room_is_gone_without(net, images, machine, how, kept, monkeypatch):
    usage = shutil.disk_usage(".")._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    listener = Listener()
    features = encoder_features(net, images, np.arange(9), Passing(machine, progress=listener))
    assert torch.equal(features, encoder_features(net, images, np.arange(9), how))
    (line,) = listener.said
    assert line.startswith(f"no cache in {kept}")
    assert line.endswith("(No space left on device); features are computed each time")
    assert list(kept.glob("*/*.npy")) == []


def test_a_head_trained_on_features_is_one_trained_image_by_image(net, images, how):
    """Without dropout and with one view a step on features is a step on images with the encoder frozen."""
    places = np.arange(32)
    features = joined_features(net, images, places, how)
    heads = []
    for dataset in (features, images):
        torch.manual_seed(0)
        head = nn.Linear(net.num_features, 3)
        optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
        for batch in Loader(dataset, Order(places, 8)).epoch(0):
            with torch.no_grad():
                seen = batch.image_NCHW if dataset is features else net.eval().encoder(batch.image_NCHW)
            nn.functional.cross_entropy(head(seen), batch.target).backward()
            optimizer.step()
            optimizer.zero_grad()
        heads.append(head.weight.detach())
    torch.testing.assert_close(heads[0], heads[1], rtol=1e-4, atol=1e-5)
