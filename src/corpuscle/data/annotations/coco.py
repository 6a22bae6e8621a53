"""Shapes in COCO: one JSON file with images, annotations and categories."""

from __future__ import annotations

import contextlib
import json
import math
import mmap
import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from corpuscle.core.errors import CorpuscleError, Fault
from corpuscle.data.annotations.lookup import part_in, places_of
from corpuscle.data.annotations.record import PART_OF, Annotations, Part, Ring, Shape
from corpuscle.data.annotations.rings import PackedRing
from corpuscle.data.annotations.rle import counts_of_text, mask_of_runs, pieces_of
from corpuscle.data.annotations.sheets import FEWEST, Book, Sheet, marked, path_from, points_of, ring_of
from corpuscle.data.sources.disk import absolute, alike_in, listing, suffix_of
from corpuscle.data.sources.folders import PARTS
from corpuscle.data.sources.named import read_json
from corpuscle.data.sources.plan import SourcePlan

FILES = 12  # in one folder; more are files of an image each
LISTS = ("images", "annotations", "categories")
INSTANCES = "instances"  # how the file of objects is called, beside those of captions, joints and the like
FOLDER = "annotations"
HEAD = 64  # bytes in which a file begins
KEPT = 4  # files whose shapes are kept: one a part, and one more


def is_coco(file: Path, lists: Sequence[str] = LISTS[:2]) -> bool:
    """Whether a JSON file is COCO's, by the lists it has; looked for in its bytes, for large ones take long to read."""
    try:
        with file.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as content:
            begins = content[:HEAD].decode("utf-8-sig", "replace").lstrip().startswith("{")
            return begins and all(re.search(rb'"%s"\s*:\s*\[' % name.encode(), content) for name in lists)
    except (OSError, ValueError):  # an empty file cannot be mapped
        return False


def coco_in(folder: Path) -> dict[Path, Part | None]:
    """The files of COCO in a folder, its folder `annotations` and its parts, each with the part it is named after.

    Of several one that is named after no part is passed over, and so is a second of a part; those of instances come
    first. Captions, which have no classes, are none.
    """
    inside = listing(folder)
    found: dict[Path, Part | None] = {}
    for name in ("", *(name for name in inside.folders if name == FOLDER or name.lower() in PARTS)):
        files = [one for one in listing(folder / name).files if suffix_of(one) == ".json"]
        files.sort(key=lambda one: not one.startswith(INSTANCES))
        for file in files if len(files) <= FILES else ():
            part = part_in(file) or part_in(name)
            if (part is None or part not in found.values()) and is_coco(folder / name / file, LISTS):
                found[folder / name / file] = part
    if len(found) < 2:
        return found
    told = any(found.values())
    kept = {file: part for file, part in found.items() if (part if told else file.name.startswith(INSTANCES))}
    return kept or found


def read_coco(path: Path, plan: SourcePlan) -> Annotations:
    """The shapes of a COCO file and of those that the plan names, or of the files in a folder, a part each.

    Shapes are outlines, runs of pixels, and boxes of what has neither.

    Raises:
        CorpuscleError: no such file, or several that are not of parts.
    """
    path = absolute(path)
    files = coco_in(path) if path.is_dir() else {path: PART_OF["train"] if plan.valid or plan.test else None}
    if not files:  # one without categories, which is told
        named = [path / name for name in listing(path).files if suffix_of(name) == ".json"]
        files = {file: None for file in named if is_coco(file)}
    if not files or (len(files) > 1 and not all(files.values())):
        shown = ", ".join(file.name for file in files) or "no file of COCO"
        raise CorpuscleError(f"{path} holds {shown}, one was expected, or one a part such as train.json; name it")
    files |= {absolute(file): PART_OF[part] for part, file in (("val", plan.valid), ("test", plan.test)) if file}
    root = absolute(plan.root or (path if path.is_dir() else path.parent))
    book = Book()
    sheets: list[Sheet] = []
    classes: dict[str, None] = {}
    for file, split in files.items():
        held = held_in(file)
        book.notes += held.notes
        book.faults += held.faults
        classes |= dict.fromkeys(held.classes)
        names = [str(sheet.image) for sheet in held.sheets]
        places = places_of(names, [split] * len(names), file, root, plan)
        for sheet, image in zip(held.sheets, places, strict=True):
            if image is None:
                remedy = "mend the name, or name its folder with --set data.root=FOLDER"
                what = f"'{sheet.image}' does not exist in {root}{alike_in(root, str(sheet.image))}"
                book.fault(sheet.where, what, remedy)
            source = f"{path_from(root, file)}#{sheet.image}"
            sheets.append(Sheet(image, sheet.shapes, source, sheet.where, split, sheet.size))
    images = marked(sheets, root, book)
    return Annotations(root, images, tuple(classes), tuple(book.notes), tuple(book.faults))


