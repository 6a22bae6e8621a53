"""Low frequencies: as a library has them, turned as the image is, and how near small changes lie."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.fft import dctn

from corpuscle.data.doctor.candidates import turned
from corpuscle.data.doctor.frequencies import FREQUENCIES, low_frequencies, tangent_likeness, turned_frequencies
from corpuscle.data.doctor.signature import SIDE


@pytest.fixture
def grey_NHW():
    """Blots of chance."""
    random = np.random.default_rng(0)
    blots = [cv2.GaussianBlur(random.normal(size=(SIDE, SIDE)).astype(np.float32), (0, 0), 5) for _ in range(12)]
    return np.stack([cv2.normalize(blot, None, 20, 220, cv2.NORM_MINMAX).astype(np.uint8) for blot in blots])


def laid(grey_HW, matrix):
    return cv2.warpAffine(grey_HW, np.float32(matrix), (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)


def likeness(grey_NHW, others_NHW, turn=0):
    """Of each image with one of the others."""
    both_NHW = np.concatenate([grey_NHW, others_NHW])
    first_P = np.arange(len(grey_NHW))
    turn_P = np.full(len(first_P), turn, np.int8)
    return tangent_likeness(both_NHW, low_frequencies(both_NHW), first_P, first_P + len(grey_NHW), turn_P)


def test_they_are_the_lowest_of_the_cosine_transform(grey_NHW):
    expected_NFF = dctn(grey_NHW.astype(float), axes=(1, 2), norm="ortho")[:, :FREQUENCIES, :FREQUENCIES]
    np.testing.assert_allclose(low_frequencies(grey_NHW), expected_NFF, atol=1e-2)


@pytest.mark.parametrize("turn", range(8))
def test_they_turn_as_the_image_turns(grey_NHW, turn):
    expected_NFF = low_frequencies(turned(grey_NHW, turn))
    np.testing.assert_allclose(turned_frequencies(low_frequencies(grey_NHW), turn), expected_NFF, atol=1e-2)


@pytest.mark.parametrize(
    "change",
    [
        lambda grey_HW: grey_HW,
        lambda grey_HW: (0.6 * grey_HW + 30).astype(np.uint8),
        lambda grey_HW: np.clip(1.2 * grey_HW, 0, 255).astype(np.uint8),
        lambda grey_HW: laid(grey_HW, [[1, 0, 1.5], [0, 1, 0]]),
        lambda grey_HW: laid(grey_HW, [[1, 0, 0], [0, 1, -1.5]]),
        lambda grey_HW: laid(grey_HW, [[1.06, 0, -1.41], [0, 1, 0]]),
        lambda grey_HW: laid(grey_HW, [[1, 0, 0], [0, 1.06, -1.41]]),
    ],
)
def test_what_is_shifted_stretched_or_lit_lies_near(grey_NHW, change):
    assert likeness(grey_NHW, np.stack([change(grey_HW) for grey_HW in grey_NHW])).min() > 0.97


def test_another_picture_lies_far(grey_NHW):
    assert likeness(grey_NHW, grey_NHW[::-1]).max() < 0.9


@pytest.mark.parametrize("turn", range(8))
def test_it_is_the_second_that_is_turned(grey_NHW, turn):
    back = turn if turn >= 4 else -turn % 4
    assert likeness(grey_NHW, turned(grey_NHW, back), turn).min() > 0.999
