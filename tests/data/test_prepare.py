"""From an image of any size to the canvas."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.settings import validated
from corpuscle.data.prepare import PreparePlan, prepare, shrunk, without_border


def ramp(height, width, dtype=np.uint8):
    """An image in which red grows downwards and green to the right, over the whole range."""
    full = np.iinfo(dtype).max
    image = np.zeros((height, width, 3), dtype)
    image[..., 0] = np.linspace(0, full, height).astype(dtype)[:, None]
    image[..., 1] = np.linspace(0, full, width).astype(dtype)[None]
    image[..., 2] = full
    return image


SIZES = (1, 2, 3, 7, 31, 32, 33, 64, 100)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("fit", ["pad", "crop", "stretch"])
def test_every_size_becomes_a_square_of_the_same_type_and_stays_within_its_values(fit, dtype):
    for height, width, crop, trim in itertools.product(SIZES, SIZES, (1.0, 0.3), (False, True)):
        image = ramp(height, width, dtype)
        canvas = prepare(image, PreparePlan(size=32, fit=fit, centre_crop=crop, trim_border=trim))
        assert canvas.shape == (32, 32, 3) and canvas.dtype == dtype
        assert canvas[15:17, 15:17, 2].max() == np.iinfo(dtype).max, "the middle is a part of the picture"
        assert image[..., 1].min() <= canvas[..., 1].min() and canvas[..., 1].max() <= image[..., 1].max()


def test_an_image_of_the_right_size_stays_as_it_is_bit_by_bit():
    for fit in ("pad", "crop", "stretch"):
        assert np.array_equal(prepare(ramp(32, 32), PreparePlan(size=32, fit=fit)), ramp(32, 32))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_shrinking_by_a_whole_number_averages_over_areas(dtype):
    image = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (64, 64, 3), dtype=dtype)
    expected = image.reshape(32, 2, 32, 2, 3).mean(axis=(1, 3))
    assert np.abs(prepare(image, PreparePlan(size=32)) - expected).max() <= 0.51


def test_padding_keeps_the_proportions_and_repeats_the_edge():
    canvas = prepare(ramp(32, 16), PreparePlan(size=32, fit="pad"))
    assert np.array_equal(canvas[:, 8:24], ramp(32, 16))
    assert (canvas[:, :8] == canvas[:, 8:9]).all() and (canvas[:, 24:] == canvas[:, 23:24]).all()


def test_padding_after_a_black_surround_was_cut_is_black_again():
    image = np.zeros((64, 64, 3), np.uint8)
    image[16:48, 8:56] = 200
    canvas = prepare(image, PreparePlan(size=48, trim_border=True))
    assert (canvas[8:40] == 200).all() and (canvas[:8] == 0).all() and (canvas[40:] == 0).all()


def test_cropping_takes_the_centre():
    assert np.array_equal(prepare(ramp(64, 32), PreparePlan(size=32, fit="crop")), ramp(64, 32)[16:48])
    canvas = prepare(ramp(64, 64), PreparePlan(size=32, centre_crop=0.5))
    assert np.array_equal(canvas, ramp(64, 64)[16:48, 16:48])


def test_stretching_uses_the_whole_picture():
    canvas = prepare(ramp(64, 32), PreparePlan(size=32, fit="stretch"))
    assert np.array_equal(canvas[..., 1], np.broadcast_to(ramp(64, 32)[0, :, 1], (32, 32)))


def test_a_dark_surround_is_cut_off_though_it_is_noise_with_a_bright_speck():
    image = np.random.default_rng(0).integers(0, 12, (100, 120, 3), dtype=np.uint8)
    image[20:70, 30:100] += 100
    image[5, 5] = 255
    assert without_border(image).shape == (50, 70, 3)
    assert without_border(image.astype(np.uint16) * 257).shape == (50, 70, 3)


def test_an_image_that_is_dark_all_over_is_kept_whole():
    assert without_border(np.zeros((9, 5, 3), np.uint8)).shape == (9, 5, 3)


@pytest.mark.parametrize(
    "values", [{"size": -1}, {"size": 2049}, {"centre_crop": 0}, {"centre_crop": 1.1}, {"fit": "x"}]
)
def test_values_out_of_range_are_refused(values):
    with pytest.raises(CorpuscleError, match="should be"):
        validated(PreparePlan, values)


# --- pictures that keep their size


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("factor", [1, 2, 4, 8])
def test_an_image_cut_at_multiples_of_the_factor_shrinks_to_the_same_pixels(factor, dtype):
    image = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (75, 50, 3), dtype=dtype)
    whole = shrunk(image, factor)
    assert whole.shape == (-(-75 // factor), -(-50 // factor), 3) and whole.dtype == dtype
    for top, left in ((0, 0), (16, 24), (32, 0), (64, 48)):
        tile = shrunk(image[top : top + 24, left : left + 16], factor)
        expected = whole[top // factor : top // factor + tile.shape[0], left // factor : left // factor + tile.shape[1]]
        assert np.array_equal(tile, expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("factor", [2, 4, 8])
def test_keeping_its_size_a_picture_is_averaged_over_squares_and_its_edge_repeated(factor, dtype):
    image = np.random.default_rng(1).integers(0, np.iinfo(dtype).max, (37, 53, 3), dtype=dtype)
    canvas = prepare(image, PreparePlan(fit="keep", shrink=factor))
    padded = np.pad(image, ((0, -37 % factor), (0, -53 % factor), (0, 0)), mode="edge").astype(float)
    height, width = canvas.shape[:2]
    expected = padded.reshape(height, factor, width, factor, 3).mean(axis=(1, 3))
    assert canvas.dtype == dtype and np.abs(canvas - expected).max() <= 0.51


def test_a_picture_that_is_not_shrunk_is_kept_as_it_is():
    for size_HW in ((37, 53), (1, 1), (5, 900)):
        assert np.array_equal(prepare(ramp(*size_HW), PreparePlan(fit="keep", shrink=1)), ramp(*size_HW))


@pytest.mark.parametrize("values", [{"shrink": 3}, {"shrink": -1}, {"shrink": 16}])
def test_only_some_factors_are_known(values):
    with pytest.raises(CorpuscleError, match="should be"):
        validated(PreparePlan, values)
