"""What a file says of the images it was drawn on, before these are looked at."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from corpuscle.core.errors import Fault
from corpuscle.data.annotations.record import Marked, Part, Ring, Shape
from corpuscle.data.sources.folders import PARTS
from corpuscle.data.sources.sizes import sizes_of

CORNERS = 64  # of a polygon that stands for an ellipse
FEWEST = 3  # corners that enclose an area
DRAW_AGAIN = "draw it again, or remove it"


@dataclass(frozen=True)
class Sheet:
    """One image, as a file tells of it.

    Attributes:
        image: path from the root of the set; None where it was not found, which is said elsewhere.
        shapes: in the order they are drawn in.
        source: as `Marked.source`.
        where: the place in its file, for messages.
        split: the part it is in, where the file says one.
        size: width and height that the file says.
    """

    image: str | None
    shapes: tuple[Shape, ...]
    source: str
    where: str
    split: Part | None = None
    size: tuple[int, int] | None = None


@dataclass
class Book:
    """What is said of files while they are read."""

    notes: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def fault(self, where: str, what: str, remedy: str) -> None:
        """One more thing that is wrong."""
        self.faults.append(Fault(where, what, remedy))


def marked(sheets: Iterable[Sheet], root: Path, book: Book) -> tuple[Marked, ...]:
    """The images with their true sizes, sorted by path; a fault where a file was drawn on another size.

    An image whose header cannot be read has the size that its file says, or none: 0 x 0.
    """
    there = sorted(((sheet.image, sheet) for sheet in sheets if sheet.image is not None), key=lambda pair: pair[0])
    sizes = sizes_of([root / image for image, _ in there])
    images: dict[str, Marked] = {}
    for (image, sheet), size in zip(there, sizes, strict=True):
        if size and sheet.size and size != sheet.size:
            what = f"was drawn on {sheet.size[0]} x {sheet.size[1]} pixels, {image} is {size[0]} x {size[1]}"
            book.fault(sheet.where, what, "draw the shapes on this image, or restore the other")
        width, height = size or sheet.size or (0, 0)
        one = Marked(image, height, width, sheet.shapes, sheet.split, sheet.source)
        if image in images:
            what = f"tells of {image}, and so does {images[image].source}"
            book.fault(sheet.where, what, "keep one of them")
        images[image] = one
    return tuple(images.values())


def points_of(places: Any) -> list[tuple[float, float]]:
    """Points from lists of two numbers or more.

    Raises:
        ValueError: they are none.
    """
    try:
        points = [(float(place[0]), float(place[1])) for place in places]
    except (IndexError, KeyError, OverflowError, TypeError, ValueError):
        raise ValueError("has a point that is not two numbers") from None
    if not all(math.isfinite(value) for point in points for value in point):
        raise ValueError("has a point that is not two numbers")
    return points


def ring_of(points: Sequence[tuple[float, float]]) -> Ring:
    """The corners of an outline in order, the first not repeated.

    Raises:
        ValueError: they enclose nothing, in words.
    """
    ring = tuple(points)
    if len(ring) > 1 and ring[0] == ring[-1]:
        ring = ring[:-1]
    if len(ring) < FEWEST:
        number = f"{len(ring)} corner{'s' * (len(ring) != 1)}"
        raise ValueError(f"has {number}, an outline has {FEWEST} at least")
    return ring


def box_of(ends: Sequence[float]) -> Ring:
    """Left top and right bottom of a box.

    Raises:
        ValueError: it has not four numbers.
    """
    if len(ends) != 4 or not all(math.isfinite(end) for end in ends):
        raise ValueError("has no box of four numbers")
    left, top, right, bottom = map(float, ends)
    return (left, top), (right, bottom)


def ellipse(x: float, y: float, radius_x: float, radius_y: float, degrees: float = 0.0) -> Ring:
    """An ellipse as a polygon of as large an area.

    Raises:
        ValueError: it encloses nothing.
    """
    if not (0 < radius_x < math.inf and 0 < radius_y < math.inf):
        raise ValueError(f"has the radii {radius_x:g} and {radius_y:g}, both above 0 were expected")
    step = 2 * math.pi / CORNERS
    grown = math.sqrt(step / math.sin(step))
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    corners = []
    for corner in range(CORNERS):
        along, across = radius_x * grown * math.cos(corner * step), radius_y * grown * math.sin(corner * step)
        corners.append((x + along * cos - across * sin, y + along * sin + across * cos))
    return ring_of(corners)


def part_of(name: str) -> Part | None:
    """The part that one of the folders of a path is named after.

    >>> part_of("images/Train/a.png"), part_of("train.png")
    ('train', None)
    """
    words: dict[str, Part] = PARTS  # type: ignore[assignment]
    return next((words[folder.lower()] for folder in name.split("/")[:-1] if folder.lower() in words), None)


def path_from(root: Path, path: Path) -> str:
    """A path as a table names it: from the root, or absolute where it lies outside.

    >>> path_from(Path("/data"), Path("/data/a/b.png")), path_from(Path("/data"), Path("/other/b.png"))
    ('a/b.png', '/other/b.png')
    """
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def path_between(source: str, image: str) -> str:
    """The path of an image from the folder of the file that tells of it, both named from one root.

    >>> path_between("labels/a.txt", "images/a.png")
    '../images/a.png'
    """
    if os.path.isabs(image):  # noqa: PTH117 (a name in a table)
        return image
    return Path(os.path.relpath(image, os.path.dirname(source) or ".")).as_posix()  # noqa: PTH120 (no file is touched)
