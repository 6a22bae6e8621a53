"""Shapes as CVAT imports them: one XML file, CVAT for images 1.1."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as Xml

from corpuscle.core.legend import colours_for
from corpuscle.data.annotations.record import Annotations, Marked, Ring, Shape
from corpuscle.data.annotations.rings import DECIMALS

FILE, IMAGES = "annotations.xml", "images"
TAGS = {"box": "box", "polygon": "polygon", "point": "points"}


def write_cvat(annotations: Annotations, folder: Path) -> tuple[str, ...]:
    """The classes as labels, and the shapes of all images; the part is the subset."""
    top = Xml.Element("annotations")
    Xml.SubElement(top, "version").text = "1.1"
    labels = Xml.SubElement(Xml.SubElement(Xml.SubElement(top, "meta"), "task"), "labels")
    for name, colour in zip(annotations.classes, colours_for(annotations.classes), strict=True):
        label = Xml.SubElement(labels, "label")
        Xml.SubElement(label, "name").text = name
        Xml.SubElement(label, "color").text = "#{:02x}{:02x}{:02x}".format(*colour)
        Xml.SubElement(label, "attributes")
    for number, one in enumerate(annotations.images):
        top.append(_image(number, one))
    Xml.indent(top)
    Xml.ElementTree(top).write(folder / FILE, encoding="utf-8", xml_declaration=True)
    return ()


def _image(number: int, one: Marked) -> Xml.Element:
    numbers: dict[int, int] = {}
    told = {
        "id": str(number),
        "name": one.image.removeprefix(f"{IMAGES}/"),
        "width": str(one.width),
        "height": str(one.height),
    }
    image = Xml.Element("image", told | ({"subset": one.split} if one.split else {}))
    for shape in one.shapes:
        drawn = {"label": shape.label, "source": "manual", "occluded": "0"} | _places(shape)
        group = {}
        if shape.instance is not None:
            group = {"group_id": str(numbers.setdefault(shape.instance, len(numbers) + 1))}
        Xml.SubElement(image, TAGS[shape.kind], drawn | {"z_order": "0"} | group)
    return image


def _places(shape: Shape) -> dict[str, str]:
    if shape.kind == "box":
        return dict(zip(("xtl", "ytl", "xbr", "ybr"), map(_shown, shape.box), strict=True))
    return {"points": _pairs(shape.xy)}


def _pairs(ring: Ring) -> str:
    return ";".join(f"{_shown(x)},{_shown(y)}" for x, y in ring)


def _shown(value: float) -> str:
    return f"{value:.{DECIMALS}f}"
