"""Which near-copies are one picture: all of a group are like its middle, and a chain is cut."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest

from corpuscle.data.doctor.alignment import aligned
from corpuscle.data.doctor.candidates import TURNS, Pairs, turned
from corpuscle.data.doctor.pictures import of_one_picture
from corpuscle.data.doctor.signature import SIDE


def blots(number):
    """Detail of chance."""
    random = np.random.default_rng(number)
    return cv2.GaussianBlur(random.normal(size=(SIDE, SIDE)).astype(np.float32), (0, 0), 1.5) * 200


def chain(number, degrees):
    """Each a little like the next, the last nothing like the first."""
    angle_N = np.deg2rad(degrees) * np.arange(number)
    blended = [np.cos(angle) * blots(0) + np.sin(angle) * blots(1) for angle in angle_N]
    return [np.clip(128 + blend_HW, 0, 255).astype(np.uint8) for blend_HW in blended]


def laid(squares, ends, turns=None):
    """The images, pairs of them, and how these lie upon each other."""
    grey_NHW, (first_P, second_P) = np.stack(squares), np.array(ends).T
    turn_P = np.zeros(len(ends), np.int8) if turns is None else np.array(turns, np.int8)
    pairs = Pairs(first_P, second_P, turn_P, np.ones(len(ends), np.float32))
    return grey_NHW, pairs, aligned(grey_NHW, pairs)


def test_a_chain_is_cut_where_its_ends_are_not_alike():
    squares = chain(6, 25)
    grey_NHW, pairs, fit = laid(squares, [(n, n + 1) for n in range(5)])
    assert fit.copies(6).all()
    kept = of_one_picture(grey_NHW, pairs, fit).tolist()
    assert 2 <= sum(kept) <= 4


def test_a_strong_pair_stays_where_its_weak_link_to_others_goes():
    squares = chain(5, 25)
    copy = cv2.GaussianBlur(squares[4], (0, 0), 0.5)
    grey_NHW, pairs, fit = laid([*squares, copy], [*((n, n + 1) for n in range(4)), (4, 5)])
    kept = of_one_picture(grey_NHW, pairs, fit)
    assert kept[4] and not kept[:4].all()


def test_all_that_are_like_the_middle_are_one_group():
    squares = chain(3, 25)
    _, ends, far = laid(squares, [(0, 2)])
    assert not far.copies(3).any() and len(ends) == 1
    assert of_one_picture(*laid(squares, [(0, 1), (1, 2)])).all()


@pytest.mark.parametrize("order", [1, 3, 5])
def test_what_is_connected_only_one_by_one_is_compared_as_the_pairs_turn_it(order):
    """Where a turn were composed wrongly, two middles would not be alike."""
    turns = [at * order % TURNS for at in range(TURNS)]
    squares = [np.ascontiguousarray(turned(chain(1, 0)[0][None], turn)[0]) for turn in turns]
    links = [
        next(turn for turn in range(TURNS) if np.array_equal(turned(other[None], turn)[0], one))
        for one, other in pairwise(squares)
    ]
    grey_NHW, pairs, fit = laid(squares, [(n, n + 1) for n in range(TURNS - 1)], links)
    assert fit.copies(6).all() and of_one_picture(grey_NHW, pairs, fit).all()


def test_of_no_pairs_none_are_kept():
    none = Pairs.joined([])
    grey_NHW = np.zeros((3, SIDE, SIDE), np.uint8)
    assert of_one_picture(grey_NHW, none, aligned(grey_NHW, none)).shape == (0,)
