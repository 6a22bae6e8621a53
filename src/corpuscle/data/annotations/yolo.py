"""Shapes in YOLO: a text file an image, a shape a row, places as shares of the image's sides."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpuscle.core.errors import CorpuscleError, Fault
from corpuscle.data.annotations.record import PART_OF, Annotations, Part, Shape
from corpuscle.data.annotations.sheets import Book, Sheet, box_of, marked, part_of, path_from, ring_of
from corpuscle.data.sources.disk import absolute, files_under, is_image, listing, suffix_of
from corpuscle.data.sources.folders import PARTS
from corpuscle.data.sources.plan import SourcePlan
from corpuscle.data.sources.sizes import sizes_of

IMAGES, LABELS = "images", "labels"
YAMLS, SHEETS = (".yaml", ".yml"), ("data", "dataset")
DATA, NAMES = "obj.data", ("classes.txt", "obj.names", "classes.names", "_darknet.labels", "predefined_classes.txt")
BOX = 5  # numbers of a row: the class, the middle, and width and height
ROW = "write a class and x, y, width and height, or a class and the corners of an outline"
SHARES = "divide x by the width of the image and y by its height"


@dataclass(frozen=True)
class _Set:
    """What lies in a data set.

    Attributes:
        root: folder that paths start from.
        split_of: each image, from the root, and its part.
        names: of the classes, by their numbers; None where nothing tells them.
        boxes_only: what follows the box in a row are the places of joints.
    """

    root: Path
    split_of: Mapping[str, Part | None]
    names: tuple[str, ...] | None
    boxes_only: bool = False


def is_yolo(folder: Path) -> bool:
    """Whether a folder is a data set of YOLO: a sheet that names classes and parts, or images and text files of rows.

    No row is read.
    """
    inside = listing(folder)
    if DATA in inside.files or any(_is_sheet(folder / name) for name in inside.files):
        return True
    if any(_is_pair(folder / name) for name in ("", *inside.folders)):
        return True
    texts = {Path(name).stem for name in inside.files if suffix_of(name) == ".txt"}
    named = any(name in inside.files for name in NAMES)
    return named and any(Path(name).stem in texts for name in inside.images)


def is_yolo_sheet(file: Path) -> bool:
    """Whether a file is the sheet of a data set of YOLO, `data.yaml` or `obj.data`."""
    return file.name == DATA or _is_sheet(file)


def read_yolo(path: Path, plan: SourcePlan) -> Annotations:
    """The boxes and outlines of a folder, or of the data set that `data.yaml` tells of.

    Classes and parts come from `data.yaml`, from `obj.data`, from lists such as `train.txt`, or from the names of
    folders and `classes.txt`. An image without a text file holds no object, unless no image of the test part has one:
    these are unlabelled.
    """
    book = Book()
    held = _set_of(absolute(path), book)
    root, images = held.root, list(held.split_of)
    labels = {image: label_of(image) for image in images}
    there = {image for image in images if (root / labels[image]).is_file()}
    sizes = dict(zip(images, sizes_of([root / image for image in images]), strict=True))
    tests = {image for image in images if held.split_of[image] == "test"}
    blank = [image for image in images if image not in there and not (image in tests and not tests & there)]
    if not there:
        book.fault(str(root), "no image has a text file of its shapes", f"put them into {LABELS}, or beside the images")
    elif blank:
        note = f"{len(blank)} images without a text file are taken to hold no object (first: {blank[0]})"
        book.notes.append(note)
    _lone_labels(root, labels, book)
    names, sheets = held.names, []
    for image in images:
        shapes: tuple[Shape, ...] = ()
        if image in there:
            # where the header cannot be read the image is set aside later, and any size will do
            found = shapes_in(root / labels[image], labels[image], sizes[image] or (1, 1), held.boxes_only)
            book.faults += found.faults
            shapes = tuple(_named(found.shapes, names, book))
        source = labels[image] if image in there or image in blank else ""
        sheets.append(Sheet(image, shapes, source, labels[image], held.split_of[image]))
    if names is None:
        numbers = sorted({int(shape.label) for sheet in sheets for shape in sheet.shapes})
        names = tuple(str(number) for number in range(max(numbers, default=-1) + 1))
        book.notes.append("the classes are called by their numbers: there is neither a data.yaml nor a classes.txt")
    return Annotations(root, marked(sheets, root, book), names, tuple(book.notes), tuple(book.faults))


@dataclass(frozen=True)
class Rows:
    """What one text file holds: shapes whose labels are the numbers of their classes, and rows that are none."""

    shapes: tuple[Shape, ...]
    faults: tuple[Fault, ...]


def shapes_in(file: Path, name: str, size: tuple[int, int], boxes_only: bool = False) -> Rows:
    """The shapes of one text file; a file that is not there holds none.

    Args:
        file: to be read.
        name: what to call it in messages.
        size: width and height of its image.
        boxes_only: leave out what follows the box in a row.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines() if file.is_file() else []
    except OSError as error:
        return Rows((), (Fault(name, f"cannot be read ({error.strerror})", "restore it"),))
    shapes, faults = [], []
    for number, line in enumerate(lines, 1):
        words, where = line.split(), f"{name} line {number}"
        if not words:
            continue
        try:
            shapes.append(_shape(words[:BOX] if boxes_only else words, size, where))
        except ValueError as error:
            what, _, remedy = str(error).partition("; ")
            faults.append(Fault(where, what, remedy or ROW))
    return Rows(tuple(shapes), tuple(faults))


