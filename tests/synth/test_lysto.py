"""The writer of LYSTO-shaped files."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from corpuscle.core.errors import CorpuscleError
from corpuscle.synth.lysto import write_lysto

IMAGE_NHWC = np.random.default_rng(0).integers(0, 256, (3, 6, 5, 3), dtype=np.uint8)


@pytest.mark.parametrize("compress", [False, True])
def test_what_is_written_is_what_was_given_an_image_a_chunk(tmp_path, compress):
    path = tmp_path / "new" / "a.h5"
    write_lysto(path, iter(IMAGE_NHWC), [0, 7, 2], ["colon", "breast", "colon"], ["p", "q", "q"], compress=compress)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["x"], IMAGE_NHWC)
        assert file["x"].chunks == (1, 6, 5, 3) and file["x"].compression == ("gzip" if compress else None)
        assert file["y"][()].tolist() == [0, 7, 2]
        assert file["organ"].asstr()[()].tolist() == ["colon", "breast", "colon"]
        assert file["slide"].asstr()[()].tolist() == ["p", "q", "q"]


@pytest.mark.parametrize(
    ("images", "counts", "what"),
    [
        (IMAGE_NHWC, [1, 2], "3 images came for 2 counts; give one count for each image"),
        (IMAGE_NHWC, [1, 2, 3, 4], "3 images came for 4 counts; give one count for each image"),
        (IMAGE_NHWC, [1, -2, 3], "count 1 is -2, a whole number from 0 on was expected"),
        (IMAGE_NHWC, [1, 2.5, 3], "count 1 is 2.5, a whole number from 0 on was expected"),
        (IMAGE_NHWC, [], r"counts have the shape \(0,\), a list of one or more was expected"),
        (IMAGE_NHWC / 2, [1, 2, 3], r"image 0 has the shape \(6, 5, 3\) and the type float64, height x width x 3 in"),
        ([IMAGE_NHWC[0], IMAGE_NHWC[1, :5]], [1, 2], r"image 1 has the shape \(5, 5, 3\) .* \(6, 5, 3\) in uint8 was"),
    ],
)
def test_what_does_not_fit_together_is_refused_and_leaves_no_file(tmp_path, images, counts, what):
    with pytest.raises(CorpuscleError, match=what):
        write_lysto(tmp_path / "a.h5", images, counts)
    assert list(tmp_path.iterdir()) == []


def test_organs_and_groups_are_one_an_image(tmp_path):
    with pytest.raises(CorpuscleError, match="slide has 2 values, 3 were expected; give one a count"):
        write_lysto(tmp_path / "a.h5", IMAGE_NHWC, [1, 2, 3], group_N=["p", "q"])
