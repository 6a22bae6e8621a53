"""One thing that is wrong with a data set, or looks so: what it is, which images it concerns, and what to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Weight = Literal["fault", "warning", "note"]
Action = Literal["leave out", "keep together", "look"]


@dataclass(frozen=True)
class Kind:
    """A sort of finding.

    Attributes:
        title: what a reader is told it is, as a heading.
        weight: a fault must be mended or is left out; a warning must be looked at; a note is for information.
        action: what a training does about it: leave the images out, keep them in one part of a split, or nothing but
            show them.
    """

    title: str
    weight: Weight
    action: Action

    @property
    def words(self) -> str:
        """The title within a sentence."""
        return self.title[:1].lower() + self.title[1:]


KINDS: dict[str, Kind] = {
    "unreadable": Kind("Images that cannot be read", "fault", "leave out"),
    "mask": Kind("Masks that do not fit", "fault", "leave out"),
    "suffix": Kind("Files whose name tells another format than their content", "warning", "look"),
    "mode": Kind("Images of another mode than the rest", "warning", "look"),
    "size": Kind("Images of another size than the rest", "warning", "look"),
    "blank": Kind("Blank images", "warning", "leave out"),
    "blurred": Kind("Blurred images", "warning", "look"),
    "dark": Kind("Images too dark", "warning", "look"),
    "bright": Kind("Images too bright", "warning", "look"),
    "letterboxed": Kind("Images with bars around them", "warning", "look"),
    "empty mask": Kind("Masks without an object", "note", "look"),
    "same mask": Kind("Different images with the same mask", "warning", "look"),
    "tiny class": Kind("Classes with very few images", "warning", "look"),
    "label spelling": Kind("Labels that differ by case or a space", "warning", "look"),
    "path spelling": Kind("Paths that differ by case or Unicode form", "warning", "look"),
    "copies": Kind("Images with identical pixels", "warning", "keep together"),
    "copies disagree": Kind("Copies with different labels", "fault", "leave out"),
    "near-copies": Kind("Images that are nearly the same", "warning", "keep together"),
    "near-copies disagree": Kind("Near-copies with different labels", "fault", "keep together"),
    "overlaps": Kind("Images that show some of the same field", "warning", "keep together"),
    "group leak": Kind("Groups on two sides of a split", "fault", "look"),
    "copy leak": Kind("Copies on two sides of a split", "fault", "look"),
    "near-copy leak": Kind("Near-copies on two sides of a split", "fault", "look"),
    "overlap leak": Kind("Overlapping images on two sides of a split", "fault", "look"),
    "likely groups": Kind("Images that may belong together", "warning", "look"),
    "shortcut": Kind("Something other than the picture tells the class", "warning", "look"),
    "label error": Kind("Labels that may be wrong", "warning", "look"),
    "indivisible": Kind("Cannot be divided into parts", "fault", "look"),
}


@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes:
        kind: key of `KINDS`.
        what: one line, the images and values in it.
        remedy: what to do.
        images: those it concerns, as the table names them.
        values: what was measured, plain values for JSON.
    """

    kind: str
    what: str
    remedy: str
    images: tuple[str, ...] = ()
    values: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.what}; {self.remedy}"

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        sort = KINDS[self.kind]
        said = {"kind": self.kind, "weight": sort.weight, "action": sort.action, "what": self.what}
        return said | {"remedy": self.remedy, "images": list(self.images), "values": self.values}
