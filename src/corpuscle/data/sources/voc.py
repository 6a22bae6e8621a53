"""Layout of boxes in Pascal VOC: Annotations/*.xml, JPEGImages/, and ImageSets/Main/ for the parts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import polars as pl

from corpuscle.core.errors import Fault
from corpuscle.data.sources.boxes import Box, middles_of
from corpuscle.data.sources.disk import Listing, absolute, listing, suffix_of
from corpuscle.data.sources.folders import PARTS
from corpuscle.data.sources.found import Found
from corpuscle.data.sources.plan import SourcePlan
from corpuscle.data.sources.sizes import in_threads, sizes_of
from corpuscle.data.table import COLUMNS

XMLS, IMAGES, SETS = "Annotations", "JPEGImages", "ImageSets/Main"
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


def scan_voc(path: Path, plan: SourcePlan) -> Found:
    """One row per image with an XML file; the lists of ImageSets/Main are its parts, if each image is in one."""
    root = absolute(path)
    notes: list[str] = []
    faults: list[Fault] = []
    pairs = _pairs(root, faults)
    sheets = in_threads(lambda pair: _read(root / XMLS / pair[0], f"{IMAGES}/{pair[1]}"), list(pairs.items()))
    images = [f"{IMAGES}/{image}" for image in pairs.values()]
    sizes = dict(zip(images, sizes_of([root / image for image in images]), strict=True))
    for image, name, sheet in zip(images, pairs, sheets, strict=True):
        faults += sheet.faults
        size = sizes[image]
        if size and sheet.size and size != sheet.size:
            what = f"was drawn on {sheet.size[0]} x {sheet.size[1]} pixels, {image} is {size[0]} x {size[1]}"
            faults.append(Fault(f"{XMLS}/{name}", what, "draw the boxes on this image, or restore the other"))
    boxes = [box for sheet in sheets for box in sheet.boxes]
    points = middles_of(boxes, sizes, plan, notes, faults)
    parts = _parts(root, {Path(image).stem for image in images}, notes)
    rows = [
        (image, None, None, parts.get(Path(image).stem), f"{XMLS}/{name}", None)
        for image, name in zip(images, pairs, strict=True)
    ]
    frame = pl.DataFrame(rows, schema=COLUMNS, orient="row")
    return Found(frame, root, tuple(notes), tuple(faults), points)


def boxes_of(file: Path, image: str) -> tuple[Box, ...]:
    """The boxes of one XML file that are sound, for an image; none where the file cannot be read."""
    return _read(file, image).boxes


def _pairs(root: Path, faults: list[Fault]) -> Mapping[str, str]:
    """Each XML file to its image; a fault for each of either that stands alone."""
    images: dict[str, list[str]] = {}
    for name in listing(root / IMAGES).images:
        images.setdefault(Path(name).stem, []).append(name)
    sheets = [name for name in listing(root / XMLS).files if suffix_of(name) == ".xml"]
    for name in sheets:
        ours = images.get(Path(name).stem, [])
        if len(ours) != 1:
            what = f"could belong to {' or '.join(ours)}" if ours else f"has no image of its name in {IMAGES}"
            faults.append(Fault(f"{XMLS}/{name}", what, "put one image of that name there, or remove the file"))
    for stem in sorted(images.keys() - {Path(name).stem for name in sheets}):
        remedy = "add it, without an object if the image holds none, or remove the image"
        faults.append(Fault(f"{IMAGES}/{images[stem][0]}", f"has no {XMLS}/{stem}.xml", remedy))
    return {name: images[Path(name).stem][0] for name in sheets if len(images.get(Path(name).stem, ())) == 1}


def _read(file: Path, image: str) -> _Sheet:
    where = f"{XMLS}/{file.name}"
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
            boxes.append(Box(image, kind, left, top_, right, bottom, said, place))
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
