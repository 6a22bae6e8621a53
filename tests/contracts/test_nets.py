"""What every net promises, over all of ours and a handful of timm's: one of each kind that people ask for."""

import json
from functools import cache

import pytest
import torch

from corpuscle.core.settings import validated
from corpuscle.nets.card import Card, load, save
from corpuscle.nets.net import Net
from corpuscle.nets.zoo import ENCODERS, MAPPERS, NetPlan, build

DEEP = {"resnet101", "resnet152"}
TIMM = (
    "resnet10t",
    "convnext_atto",
    "vit_tiny_patch16_224",
    "efficientnet_b0",
    "timm/resnet18",
    "timm/mobilenetv3_small_050",
)
NETS = [pytest.param(name, marks=[pytest.mark.slow] if name in DEEP else []) for name in (*ENCODERS, *MAPPERS, *TIMM)]
SIZE = 64
NUM_OUTPUTS = 3


def plan_of(name: str) -> NetPlan:
    if name in MAPPERS:
        return NetPlan(model=name, head="density", widths=(8, 16, 24))
    return NetPlan(model=name, head="mlp", hidden=(16,))


def cells(name: str) -> tuple[int, ...]:
    """Height and width of the maps of a net that gives maps."""
    return (SIZE // plan_of(name).stride,) * 2 if name in MAPPERS else ()


@cache
def net_of(name: str) -> Net:
    """One net for all tests, after a batch in training mode so that its statistics are not those of the start."""
    torch.manual_seed(0)
    net = build(plan_of(name), NUM_OUTPUTS, SIZE)
    for number, words in enumerate(getattr(net.encoder, "words", ())):  # which it is given, and learns by no steps
        generator = torch.Generator().manual_seed(number)
        words.word_KD.copy_(torch.randn(words.word_KD.shape, generator=generator))
    net.train()(images(4))
    return net.eval()


def images(num: int) -> torch.Tensor:
    return torch.randn(num, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(num))


@pytest.mark.parametrize("name", NETS)
def test_every_net_gives_one_row_of_outputs_and_features_an_image(name):
    net = net_of(name)
    for num in (1, 2):
        with torch.no_grad():
            assert net(images(num)).shape == (num, NUM_OUTPUTS, *cells(name))
            assert net.encoder(images(num)).shape == (num, net.num_features, *cells(name))


@pytest.mark.parametrize("name", NETS)
def test_every_nets_output_for_an_image_does_not_depend_on_its_batch(name):
    image_NCHW = images(3)
    with torch.no_grad():
        together = net_of(name)(image_NCHW)
        apart = torch.cat([net_of(name)(image_NCHW[i : i + 1]) for i in range(3)])
    assert together.std(0).max() > 1e-6
    torch.testing.assert_close(apart, together, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NETS)
def test_every_net_gives_a_gradient_to_every_parameter(name):
    net = net_of(name)
    net.zero_grad()
    outputs_NK = net(images(2)).flatten(2).sum(-1) if name in MAPPERS else net(images(2))
    torch.nn.functional.cross_entropy(outputs_NK, torch.tensor([0, 1])).backward()
    grads = {key: parameter.grad for key, parameter in net.named_parameters()}
    assert [key for key, grad in grads.items() if grad is None or not grad.isfinite().all()] == []
    assert any(grad.any() for key, grad in grads.items() if key.startswith("encoder.")) == (
        name not in ("codebook", "covariances")
    )


@pytest.mark.parametrize("name", NETS)
def test_every_net_saves_and_loads_to_the_same_output(name, tmp_path):
    net = net_of(name)
    card = Card(
        task="classify",
        classes=("a", "b", "c"),
        net=net.plan,
        num_outputs=NUM_OUTPUTS,
        size=SIZE,
        mean=(0.5,) * 3,
        std=(1,) * 3,
    )
    saved = save(tmp_path, net, card)
    run = load(tmp_path)
    assert run.card == saved
    with torch.no_grad():
        assert torch.equal(run.net(images(2)), net(images(2)))


@pytest.mark.parametrize("name", NETS)
def test_every_net_works_channels_last_under_bf16(name):
    net = net_of(name)
    with torch.no_grad():
        plain = net(images(2))
        with torch.autocast("cpu", torch.bfloat16):
            fast = net(images(2).contiguous(memory_format=torch.channels_last))
    assert fast.dtype == torch.float32
    torch.testing.assert_close(fast, plain, rtol=0.1, atol=0.1)


@pytest.mark.parametrize("name", NETS)
def test_every_nets_plan_is_plain_json(name):
    plan = plan_of(name)
    assert validated(NetPlan, json.loads(json.dumps(plan.model_dump(mode="json")))) == plan
