"""Maps that do not depend on the weights are found out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from corpuscle.engine.explain.cam import Explainer
from corpuscle.engine.explain.randomised import Check, mean_with_interval, told, with_random_head, with_random_weights
from corpuscle.nets.card import Card
from corpuscle.nets.zoo import NetPlan, build


@pytest.fixture
def explainer():
    torch.manual_seed(1)
    net = build(NetPlan(model="localiser"), 2, 128).eval()
    values = {"task": "classify", "classes": ("a", "b"), "size": 128, "prepare": {"size": 128}, "num_outputs": 2}
    return Explainer(net, Card(**values, net=net.plan, mean=(0.5,) * 3, std=(0.2,) * 3))


def test_a_random_head_leaves_the_encoder_and_random_weights_leave_nothing(explainer):
    net = explainer.net
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    state = torch.random.get_rng_state()
    head, whole = with_random_head(net, 0), with_random_weights(net, 2, 0)
    assert torch.equal(torch.random.get_rng_state(), state)
    changed = {name for name, tensor in head.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {"head.1.weight", "head.1.bias"}
    assert not torch.equal(whole.encoder.last[2][0].weight, before["encoder.last.2.0.weight"])
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert torch.equal(with_random_head(net, 0).head[1].weight, head.head[1].weight)


def test_maps_are_compared_with_those_of_random_nets(explainer):
    check = Check(explainer)
    for number in range(6):
        image_HWC = np.random.default_rng(number).integers(0, 255, (128, 128, 3), np.uint8)
        check.add(f"{number}.png", image_HWC, explainer.look(image_HWC), 0)
    content = check.as_dict()
    assert [row["image"] for row in content["images"]] == [f"{number}.png" for number in range(6)]
    for key in ("random_head", "random_weights"):
        values = [row[key] for row in content["images"]]
        assert len(set(values)) == 6 and content[key]["value"] == pytest.approx(np.mean(values))
        assert -1 <= content[key]["low"] <= content[key]["value"] <= content[key]["high"] <= 1
    assert told(content).startswith(
        f"rank correlation with the maps of random nets: {content['random_head']['value']:.2f}"
    )


def test_a_map_that_the_weights_do_not_change_is_shown_up(explainer):
    """The maps of this method are the image itself: they look right, and say nothing of the net."""

    class Deaf(Explainer):
        def map_of(self, looked, target):
            return looked.views[0][0].mean(0)[::8, ::8].numpy()

    check = Check(explainer)
    deaf = [Deaf(one.net, one.card) for one in (explainer, *check._others)]
    check.explainer, check._others = deaf[0], deaf[1:]
    image_HWC = np.random.default_rng(0).integers(0, 255, (128, 128, 3), np.uint8)
    check.add("a.png", image_HWC, explainer.look(image_HWC), 0)
    assert check.head == pytest.approx([1]) and check.all_weights == pytest.approx([1])


def test_images_without_a_value_are_left_out_of_the_mean():
    assert mean_with_interval([0.5, float("nan"), 0.7, 0.6, 0.6]).n == 4
    nothing = mean_with_interval([float("nan")]).as_dict()
    assert nothing["value"] is None and nothing["n"] == 0
    line = told({"random_head": nothing, "random_weights": nothing})
    assert "not defined with a random head, not defined with all weights random" in line
