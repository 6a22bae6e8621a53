"""The map of a class over an image of any size."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from corpuscle.core.errors import CorpuscleError
from corpuscle.engine.explain.cam import MOST_PIXELS, Explainer, Steps, upright
from corpuscle.engine.predict import dihedral
from corpuscle.nets.card import Card
from corpuscle.nets.zoo import JoinedPlan, NetPlan, build

MODELS = ("localiser", "resnet18", "timm/test_resnet")


def card_of(net, **values):
    kept = {"task": "classify", "classes": ("a", "b", "c"), "size": 64, "prepare": {"size": 64}}
    return Card(**kept | {"mean": (0.5,) * 3, "std": (0.2,) * 3, "net": net.plan, "num_outputs": 3} | values)


def net_of(model="localiser", **plan):
    torch.manual_seed(0)
    return build(NetPlan(model=model, **plan), 3, 64).eval()


def image(height=64, width=64, dtype=np.uint8):
    random = np.random.default_rng(0)
    return random.integers(0, np.iinfo(dtype).max, (height, width, 3), dtype, endpoint=True)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("pool", ["avg", "max", "lse"])
def test_a_net_in_two_steps_says_what_it_says_in_one(model, pool):
    net = net_of(model, pool=pool, head="mlp", hidden=(8,))
    image_NCHW = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(Steps(net).eval()(image_NCHW), net(image_NCHW))


@pytest.mark.parametrize("model", MODELS)
def test_with_average_pooling_the_mean_of_the_map_is_the_logit_of_its_class(model):
    net = net_of(model, pool="avg")
    explainer = Explainer(net, card_of(net))
    looked = explainer.look(image())
    with torch.no_grad():
        logits_K = net(looked.views[0])[0].numpy()
    means = [explainer.map_of(looked, target).mean() for target in range(3)]
    assert means == pytest.approx(logits_K.tolist(), abs=1e-4)
    assert looked.said_K == pytest.approx(torch.softmax(torch.tensor(logits_K), 0).numpy(), abs=1e-5)


@pytest.mark.parametrize("model", MODELS)
def test_grad_cam_of_a_linear_head_over_the_average_is_the_map_of_the_weights(model):
    net = net_of(model, pool="avg")
    looked = Explainer(net, card_of(net)).look(image())
    by_weights, by_gradients = (Explainer(net, card_of(net), method).map_of(looked, 1) for method in ("cam", "gradcam"))
    without_bias = by_weights - net.head[-1].bias[1].item()
    np.testing.assert_allclose(by_gradients * by_gradients.size, without_bias, rtol=1e-3, atol=1e-4)


def test_grad_cam_sees_through_any_head_and_shows_what_speaks_for_the_class():
    net = net_of("resnet18", head="mlp", hidden=(8,))
    explainer = Explainer(net, card_of(net), "gradcam")
    looked = explainer.look(image(80, 50))
    map_hw, heat_HW = explainer.map_of(looked, 2), explainer.heat(looked, 2)
    assert map_hw.shape == (2, 2) and heat_HW.shape == (80, 50)
    assert heat_HW.min() == 0 and (heat_HW.max() == 1) == bool((map_hw > 0).any())


@pytest.mark.parametrize("size", [(64, 64), (200, 90), (33, 47)])
@pytest.mark.parametrize("at", ["canvas", "native"])
def test_heat_has_the_size_of_any_image(size, at):
    net = net_of()
    heat_HW = Explainer(net, card_of(net), at=at).heat(Explainer(net, card_of(net), at=at).look(image(*size)), 0)
    assert heat_HW.shape == size and heat_HW.min() == 0 and heat_HW.max() == 1


def test_sixteen_bits_are_seen_as_eight():
    net = net_of()
    explainer = Explainer(net, card_of(net))
    eight_HWC = image()
    one, other = (explainer.look(array) for array in (eight_HWC, eight_HWC.astype(np.uint16) * np.uint16(257)))
    np.testing.assert_allclose(explainer.map_of(one, 0), explainer.map_of(other, 0), atol=1e-4)


def test_a_bright_spot_that_a_net_knows_is_where_the_map_is_hot():
    net = net_of()
    with torch.no_grad():  # each filter passes its channel's brightness on
        for layer in [*net.encoder.halving, *net.encoder.last]:
            filters = next(module for module in layer.modules() if isinstance(module, torch.nn.Conv2d))
            filters.weight.zero_()
            filters.bias.zero_()
            middle = filters.kernel_size[0] // 2
            filters.weight[0, 0, middle, middle] = 1
        net.head[-1].weight.zero_()
        net.head[-1].weight[1, 0] = 1
    image_HWC = np.zeros((96, 192, 3), np.uint8)
    image_HWC[64:80, 32:48] = 255
    explainer = Explainer(net, card_of(net), at="native")
    looked = explainer.look(image_HWC)
    row, column = np.unravel_index(explainer.heat(looked, 1).argmax(), (96, 192))
    assert 64 <= row < 80 and 32 <= column < 48


@pytest.mark.parametrize("view", range(8))
def test_the_map_of_a_mirrored_view_is_set_upright(view):
    map_hw = torch.arange(12.0).reshape(3, 4)
    seen = dihedral(map_hw[None, None], 8)[view][0, 0]
    assert torch.equal(upright(seen, view), map_hw)


def test_views_are_averaged_as_in_prediction():
    net = net_of(pool="avg")
    eight = Explainer(net, card_of(net, views=8))
    looked = eight.look(image())
    assert len(looked.views) == 8
    with torch.no_grad():
        said_K = torch.stack([net(view)[0].softmax(0) for view in looked.views]).mean(0)
    assert looked.said_K == pytest.approx(said_K.numpy(), abs=1e-5)


@pytest.mark.parametrize(
    ("model", "plan", "text"),
    [
        ("resnet18", {"head": "mlp"}, r"--method cam expects net\.head=linear, the run has mlp; pass --method gradcam"),
        ("convnext_atto", {}, r"--method cam expects features that are the mean of the last maps, convnext_atto has"),
        (
            "mobilenetv3_small_050",
            {},
            r"the last maps, mobilenetv3_small_050 has layers between the two; pass",
        ),
        (
            "vit_tiny_patch16_224",
            {},
            r"explain expects an encoder that ends in maps, vit_tiny_patch16_224 ends in",
        ),
    ],
)
def test_a_net_that_cam_cannot_explain_is_refused_with_a_way_out(model, plan, text):
    net = net_of(model, **plan)
    with pytest.raises(CorpuscleError, match=text):
        Explainer(net, card_of(net))
    if "vit" not in model:
        assert Explainer(net, card_of(net), "gradcam").heat(
            Explainer(net, card_of(net), "gradcam").look(image()), 0
        ).shape == (64, 64)


@pytest.mark.parametrize("pool", ["max", "lse"])
def test_with_another_pool_cam_explains_encoders_of_timms_that_have_layers_between(pool):
    net = net_of("convnext_atto", pool=pool)
    explainer = Explainer(net, card_of(net))
    assert explainer.map_of(explainer.look(image()), 0).shape == (2, 2)


def test_a_run_that_counts_is_refused():
    net = net_of()
    with pytest.raises(CorpuscleError, match=r"expects a run that names the class of an image, .* the task count;"):
        Explainer(net, card_of(net, task="count"))


def test_an_image_too_large_for_its_own_size_is_refused_before_it_is_seen():
    net = net_of()
    huge_HWC = np.broadcast_to(np.uint8(0), (MOST_PIXELS // 1000 + 1, 1000, 3))
    with pytest.raises(CorpuscleError, match=r"--at native expects up to 16 million pixels, got 16001 × 1000; pass"):
        Explainer(net, card_of(net), at="native").look(huge_HWC)


def test_an_encoder_of_one_size_says_so_of_an_image_at_its_own():
    torch.manual_seed(0)
    net = build(NetPlan(model="coatnet_0_rw_224"), 3, 224).eval()
    explainer = Explainer(net, card_of(net, size=224, prepare={"size": 224}), "gradcam", "native")
    with pytest.raises(CorpuscleError, match=r"coatnet_0_rw_224 cannot see an image at its own size of 70 × 100"):
        explainer.look(image(70, 100))


def test_a_net_that_joins_encoders_is_not_explained_by_one_of_them():
    one = JoinedPlan(run="runs/a", net=NetPlan(model="timm/test_resnet"), size=64)
    net = net_of("resnet18", joined=(one, one.model_copy(update={"run": "runs/b"})))
    with pytest.raises(CorpuscleError) as caught:
        Explainer(net, card_of(net))
    assert str(caught.value) == (
        "explain expects a net of one encoder, this one joins those of runs/a, runs/b, whose part in the answer a map "
        "of its own encoder would not show; name a run without net.joined"
    )


def test_a_codebook_has_no_maps_to_show():
    net = build(NetPlan(model="codebook", words=4), 3, 48).eval()
    with pytest.raises(
        CorpuscleError, match="expects an encoder that ends in maps, codebook ends in something else; tr"
    ):
        Explainer(net, card_of(net, size=48))
    words = build(NetPlan(model="codebook", head="none", pool="none", words=4), 1, 48).eval()
    with pytest.raises(
        CorpuscleError, match="names the class of an image, this one is of the task cluster; its report"
    ):
        Explainer(words, card_of(words, size=48, task="cluster"))