@dataclass(frozen=True)
class Held:
    """What one file holds: its images as it calls them, the names of its classes, and what is said of it."""

    sheets: tuple[Sheet, ...]
    classes: tuple[str, ...]
    notes: tuple[str, ...]
    faults: tuple[Fault, ...]


@dataclass
class _Images:
    """The names, the sizes and the shapes of the images of a file, by their numbers."""

    names: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int] | None] = field(default_factory=dict)
    shapes: dict[str, list[Shape]] = field(default_factory=dict)


def held_in(file: Path) -> Held:
    """Everything a file says, and what is wrong with it; read once as long as it stays as it is.

    Raises:
        CorpuscleError: it cannot be read or is not JSON.
    """
    stat = file.stat() if file.is_file() else None
    return _held_in(file, stat and stat.st_size, stat and stat.st_mtime_ns)


@lru_cache(maxsize=KEPT)
def _held_in(file: Path, num_bytes: int | None, time_ns: int | None) -> Held:
    folder = file.parent.name
    name = f"{folder}/{file.name}" if folder == FOLDER or folder.lower() in PARTS else file.name
    book, content = Book(), read_json(file, _packed)
    sheets, classes = _read(content if isinstance(content, dict) else {}, name, book)
    return Held(sheets, classes, tuple(book.notes), tuple(book.faults))


def _packed(item: dict[str, Any]) -> dict[str, Any]:
    """An object of the file, its outlines as arrays of numbers where they hold nothing else."""
    drawn = item.get("segmentation")
    if isinstance(drawn, list):
        with contextlib.suppress(TypeError, OverflowError):  # which is told in its place
            item["segmentation"] = [array("d", ring) for ring in drawn]
    return item


def _read(held: Mapping[str, Any], name: str, book: Book) -> tuple[tuple[Sheet, ...], tuple[str, ...]]:
    """The images and the names of the classes; `name` is what messages call the file."""
    lost = [key for key in LISTS if not isinstance(held.get(key), list)]
    for key in lost:
        book.fault(name, f"has no list '{key}'", "write it as COCO does")
    if not lost and any(isinstance(item, dict) and "segments_info" in item for item in held["annotations"]):
        book.fault(name, "is panoptic, its areas lie in PNG files; instances were expected", "export it as instances")
        lost = ["annotations"]
    if lost:
        return (), ()
    images = _images(held["images"], name, book)
    kinds = _kinds(held["categories"], name, book)
    _read_shapes(held["annotations"], images, kinds, name, book)
    sheets = [
        Sheet(image, tuple(images.shapes[number]), name, f"{name} image {number}", size=images.sizes[number])
        for number, image in images.names.items()
    ]
    met = {shape.label for sheet in sheets for shape in sheet.shapes}
    classes = tuple(dict.fromkeys(kind for kind in kinds.values() if kind))
    unused = sorted(set(classes) - met)
    if unused:
        book.notes.append(f"{name}: no object of {', '.join(unused[:12])}")
    return tuple(sheets), classes


def _images(items: list[Any], file: str, book: Book) -> _Images:
    images, names = _Images(), set[str]()
    for place, item in enumerate(items, 1):
        id_, name = (item.get("id"), item.get("file_name")) if isinstance(item, dict) else (None, None)
        number = _key(id_)
        if not isinstance(id_, int | str) or not isinstance(name, str):
            book.fault(f"{file} images[{place}]", "has no id and file_name", "write both")
        elif number in images.names or name in names:
            book.fault(f"{file} image {number}", f"'{name}' is listed twice, or its id is", "keep one of them")
        else:
            width, height = item.get("width"), item.get("height")
            images.names[number] = name
            images.sizes[number] = (int(width), int(height)) if _is_number(width) and _is_number(height) else None
            images.shapes[number] = []
            names.add(name)
    return images


