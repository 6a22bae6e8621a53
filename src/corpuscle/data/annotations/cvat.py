"""Shapes in "CVAT for images 1.1": one XML file of all images."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from corpuscle.core.errors import CorpuscleError, DataFault, Fault
from corpuscle.data.annotations.lookup import places_of
from corpuscle.data.annotations.record import PART_OF, Annotations, Ring, Shape, classes_in
from corpuscle.data.annotations.rle import mask_of_runs, pieces_of
from corpuscle.data.annotations.sheets import (
    DRAW_AGAIN,
    Book,
    Sheet,
    box_of,
    ellipse,
    marked,
    part_of,
    path_from,
    points_of,
    ring_of,
)
from corpuscle.data.sources.disk import absolute, alike_in, listing, suffix_of
from corpuscle.data.sources.folders import PARTS
from corpuscle.data.sources.plan import SourcePlan

READ = "box, polygon, points, ellipse and mask are read"
EXPORT = "export it from CVAT again, as 'CVAT for images 1.1'"
IMAGES = "images"  # the folder beside the file
TAG, SHAPES, OTHERS = "tag", ("box", "polygon", "points", "ellipse", "mask"), ("polyline", "cuboid", "skeleton")
HEAD = 4096  # bytes in which a file says what it is


def is_cvat(file: Path) -> bool:
    """Whether an XML file is CVAT's."""
    if suffix_of(file.name) != ".xml":
        return False
    try:
        with file.open("rb") as handle:
            return b"<annotations" in handle.read(HEAD)
    except OSError:
        return False


def cvat_in(folder: Path) -> Path | None:
    """The XML file of CVAT in a folder.

    Raises:
        CorpuscleError: there are several.
    """
    found = [name for name in listing(folder).files if is_cvat(folder / name)]
    if len(found) > 1:
        raise CorpuscleError(f"{folder} holds several files ({', '.join(found[:12])}), one was expected; name it")
    return folder / found[0] if found else None


def read_cvat(path: Path, plan: SourcePlan) -> Annotations:
    """The shapes of an XML file, or of the one in a folder; its images lie beside it or in the folder `images`.

    Subsets called train, val and test are parts, and so are folders in the names of images.
    """
    file = (cvat_in(path) or path) if path.is_dir() else path
    book = Book()
    sheets = sheets_in(file, book)
    root = absolute(plan.root or file.parent)
    names, splits = [str(sheet.image) for sheet in sheets], [sheet.split for sheet in sheets]
    places = places_of(names, splits, absolute(file), root, plan)
    placed = []
    for sheet, image in zip(sheets, places, strict=True):
        if image is None:
            remedy = "mend the name, or name its folder with --set data.root=FOLDER"
            what = f"'{sheet.image}' does not exist in {root}"
            what += alike_in(root, str(sheet.image)) or alike_in(root, f"{IMAGES}/{sheet.image}")
            book.fault(f"{file.name} {sheet.where}", what, remedy)
        where = f"{file.name} {sheet.where}"
        source = f"{path_from(root, absolute(file))}#{sheet.image}"
        placed.append(Sheet(image, sheet.shapes, source, where, sheet.split, sheet.size))
    images = marked(placed, root, book)
    return Annotations(root, images, classes_in(images), tuple(book.notes), tuple(book.faults))


def sheets_in(file: Path, book: Book) -> list[Sheet]:
    """Every image of a file, as the file calls it, its shapes from the lowest to the highest.

    Raises:
        DataFault: it is none of CVAT's, or one of a video.
    """
    try:
        top = ElementTree.parse(file).getroot()
    except (OSError, ElementTree.ParseError) as error:
        raise DataFault([Fault(file.name, f"is not an XML file ({error})", "replace it by a whole copy")]) from None
    if top.tag != "annotations":
        raise DataFault([Fault(file.name, f"is an XML file of <{top.tag}>, <annotations> was expected", EXPORT)])
    if top.find("track") is not None:
        raise DataFault([Fault(file.name, "holds the tracks of a video, images were expected", EXPORT)])
    sheets, tags = [], 0
    for number, item in enumerate(top.iter("image"), 1):
        name, where = (item.get("name") or "").replace("\\", "/"), f"image {item.get('id', number)}"
        if not name:
            book.fault(f"{file.name} {where}", "has no name", "write the name of its file")
            continue
        split = PART_OF.get(PARTS.get((item.get("subset") or "").lower())) or part_of(name)
        tags += sum(1 for _ in item.iter(TAG))
        shapes = tuple(_shapes_of(item, f"{file.name} {where}", book))
        sheets.append(Sheet(name, shapes, file.name, where, split, _size(item)))
    if tags:
        book.notes.append(f"left out: {tags} tags, which are of whole images")
    if not sheets:
        book.fault(file.name, "tells of no image", EXPORT)
    return sheets


