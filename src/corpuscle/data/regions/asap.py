"""Annotations of ASAP, as Camelyon16 and Camelyon17 ship them."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from corpuscle.core.errors import Fault
from corpuscle.data.regions.region import CLOSED, Drawn, Region, region_of, unreadable

AREAS = ("Polygon", "Spline", "Rectangle")  # of a spline the corners are taken, which ASAP sets close together
NAMELESS = ("None", "")  # what ASAP writes where no group was chosen


def read_asap(path: Path) -> Drawn:
    """The regions of an XML file of ASAP; the layer is the group that each is part of.

    A polygon is closed whether or not its first corner is repeated at the end, as ASAP itself closes it.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except OSError as error:
        return unreadable(path, f"cannot be read ({error.strerror})", "restore it")
    except (ElementTree.ParseError, LookupError, ValueError) as error:  # of an encoding it cannot read
        return unreadable(path, f"is not whole XML ({error})", "export it from ASAP again")
    if root.tag != "ASAP_Annotations":
        what = f"begins with <{root.tag}>, <ASAP_Annotations> was expected"
        return unreadable(path, what, "export it from ASAP, or as GeoJSON from QuPath")
    regions: list[Region] = []
    faults: list[Fault] = []
    for number, element in enumerate(root.iter("Annotation"), start=1):
        where = f"{path}, annotation {element.get('Name') or number}"
        try:
            regions.append(_region(element, where))
        except (TypeError, ValueError) as error:
            reason = "has a corner without two numbers" if "float" in str(error) else str(error)
            faults.append(Fault(where, reason, CLOSED))
    return Drawn(tuple(regions), tuple(faults))


def _region(element: ElementTree.Element, where: str) -> Region:
    kind, group = element.get("Type", ""), element.get("PartOfGroup", "")
    if kind not in AREAS:
        raise ValueError(f"is a {kind or 'thing without a type'}, one of {', '.join(AREAS)} was expected")
    corners = sorted(element.iter("Coordinate"), key=lambda corner: float(corner.get("Order", "0")))
    ring = [[float(corner.get(axis)) for axis in "XY"] for corner in corners]  # type: ignore[arg-type]  # told above
    return region_of("" if group in NAMELESS else group, [ring], where)
