"""The shapes drawn on a set of images, apart from the format they came in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from corpuscle.core.errors import Fault

Kind = Literal["box", "polygon", "point"]
Part = Literal["train", "val", "test"]
Ring = Sequence[tuple[float, float]]

PART_OF: Mapping[str | None, Part] = {"train": "train", "val": "val", "test": "test"}
"""The word for a part, in a table, to the part; other words and none are no part."""
CENTRE = 0.5  # of the top left pixel; what counts from there is this much less than a shape's x and y


@dataclass(frozen=True)
class Shape:
    """One shape, in pixels of the upright image from the outer corner of the top left one; x to the right, y down.

    So a box of the whole image is (0, 0) to (width, height), the middle of the top left pixel is (0.5, 0.5), and the
    sides of a box are right - left and bottom - top.

    Attributes:
        kind: what xy is.
        label: its class, as written.
        xy: of a box left, top and right, bottom; of a polygon its corners in order, the first not repeated; of a
            point itself.
        holes: rings cut out of a polygon.
        instance: shapes of one image with the same number are pieces of one object; None where it is whole.
        difficult: marked as hard to recognise, as VOC does.
        crowd: covers several objects that are not told apart, as COCO marks them.
        where: the place in its file, for messages; two shapes may be equal without it.
    """

    kind: Kind
    label: str
    xy: Ring
    holes: tuple[Ring, ...] = ()
    instance: int | None = None
    difficult: bool = False
    crowd: bool = False
    where: str = field(default="", compare=False)

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of what it covers."""
        xs, ys = zip(*self.xy, strict=True)
        return min(xs), min(ys), max(xs), max(ys)


@dataclass(frozen=True)
class Marked:
    """One image and what is drawn on it.

    Attributes:
        image: path from the root of the set, with forward slashes.
        height, width: of the upright image in pixels.
        shapes: in the order of the file; none where the image holds no object.
        split: the part it is in, where the format says one.
        source: path of the file that tells of its shapes, from the root; images may be equal without it.
    """

    image: str
    height: int
    width: int
    shapes: tuple[Shape, ...]
    split: Part | None = None
    source: str = field(default="", compare=False)

    def objects(self) -> tuple[tuple[Shape, ...], ...]:
        """The shapes of each object, boxes or polygons that are its pieces together, in the order of their first."""
        found: dict[tuple[object, ...], list[Shape]] = {}
        for place, shape in enumerate(self.shapes):
            whole = shape.instance is None or shape.kind == "point"
            key = (place,) if whole else (shape.instance, shape.label, shape.kind)
            found.setdefault(key, []).append(shape)
        return tuple(tuple(pieces) for pieces in found.values())


@dataclass(frozen=True)
class Annotations:
    """A set of images and what is drawn on them.

    Attributes:
        root: the folder that the paths of images start from.
        images: sorted by path.
        classes: every class in the order of the format's own list, or by name where it has none; also those that no
            shape has.
        notes: what was found and what was left out while reading.
        faults: what is wrong with it; a reader says all that it finds and raises nothing where it can go on.
    """

    root: Path
    images: tuple[Marked, ...]
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()


def classes_in(images: Iterable[Marked]) -> tuple[str, ...]:
    """The classes of some images' shapes, by name."""
    return tuple(sorted({shape.label for marked in images for shape in marked.shapes}))
