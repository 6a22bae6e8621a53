import numpy as np
import pytest

from corpuscle.core.errors import CorpuscleError
from corpuscle.data.density import render


def points(*rows):
    return np.array(rows, dtype=float).reshape(-1, 3)


@pytest.mark.parametrize("sigma", [0.0, 1.0, 3.0, 20.0])
@pytest.mark.parametrize("stride", [1, 2, 4])
def test_each_point_of_the_canvas_weighs_one_wherever_it_lies(stride, sigma):
    corners = [(x, y, 0) for x in (-0.5, 0, 12.3, 31, 31.49) for y in (-0.5, 0, 5.5, 23, 23.49)]
    for corner in corners:
        density_KHW = render(points(corner), 1, (24, 32), stride, sigma)
        assert density_KHW.shape == (1, 24 // stride, 32 // stride) and density_KHW.dtype == np.float32
        assert density_KHW.min() >= 0
        assert density_KHW.sum() == pytest.approx(1, abs=1e-5)


def test_points_outside_the_canvas_add_nothing():
    outside = points((-0.51, 3, 0), (31.5, 3, 0), (3, -0.51, 0), (3, 23.5, 0), (-400, 9, 0))
    assert not render(outside, 1, (24, 32), 2, 3.0).any()
    assert not render(points(), 1, (24, 32), 2, 3.0).any()


def test_kinds_have_a_map_each_and_points_in_one_place_add_up():
    density_KHW = render(points((3, 4, 1), (3, 4, 1), (20, 9, 0)), 3, (24, 32), 2, 2.0)
    assert density_KHW.sum(axis=(1, 2)) == pytest.approx([1, 2, 0], abs=1e-5)


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_the_mass_lies_around_the_point_with_the_deviation_asked_for(stride):
    density_HW = render(points((40.7, 29.2, 0)), 1, (64, 96), stride, 4.0)[0].astype(float)
    y, x = (np.arange(size) * stride + (stride - 1) / 2 for size in density_HW.shape)
    x_N, y_N = density_HW.sum(axis=0), density_HW.sum(axis=1)
    assert (x_N @ x, y_N @ y) == pytest.approx((40.7, 29.2), abs=1e-3)
    assert x_N @ (x - 40.7) ** 2 == pytest.approx(16, abs=0.5 + stride**2 / 4)


def test_a_mirrored_picture_has_the_mirrored_density():
    point_M3 = np.random.default_rng(0).uniform((0, 0, 0), (31, 23, 0), (9, 3))
    mirrored_M3 = point_M3.copy()
    mirrored_M3[:, 0] = 31 - point_M3[:, 0]
    there, back = (render(these_M3, 1, (24, 32), 2, 3.0) for these_M3 in (point_M3, mirrored_M3))
    np.testing.assert_allclose(back[:, :, ::-1], there, atol=1e-6)


def test_a_canvas_that_is_no_multiple_of_the_stride_is_refused():
    with pytest.raises(CorpuscleError, match=r"density of stride 4 expects .* multiple of it, got 24 x 30; choose"):
        render(points(), 1, (24, 30), 4, 3.0)
