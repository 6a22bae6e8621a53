"""Made images: the object stays, what is behind it changes."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from corpuscle.data.backgrounds import MadeOf, Objects, SteppedCanvases, filled, on_background, smooth_field
from corpuscle.data.cache import InMemory

CELL, CLEAR, SPOT = (120, 40, 150), (250, 240, 200), (60, 200, 90)


def disc(side, radius):
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    return x**2 + y**2 < radius**2


def canvas(behind, radius=10, side=48, dtype=np.uint8):
    """A cell in the middle before one colour."""
    factor = 257 if dtype == np.uint16 else 1
    canvas_HWC = np.full((side, side, 3), behind, dtype) * dtype(factor)
    canvas_HWC[disc(side, radius)] = np.array(CELL, dtype) * dtype(factor)
    return canvas_HWC


def stepped(dtype=np.uint8, side=48):
    canvases = InMemory({0: canvas(CLEAR, dtype=dtype), 1: canvas(SPOT, 14, side, dtype)}, np.dtype(dtype))
    objects = Objects([disc(48, 10).astype(np.uint8) * 2, disc(side, 14).astype(np.uint8)], (1, 2))
    full = np.iinfo(dtype).max / 255
    made = [MadeOf(0), MadeOf(0, "removed"), MadeOf(0, "replaced", seed=1), MadeOf(0, "swapped", 1)]
    colours_MC = np.array([CLEAR, SPOT]) * full
    return SteppedCanvases(canvases, made, 2, objects, np.array((100.0, 110, 120)) * full, colours_MC)


INSIDE, OUTSIDE = disc(48, 6), ~disc(48, 16)


def test_images_and_copies_are_as_they_were():
    both = stepped()
    np.testing.assert_array_equal(both[0], canvas(CLEAR))
    np.testing.assert_array_equal(both[2], both[0])
    assert both[1] is both.canvases.canvas_HWC[1]


@pytest.mark.parametrize("place", [3, 4, 5])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_object_stays_and_nothing_of_its_old_background(place, dtype):
    both = stepped(dtype)
    made_HWC = both[place]
    assert made_HWC.dtype == dtype and made_HWC.shape == (48, 48, 3)
    np.testing.assert_array_equal(made_HWC[INSIDE], both[0][INSIDE])
    changed_PC = np.abs(made_HWC[OUTSIDE].astype(float) - both[0][OUTSIDE]) / np.iinfo(dtype).max
    assert changed_PC.mean() > 0.05


def test_a_background_that_is_removed_is_the_mean_colour():
    assert (stepped()[3][OUTSIDE] == (100, 110, 120)).all()
    assert (stepped(np.uint16)[3][OUTSIDE] == np.array((100, 110, 120)) * 257).all()


def test_a_background_that_is_replaced_lies_between_colours_of_backgrounds():
    low, high = np.minimum(CLEAR, SPOT), np.maximum(CLEAR, SPOT)
    fields = [smooth_field(np.array([CLEAR, SPOT]), (20, 30), np.random.default_rng(seed)) for seed in range(20)]
    assert all(((field >= low - 1e-3) & (field <= high + 1e-3)).all() for field in fields)
    assert max(np.abs(np.diff(field, axis=0)).max() for field in fields) < 15
    assert len({field.round(3).tobytes() for field in fields}) > 10


@pytest.mark.parametrize("side", [48, 31, 70])
def test_a_background_that_is_swapped_is_the_donors_without_its_cell_and_brought_to_size(side):
    made_HWC = stepped(side=side)[5]
    assert made_HWC.shape == (48, 48, 3)
    np.testing.assert_array_equal(made_HWC[INSIDE], canvas(CLEAR)[INSIDE])
    assert (np.abs(made_HWC[OUTSIDE].astype(int) - SPOT) <= 1).all()


def test_the_edge_fades_over_a_pixel_or_two():
    made_HWC = on_background(canvas(CLEAR), disc(48, 10), np.zeros((48, 48, 3), np.float32))
    row = made_HWC[24, :, 0].astype(int)
    mixed = (row > 3) & (row != CELL[0])
    assert 2 <= mixed.sum() <= 12 and row[0] == 0 and row[24] == CELL[0]


def test_a_hole_is_filled_with_what_is_around_it_and_the_rest_stays():
    ramp_HWC = np.repeat(np.linspace(50, 200, 64)[None, :, None], 64, axis=0).repeat(3, axis=2).astype(np.uint8)
    holed_HWC = ramp_HWC.copy()
    holed_HWC[disc(64, 8)] = 0
    whole_HWC = filled(holed_HWC, disc(64, 8))
    far = ~disc(64, 12)
    np.testing.assert_allclose(whole_HWC[far], ramp_HWC[far])
    assert np.abs(whole_HWC - ramp_HWC.astype(float)).max() < 30


@pytest.mark.parametrize("size", [(1, 5), (7, 7), (33, 50)])
def test_an_image_of_any_size_is_filled_even_where_the_object_is_all_of_it(size):
    around_HWC = filled(np.full((*size, 3), 90, np.uint8), np.ones(size, bool))
    assert around_HWC.shape == (*size, 3) and np.isfinite(around_HWC).all()


def test_an_object_that_is_hardly_there_or_leaves_nothing_around_it_cannot_be_used():
    masks = [np.zeros((50, 50), np.uint8), np.ones((50, 50), np.uint8), disc(50, 10).astype(np.uint8)]
    masks.append(np.where(masks[2], np.uint8(255), np.uint8(0)))  # what is not judged is no object
    assert [Objects(masks, (1,)).usable(place) for place in range(4)] == [False, False, True, False]


def test_a_process_that_is_spawned_makes_the_same_images():
    both = stepped()
    again = pickle.loads(pickle.dumps(both))
    for place in range(6):
        np.testing.assert_array_equal(again[place], both[place])
