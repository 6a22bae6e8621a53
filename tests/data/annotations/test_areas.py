"""Outlines along the edges of pixels give back the pixels, and the area of a polygon is the number of its pixels."""

from __future__ import annotations

import numpy as np

from corpuscle.data.annotations.areas import filled, outlines
from corpuscle.data.annotations.record import Shape
from corpuscle.data.annotations.rings import area_of, one_ring


def masks(number):
    rng = np.random.default_rng(0)
    for _ in range(number):
        yield rng.random(rng.integers(1, 13, 2)) < rng.random()


def drawn(rings, size_HW):
    whole_HW = np.zeros(size_HW, bool)
    at, inside_HW = filled(rings, size_HW)
    whole_HW[at] = inside_HW
    return whole_HW


def test_outlines_and_holes_of_any_mask_fill_to_the_same_mask_and_have_its_area():
    for mask_HW in masks(300):
        again_HW, area = np.zeros_like(mask_HW), 0.0
        for outline, holes in outlines(mask_HW):
            island_HW = drawn((outline, *holes), mask_HW.shape)
            assert not (again_HW & island_HW).any()
            again_HW |= island_HW
            area += abs(area_of(outline)) - sum(abs(area_of(hole)) for hole in holes)
        assert (again_HW == mask_HW).all()
        assert area == mask_HW.sum()


def turns_around(ring, x, y):
    """How often a ring goes around a place."""
    angle_P = np.unwrap(np.arctan2(*(np.array([*ring, ring[0]]) - (x, y)).T[::-1]))
    return round((angle_P[-1] - angle_P[0]) / (2 * np.pi))


def test_pieces_and_holes_in_one_ring_fill_the_same_pixels_by_either_rule():
    for mask_HW in masks(60):
        pieces = [Shape("polygon", "cell", outline, holes) for outline, holes in outlines(mask_HW)]
        if not pieces:
            continue
        ring = one_ring(pieces)
        assert (drawn([ring], mask_HW.shape) == mask_HW).all()
        turns = [[turns_around(ring, x + 0.5, y + 0.5) for x in range(mask_HW.shape[1])] for y in range(len(mask_HW))]
        assert (np.array(turns) == mask_HW).all()


def test_a_pixel_is_inside_where_its_middle_is_and_what_lies_beyond_the_image_is_left_out():
    assert drawn([((0.6, 0.4), (2.5, 0.4), (2.5, 1.6), (0.6, 1.6))], (3, 4)).astype(int).tolist() == [
        [0, 1, 0, 0],
        [0, 1, 0, 0],
        [0, 0, 0, 0],
    ]
    assert drawn([((-9, -9), (2, -9), (2, 1), (-9, 1))], (2, 3)).astype(int).tolist() == [[1, 1, 0], [0, 0, 0]]
    assert not drawn([((50, 0), (60, 0), (60, 9))], (4, 4)).any()
