import pytest
import torch
from torch import nn

from corpuscle.nets.localiser import Localiser
from corpuscle.nets.pool import POOLS
from corpuscle.nets.zoo import NetPlan, build


def test_it_has_the_seven_convolutional_layers_of_the_original():
    layers = [module for module in Localiser().modules() if isinstance(module, nn.Conv2d)]
    widths = [(layer.out_channels, layer.kernel_size[0]) for layer in layers]
    assert widths == [(32, 3), (64, 3), (128, 3), (256, 3), (512, 3), (256, 1), (512, 3)]
    first = [type(module) for module in Localiser().halving[0].modules() if not list(module.children())]
    assert first == [nn.Conv2d, nn.ReLU, nn.BatchNorm2d, nn.MaxPool2d]


@pytest.mark.parametrize(("size", "side"), [((224, 224), (14, 14)), ((96, 160), (6, 10)), ((100, 33), (6, 2))])
def test_its_maps_are_a_sixteenth_of_any_image(size, side):
    with torch.no_grad():
        assert Localiser().eval().maps(torch.zeros(1, 3, *size)).shape == (1, 512, *side)


@pytest.mark.parametrize("pool", [pool for pool in POOLS if pool != "none"])
def test_its_features_are_its_pooled_maps_and_dropout_follows(pool):
    net = build(NetPlan(model="localiser", pool=pool, dropout=0.5), 4, 64).eval()
    image_NCHW = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        features_NC = net.encoder(image_NCHW)
        assert torch.equal(features_NC, POOLS[pool]()(net.encoder.maps(image_NCHW)))
        assert torch.equal(net(image_NCHW), net.head[1](features_NC))
    assert isinstance(net.head[0], nn.Dropout) and net.head[0].p == 0.5