def _shape(words: Sequence[str], size: tuple[int, int], where: str) -> Shape:
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        raise ValueError(f"'{' '.join(words)[:60]}' is no row of numbers") from None
    if not numbers[0].is_integer() or numbers[0] < 0:
        raise ValueError(f"has the class '{words[0]}', a whole number from 0 on was expected; {ROW}")
    label, shares, (width, height) = str(int(numbers[0])), numbers[1:], size
    beyond = next((word for word, share in zip(words[1:], shares, strict=True) if not 0 <= share <= 1), None)
    if beyond is not None:
        raise ValueError(f"has {beyond}, shares of the image from 0 to 1 were expected; {SHARES}")
    if len(numbers) == BOX:
        x, y, wide, tall = shares[0] * width, shares[1] * height, shares[2] * width, shares[3] * height
        ends = x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2
        return Shape("box", label, box_of(ends), where=where)
    if len(numbers) % 2 == 0 or len(numbers) < BOX:
        raise ValueError(f"has {len(numbers)} numbers, {BOX} of a box or an odd number of an outline were expected")
    points = [(x * width, y * height) for x, y in zip(shares[::2], shares[1::2], strict=True)]
    return Shape("polygon", label, ring_of(points), where=where)


def _named(shapes: Iterable[Shape], names: Sequence[str] | None, book: Book) -> Iterator[Shape]:
    """The shapes with the names of their classes, and a fault for each whose number has none."""
    for shape in shapes:
        number = int(shape.label)
        if names is None:
            yield shape
        elif number < len(names):
            yield Shape(shape.kind, names[number], shape.xy, where=shape.where)
        else:
            known = ", ".join(f"{place} {name}" for place, name in list(enumerate(names))[:12])
            book.fault(shape.where, f"has the class {number} (known: {known})", "mend it, or name the class")


def _set_of(path: Path, book: Book) -> _Set:
    root = path if path.is_dir() else path.parent
    files = listing(root).files if path.is_dir() else (path.name,)
    sheets = [root / name for name in files if _is_sheet(root / name)]
    if len(sheets) > 1:
        shown = ", ".join(sheet.name for sheet in sheets)
        raise CorpuscleError(f"{root} holds several sheets of classes ({shown}), one was expected; name it")
    if sheets:
        return _of_yaml(sheets[0], book)
    if DATA in files:
        return _of_data(root / DATA, book)
    lists = {PARTS[Path(name).stem.lower()]: root / name for name in files if _is_list(name)}
    split_of = _listed({part: _lines(file) for part, file in lists.items()}, root, root, book)
    if not split_of:
        images = [name for name in files_under(root) if is_image(name)]
        pairs = [name for name in images if IMAGES in name.split("/")[:-1]]
        images = pairs or images
        found = {name: part_of(name) for name in images}
        split_of = found if all(found.values()) else dict.fromkeys(images)
    return _Set(root, split_of, _names_beside(root))


def _of_yaml(sheet: Path, book: Book) -> _Set:
    content, root = _yaml(sheet), sheet.parent
    names = content["names"]
    if isinstance(names, dict):
        odd = [number for number in names if not str(number).isdigit()]
        if odd:
            raise CorpuscleError(f"{sheet}: names has '{odd[0]}', a number was expected; write names as 0: cell")
        of_number = {int(number): name for number, name in names.items()}
        names = [of_number.get(number, f"class {number}") for number in range(max(of_number, default=-1) + 1)]
    said = content.get("path")
    base = absolute(root / str(said)) if said else root
    base = base if base.is_dir() else root
    listed: dict[str, list[str]] = {}
    for key, part in PARTS.items():
        held = content.get(key)
        for one in held if isinstance(held, list) else [held] if held else []:
            place = _place(str(one), (base, root))
            if place is None:
                book.notes.append(f"{sheet.name}: {key} is '{one}', which does not exist")
            elif place.is_dir():
                names_in = [name for name in files_under(place) if is_image(name)]
                listed.setdefault(part, []).extend(str(place / name) for name in names_in)
            else:
                listed.setdefault(part, []).extend(_lines(place))
    split_of = _listed(listed, base, root, book)
    if not split_of:
        book.fault(sheet.name, "names no folder of images that exists", "write where train, val and test lie")
    return _Set(root, split_of, tuple(str(name) for name in names), "kpt_shape" in content)


