"""Frozen encoders beside the one that learns."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.settings import validated
from corpuscle.nets.card import Card, load, save
from corpuscle.nets.joined import LEAST_STD, Frozen, Nothing
from corpuscle.nets.zoo import JoinedPlan, NetPlan, build, check_plan

TINY = NetPlan(model="timm/test_resnet")
JOINED = (
    JoinedPlan(run="runs/a", net=TINY, size=32, mean=(0.7, 0.6, 0.5), std=(0.1, 0.2, 0.3), digest="a"),
    JoinedPlan(run="runs/b", net=NetPlan(model="resnet18", pool="max"), size=64, digest="b"),
)
PLAN = TINY.model_copy(update={"joined": JOINED})


@pytest.fixture(scope="module")
def net():
    """A net whose frozen encoders have scales of their own."""
    torch.manual_seed(0)
    net = build(PLAN, 3, 32)
    with torch.no_grad():
        for frozen in net.joined:
            frozen.measure(torch.rand(9, frozen.num_features) * 3 + 1)
            frozen.see_through(((0.7, 0.6, 0.5), (0.1, 0.2, 0.3)), ((0.4, 0.5, 0.6), (0.3, 0.2, 0.1)))
    return net.eval()


@pytest.fixture
def image_NCHW():
    return torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def test_the_head_takes_the_features_of_all_encoders_the_own_ones_first(net, image_NCHW):
    with torch.no_grad():
        features_NC = net.features(image_NCHW)
        parts = [net.encoder(image_NCHW), *(frozen(image_NCHW) for frozen in net.joined)]
        assert torch.equal(features_NC, torch.cat(parts, dim=1))
        assert torch.equal(net(image_NCHW), net.head(features_NC))
    assert [part.shape[1] for part in parts] == [net.num_features, *(frozen.num_features for frozen in net.joined)]
    assert net.joined.num_features == 96 + 512


def test_what_is_given_beside_the_images_is_not_computed_again(net, image_NCHW):
    beside_NC = torch.randn(4, net.joined.num_features)
    with torch.no_grad():
        said = net(image_NCHW, beside_NC)
        expected = net.head(torch.cat([net.encoder(image_NCHW), beside_NC], dim=1))
        assert torch.equal(said, expected) and torch.equal(net.learner()(image_NCHW, beside_NC), expected)
        assert not torch.allclose(said, net(image_NCHW))


def test_frozen_encoders_see_images_as_in_their_own_run(net):
    share_NCHW = torch.rand(2, 3, 32, 32)
    frozen = next(iter(net.joined))

    def normalised(mean, std):
        return (share_NCHW - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]

    with torch.no_grad():
        came = frozen(normalised((0.4, 0.5, 0.6), (0.3, 0.2, 0.1)))
        own = frozen.scaled(frozen.encoder(normalised((0.7, 0.6, 0.5), (0.1, 0.2, 0.3))))
    torch.testing.assert_close(came, own, rtol=1e-4, atol=1e-4)


def test_features_get_mean_0_and_deviation_1_and_those_that_hardly_vary_are_not_drawn_up():
    frozen = Frozen(nn.Identity(), 3)
    raw_NC = torch.tensor([[1.0, 500.0, 7.0], [3.0, 700.0, 7.0]])
    frozen.measure(raw_NC)
    assert frozen.scaled(raw_NC)[:, 1:].tolist() == [[-1.0, 0.0], [1.0, 0.0]]
    assert frozen.std_C[2].item() == pytest.approx(LEAST_STD * (1 + 100) / 3)
    assert frozen.scaled(torch.tensor([[2.0, 600.0, 8.0]]))[0, 2] < 1
    frozen.measure(torch.full((2, 3), 7.0))
    assert torch.equal(frozen.scaled(torch.full((1, 3), 9.0)), torch.full((1, 3), 2.0)), "a collapsed encoder"


def test_frozen_encoders_stay_as_they_are_while_the_net_learns(image_NCHW):
    torch.manual_seed(0)
    net = build(PLAN, 3, 32)
    before = {name: value.clone() for name, value in net.joined.state_dict().items()}
    net.train()
    assert net.encoder.training and not any(module.training for one in net.joined for module in one.modules())
    net(image_NCHW).sum().backward()
    assert all(parameter.grad is None for parameter in net.joined.parameters())
    assert all(parameter.grad is not None for parameter in net.learner().parameters())
    assert all(torch.equal(value, before[name]) for name, value in net.joined.state_dict().items())


def test_the_learner_holds_what_learns_and_shares_it(net):
    learner = net.learner()
    assert set(net.state_dict()) - set(learner.state_dict()) == {f"joined.{name}" for name in net.joined.state_dict()}
    assert learner.head is net.head and learner.encoder is net.encoder
    alone = build(TINY, 3, 32)
    assert alone.learner() is alone


def test_the_own_encoder_starts_as_without_the_others():
    encoders = []
    for plan in (PLAN, TINY):
        torch.manual_seed(5)
        encoders.append(build(plan, 3, 32).encoder.state_dict())
    assert all(torch.equal(encoders[0][name], encoders[1][name]) for name in encoders[1])


def test_a_net_without_an_encoder_of_its_own_is_a_head_on_the_frozen_ones(image_NCHW):
    net = build(NetPlan(model="none", joined=JOINED), 3, 32).eval()
    assert isinstance(net.encoder, Nothing) and net.num_features == 0
    assert all(name.startswith("head.") for name, _ in net.learner().named_parameters())
    with torch.no_grad():
        assert torch.equal(net.features(image_NCHW), net.joined(image_NCHW))


def test_the_card_and_its_weights_hold_all_encoders(net, image_NCHW, tmp_path):
    card = Card(
        task="classify", classes=("a", "b", "c"), net=PLAN, num_outputs=3, size=32, mean=(0.5,) * 3, std=(0.2,) * 3
    )
    save(tmp_path, net, card)
    loaded = load(tmp_path)
    assert loaded.card.net.joined == JOINED
    with torch.no_grad():
        assert torch.equal(loaded.net(image_NCHW), net(image_NCHW))


@pytest.mark.parametrize(
    ("given", "runs"),
    [
        ("runs/a", ["runs/a"]),
        (["runs/a", "runs/b"], ["runs/a", "runs/b"]),
        ([{"run": "runs/c", "size": 9}], ["runs/c"]),
    ],
)
def test_the_folder_of_a_run_is_enough(given, runs):
    plan = validated(NetPlan, {"joined": given})
    assert [one.run for one in plan.joined] == runs
    assert validated(NetPlan, plan.model_dump(mode="json")) == plan


def test_what_is_no_folder_is_refused():
    with pytest.raises(CorpuscleError, match=r"^joined\.0 should be the folder of a run, got 3$"):
        validated(NetPlan, {"joined": [3]})


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (
            NetPlan(model="unet", head="density", joined=JOINED),
            "net.joined expects an encoder that gives features, unet gives maps; "
            "pass another --model, such as resnet18, or leave net.joined out",
        ),
        (
            NetPlan(model="none"),
            "net.model=none expects frozen encoders, net.joined names none; pass --model resnet18, or "
            "--set net.joined=runs/earlier",
        ),
        (
            NetPlan(model="none", joined=JOINED, weights="runs/c"),
            "net.weights=runs/c expects an encoder to fill, net.model is none; pass --model, or --weights none",
        ),
    ],
)
def test_what_cannot_be_joined_is_refused(plan, message):
    with pytest.raises(CorpuscleError) as caught:
        check_plan(plan)
    assert str(caught.value) == message


def test_a_run_that_was_not_read_gives_no_net():
    with pytest.raises(CorpuscleError) as caught:
        build(NetPlan(joined="runs/a"), 3, 32)
    assert str(caught.value) == (
        "net.joined expects runs whose encoders have been read, that of runs/a has not; "
        "train with these settings, which reads them"
    )
