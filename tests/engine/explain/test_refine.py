"""Masks made of heat."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from corpuscle.engine.explain.refine import REFINEMENTS, dice


@pytest.fixture
def stained():
    """A dark cell on bright ground, its mask, and heat that is blurred and lies beside it."""
    random = np.random.default_rng(0)
    mask_HW = np.zeros((100, 120), np.uint8)
    cv2.circle(mask_HW, (60, 50), 24, 1, -1)
    image_HWC = np.where(mask_HW[..., None] > 0, [120, 60, 140], [235, 225, 215]) + random.normal(0, 6, (100, 120, 3))
    heat_HW = cv2.GaussianBlur(np.roll(mask_HW, (6, 6), (0, 1)).astype(np.float32), (0, 0), 9)
    return image_HWC.clip(0, 255).astype(np.uint8), heat_HW / heat_HW.max(), mask_HW > 0


@pytest.mark.parametrize("name", ["otsu", "grabcut"])
def test_the_colours_of_the_image_mend_a_blurred_map(stained, name):
    image_HWC, heat_HW, mask_HW = stained
    plain, refined = (dice(REFINEMENTS[way](image_HWC, heat_HW, 0.4), mask_HW) for way in ("none", name))
    assert plain < 0.85 and refined > 0.97


@pytest.mark.parametrize("name", REFINEMENTS)
@pytest.mark.parametrize(("heat", "share"), [(0.0, 0), (1.0, 1)])
def test_an_image_that_is_cold_or_hot_all_over_gives_what_the_heat_says(stained, name, heat, share):
    mask_HW = REFINEMENTS[name](stained[0], np.full((100, 120), heat), 0.5)
    assert mask_HW.dtype == bool and mask_HW.mean() == share


@pytest.mark.parametrize("name", REFINEMENTS)
def test_the_same_image_gives_the_same_mask_in_sixteen_bits_and_again(stained, name):
    image_HWC, heat_HW, _ = stained
    one, again, deep = (
        REFINEMENTS[name](array, heat_HW, 0.4)
        for array in (image_HWC, image_HWC, image_HWC.astype(np.uint16) * np.uint16(257))
    )
    assert np.array_equal(one, again) and np.array_equal(one, deep)


def test_two_empty_masks_have_no_dice():
    assert np.isnan(dice(np.zeros((2, 2), bool), np.zeros((2, 2), bool)))
