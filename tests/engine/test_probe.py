"""Features of a frozen encoder, computed once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from corpuscle.core.stopped import Stopped
from corpuscle.data.cache import InMemory
from corpuscle.data.loader import Images, Loader, Order
from corpuscle.data.targets import Numbers
from corpuscle.data.transforms import AugmentPlan
from corpuscle.engine import probe
from corpuscle.engine.device import DevicePlan, choose_machine
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


def test_features_equal_passing_image_by_image(net, images, machine):
    places = np.array([5, 3, 69, *range(10, 68)])
    features = probe.frozen_features(net, images, places, 3, machine)
    assert features.features_VNC.shape == (3, len(places), net.num_features)
    net.eval()
    for view in range(3):
        for place in (5, 3, 69, 67):
            with torch.inference_mode():
                alone = net.encoder(images[view, [place]].image_NCHW)
            torch.testing.assert_close(features[view, [place]].image_NCHW, alone, rtol=1e-4, atol=1e-5)
    assert features[0, [5, 69]].target.tolist() == [2, 0]
    assert features[0, [5, 69]].place_N.tolist() == [5, 69]


def test_views_differ_and_take_turns(net, images, machine):
    features = probe.frozen_features(net, images, np.arange(NUM), 2, machine)
    first, second, third = (features[epoch, [1, 2]].image_NCHW for epoch in range(3))
    assert torch.equal(first, third) and not torch.equal(first, second)


def test_the_encoder_is_left_as_it_was(net, images, machine):
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net.train()
    probe.frozen_features(net, images, np.arange(NUM), 1, machine)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_fewer_views_are_used_where_memory_is_short(net, images, machine, monkeypatch):
    said = []

    class Listener:
        def say(self, line):
            said.append(line)

        def track(self, items, *_, **__):
            return items

    monkeypatch.setattr(probe, "MEMORY_BYTES", NUM * net.num_features * 4 * 2.5)
    features = probe.frozen_features(net, images, np.arange(NUM), 8, machine, Listener())
    assert len(features.features_VNC) == 2
    assert said == ["features of 8 views would not fit into memory: 2 are used"]


def test_it_can_be_stopped(net, images, machine):
    with pytest.raises(Stopped):
        probe.frozen_features(net, images, np.arange(NUM), 1, machine, stopping=lambda: 2)


def test_a_head_trained_on_features_is_one_trained_image_by_image(net, images, machine):
    """Without dropout and with one view a step on features is a step on images with the encoder frozen."""
    places = np.arange(32)
    features = probe.frozen_features(net, images, places, 1, machine)
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
