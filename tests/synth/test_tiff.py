"""Tiled TIFFs that every reader reads."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from corpuscle.core.errors import CorpuscleError
from corpuscle.synth.tiff import write_tiled

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
