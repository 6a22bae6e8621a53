import pytest
import torch
from torch import nn

from corpuscle.nets.head import HEADS
from corpuscle.nets.zoo import NetPlan


def test_a_linear_head_is_one_linear_layer():
    head = HEADS["linear"](NetPlan(), 7, 3, 1).eval()
    features_NC = torch.randn(4, 7)
    torch.testing.assert_close(head(features_NC), nn.functional.linear(features_NC, head[1].weight, head[1].bias))


@pytest.mark.parametrize(("activation", "kind"), [("relu", nn.ReLU), ("gelu", nn.GELU)])
def test_an_mlp_head_has_the_hidden_widths_activation_and_dropout_asked_for(activation, kind):
    head = HEADS["mlp"](NetPlan(head="mlp", hidden=(16, 8), activation=activation, dropout=0.3), 7, 3, 1)
    assert [layer.out_features for layer in head if isinstance(layer, nn.Linear)] == [16, 8, 3]
    assert [type(layer) for layer in head] == [nn.Linear, kind, nn.Dropout, nn.Linear, kind, nn.Dropout, nn.Linear]
    assert {layer.p for layer in head if isinstance(layer, nn.Dropout)} == {0.3}
    assert head(torch.randn(4, 7)).shape == (4, 3)


def test_a_deep_head_has_five_hidden_layers_of_twice_the_features_width():
    head = HEADS["deep"](NetPlan(head="deep", dropout=0.5), 7, 3, 1)
    assert [layer.out_features for layer in head if isinstance(layer, nn.Linear)] == [14, 14, 14, 14, 14, 3]
    assert [type(layer) for layer in head] == [nn.Linear, nn.ReLU, nn.Dropout] * 5 + [nn.Linear]
    assert {layer.p for layer in head if isinstance(layer, nn.Dropout)} == {0.5}


@pytest.mark.parametrize("stride", [1, 2])
def test_a_density_head_gives_a_map_a_kind_in_objects_a_pixel(stride):
    head = HEADS["density"](NetPlan(model="unet", head="density", stride=stride), 7, 3, stride).eval()
    features_NCHW = torch.randn(4, 7, 5, 6)
    expected = nn.functional.conv2d(features_NCHW, head[1].weight, head[1].bias) * stride**2 / 100
    torch.testing.assert_close(head(features_NCHW), expected)
    assert 0 < head(features_NCHW).abs().max() < 0.01


@pytest.mark.parametrize("stride", [1, 4])
def test_a_mask_head_draws_its_logits_out_to_the_size_of_the_image(stride):
    head = HEADS["mask"](NetPlan(model="unet", head="mask"), 7, 3, stride).eval()
    features_NCHW = torch.randn(2, 7, 5, 6)
    logits_NKHW = nn.functional.conv2d(features_NCHW, head[1].weight, head[1].bias)
    expected = nn.functional.interpolate(logits_NKHW, scale_factor=stride, mode="bilinear")
    torch.testing.assert_close(head(features_NCHW), expected)
    with torch.autocast("cpu", torch.bfloat16):
        assert head(features_NCHW).dtype == torch.bfloat16


@pytest.mark.parametrize("name", [name for name in HEADS if name not in ("mask", "image")])
def test_a_head_computes_in_fp32_under_autocast(name):
    head = HEADS[name](NetPlan(), 7, 3, 1).eval()
    features_NC = torch.randn(4, 7, *(5, 6) * (name == "density")).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        outputs_NK = head(features_NC)
    assert outputs_NK.dtype == torch.float32
    assert torch.equal(outputs_NK, head(features_NC.float()))


@pytest.mark.parametrize(("stride", "features"), [(2, 40), (16, 512), (32, 2048)])
def test_an_image_head_doubles_the_maps_until_they_are_as_large_as_the_image(stride, features):
    head = HEADS["image"](NetPlan(head="image", pool="none"), features, 3, stride).eval()
    assert head(torch.randn(2, features, 2, 3)).shape == (2, 3, 2 * stride, 3 * stride)
    widths = [layer.out_channels for layer in head if isinstance(layer, nn.Conv2d)]
    assert len(widths) == stride.bit_length() and widths[-1] == 3
    assert max(widths[:-1]) <= 256 and min(widths[:-1]) >= 32 and widths[:-1] == sorted(widths[:-1], reverse=True)
