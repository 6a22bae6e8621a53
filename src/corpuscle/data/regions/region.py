"""What was drawn on a slide, whatever program it was drawn in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from corpuscle.core.errors import Fault

FEWEST = 3  # points that enclose an area
CLOSED = "draw it again as a closed area, or delete it"


@dataclass(frozen=True)
class Region:
    """An area that someone drew and named.

    Attributes:
        layer: its name, as the program calls it; empty where it has none.
        point_P2: its corners (x, y) in pixels of level 0; the last one joins the first.
        holes: corners of the areas that are cut out of it.
        where: the file and the number or name in it, for messages.
    """

    layer: str
    point_P2: np.ndarray
    holes: tuple[np.ndarray, ...] = ()
    where: str = ""


@dataclass(frozen=True)
class Drawn:
    """The regions of one file, and what is wrong with it."""

    regions: tuple[Region, ...]
    faults: tuple[Fault, ...]


def region_of(layer: str, rings: Sequence[Sequence[Sequence[float]]], where: str) -> Region:
    """A region of an outer ring and of those that are cut out of it.

    Raises:
        ValueError: what is wrong with it, in words.
    """
    arrays = []
    for ring in rings:
        point_P2 = np.array(ring, np.float64) if len(ring) else np.empty((0, 2))
        if point_P2.ndim != 2 or point_P2.shape[1] < 2 or not np.isfinite(point_P2).all():
            raise ValueError("has a corner that is not two numbers")
        point_P2 = point_P2[:, :2]
        if len(point_P2) > 1 and (point_P2[0] == point_P2[-1]).all():
            point_P2 = point_P2[:-1]
        if len(point_P2) < FEWEST:
            number = f"{len(point_P2)} corner{'s' * (len(point_P2) != 1)}"
            raise ValueError(f"has {number}, an area was expected, which has {FEWEST} at least")
        arrays.append(point_P2)
    if not arrays:
        raise ValueError("has no corners")
    if np.linalg.matrix_rank(arrays[0] - arrays[0][0]) < 2:
        raise ValueError("encloses no area, its corners lie on one line")
    return Region(layer, arrays[0], tuple(arrays[1:]), where)


def outside(regions: Sequence[Region], height: int, width: int) -> list[Fault]:
    """A fault for each region whose middle lies outside of its slide."""
    faults = []
    for region in regions:
        x, y = (region.point_P2.min(axis=0) + region.point_P2.max(axis=0)) / 2
        if not (0 <= x <= width and 0 <= y <= height):
            what = f"lies around x {x:.0f}, y {y:.0f}, outside of the slide, which has {width} x {height} pixels"
            remedy = "put it beside the slide it was drawn on, in pixels of the full resolution"
            faults.append(Fault(region.where, what, remedy))
    return faults


def unreadable(path: Path, what: str, remedy: str) -> Drawn:
    """A file of which nothing can be had."""
    return Drawn((), (Fault(str(path), what, remedy),))
