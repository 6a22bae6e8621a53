"""Points in a CSV: an image, x and y a row, and the class; counted from the centre of the top left pixel."""

from __future__ import annotations

import csv
from pathlib import Path

from corpuscle.data.annotations.record import CENTRE, PART_OF, Annotations, Shape, classes_in
from corpuscle.data.annotations.sheets import Book, Sheet, marked
from corpuscle.data.sources.layouts import LAYOUTS, layout_of
from corpuscle.data.sources.plan import SourcePlan

FILE = "points.csv"
DECIMALS = 3  # of a pixel


def read_points(path: Path, plan: SourcePlan) -> Annotations:
    """The points of any layout of points; images without a label are left out."""
    found = LAYOUTS[layout_of(path, plan)](path, plan)
    book = Book(list(found.notes), list(found.faults))
    rows = found.frame.drop_nulls("image").unique("image", maintain_order=True)
    shapes: dict[str, list[Shape]] = {image: [] for image in rows["image"]}
    assert found.points is not None
    for image, x, y, kind, where in found.points.drop_nulls("image").iter_rows():
        shapes[image].append(Shape("point", kind, ((x + CENTRE, y + CENTRE),), where=where or image))
    unlabelled = rows["split"].eq_missing("unlabelled").sum()
    if unlabelled:
        book.notes.append(f"left out: {unlabelled} images without points that wait for predictions")
    sheets = [
        Sheet(image, tuple(shapes[image]), source, source, PART_OF.get(split))
        for image, split, source in rows.select("image", "split", "source").iter_rows()
        if split != "unlabelled"
    ]
    images = marked(sheets, found.root, book)
    return Annotations(found.root, images, classes_in(images), tuple(book.notes), tuple(book.faults))


def write_points(annotations: Annotations, folder: Path) -> tuple[str, ...]:
    """One CSV; an image without an object has a row without x and y."""
    parts = any(one.split for one in annotations.images)
    with (folder / FILE).open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["image", "x", "y", "kind", "split"][: 5 if parts else 4])
        for one in annotations.images:
            places = [[*(_shown(value) for value in shape.xy[0]), shape.label] for shape in one.shapes]
            for place in places or [["", "", ""]]:
                writer.writerow([one.image, *place, *([one.split] if parts else [])])
    return ()


def _shown(value: float) -> str:
    return f"{value - CENTRE:.{DECIMALS}f}".rstrip("0").rstrip(".")
