"""What the numbers of a mask mean, and the colours they are drawn in."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Colour = tuple[int, int, int]

BACKGROUND = "background"
IGNORED = 255
"""Class number of pixels that are neither learned nor judged."""

GOLDEN = 0.618034  # turns of the hue by it never come near one another


@dataclass(frozen=True)
class Legend:
    """The classes of masks.

    Attributes:
        classes: names; the place of a class is its number in a mask that has been read, 0 is the background.
        number_of: grey value, palette index or colour in the files, or label of an area that is drawn, to the number of
            the class; several may share one.
        colours: red, green and blue of each class where it is drawn.
    """

    classes: tuple[str, ...]
    number_of: Mapping[int | Colour | str, int]
    colours: tuple[Colour, ...]


def as_plain(legend: Legend) -> dict[str, Any]:
    """The legend as plain JSON; `from_plain` reads it."""
    values = [[list(value) if isinstance(value, tuple) else value, k] for value, k in legend.number_of.items()]
    return {"classes": list(legend.classes), "colours": [list(one) for one in legend.colours], "values": values}


def from_plain(content: Mapping[str, Any]) -> Legend:
    """The legend that `as_plain` wrote."""
    number_of = {tuple(value) if isinstance(value, list) else value: k for value, k in content["values"]}
    return Legend(tuple(content["classes"]), number_of, tuple(tuple(one) for one in content["colours"]))


def colours_for(classes: Sequence[str]) -> tuple[Colour, ...]:
    """A colour for each class: the smear's where it has the name, black for the background, else one of its own.

    >>> colours_for(["background", "nucleus", "monocyte"])[::2]
    ((0, 0, 0), (0, 0, 128))
    """
    known = dict(zip(SMEAR.classes, SMEAR.colours, strict=True))
    return tuple(known.get(name) or _spread(place) for place, name in enumerate(classes))


def _spread(place: int) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(place * GOLDEN % 1, 0.75, 0.95)
    return round(255 * red), round(255 * green), round(255 * blue)


def _smear() -> Legend:
    colours = {
        BACKGROUND: (0, 0, 0),
        "eosinophil": (0, 255, 255),
        "basophil": (0, 128, 128),
        "neutrophil": (251, 190, 190),
        "lymphocyte": (128, 128, 0),
        "monocyte": (0, 0, 128),
        "thrombocyte": (255, 255, 0),
        "platelet clump": (255, 0, 255),
        "infected RBC": (255, 0, 0),
        "healthy RBC": (0, 128, 0),
    }
    number_of: dict[int | Colour | str, int] = {place: place for place in range(len(colours))}
    number_of |= {colour: place for place, colour in enumerate(colours.values())}
    return Legend(tuple(colours), number_of, tuple(colours.values()))


SMEAR = _smear()
"""A blood smear in ten classes."""
