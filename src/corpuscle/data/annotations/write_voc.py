"""Pascal VOC: boxes in whole pixels, counted from 1, their last pixel within them."""

from __future__ import annotations

import math
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree as Xml

from corpuscle.data.annotations.record import Annotations, Marked, Shape
from corpuscle.data.annotations.voc import SETS, SIDES, XMLS

TOLD = 0.01  # pixels; what is moved by less is not said


def write_voc(annotations: Annotations, folder: Path) -> tuple[str, ...]:
    """An XML file an image, and the lists of the parts; a note where boxes did not lie on whole pixels."""
    parts: dict[str, list[str]] = {}
    between = thin = 0
    (folder / XMLS).mkdir(parents=True)
    for image in annotations.images:
        stem = PurePosixPath(image.image).stem
        if image.split:
            parts.setdefault(image.split, []).append(stem)
        top = _sheet(image)
        for shape in image.shapes:
            edges = _whole(shape)
            between += math.dist(edges, shape.box) > TOLD
            thin += 1 in (edges[2] - edges[0], edges[3] - edges[1])
            top.append(_object(shape, edges))
        tree = Xml.ElementTree(top)
        Xml.indent(tree)
        tree.write(folder / XMLS / f"{stem}.xml", encoding="utf-8", xml_declaration=True)
    for part, stems in parts.items():
        (folder / SETS).mkdir(parents=True, exist_ok=True)
        (folder / SETS / f"{part}.txt").write_text("".join(f"{stem}\n" for stem in stems), encoding="utf-8")
    told = {"rounded to whole pixels": between, "a single pixel wide or high, which reads as no area": thin}
    return tuple(f"boxes {what}: {number}" for what, number in told.items() if number)


def _sheet(image: Marked) -> Xml.Element:
    """What is said of an image before its objects."""
    top = Xml.Element("annotation")
    folder, _, name = image.image.rpartition("/")
    Xml.SubElement(top, "folder").text = folder
    Xml.SubElement(top, "filename").text = name
    size = Xml.SubElement(top, "size")
    for side, number in (("width", image.width), ("height", image.height), ("depth", 3)):
        Xml.SubElement(size, side).text = str(number)
    Xml.SubElement(top, "segmented").text = "0"
    return top


def _object(shape: Shape, edges: tuple[int, int, int, int]) -> Xml.Element:
    top = Xml.Element("object")
    told = {"name": shape.label, "pose": "Unspecified", "truncated": "0", "difficult": str(int(shape.difficult))}
    for name, word in told.items():
        Xml.SubElement(top, name).text = word
    box = Xml.SubElement(top, "bndbox")
    left, top_, right, bottom = edges
    for side, edge in zip(SIDES, (left + 1, top_ + 1, right, bottom), strict=True):
        Xml.SubElement(box, side).text = str(edge)
    return top


def _whole(shape: Shape) -> tuple[int, int, int, int]:
    """The edges of a box between whole pixels, at least one apart."""
    left, top, right, bottom = (math.floor(edge + 0.5) for edge in shape.box)
    return left, top, max(right, left + 1), max(bottom, top + 1)
