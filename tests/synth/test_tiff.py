"""Tiled TIFFs that every reader reads."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from corpuscle.core.errors import CorpuscleError
from corpuscle.synth.tiff import Level, pyramid_of, write_pyramid, write_tiled

NOISE_HWC = np.random.default_rng(0).integers(0, 256, (100, 70, 3), dtype=np.uint8)


@pytest.mark.parametrize("cuts", [(), (1, 40, 41), (16, 32, 48, 64, 80, 96)])
def test_strips_of_any_height_give_the_same_file(tmp_path, cuts):
    write_tiled(tmp_path / "whole.tiff", (100, 70), [NOISE_HWC], side=32)
    write_tiled(tmp_path / "cut.tiff", (100, 70), np.split(NOISE_HWC, cuts), side=32)
    assert (tmp_path / "cut.tiff").read_bytes() == (tmp_path / "whole.tiff").read_bytes()
    with Image.open(tmp_path / "cut.tiff") as image:
        np.testing.assert_array_equal(np.asarray(image), NOISE_HWC)


def test_jpeg_tiles_are_near_and_small(tmp_path):
    array_HWC = np.broadcast_to(np.arange(64, dtype=np.uint8)[:, None, None], (64, 64, 3))
    write_tiled(tmp_path / "a.tiff", (64, 64), [array_HWC], side=32, quality=90)
    with Image.open(tmp_path / "a.tiff") as image:
        assert np.abs(np.asarray(image).astype(int) - array_HWC).max() <= 2
    assert (tmp_path / "a.tiff").stat().st_size < array_HWC.size / 2


@pytest.mark.parametrize(
    ("strips", "says"),
    [
        ([NOISE_HWC[:99]], "expected 100 rows, the strips have 99"),
        ([NOISE_HWC[:, :69]], r"got \(100, 69, 3\) of uint8"),
        ([NOISE_HWC.astype(np.uint16)], "of uint16"),
    ],
)
def test_strips_of_another_size_leave_no_file(tmp_path, strips, says):
    with pytest.raises(CorpuscleError, match=says):
        write_tiled(tmp_path / "a.tiff", (100, 70), strips)
    assert list(tmp_path.iterdir()) == []


def test_a_pyramid_has_the_image_at_each_of_its_sizes(tmp_path):
    write_pyramid(tmp_path / "a.tiff", *pyramid_of(NOISE_HWC, 3, side=32), side=32, mpp=0.5)
    halved_HWC = NOISE_HWC.reshape(50, 2, 35, 2, 3).mean(axis=(1, 3)).round()
    with Image.open(tmp_path / "a.tiff") as image:
        assert image.n_frames == 3
        np.testing.assert_array_equal(np.asarray(image), NOISE_HWC)
        image.seek(1)
        np.testing.assert_array_equal(np.asarray(image), halved_HWC)
        image.seek(2)
        assert image.size == (17, 25)


def test_pictures_that_many_tiles_show_are_stored_once(tmp_path):
    pictures = [np.full((32, 32, 3), shade, np.uint8) for shade in (10, 200)]
    place_RC = np.arange(400).reshape(20, 20) % 3 - 1
    write_pyramid(tmp_path / "a.tiff", [Level((640, 640), place_RC)], pictures, side=32)
    assert (tmp_path / "a.tiff").stat().st_size < 2 * 32 * 32 * 3 + 400 * 8 + 1000


def test_a_pyramid_that_would_be_too_large_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr("corpuscle.synth.tiff.MOST_BYTES", 5000)
    with pytest.raises(CorpuscleError, match=r"expected at most 4 GiB, .*a\.tiff would be larger; give fewer pictures"):
        write_pyramid(tmp_path / "a.tiff", *pyramid_of(NOISE_HWC, 1, side=32), side=32)
    assert list(tmp_path.iterdir()) == []
