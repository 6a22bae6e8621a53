import pytest
import torch
from torch import nn

from corpuscle.core.errors import CorpuscleError
from corpuscle.nets import timm_encoder
from corpuscle.nets.pool import POOLS, LogSumExpPool
from corpuscle.nets.resnet import ResNet

MAPS = torch.randn(3, 4, 5, 7, generator=torch.Generator().manual_seed(0))


def test_the_average_is_that_of_torch_bit_by_bit():
    assert torch.equal(POOLS["avg"]()(MAPS), nn.AdaptiveAvgPool2d(1)(MAPS).flatten(1))


def test_the_maximum_is_over_the_places():
    assert torch.equal(POOLS["max"]()(MAPS), MAPS.flatten(2).max(dim=2).values)


def test_the_log_sum_exp_lies_between_the_average_and_the_maximum_and_reaches_both():
    average, most = MAPS.mean((2, 3)), MAPS.amax((2, 3))
    between = POOLS["lse"]()(MAPS)
    assert (between > average).all() and (between < most).all()
    torch.testing.assert_close(LogSumExpPool(1e-3)(MAPS), average, atol=1e-3, rtol=0)
    torch.testing.assert_close(LogSumExpPool(1e3)(MAPS), most, atol=1e-2, rtol=0)


def test_the_log_sum_exp_of_large_maps_is_finite_in_half_precision():
    assert LogSumExpPool()(torch.full((1, 1, 2, 2), 3e4, dtype=torch.bfloat16)).item() == pytest.approx(3e4, rel=0.01)


@pytest.mark.parametrize("pool", POOLS)
def test_a_resnet_pools_its_maps_as_told(pool):
    net = ResNet(18, pool=pool).eval()
    image_NCHW = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(net(image_NCHW), POOLS[pool]()(net.maps(image_NCHW)))
    assert list(net.state_dict()) == list(ResNet(18).state_dict())


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("model", ["test_resnet", "mobilenetv3_small_050", "convnext_atto"])
def test_a_timm_encoder_pools_its_maps_as_told_under_the_same_names(model, pool):
    encoder = timm_encoder.build(model, 64, pool)
    num_features = timm_encoder.measure(encoder, model, 64)
    image_NCHW = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        maps_NChw = timm_encoder.maps(encoder.eval(), image_NCHW, pool)
        assert maps_NChw is not None and maps_NChw.shape[2:] == (2, 2)
        assert torch.equal(timm_encoder.features(encoder, maps_NChw, pool), encoder(image_NCHW))
        assert encoder(image_NCHW).shape == (2, num_features, *[2, 2] * (pool == "none"))
    assert list(encoder.state_dict()) == list(timm_encoder.build(model, 64).state_dict())


@pytest.mark.parametrize(
    ("model", "came"), [("vit_tiny_patch16_224", "17 × 192"), ("swin_tiny_patch4_window7_224", "")]
)
def test_an_encoder_that_ends_in_tokens_cannot_be_pooled_otherwise(model, came):
    size = 64 if came else 224
    encoder = timm_encoder.build(model, size, "max")
    came = came or "7 × 7 × 768"
    with pytest.raises(CorpuscleError, match=rf"net\.pool=max expects .* {model} gives features of {came}; leave net"):
        timm_encoder.measure(encoder, model, size)
    assert timm_encoder.maps(timm_encoder.build(model, size).eval(), torch.zeros(1, 3, size, size), "avg") is None
