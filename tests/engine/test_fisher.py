"""Fisher vectors."""

from __future__ import annotations

import numpy as np
import pytest

from corpuscle.engine.fisher import DIMENSIONS, PARTS, SHRUNK, mixture_of, some_squares


def striped(period: int, seed: int) -> np.ndarray:
    """Stripes of a period, at another place and angle by the seed."""
    random = np.random.default_rng(seed)
    down, across = np.mgrid[:SHRUNK, :SHRUNK]
    wave_HW = np.sin((down if seed % 2 else across) * 2 * np.pi / period + random.uniform(0, 6))
    lab_HWC = np.stack([0.5 + 0.2 * wave_HW, 0.1 * wave_HW, 0 * wave_HW], axis=2)
    return (lab_HWC + random.normal(0, 0.01, lab_HWC.shape)).astype(np.float32)


def test_images_of_one_texture_are_nearer_than_those_of_another() -> None:
    images = [striped(period, seed) for period in (5, 11) for seed in range(6)]
    random = np.random.default_rng(0)
    mixture = mixture_of([some_squares(image, random) for image in images], 0)
    vector_NV = np.stack([mixture.vector(image) for image in images])
    assert vector_NV.shape == (12, 2 * PARTS * (DIMENSIONS + 3))
    np.testing.assert_allclose(np.linalg.norm(vector_NV, axis=1), 1, rtol=1e-5)
    alike_NN = vector_NV @ vector_NV.T
    same_NN = np.arange(12)[:, None] // 6 == np.arange(12) // 6
    assert alike_NN[same_NN & ~np.eye(12, dtype=bool)].mean() > alike_NN[~same_NN].mean() + 0.1


def test_the_same_seed_gives_the_same_vectors() -> None:
    some = [some_squares(striped(5, seed), np.random.default_rng(seed)) for seed in range(4)]
    one, other = (mixture_of(some, 7).vector(striped(9, 0)) for _ in range(2))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_blank_images_have_finite_ones(value: float) -> None:
    blank_HWC = np.full((SHRUNK, SHRUNK, 3), value, np.float32)
    mixture = mixture_of([some_squares(blank_HWC, np.random.default_rng(0))], 0)
    assert np.isfinite(mixture.vector(blank_HWC)).all()
    assert np.isfinite(mixture.vector(striped(5, 0))).all()
