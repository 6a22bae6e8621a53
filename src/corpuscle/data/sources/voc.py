"""Layout of boxes in Pascal VOC: Annotations/*.xml, JPEGImages/, and ImageSets/Main/ for the parts; or files beside."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

import polars as pl

from corpuscle.core.errors import Fault
from corpuscle.core.threads import in_threads
from corpuscle.data.sources.boxes import Box, middles_of
from corpuscle.data.sources.disk import Listing, absolute, listing, suffix_of
from corpuscle.data.sources.folders import PARTS
from corpuscle.data.sources.found import Found
from corpuscle.data.sources.plan import SourcePlan
from corpuscle.data.sources.sizes import sizes_of
from corpuscle.data.table import COLUMNS

XMLS, IMAGES, SETS = "Annotations", "JPEGImages", "ImageSets/Main"
PLAIN = ("annotations", "images")  # what others call the two folders
TOP = re.compile(rb"<annotation[\s>]")
HEAD = 4096  # bytes in which a file says what it is
SIDES = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class _Sheet:
    """What one XML file says: the size it was drawn at, its boxes, and what is wrong with it."""

    size: tuple[int, int] | None
    boxes: tuple[Box, ...]
    faults: tuple[Fault, ...]


def is_voc(inside: Listing) -> bool:
    """Whether a folder holds what VOC does."""
    return {XMLS, IMAGES} <= set(inside.folders)


def is_voc_beside(path: Path) -> bool:
    """Whether XML files of VOC lie beside their images, be it in folders of parts, or in `annotations` and `images`."""
    return bool(_folders(path))


def _folders(root: Path) -> Mapping[str, str]:
    """Each folder of XML files to that of their images, from the root; its parts where the files lie beside images."""
    inside = listing(root)
    if is_voc(inside):
        return {XMLS: IMAGES}
    if set(PLAIN) <= set(inside.folders) and _has_sheets(root / PLAIN[0]):
        return dict([PLAIN])
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


def scan_voc(path: Path, plan: SourcePlan) -> Found:
    """One row per image with an XML file; the lists of ImageSets/Main are its parts, if each image is in one."""
    held = held_in(path)
    notes, faults = list[str](), list(held.faults)
    points = middles_of(held.boxes, held.sizes, plan, notes, faults)
    notes += held.notes
    rows = [(image, None, None, held.parts.get(image), sheet, None) for image, sheet in held.sheets.items()]
    frame = pl.DataFrame(rows, schema=COLUMNS, orient="row")
    return Found(frame, held.root, tuple(notes), tuple(faults), points)


@dataclass(frozen=True)
class Held:
    """What a VOC folder holds.

    Attributes:
        root: the folder.
        sheets: each image to its XML file, as paths from the root.
        sizes: width and height of each image, None where its header cannot be read.
        boxes: of all images, sound or not.
        parts: of the images, none where the lists do not divide them.
        notes: how it was understood.
        faults: what is wrong so far.
    """

    root: Path
    sheets: Mapping[str, str]
    sizes: Mapping[str, tuple[int, int] | None]
    boxes: tuple[Box, ...]
    parts: Mapping[str, str]
    notes: tuple[str, ...]
    faults: tuple[Fault, ...]


def held_in(path: Path) -> Held:
    """What a VOC folder holds; of the images the headers alone are read."""
    root = absolute(path)
    notes: list[str] = []
    faults: list[Fault] = []
    folders = _folders(root)
    pairs = [pair for xmls, images in folders.items() for pair in _pairs(root, xmls, images, faults)]
    sheets = list(in_threads(lambda pair: _read(root / pair[0], *pair), pairs))
    sizes = dict(zip((image for _, image in pairs), sizes_of([root / image for _, image in pairs]), strict=True))
    for (name, image), sheet in zip(pairs, sheets, strict=True):
        faults += sheet.faults
        size = sizes[image]
        if size and sheet.size and size != sheet.size:
            what = f"was drawn on {sheet.size[0]} x {sheet.size[1]} pixels, {image} is {size[0]} x {size[1]}"
            faults.append(Fault(name, what, "draw the boxes on this image, or restore the other"))
    by_stem = _parts(root, {Path(image).stem for _, image in pairs}, notes)
    parts = {image: by_stem[stem] for _, image in pairs if (stem := Path(image).stem) in by_stem}
    by_folder = {image: PARTS.get(image.partition("/")[0].lower()) for _, image in pairs}
    return Held(
        root,
        {image: name for name, image in pairs},
        sizes,
        tuple(box for sheet in sheets for box in sheet.boxes),
        parts or {image: part for image, part in by_folder.items() if part},
        tuple(notes),
        tuple(faults),
    )


def boxes_of(root: Path, sheet: str, image: str) -> tuple[Box, ...]:
    """The boxes of one XML file, named from the root, that are sound, for an image; none if it cannot be read."""
    return _read(root / sheet, sheet, image).boxes


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


def _read(file: Path, where: str, image: str) -> _Sheet:
    try:
        top = ElementTree.parse(file).getroot()
    except (OSError, ElementTree.ParseError) as error:
        return _Sheet(None, (), (Fault(where, f"is not an XML file ({error})", "replace it by a whole copy"),))
    boxes, faults = [], []
    for number, item in enumerate(top.iter("object"), 1):
        kind = (item.findtext("name") or "").strip()
        edges = [_number(item.findtext(f"bndbox/{side}")) for side in SIDES]
        said = ", ".join(f"{side} {item.findtext(f'bndbox/{side}') or 'missing'}" for side in SIDES)
        place = f"{where} object {number}"
        if not kind:
            faults.append(Fault(place, "has no name", "write its class into <name>"))
        if None in edges:
            faults.append(Fault(place, f"has no box of four numbers ({said})", "draw its box, or remove the object"))
        elif kind:
            left, top_, right, bottom = (edge - 1 for edge in edges if edge is not None)  # VOC counts pixels from 1
            difficult = (item.findtext("difficult") or "").strip() == "1"
            boxes.append(Box(image, kind, left, top_, right, bottom, said, place, difficult))
    width, height = (_number(top.findtext(f"size/{side}")) for side in ("width", "height"))
    return _Sheet((int(width), int(height)) if width and height else None, tuple(boxes), tuple(faults))


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _parts(root: Path, stems: set[str], notes: list[str]) -> Mapping[str, str]:
    """The part of each image by the lists of ImageSets/Main; none where they do not divide the images."""
    folder = root / SETS
    if not folder.is_dir():
        return {}
    named = {PARTS.get(Path(name).stem.lower()): folder / name for name in listing(folder).files}
    lists = {part: _stems(file) for part, file in named.items() if part}
    if not lists:
        return {}
    listed = [stem for part in lists.values() for stem in part]
    twice, lost = len(listed) - len(set(listed)), stems - set(listed)
    if twice or lost:
        shown = (
            f"{twice} images are in two of them" if twice else f"{len(lost)} images are in none (first: {min(lost)})"
        )
        notes.append(f"the lists of {SETS} were not used: {shown}")
        return {}
    notes.append(f"parts from {SETS}: " + ", ".join(f"{part} {len(lists[part])}" for part in sorted(lists)))
    return {stem: part for part, inside in lists.items() for stem in inside}


def _stems(file: Path) -> tuple[str, ...]:
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    return tuple(dict.fromkeys(line.split()[0] for line in lines if line.strip()))
