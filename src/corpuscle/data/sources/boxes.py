"""From boxes to points, each the middle of its box; those reversed or outside of their image are faults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from corpuscle.core.errors import Fault
from corpuscle.data.annotations.record import CENTRE, Shape
from corpuscle.data.sources.found import points_frame
from corpuscle.data.sources.plan import SourcePlan

SLACK = 1.0  # pixels that a box may reach over the border: some count from 0 where others count from 1


@dataclass(frozen=True)
class Box:
    """One box as it stands in its file.

    Attributes:
        image: as in the table, None where it was not found.
        kind: its class.
        left, top, right, bottom: edges in pixels, from 0 at the centre of the top left one.
        said: the numbers as written, for faults.
        where: the row it comes from.
    """

    image: str | None
    kind: str
    left: float
    top: float
    right: float
    bottom: float
    said: str
    where: str


def box_around(image: str, kind: str, shapes: Sequence[Shape]) -> Box:
    """A box as it was drawn, be it reversed, or the one around some shapes."""
    if len(shapes) == 1 and shapes[0].kind == "box":
        (left, top), (right, bottom) = shapes[0].xy
    else:
        lefts, tops, rights, bottoms = zip(*(shape.box for shape in shapes), strict=True)
        left, top, right, bottom = min(lefts), min(tops), max(rights), max(bottoms)
    said = f"x {left:g} to {right:g}, y {top:g} to {bottom:g}"
    ends = left - CENTRE, top - CENTRE, right - CENTRE, bottom - CENTRE
    return Box(image, kind, *ends, said, shapes[0].where)


def middles_of(
    boxes: Sequence[Box],
    sizes: Mapping[str, tuple[int, int] | None],
    plan: SourcePlan,
    notes: list[str],
    faults: list[Fault],
) -> pl.DataFrame:
    """`Found.points` of the sound ones of some boxes, cut at the border of their image; the rest as `sound_boxes`."""
    rows: list[tuple[str | None, float, float, str, str | None]] = []
    for box in sound_boxes(boxes, sizes, plan, notes, faults):
        width, height = sizes.get(box.image or "") or (None, None)
        x, y = _middle(box.left, box.right, width), _middle(box.top, box.bottom, height)
        rows.append((box.image, x, y, box.kind, None))
    return points_frame(rows)


def sound_boxes(
    boxes: Sequence[Box],
    sizes: Mapping[str, tuple[int, int] | None],
    plan: SourcePlan,
    notes: list[str],
    faults: list[Fault],
) -> list[Box]:
    """Those of some boxes that lie in their image.

    Boxes without an area, which a slip of the hand leaves, are left out and said.

    Args:
        boxes: of all images.
        sizes: width and height of each image, None where unknown.
        plan: says what to do with odd ones.
        notes: gets what was left out.
        faults: gets each odd box.
    """
    sound: list[Box] = []
    empty: list[str] = []
    odd: list[Fault] = []
    for box in boxes:
        size = sizes.get(box.image or "")
        shown = f"the box of {box.kind} ({box.said})"
        if box.right < box.left or box.bottom < box.top:
            odd.append(_odd(box, f"{shown} is reversed", "swap its corners"))
        elif size and _is_outside(box, size):
            odd.append(_odd(box, f"{shown} reaches outside of its image ({size[0]} x {size[1]} pixels)", "mend it"))
        elif box.right == box.left or box.bottom == box.top:
            empty.append(f"{box.where}, {box.kind}")
        else:
            sound.append(box)
    if empty:
        notes.append(f"left out: {len(empty)} boxes without an area (first: {empty[0]})")
    if odd and plan.odd_boxes == "skip":
        notes.append(f"left out: {len(odd)} boxes reversed or outside of their image (first: {odd[0].where})")
    elif odd:
        faults += odd
    return sound


def _odd(box: Box, what: str, remedy: str) -> Fault:
    return Fault(box.where, what, f"{remedy}, or pass --set data.odd_boxes=skip to leave such boxes out")


def _is_outside(box: Box, size: tuple[int, int]) -> bool:
    low, (width, height) = -0.5 - SLACK, size
    return (
        min(box.left, box.top) < low
        or box.right > width - 0.5 + SLACK
        or box.bottom > height - 0.5 + SLACK
        or box.right < -0.5
        or box.bottom < -0.5
        or box.left > width - 0.5
        or box.top > height - 0.5
    )


def _middle(low: float, high: float, length: int | None) -> float:
    if length:
        low, high = max(low, -0.5), min(high, length - 0.5)
    return (low + high) / 2
