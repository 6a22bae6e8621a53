"""Decoders of segmentation-models-pytorch: maps as large as the image, and names that there are not."""

from __future__ import annotations

import pytest
import torch

from corpuscle.core.errors import CorpuscleError
from corpuscle.nets import smp_body
from corpuscle.nets.card import Card, load, save
from corpuscle.nets.zoo import NetPlan, build, check_plan

MODELS = ("smp/unet-resnet18", "smp/fpn-resnet18", "smp/deeplabv3plus-resnet18")


def plan_of(model, **choices):
    return NetPlan(model=model, head="mask", **choices)


@pytest.fixture(scope="module", params=MODELS)
def net(request):
    torch.manual_seed(0)
    return build(plan_of(request.param), num_outputs=3, size=0).eval()


def test_the_logits_have_the_size_of_the_image(net):
    assert net.gives_masks and net.multiple % 32 == 0 and net.reach >= smp_body.REACH
    with torch.no_grad():
        for height, width in ((2, 3), (1, 1)):
            size = height * net.multiple, width * net.multiple
            assert net(torch.randn(1, 3, *size)).shape == (1, 3, *size)


def test_a_net_is_built_in_training_mode_and_learns():
    net = build(plan_of(MODELS[0]), num_outputs=2, size=0)
    assert net.training and net.encoder.training
    net(torch.randn(2, 3, 64, 64)).square().mean().backward()
    assert all(one.grad is not None and one.grad.isfinite().all() for one in net.parameters())


def test_a_net_saves_and_loads_to_the_same_logits(net, tmp_path):
    known = {"mean": (0.5, 0.5, 0.5), "std": (0.2, 0.2, 0.2), "trained_on": {"images": 1}}
    card = Card(task="segment", classes=("background", "a", "b"), net=net.plan, num_outputs=3, size=0, **known)
    save(tmp_path, net, card)
    again, image_NCHW = load(tmp_path).net.eval(), torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(again(image_NCHW), net(image_NCHW))


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("smp/unett-resnet18", "got the decoder 'unett'.*Did you mean unet"),
        ("smp/resnet18", "got the decoder 'resnet18'"),
        ("smp/unet-resnet81", "got 'resnet81'.*Did you mean resnet18"),
    ],
)
def test_unknown_decoders_and_encoders_are_told_with_the_nearest(model, told):
    with pytest.raises(CorpuscleError, match=told):
        check_plan(plan_of(model))


def test_an_encoder_that_a_decoder_cannot_be_joined_to_is_told():
    with pytest.raises(
        CorpuscleError, match=r"smp/unet-tu-nosuchnet cannot be built \(.*\); choose another decoder or"
    ):
        smp_body.build("smp/unet-tu-nosuchnet")


@pytest.mark.parametrize(
    ("model", "head", "needed"),
    [(MODELS[0], "linear", "mask"), (MODELS[0], "density", "mask"), ("resnet18", "mask", "linear")],
)
def test_heads_that_do_not_fit_are_refused(model, head, needed):
    told = f"got model {model} with head {head}; pass --set net.head={needed}, or another --model"
    with pytest.raises(CorpuscleError, match=told):
        check_plan(NetPlan(model=model, head=head))


def test_only_models_with_the_prefix_are_these():
    assert smp_body.is_smps("smp/unet-resnet18") and not smp_body.is_smps("unet")
