"""Runs of pixels become masks, and masks outlines."""

from __future__ import annotations

import numpy as np
import pytest

from corpuscle.data.annotations.areas import filled
from corpuscle.data.annotations.rle import counts_of_text, mask_of_runs, pieces_of


def test_runs_go_down_the_columns_in_coco_and_along_the_rows_in_cvat():
    by_columns_HW = mask_of_runs([1, 2, 1], 2, 3, by_columns=True)
    assert by_columns_HW.tolist() == [[False, True, False], [True, False, False]]
    by_rows_HW = mask_of_runs([1, 2, 1], 2, 3, by_columns=False)
    assert by_rows_HW.tolist() == [[False, True, True], [False, False, False]]


def test_text_of_pycocotools_is_the_runs_it_was_made_of():
    rectangle_HW = np.zeros((10, 8), bool)
    rectangle_HW[2:5, 1:5] = True
    assert (mask_of_runs(counts_of_text("<3700000l0"), 10, 8, by_columns=True) == rectangle_HW).all()


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([3, -1], "has runs that are not whole numbers from 0 on"),
        ([0.5], "has runs that are not whole numbers from 0 on"),
        ([4, 3], "has runs of 7 pixels in a mask of 3 x 2"),
    ],
)
def test_runs_that_make_no_mask_are_refused(counts, message):
    with pytest.raises(ValueError, match=message):
        mask_of_runs(counts, 2, 3, by_columns=True)


@pytest.mark.parametrize("size", [(0, 3), (10**9, 10**9), (2.0, 3)])
def test_a_mask_without_a_size_or_of_an_absurd_one_is_refused(size):
    with pytest.raises(ValueError, match=rf"has a mask of {size[1]} x {size[0]} pixels"):
        mask_of_runs([1], *size, by_columns=True)


def test_text_that_is_no_runs_is_refused():
    with pytest.raises(ValueError, match="has runs with the letter '!', which is none of COCO's"):
        counts_of_text("!")
    with pytest.raises(ValueError, match="has runs that are cut short"):
        counts_of_text("<3700000l")


def test_pieces_of_a_mask_fill_it_again_wherever_it_lies():
    mask_HW = np.zeros((9, 9), bool)
    mask_HW[1:6, 1:6], mask_HW[3, 3], mask_HW[7, 7] = True, False, True
    pieces = list(pieces_of(mask_HW, left=2, top=1))
    assert len(pieces) == 2
    drawn_HW = np.zeros((10, 11), bool)
    for outline, holes in pieces:
        place, inside_HW = filled((outline, *holes), drawn_HW.shape)
        drawn_HW[place] |= inside_HW
    assert (drawn_HW[1:, 2:] == mask_HW).all() and not drawn_HW[0].any() and not drawn_HW[:, :2].any()
    with pytest.raises(ValueError, match="has a mask without a pixel"):
        list(pieces_of(np.zeros((2, 2), bool)))