def _kinds(items: list[Any], file: str, book: Book) -> dict[str, str]:
    """The name of each class by its number."""
    kinds = {
        _key(item["id"]): str(item.get("name") or "").strip()
        for item in items
        if isinstance(item, dict) and isinstance(item.get("id"), int | str)
    }
    for number, kind in kinds.items():
        if not kind:
            book.fault(f"{file} category {number}", "has no name", "write the name of its class")
    return kinds


def _read_shapes(items: list[Any], images: _Images, kinds: Mapping[str, str], file: str, book: Book) -> None:
    for place, item in enumerate(items, 1):
        items[place - 1] = None  # which makes room for its shapes
        item = item if isinstance(item, dict) else {}
        of_image, of_kind = (_key(item.get(name)) for name in ("image_id", "category_id"))
        where = f"{file} annotation {item.get('id', place)}"
        shapes: list[Shape] = []
        try:
            size = images.sizes.get(of_image)
            shapes = list(_shapes(item, kinds.get(of_kind, ""), place, size, where))
        except (KeyError, OverflowError, TypeError, ValueError) as error:
            said = str(error) if type(error) is ValueError else "has an outline that is none"
            what, _, remedy = said.partition("; ")
            book.fault(where, what, remedy or "write segmentation as COCO does")
        if of_image not in images.names:
            book.fault(where, f"no image has the id {of_image}", "add the image, or remove the annotation")
        elif of_kind not in kinds:
            known = ", ".join(f"{number} {kind}" for number, kind in list(kinds.items())[:12])
            what = f"no category has the id {of_kind} (known: {known or 'none'})"
            book.fault(where, what, "add the category, or mend the id")
        else:
            images.shapes[of_image] += shapes


def _shapes(
    item: Mapping[str, Any], label: str, number: int, size: tuple[int, int] | None, where: str
) -> Iterator[Shape]:
    """The pieces of an object, each an outline; its box where it has no outline."""
    drawn, crowd = item.get("segmentation"), bool(item.get("iscrowd"))
    if isinstance(drawn, dict):
        height, width = drawn.get("size") or (size or (0, 0))[::-1]
        if size and (width, height) != size:
            raise ValueError(f"has a mask of {width} x {height} pixels on an image of {size[0]} x {size[1]}")
        counts = drawn["counts"]
        runs = counts_of_text(counts) if isinstance(counts, str) else counts
        pieces = list(pieces_of(mask_of_runs(runs, height, width, by_columns=True)))
    elif drawn:
        pieces = [(_ring(ring), ()) for ring in drawn]
    else:
        box = item.get("bbox")
        if not (isinstance(box, list) and len(box) == 4 and all(map(_is_number, box))):
            raise ValueError(f"bbox {json.dumps(box)[:60]} is not four numbers; write [x, y, width, height]")
        left, top, width, height = map(float, box)
        yield Shape("box", label, ((left, top), (left + width, top + height)), crowd=crowd, where=where)
        return
    for outline, holes in pieces:
        instance = number if len(pieces) > 1 else None
        yield Shape("polygon", label, outline, holes, instance, crowd=crowd, where=where)


def _ring(numbers: Any) -> Ring:
    """The corners of an outline, x and y in turns.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(numbers, list | array) or len(numbers) % 2:
        number = len(numbers) if isinstance(numbers, list | array) else "no"
        raise ValueError(f"has an outline of {number} numbers, pairs were expected")
    if isinstance(numbers, array) and len(numbers) > 2 * FEWEST and math.isfinite(sum(numbers)):
        return PackedRing(numbers[: -2 if numbers[:2] == numbers[-2:] else None])
    return ring_of(points_of(zip(numbers[::2], numbers[1::2], strict=True)))


def _key(value: Any) -> str:
    """A number of an image or a class, which some write as a text; what cannot be one is shown as it stands."""
    return str(value) if isinstance(value, int | str) else json.dumps(value)[:60]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
