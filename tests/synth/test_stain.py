"""Dyes add up as optical densities."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from corpuscle.synth.stain import AZURE, EOSIN, STAINS_SC, Slide, develop, draw_slide

PLAIN = Slide(STAINS_SC, np.full(3, 0.9, np.float32), np.zeros(2, np.float32), 0, 0.001, 0, 0, 0)


def light_through(dyes: dict[int, float], slide: Slide = PLAIN) -> np.ndarray:
    dye_SHW = np.zeros((3, 24, 24), np.float32)
    for dye, amount in dyes.items():
        dye_SHW[dye] = amount
    return develop(dye_SHW, slide, np.random.default_rng(0)).astype(float)


def test_an_empty_slide_shows_the_lamp():
    assert np.abs(light_through({}) - 0.9 * 255).max() <= 0.5


def test_light_falls_off_as_beer_and_lambert_say():
    expected = 0.9 * 255 * 10 ** -(0.5 * STAINS_SC[AZURE] + 0.2 * STAINS_SC[EOSIN])
    assert np.abs(light_through({AZURE: 0.5, EOSIN: 0.2}) - expected).max() <= 0.5


def test_stain_vectors_have_unit_length():
    np.testing.assert_allclose(np.linalg.norm(STAINS_SC, axis=1), 1, atol=0.01)


def test_the_lamp_brightens_towards_one_side():
    tilted = dataclasses.replace(PLAIN, gradient_2=np.array([0.05, 0], np.float32))
    image = light_through({}, tilted)
    assert image[:, -1].mean() - image[:, 0].mean() == pytest.approx(0.9 * 255 * 0.1, abs=2)


def test_noise_follows_the_light():
    noisy = dataclasses.replace(PLAIN, noise=0.02)
    assert light_through({}, noisy).std() > 1.5 * light_through({AZURE: 0.8}, noisy).std(axis=(0, 1)).min()


def test_slides_differ():
    one, other = (draw_slide(np.random.default_rng(seed)) for seed in range(2))
    assert np.abs(one.stains_SC - other.stains_SC).max() > 0.02
    assert np.abs(one.light_C - other.light_C).max() > 0.005
