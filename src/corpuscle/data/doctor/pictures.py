"""Which near-copies are one picture: a chain of images, each a little like the next, is none."""

from __future__ import annotations

import numpy as np

from corpuscle.data.doctor.alignment import Alignment, aligned, least_clear
from corpuscle.data.doctor.candidates import TURNS, Pairs, turned

ALIKE = 0.7  # likeness of two middles: of a pair by itself more is asked


def of_one_picture(grey_NHW: np.ndarray, pairs: Pairs, fit: Alignment) -> np.ndarray:
    """The pairs that connect no more than one picture, (P,).

    The pairs that are most alike connect their images first. Two groups become one where the images in their middles,
    those with the most and strongest pairs, are alike too: these are laid upon each other, turned as the
    pairs between them say.

    Args:
        grey_NHW: the squares.
        pairs: the copies among them.
        fit: how they lie upon each other.
    """
    groups = _Groups(grey_NHW, pairs, fit.likeness_P)
    for at in np.argsort(-fit.likeness_P, kind="stable"):
        groups.join(int(pairs.first_P[at]), int(pairs.second_P[at]), int(pairs.turn_P[at]))
    one_P: np.ndarray = groups.middle_N[pairs.first_P] == groups.middle_N[pairs.second_P]
    return one_P


class _Groups:
    """Images, each a group at first, that become larger ones.

    Attributes:
        middle_N: of each image the one in the middle of its group.
    """

    def __init__(self, grey_NHW: np.ndarray, pairs: Pairs, likeness_P: np.ndarray) -> None:
        self.middle_N = np.arange(len(grey_NHW))
        self._turn_N = np.zeros(len(grey_NHW), int)  # of each image, to lie as the one in the middle
        self._images: dict[int, list[int]] = {}  # of a middle, where there are more than itself
        self._grey_NHW, self._clear = grey_NHW, least_clear(len(grey_NHW))
        ends, weight = np.concatenate([pairs.first_P, pairs.second_P]), np.tile(likeness_P, 2)
        self._links_N = np.bincount(ends, weight, len(grey_NHW))
        known = zip(pairs.first_P.tolist(), pairs.second_P.tolist(), strict=True)
        self._same = dict.fromkeys(map(frozenset, known), True)
        self._after_TT, self._back_T = _turns()

    def join(self, first: int, second: int, turn: int) -> None:
        """Make one group of those of two images, the second turned, if it is one picture."""
        here, there = int(self.middle_N[first]), int(self.middle_N[second])
        if here == there:
            return
        turn = self._after_TT[self._after_TT[self._back_T[self._turn_N[second]], turn], self._turn_N[first]]
        if self._links_N[there] > self._links_N[here]:
            here, there, turn = there, here, self._back_T[turn]
        if not self._alike(here, there, int(turn)):
            return
        moved = self._images.pop(there, [there])
        self._images.setdefault(here, [here]).extend(moved)
        self._turn_N[moved] = self._after_TT[self._turn_N[moved], turn]
        self.middle_N[moved] = here

    def _alike(self, first: int, second: int, turn: int) -> bool:
        """Whether two middles are copies; each two are asked about once."""
        both = frozenset((first, second))
        if both not in self._same:
            pair = Pairs(np.array([0]), np.array([1]), np.array([turn], np.int8), np.ones(1, np.float32))
            fit = aligned(self._grey_NHW[[first, second]], pair)
            self._same[both] = bool(fit.likeness_P[0] >= ALIKE and fit.clear_P[0] >= self._clear)
        return self._same[both]


def _turns() -> tuple[np.ndarray, np.ndarray]:
    """Which turn two in succession are, (T, T), and which undoes each, (T,)."""
    square_1HW = np.arange(4).reshape(1, 2, 2)
    number = {turned(square_1HW, turn).tobytes(): turn for turn in range(TURNS)}
    after = [[number[turned(turned(square_1HW, one), two).tobytes()] for two in range(TURNS)] for one in range(TURNS)]
    after_TT = np.array(after)
    return after_TT, after_TT.argmin(axis=1)
