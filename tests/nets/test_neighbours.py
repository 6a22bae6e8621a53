"""The head of neighbours: the votes of scikit-learn's, saved with the net."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from corpuscle.nets.card import Card, load, save
from corpuscle.nets.head import LEAST_SHARE, Neighbours
from corpuscle.nets.zoo import NetPlan, build


def drawn(num, seed):
    return torch.randn(num, 8, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def head():
    layer = Neighbours(50, 8, 4, 7)
    layer.remember(drawn(50, 0), torch.arange(50) % 4)
    return layer


def test_the_votes_are_those_of_scikit_learn(head):
    model = KNeighborsClassifier(7, metric="cosine", weights=lambda distance: np.exp((1 - distance) / 0.07))
    expected_NK = model.fit(drawn(50, 0).numpy(), np.arange(50) % 4).predict_proba(drawn(30, 1).numpy())
    said_NK = head(3 * drawn(30, 1)).exp().numpy()  # the length of a feature does not matter
    np.testing.assert_allclose(said_NK, np.maximum(expected_NK, LEAST_SHARE), rtol=1e-4)
    assert (expected_NK == 0).any()  # whose logarithm is finite


def test_more_votes_than_images_are_all_images(head):
    everyone = Neighbours(50, 8, 4, 50)
    everyone.load_state_dict(head.state_dict())
    head.count = 1000
    assert torch.equal(head(drawn(9, 1)), everyone(drawn(9, 1)))


def test_the_nearest_can_be_left_out(head):
    head.count = 1
    assert torch.equal(head(drawn(50, 0)).argmax(1), torch.arange(50) % 4)
    head.skip = 1
    features_MC = torch.nn.functional.normalize(drawn(50, 0), dim=1)
    second_N = (features_MC @ features_MC.T).topk(2, dim=1).indices[:, 1]
    assert torch.equal(head(drawn(50, 0)).argmax(1), second_N % 4)


def test_what_is_remembered_is_saved_with_the_net(tmp_path):
    net = build(NetPlan(model="timm/test_resnet", head="neighbours", neighbours=3, memory=12), 2, 32).eval()
    net.head[-1].remember(torch.randn(12, net.num_features), torch.arange(12) % 2)
    words = {"task": "classify", "classes": ("a", "b"), "num_outputs": 2, "size": 32}
    save(tmp_path, net, Card(net=net.plan, mean=(0.5,) * 3, std=(1,) * 3, **words))
    image_NCHW = torch.randn(5, 3, 32, 32)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=False):
        assert torch.equal(load(tmp_path).net(image_NCHW), net(image_NCHW))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert net.head(net.encoder(image_NCHW)).dtype == torch.float32
