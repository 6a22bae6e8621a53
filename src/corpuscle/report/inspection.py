"""The page of a look at a data set: what was found, with the pictures it concerns, in one file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from corpuscle.core.files import write_text
from corpuscle.data.doctor.finding import KINDS, Action, Finding, Kind
from corpuscle.data.doctor.inspection import Inspection
from corpuscle.data.fingerprint import class_counts, sizes
from corpuscle.data.splits import PARTS, counted
from corpuscle.data.table import Table
from corpuscle.report import figures
from corpuscle.report.page import as_markup, render
from corpuscle.report.part import in_words
from corpuscle.report.pictures import Read, eight_bits, jpeg_uri

SIDE = 160  # pixels of a picture's longer side
PICTURES = 20  # of a kind; what has no more room is counted
OF_ONE = 5  # pictures of a finding that concerns several images
LINES = 60  # findings of a kind
DONE: dict[Action, str] = {
    "leave out": "a training leaves them out, and so does --fix",
    "keep together": "a training keeps them in one part of a split; --fix makes them a group",
    "look": "nothing is done: look at them",
}
DONE_OF = {
    **dict.fromkeys(("unreadable", "mask"), "left out by --fix, and by a training unless they are many: then it stops"),
    "label spelling": "a training stops where only case or spaces differ; --fix takes the commonest",
    "copies": "a training keeps them in one part of a split; --fix keeps one of them",
    **dict.fromkeys(("group leak", "near-copy leak"), "a training stops; --fix puts each group in one part"),
    "overlaps": "a training with guard.overlaps=together keeps them in one part of a split; --fix makes them a group",
    "overlap leak": "a training with guard.overlaps=together stops; --fix puts each group in one part",
    "copy leak": "a training stops; --fix keeps one of them",
    "indivisible": "a training stops",
}  # by kind, where the action does not say it


@dataclass(frozen=True)
class Card:
    """One picture.

    Attributes:
        image: as the table names it.
        uri: the picture as a data URI, None where it cannot be read.
        known: its label or count, part and group, as far as there are any.
    """

    image: str
    uri: str | None
    known: str

    @property
    def file(self) -> str:
        """The image's file name without its folders."""
        return self.image.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Shown:
    """A finding with its pictures, and how many more it has."""

    finding: Finding
    cards: tuple[Card, ...]
    more: int

    @property
    def said(self) -> str:
        """What was found, without the name of the image that stands below its picture anyway."""
        return self.finding.what.removeprefix(self.finding.images[0]).lstrip(": ")


@dataclass(frozen=True)
class Block:
    """The findings of a kind.

    Attributes:
        name, kind: of them.
        number: how many there are.
        shown: the first of them.
        alone: whether each concerns one image, so that their pictures stand in one gallery.
        remedy: what to do, where it is the same for all.
    """

    name: str
    kind: Kind
    number: int
    shown: tuple[Shown, ...]
    alone: bool
    remedy: str

    @property
    def anchor(self) -> str:
        """Where the page's links find it."""
        return self.name.replace(" ", "-")

    @property
    def done(self) -> str:
        """What is done about such findings."""
        return DONE_OF.get(self.name, DONE[self.kind.action])


def write_inspection(found: Inspection, page: Path, title: str, read: Read) -> Path:
    """Write the page of an inspection; it needs no other file and no network.

    Args:
        found: with its findings.
        page: the file.
        title: what the data set is called.
        read: how an image becomes pixels; it gets the data's root with the image's name.

    Raises:
        CorpuscleError: the page cannot be written.
    """
    drawn = {}
    if not (found.table.counted or found.table.segmented) and found.table.classes:
        counts = class_counts(found.table)
        parts = {part for number in counts.values() for part in number}
        drawn["classes"] = figures.class_counts(counts, in_words(parts))
    content = render(
        "inspection.html.j2",
        title,
        found=found,
        table=found.table,
        verdict=verdict(found),
        tiles=tiles(found),
        sizes=sizes(found.seen) if found.seen is not None else None,
        blocks=blocks(found, read),
        figures=as_markup(drawn),
        split=found.table.frame["split"].is_in(PARTS).any(),
    )
    write_text(page, content)
    return page


def verdict(found: Inspection) -> str:
    """What the look amounts to, in a sentence."""
    weights = Counter(KINDS[finding.kind].weight for finding in found.findings)
    told = [counted(weights[weight], weight) for weight in ("fault", "warning") if weights[weight]]
    if not told:
        return "Nothing was found that a person should look at."
    return f"{' and '.join(told)[0].upper()}{' and '.join(told)[1:]} in {counted(len(found.table), 'image')}."


def tiles(found: Inspection) -> dict[str, tuple[str, str]]:
    """The numbers at the head of the page: title to number and what stands below it."""
    frame, number = found.table.frame, Counter(finding.kind for finding in found.findings)
    groups = frame["group"].drop_nulls().n_unique()
    together = "kept together" if groups else "nothing says what belongs together"
    return {
        "Images": (f"{len(frame):,}", found.table.layout),
        "Kinds" if found.table.counted else "Classes": (str(len(found.table.classes)), _some(found.table.classes)),
        "Groups": (f"{groups:,}" if groups else "none", together),
        "Findings": (f"{len(found.findings):,}", f"of {counted(len(number), 'kind')}"),
    }


def blocks(found: Inspection, read: Read) -> list[Block]:
    """The findings by kind, the first of each with their pictures."""
    known = _known(found.table)
    uris: dict[str, str | None] = {}

    def card(image: str) -> Card:
        if image not in uris:
            array_HWC = eight_bits(found.table.path_of(image), read)
            uris[image] = None if array_HWC is None else jpeg_uri(array_HWC, SIDE)
        return Card(image, uris[image], known.get(image, ""))

    made = []
    for name, kind in KINDS.items():
        findings = found.of(name)
        if not findings:
            continue
        remedies = {finding.remedy for finding in findings}
        shown: list[Shown] = []
        for finding in findings[:LINES]:
            if sum(len(one.cards) for one in shown) >= PICTURES:
                break
            cards = tuple(map(card, finding.images[:OF_ONE]))
            shown.append(Shown(finding, cards, max(len(finding.images) - OF_ONE, 0)))
        alone = all(len(finding.images) == 1 and finding.what.startswith(finding.images[0]) for finding in findings)
        made.append(Block(name, kind, len(findings), tuple(shown), alone, remedies.pop() if len(remedies) == 1 else ""))
    return made


def _known(table: Table) -> dict[str, str]:
    """Image to its label or count, its part and its group, as far as there are any."""
    columns = [table.frame["image"], table.truth, table.frame["split"], table.frame["group"]]
    return {image: " · ".join(word for word in words if word) for image, *words in pl.DataFrame(columns).rows()}


def _some(names: Sequence[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")
