import pytest
import torch

from corpuscle.core.errors import CorpuscleError
from corpuscle.nets import timm_encoder
from corpuscle.nets.zoo import NetPlan, build


@pytest.mark.parametrize(
    ("model", "size", "text"),
    [
        (
            "vit_tiny_patch16_224",
            100,
            r"cannot take images of 100 pixels \(it takes multiples of 16, such as 96\); pass --size 224",
        ),
        ("vit_tiny_patch16_224", 9, r"cannot take images of 9 pixels \(it takes multiples of 16, such as 16\)"),
        (
            "coatnet_0_rw_224",
            100,
            r"cannot take images of 100 pixels \(.*must match.*\); pass --size 224, as published, or choose",
        ),
        ("twins_svt_small", 112, r"cannot take images of 112 pixels \(img_size .7, 7. should be divided by"),
        ("inception_v3", 64, r"cannot take images of 64 pixels \(.*[Kk]ernel size.*\); pass --size 299"),
    ],
)
def test_a_size_that_an_encoder_cannot_take_is_refused_when_it_is_built(model, size, text):
    with pytest.raises(CorpuscleError, match=text):
        build(NetPlan(model=model), 2, size)


def test_the_features_counted_are_those_that_come_out():
    """timm's own num_features is 288 here: what comes before the last layer of this encoder."""
    net = build(NetPlan(model="mobilenetv3_small_050"), 2, 32)
    assert net.num_features == 1024
    assert net.training and net.encoder.training


def test_measuring_leaves_the_statistics_as_they_were():
    encoder = timm_encoder.build("resnet10t", 64)
    timm_encoder.measure(encoder, "resnet10t", 64)
    assert torch.equal(encoder.bn1.running_mean, torch.zeros(64))


def test_normalisation_is_that_of_the_published_weights():
    assert timm_encoder.normalisation("timm/vit_tiny_patch16_224") == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
