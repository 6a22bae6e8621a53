"""Boxes in Pascal VOC: Annotations/*.xml, JPEGImages/, and ImageSets/Main/ for the parts; or files beside."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from corpuscle.core.errors import Fault
from corpuscle.core.threads import in_threads
from corpuscle.data.annotations.record import PART_OF, Annotations, Part, Shape, classes_in
from corpuscle.data.annotations.sheets import Book, Sheet, marked, part_of
from corpuscle.data.sources.disk import Listing, absolute, listing, suffix_of
from corpuscle.data.sources.folders import PARTS
from corpuscle.data.sources.plan import SourcePlan

XMLS, IMAGES, SETS = "Annotations", "JPEGImages", "ImageSets/Main"
PLAIN = ("annotations", "images")  # what others call the two folders
TAG = "annotation"
TOP = re.compile(rb"<annotation[\s>]")
HEAD = 4096  # bytes in which a file says what it is
SIDES = ("xmin", "ymin", "xmax", "ymax")


def is_voc(inside: Listing) -> bool:
    """Whether a folder holds what VOC does."""
    return _pair(inside, (XMLS, IMAGES)) is not None


def _pair(inside: Listing, names: tuple[str, str]) -> tuple[str, str] | None:
    """Two folders as they are called here, whatever their case; None where they are not both there."""
    called = {name.lower(): name for name in inside.folders}
    xmls, images = (called.get(name.lower()) for name in names)
    return (xmls, images) if xmls and images else None


def is_voc_beside(path: Path) -> bool:
    """Whether XML files of VOC lie beside their images, be it in folders of parts, or in `annotations` and `images`."""
    return bool(_folders(path))


def _folders(root: Path) -> Mapping[str, str]:
    """Each folder of XML files to that of their images, from the root; its parts where the files lie beside images."""
    inside = listing(root)
    if pair := _pair(inside, (XMLS, IMAGES)):
        return dict([pair])
    if (pair := _pair(inside, PLAIN)) and _has_sheets(root / pair[0]):
        return dict([pair])
    places = ["", *(name for name in inside.folders if name.lower() in PARTS)]
    return {name: name for name in places if listing(root / name).images and _has_sheets(root / name)}


def _has_sheets(folder: Path) -> bool:
    """Whether a folder holds XML files, the first of which is one of VOC's."""
    first = next((name for name in listing(folder).files if suffix_of(name) == ".xml"), None)
    if first is None:
        return False
    try:
        with (folder / first).open("rb") as handle:
            return TOP.search(handle.read(HEAD)) is not None
    except OSError:
        return False


def read_voc(path: Path, plan: SourcePlan) -> Annotations:
    """The boxes of a VOC folder; the lists of ImageSets/Main are its parts, if each image is in one."""
    root, book = absolute(path), Book()
    pairs = [pair for xmls, images in _folders(root).items() for pair in _pairs(root, xmls, images, book.faults)]
    parts = _parts(root, [image for _, image in pairs], book.notes)
    sheets = []
    for sheet, faults in in_threads(lambda pair: _read(root, *pair, parts.get(pair[1])), pairs):
        book.faults += faults
        sheets.append(sheet)
    images = marked(sheets, root, book)
    return Annotations(root, images, classes_in(images), tuple(book.notes), tuple(book.faults))


def _pairs(root: Path, xmls: str, images_in: str, faults: list[Fault]) -> list[tuple[str, str]]:
    """Each XML file of a folder and its image, from the root; a fault for each of either that stands alone."""
    images: dict[str, list[str]] = {}
    for name in listing(root / images_in).images:
        images.setdefault(Path(name).stem, []).append(str(PurePosixPath(images_in, name)))
    sheets = {Path(name).stem: name for name in listing(root / xmls).files if suffix_of(name) == ".xml"}
    pairs = []
    for stem, name in sheets.items():
        ours, sheet = images.get(stem, []), str(PurePosixPath(xmls, name))
        if len(ours) == 1:
            pairs.append((sheet, ours[0]))
        else:
            place = f" in {images_in}" * bool(images_in)
            what = f"could belong to {' or '.join(ours)}" if ours else f"has no image of its name{place}"
            faults.append(Fault(sheet, what, "put one image of that name there, or remove the file"))
    for stem in sorted(images.keys() - sheets.keys()):
        remedy = "add it, without an object if the image holds none, or remove the image"
        faults.append(Fault(images[stem][0], f"has no {PurePosixPath(xmls, stem)}.xml", remedy))
    return pairs


