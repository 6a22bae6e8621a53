"""Covariances of colours and edges: what they are, what does not change them, and where they are refused."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.linalg import logm

from corpuscle.core.errors import CorpuscleError
from corpuscle.nets.covariances import FLAT, RINGS, Covariances
from corpuscle.nets.rings import ring_of
from corpuscle.nets.zoo import NetPlan, build, check_plan


@pytest.fixture
def image_1CHW():
    return torch.randn(1, 3, 48, 48, generator=torch.Generator().manual_seed(0))


def test_a_ring_is_told_by_the_logarithm_of_its_second_moments(image_1CHW):
    colours_CHW = image_1CHW[0].double().numpy()
    down, across = (np.stack([ndimage.sobel(c, axis, mode="nearest") for c in colours_CHW]) / 8 for axis in (0, 1))
    spots_HW = ndimage.laplace(colours_CHW.mean(0), mode="nearest") / 4
    z_ZHW = np.concatenate([colours_CHW, np.hypot(down, across), spots_HW[None], np.ones((1, 48, 48))])
    inside_ZP = z_ZHW[:, ring_of(48, 48, RINGS).numpy() == 2]
    log_ZZ = logm(inside_ZP @ inside_ZP.T / inside_ZP.shape[1] + FLAT * np.eye(8))
    row, column = np.triu_indices(8)
    expected_K = log_ZZ[row, column] * np.where(row == column, 1, np.sqrt(2))
    np.testing.assert_allclose(Covariances()(image_1CHW)[0, 72:108].numpy(), expected_K, atol=2e-3)


@pytest.mark.parametrize("change", [lambda x: x.flip(3), lambda x: x.flip(2), lambda x: x.rot90(1, (2, 3))])
def test_turning_or_mirroring_changes_nothing(image_1CHW, change):
    encoder = Covariances()
    torch.testing.assert_close(encoder(change(image_1CHW)), encoder(image_1CHW), atol=5e-3, rtol=0)


@pytest.mark.parametrize("size", [(8, 8), (48, 48), (97, 64)])
def test_flat_grey_and_small_images_have_finite_features(size):
    grey_N1HW = torch.rand(2, 1, *size)
    for image_NCHW in (torch.zeros(2, 3, *size), torch.full((2, 3, *size), 3.0), grey_N1HW.expand(-1, 3, -1, -1)):
        features_NC = Covariances()(image_NCHW)
        assert features_NC.shape == (2, Covariances.num_features) and features_NC.isfinite().all()


def test_autocast_rounds_nothing(image_1CHW):
    plain = Covariances()(image_1CHW)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(Covariances()(image_1CHW), plain)


def test_its_net_is_a_head_on_fixed_features():
    net = build(NetPlan(model="covariances"), 5, 96)
    assert (
        net.num_features == 360 and not list(net.encoder.parameters()) and net(torch.rand(2, 3, 96, 96)).shape == (2, 5)
    )
    assert np.ptp(net.common_scale(np.arange(1.0, 361.0))) == 0


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (
            {"weights": "runs/a"},
            r"net\.weights=runs/a expects an encoder to fill, covariances has nothing to learn; le",
        ),
        (
            {"weights": "imagenet"},
            r"net\.weights=imagenet expects an encoder to fill, covariances has nothing to learn",
        ),
        ({"pool": "max"}, r"net\.model=covariances expects net\.pool=avg, got max; leave it out"),
    ],
)
def test_weights_and_other_pools_are_refused(plan, message):
    with pytest.raises(CorpuscleError, match=message):
        check_plan(NetPlan(model="covariances", **plan))


def test_one_view_is_enough_where_turning_changes_nothing():
    assert build(NetPlan(model="covariances"), 2, 48).turned_alike
    assert not build(NetPlan(model="codebook", words=2), 2, 48).turned_alike
