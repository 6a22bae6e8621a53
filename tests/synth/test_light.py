"""Stain and lamp of composed scenes."""

from __future__ import annotations

import numpy as np
import pytest

from corpuscle.synth.light import vary_light


@pytest.mark.parametrize("illumination", [0.05, 0.25])
def test_no_lamp_leaves_the_range_of_eight_bits(illumination):
    image_HWC = np.full((64, 48, 3), 180, np.uint8)
    for seed in range(300):
        lit_HWC = vary_light(image_HWC, 0, illumination, np.random.default_rng(seed)).astype(int)
        steps = max(np.abs(np.diff(lit_HWC, axis=axis)).max() for axis in (0, 1))
        assert steps <= 10, "a value that wraps jumps by nearly 256"


def test_without_variation_the_scene_is_as_it_was():
    image_HWC = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    assert np.array_equal(vary_light(image_HWC, 0, 0, np.random.default_rng(1)), image_HWC)


def test_a_lamp_differs_by_about_what_is_asked():
    image_HWC = np.full((32, 32, 3), 150, np.uint8)
    means = [vary_light(image_HWC, 0, 0.05, np.random.default_rng(seed)).mean() for seed in range(400)]
    assert np.std(means) / 150 == pytest.approx(0.05 / 2, rel=0.25)
