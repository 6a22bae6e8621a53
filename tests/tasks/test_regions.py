"""Islands of a mask: by class, over corners, and none that is too small."""

from __future__ import annotations

import numpy as np
import pytest

from corpuscle.tasks.regions import measured, regions_of

MASK_HW = np.array(
    [
        [1, 1, 0, 0, 0, 2],
        [1, 1, 0, 0, 0, 2],
        [0, 0, 1, 0, 0, 0],
        [0, 0, 0, 0, 2, 2],
        [1, 0, 0, 0, 2, 1],
    ],
    np.uint8,
)


def test_islands_are_joined_over_corners_and_numbered_class_by_class():
    found = regions_of(MASK_HW, 3)
    assert found.kind_M.tolist() == [1, 1, 1, 2, 2]
    assert sorted(found.area_M[:3].tolist()) == [1, 1, 5] and sorted(found.area_M[3:].tolist()) == [2, 3]
    for number, (kind, (left, top, width, height), area) in enumerate(
        zip(found.kind_M, found.box_M4, found.area_M, strict=True), 1
    ):
        rows, columns = np.nonzero(found.instance_HW == number)
        assert len(rows) == area and set(MASK_HW[rows, columns]) == {kind}
        assert (columns.min(), rows.min()) == (left, top)
        assert (np.ptp(columns) + 1, np.ptp(rows) + 1) == (width, height)
    np.testing.assert_array_equal(found.instance_HW > 0, MASK_HW > 0)


def test_islands_below_the_smallest_are_no_objects_and_the_numbers_have_no_gap():
    found = regions_of(MASK_HW, 3, smallest=3)
    assert found.kind_M.tolist() == [1, 2] and sorted(found.area_M.tolist()) == [3, 5]
    assert np.unique(found.instance_HW).tolist() == [0, 1, 2]


def test_neighbours_of_another_class_are_two_objects():
    assert regions_of(np.array([[1, 2, 1]], np.uint8), 3).kind_M.tolist() == [1, 1, 2]


@pytest.mark.parametrize("mask_HW", [np.zeros((4, 5), np.uint8), np.zeros((0, 0), np.uint8)])
def test_a_mask_of_background_has_no_object(mask_HW):
    found = regions_of(mask_HW, 3)
    assert found.kind_M.shape == found.area_M.shape == (0,) and found.box_M4.shape == (0, 4)
    assert not found.instance_HW.any() and found.instance_HW.shape == mask_HW.shape


def test_pixels_and_objects_of_each_class_are_measured():
    said_K2 = measured(MASK_HW, 3, smallest=2)
    assert said_K2.dtype == np.float64
    assert said_K2.tolist() == [*np.bincount(MASK_HW.ravel(), minlength=3), 0, 1, 2]


def test_more_objects_than_16_bits_hold_keep_numbers_of_their_own():
    mask_HW = np.zeros((520, 520), np.uint8)
    mask_HW[::2, ::2] = 1
    found = regions_of(mask_HW, 2)
    assert len(found.kind_M) == 260**2 > 65_535
    assert len(np.unique(found.instance_HW)) == 260**2 + 1
    assert measured(mask_HW, 2)[-1] == 260**2