def _read(root: Path, name: str, image: str, part: Part | None) -> tuple[Sheet, list[Fault]]:
    """What one XML file says: the size it was drawn at, its boxes, and what is wrong with it."""
    book = Book()
    try:
        top = ElementTree.parse(root / name).getroot()
    except (OSError, ElementTree.ParseError) as error:
        book.fault(name, f"is not an XML file ({error})", "replace it by a whole copy")
        return Sheet(image, (), name, name, part), book.faults
    if top.tag != TAG:
        book.fault(name, f"is an XML file of <{top.tag}>, <{TAG}> was expected", "export it as Pascal VOC")
    shapes = []
    for number, item in enumerate(top.iter("object"), 1):
        kind = (item.findtext("name") or "").strip()
        edges = [_number(item.findtext(f"bndbox/{side}")) for side in SIDES]
        place = f"{name} object {number}"
        if not kind:
            book.fault(place, "has no name", "write its class into <name>")
        if None in edges:
            said = ", ".join(f"{side} {item.findtext(f'bndbox/{side}') or 'missing'}" for side in SIDES)
            book.fault(place, f"has no box of four numbers ({said})", "draw its box, or remove the object")
        elif kind:
            left, top_, right, bottom = (edge for edge in edges if edge is not None)
            corners = (left - 1, top_ - 1), (_end(left, right), _end(top_, bottom))
            difficult = (item.findtext("difficult") or "").strip() == "1"
            shapes.append(Shape("box", kind, corners, difficult=difficult, where=place))
    width, height = (_number(top.findtext(f"size/{side}")) for side in ("width", "height"))
    size = (int(width), int(height)) if width and height else None
    return Sheet(image, tuple(shapes), name, name, part, size), book.faults


def _end(first: float, last: float) -> float:
    """Where a box ends whose first and last pixel are counted from 1.

    One that ends in the pixel it begins in is a slip of the hand, and has no area; one that ends before is reversed.
    """
    return last if last > first else last - 1


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _parts(root: Path, images: Sequence[str], notes: list[str]) -> Mapping[str, Part | None]:
    """The part of each image by the lists of ImageSets/Main where these divide the images, else by its folder."""
    folder = root / SETS
    named = {PARTS.get(Path(name).stem.lower()): folder / name for name in _files(folder)}
    lists = {part: _stems(file) for part, file in named.items() if part}
    by_folder = {image: part_of(image) for image in images}
    if not lists:
        return by_folder
    listed = [stem for part in lists.values() for stem in part]
    twice, lost = len(listed) - len(set(listed)), {Path(image).stem for image in images} - set(listed)
    if twice or lost:
        shown = (
            f"{twice} images are in two of them" if twice else f"{len(lost)} images are in none (first: {min(lost)})"
        )
        notes.append(f"the lists of {SETS} were not used: {shown}")
        return by_folder
    notes.append(f"parts from {SETS}: " + ", ".join(f"{part} {len(lists[part])}" for part in sorted(lists)))
    by_stem = {stem: PART_OF[part] for part, inside in lists.items() for stem in inside}
    return {image: by_stem[Path(image).stem] for image in images}


def _files(folder: Path) -> tuple[str, ...]:
    return listing(folder).files if folder.is_dir() else ()


def _stems(file: Path) -> tuple[str, ...]:
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    return tuple(dict.fromkeys(line.split()[0] for line in lines if line.strip()))
