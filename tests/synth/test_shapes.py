"""Shapes are distances in microns, whatever the number of pixels."""

from __future__ import annotations

import numpy as np
import pytest

from corpuscle.synth.shapes import FIELD_UM, coverage, dots, ellipse, field, noise, scatter, strand, union


@pytest.mark.parametrize("size", [48, 96, 192])
def test_a_disc_covers_its_area(size):
    grid = field(size)
    covered = coverage(ellipse(grid, (1, -2), (5, 3), 0.7), grid).sum() * grid.pitch**2
    assert covered == pytest.approx(np.pi * 15, rel=0.02)


def test_the_distance_to_a_circle_is_in_microns_and_positive_inside():
    grid = field(96)
    distance = ellipse(grid, (0, 0), (4, 4))
    np.testing.assert_allclose(distance, 4 - np.hypot(grid.x_HW, grid.y_HW), atol=1e-4)


def test_a_strand_joins_two_lobes_into_one():
    grid = field(96)
    lobes = [ellipse(grid, (x, 0), (2, 2)) for x in (-4, 4)]
    middle = (48, 48)
    assert union(lobes, 0.5)[middle] < 0 < union([*lobes, strand(grid, (-4, 0), (4, 0), 0.5)], 0.5)[middle]


@pytest.mark.parametrize("size", [96, 192])
def test_a_lone_dot_lies_at_its_place_with_its_amount(size):
    grains = dots(np.array([[3.0, -5.0]]), size, radius=0.6)
    row, column = np.unravel_index(grains.argmax(), grains.shape)
    assert np.hypot(field(size).x_HW[row, column] - 3, field(size).y_HW[row, column] + 5) <= FIELD_UM / size
    assert 0.7 < grains.max() < 1.05
    assert grains.sum() * (FIELD_UM / size) ** 2 == pytest.approx(2 * np.pi * 0.36**2, rel=0.01)


def test_dots_outside_the_field_leave_it_empty():
    assert dots(np.array([[40.0, 0.0], [0.0, -40.0]]), 48, 0.5).max() == 0


def test_scattered_places_keep_to_their_number_and_fill_the_field():
    places = scatter(np.random.default_rng(0), spacing=1.0, share=0.5)
    inside = places[np.abs(places).max(axis=1) < FIELD_UM / 2]
    assert len(inside) == pytest.approx(0.5 * FIELD_UM**2 / np.sqrt(0.75), rel=0.1)
    counts, _, _ = np.histogram2d(inside[:, 0], inside[:, 1], bins=4)
    assert counts.min() > 0.5 * counts.mean()


def test_noise_has_about_unit_deviation_and_the_same_waves_at_any_size():
    small, large = (noise(np.random.default_rng(0), size, 2.0) for size in (96, 192))
    assert 0.5 < small.std() < 1.2
    assert np.corrcoef(small.ravel(), large.reshape(96, 2, 96, 2).mean(axis=(1, 3)).ravel())[0, 1] > 0.99
