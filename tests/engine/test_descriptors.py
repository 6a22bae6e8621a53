"""Descriptors that need no training."""

from __future__ import annotations

import numpy as np
import pytest

from corpuscle.engine.descriptors import SIZE, descriptors, rings


def picture() -> np.ndarray:
    random = np.random.default_rng(0)
    canvas_HWC = random.integers(0, 120, (SIZE, SIZE, 3)).astype(np.uint8)
    canvas_HWC[30:60, 40:90] += np.array([100, 20, 60], np.uint8)
    return canvas_HWC


@pytest.mark.parametrize("change", [np.fliplr, np.rot90, lambda canvas: np.rot90(canvas, 2)])
def test_a_picture_that_is_turned_or_mirrored_has_the_same(change) -> None:
    for before, after in zip(descriptors(picture()), descriptors(np.ascontiguousarray(change(picture()))), strict=True):
        np.testing.assert_allclose(after, before, atol=0.05)


def test_another_picture_has_others() -> None:
    other = 255 - picture()
    assert all(np.abs(a - b).max() > 0.1 for a, b in zip(descriptors(picture()), descriptors(other), strict=True))


def test_sixteen_bits_say_the_same_as_eight() -> None:
    deep = picture().astype(np.uint16) * 257
    for eight, sixteen in zip(descriptors(picture()), descriptors(deep), strict=True):
        np.testing.assert_allclose(sixteen, eight, atol=1e-3)


@pytest.mark.parametrize("value", [0, 255])
def test_a_blank_picture_has_finite_ones(value: int) -> None:
    assert all(np.isfinite(family).all() for family in descriptors(np.full((SIZE, SIZE, 3), value, np.uint8)))


def test_rings_begin_in_the_middle() -> None:
    ring_HW = rings(32)
    assert ring_HW[16, 16] == 0 and ring_HW[0, 0] == 4
    assert (np.bincount(ring_HW.ravel()) > 8).all()
