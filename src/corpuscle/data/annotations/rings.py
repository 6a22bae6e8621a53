"""Closed lines of corners: what they enclose, how they are written, and several of them as one."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np

from corpuscle.data.annotations.record import Ring, Shape

DECIMALS = 3  # of a pixel, in files


class PackedRing(Sequence[tuple[float, float]]):
    """A ring of sixteen bytes a corner: as tuples, those of a large file would take seven times as much.

    >>> PackedRing(array("d", [0, 0, 2, 0, 2, 3])) == ((0, 0), (2, 0), (2, 3))
    True
    """

    __slots__ = ("_numbers",)

    def __init__(self, numbers: array[float]) -> None:
        """Keep x and y of each corner in turns."""
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers) // 2

    @overload
    def __getitem__(self, place: int, /) -> tuple[float, float]: ...
    @overload
    def __getitem__(self, place: slice, /) -> Sequence[tuple[float, float]]: ...
    def __getitem__(self, place: int | slice, /) -> Any:
        return tuple(self)[place]

    def __iter__(self) -> Iterator[tuple[float, float]]:
        return zip(self._numbers[::2], self._numbers[1::2], strict=True)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self._numbers, dtype).reshape(-1, 2)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, tuple | PackedRing) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))


def rounded(ring: Ring) -> list[list[float]]:
    """The corners as files hold them."""
    return [[round(x, DECIMALS), round(y, DECIMALS)] for x, y in ring]


def area_of(ring: Ring) -> float:
    """What a ring encloses, below 0 where it runs against the clock (as one sees it, y down).

    >>> area_of(((0, 0), (2, 0), (2, 3), (0, 3)))
    6.0
    """
    x_P, y_P = np.array(ring, np.float64).T
    return float(x_P @ np.roll(y_P, -1) - y_P @ np.roll(x_P, -1)) / 2


def corners_of(box: tuple[float, float, float, float]) -> Ring:
    """A box as a ring, from left and top with the clock."""
    left, top, right, bottom = box
    return (left, top), (right, top), (right, bottom), (left, bottom)


def one_ring(pieces: Sequence[Shape]) -> Ring:
    """The outlines and holes of an object in a single ring, joined by cuts of no width.

    Each cut is gone along twice, there and back, so that just the pixels are inside that were inside before; holes
    run against the clock, so that this is so by either rule of filling.
    """
    rings = [_turned(piece.xy, 1) for piece in pieces] + [_turned(hole, -1) for piece in pieces for hole in piece.holes]
    whole = rings[0]
    for ring in rings[1:]:
        gap_AB = np.hypot(*(np.array(whole)[:, None] - np.array(ring)[None]).transpose(2, 0, 1))
        here, there = (int(place) for place in np.unravel_index(gap_AB.argmin(), gap_AB.shape))
        whole = (*whole[: here + 1], *ring[there:], *ring[: there + 1], *whole[here:])
    return whole


def _turned(ring: Ring, way: int) -> Ring:
    return ring if math.copysign(1, area_of(ring)) == way else ring[::-1]