def _shapes_of(image: ElementTree.Element, where: str, book: Book) -> Iterator[Shape]:
    """The shapes of an image in the order they lie upon one another."""
    items = [item for item in image if item.tag in SHAPES or item.tag in OTHERS]
    numbered = sorted(enumerate(items, 1), key=lambda pair: _whole(pair[1].get("z_order")))
    for number, item in numbered:
        place = f"{where} {item.tag} {number}"
        label = (item.get("label") or "").strip()
        try:
            if not label:
                raise ValueError("has no label")
            yield from _shapes(item, label, number, place)
        except ValueError as error:
            book.fault(place, str(error), DRAW_AGAIN)


def _shapes(item: ElementTree.Element, label: str, number: int, where: str) -> Iterator[Shape]:
    if item.tag == "box":
        ends = [_number(item, side) for side in ("xtl", "ytl", "xbr", "ybr")]
        turned = _number(item, "rotation", 0.0)
        yield Shape("box", label, _turned(box_of(ends), turned), where=where)
    elif item.tag == "polygon":
        yield Shape("polygon", label, ring_of(_points(item)), instance=_group(item), where=where)
    elif item.tag == "points":
        for point in _points(item):
            yield Shape("point", label, (point,), where=where)
    elif item.tag == "ellipse":
        x, y, wide, tall = (_number(item, side) for side in ("cx", "cy", "rx", "ry"))
        ring = ellipse(x, y, wide, tall, _number(item, "rotation", 0.0))
        yield Shape("polygon", label, ring, instance=_group(item), where=where)
    elif item.tag == "mask":
        left, top, width, height = (_whole(item.get(side)) for side in ("left", "top", "width", "height"))
        runs = (item.get("rle") or "").replace(" ", "").split(",")
        if not all(run.isdigit() for run in runs):
            raise ValueError("has runs that are not whole numbers from 0 on")
        counts = list(map(int, runs))
        pieces = list(pieces_of(mask_of_runs(counts, height, width, by_columns=False), left, top))
        instance = _group(item) or (-number if len(pieces) > 1 else None)  # a number that no group has
        for outline, holes in pieces:
            yield Shape("polygon", label, outline, holes, instance, where=where)
    else:
        raise ValueError(f"is a {item.tag}, which encloses no area; {READ}")


def _turned(box: Ring, degrees: float) -> Ring:
    """The upright box around a box that was turned about its middle."""
    if not degrees % 360:
        return box
    (left, top), (right, bottom) = box
    x, y, wide, tall = (left + right) / 2, (top + bottom) / 2, abs(right - left) / 2, abs(bottom - top) / 2
    cos, sin = abs(math.cos(math.radians(degrees))), abs(math.sin(math.radians(degrees)))
    half_x, half_y = wide * cos + tall * sin, wide * sin + tall * cos
    return (x - half_x, y - half_y), (x + half_x, y + half_y)


def _points(item: ElementTree.Element) -> list[tuple[float, float]]:
    pairs = [pair.split(",") for pair in (item.get("points") or "").split(";") if pair.strip()]
    if not pairs:
        raise ValueError("has no points")
    return points_of(pairs)


def _number(item: ElementTree.Element, name: str, default: float | None = None) -> float:
    text = item.get(name)
    if text is None and default is not None:
        return default
    try:
        return float(text or "")
    except ValueError:
        raise ValueError(f"has the {name} '{text or ''}', a number was expected") from None


def _group(item: ElementTree.Element) -> int | None:
    """The number that pieces of one object share; 0 is none."""
    return _whole(item.get("group_id")) or None


def _size(item: ElementTree.Element) -> tuple[int, int] | None:
    width, height = (_whole(item.get(side)) for side in ("width", "height"))
    return (width, height) if width and height else None


def _whole(text: str | None) -> int:
    return int(text) if text and text.lstrip("-").isdigit() else 0