def _of_data(sheet: Path, book: Book) -> _Set:
    """The data set of Darknet: `key = value` a line."""
    root = sheet.parent
    pairs = {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in _lines(sheet))}
    places = {part: _place(pairs[key], (root, root)) for key, part in PARTS.items() if pairs.get(key)}
    names = _place(pairs.get("names", ""), (root, root)) if pairs.get("names") else None
    split_of = _listed({part: _lines(place) for part, place in places.items() if place}, root, root, book)
    if not split_of:
        split_of = dict.fromkeys(name for name in files_under(root) if is_image(name))
    return _Set(root, split_of, tuple(_lines(names)) if names else _names_beside(root))


def _listed(lists: Mapping[str, Sequence[str]], base: Path, root: Path, book: Book) -> dict[str, Part | None]:
    """Each image of some lists and its part; the first that names it."""
    split_of: dict[str, Part | None] = {}
    twice: list[str] = []
    for part in sorted(lists, key=("train", "val", "test").index):
        for line in lists[part]:
            place = _place(line, (base, root))
            if place is None:
                book.fault(f"the list of {part}", f"image '{line}' does not exist", "mend the path, or remove the line")
                continue
            image = path_from(root, place)
            if image in split_of and split_of[image] != part:
                twice.append(image)
            split_of.setdefault(image, PART_OF[part])
    if twice:
        note = f"{len(twice)} images are in two parts and are taken for the first alone (first: {twice[0]})"
        book.notes.append(note)
    return split_of


def _place(said: str, bases: Sequence[Path]) -> Path | None:
    """Where a path leads that is written from one of some folders, or, as some tools do, from one beside it."""
    said = said.replace("\\", "/")
    tails = (said, said.removeprefix("data/"), said.lstrip("./"))
    return next((place for tail in tails for base in bases if (place := absolute(base / tail)).exists()), None)


def _lone_labels(root: Path, labels: Mapping[str, str], book: Book) -> None:
    """A fault for each text file of rows whose image is not there."""
    of_folder: dict[tuple[str, str], None] = {}
    for image, label in labels.items():
        of_folder[os.path.dirname(image), os.path.dirname(label)] = None  # noqa: PTH120 (names in a table)
    for images_in, labels_in in of_folder:
        if images_in == labels_in or not (root / labels_in).is_dir():
            continue
        stems = {Path(name).stem for name in listing(root / images_in).images}
        texts = [name for name in listing(root / labels_in).files if suffix_of(name) == ".txt" and name not in NAMES]
        for name in texts:
            if Path(name).stem not in stems:
                what = f"has no image of its name in {images_in}"
                book.fault(f"{labels_in}/{name}", what, "add it, or remove the file")


def label_of(image: str) -> str:
    """Where the rows of an image lie: beside it, or in the folder labels where it lies in one called images."""
    folders = image.split("/")
    at = max((place for place, name in enumerate(folders[:-1]) if name == IMAGES), default=None)
    if at is not None:
        folders[at] = LABELS
    return str(Path(*folders).with_suffix(".txt").as_posix())


def _is_pair(folder: Path) -> bool:
    """Whether a folder holds images and, in another folder, text files, and no images there."""
    if not {IMAGES, LABELS} <= set(listing(folder).folders):
        return False
    suffixes = {suffix_of(name) for name in files_under(folder / LABELS)}
    return ".txt" in suffixes and not any(is_image(f"a{suffix}") for suffix in suffixes)


def _is_sheet(file: Path) -> bool:
    if suffix_of(file.name) not in YAMLS:
        return False
    try:
        content = _yaml(file)
    except CorpuscleError:
        return Path(file.name).stem.lower() in SHEETS  # which is told when it is read
    return isinstance(content.get("names"), list | dict) and any(key in content for key in PARTS)


def _yaml(file: Path) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = str(error).partition("\n")[0]
        raise CorpuscleError(f"{file}: is not a YAML file ({reason}); replace it by a whole copy") from None
    return content if isinstance(content, dict) else {}


def _names_beside(root: Path) -> tuple[str, ...] | None:
    places = [root / folder / name for folder in ("", LABELS) for name in NAMES]
    return next((tuple(_lines(place)) for place in places if place.is_file()), None)


def _is_list(name: str) -> bool:
    return suffix_of(name) == ".txt" and Path(name).stem.lower() in PARTS


def _lines(file: Path) -> list[str]:
    lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    return [line.strip() for line in lines if line.strip()]
