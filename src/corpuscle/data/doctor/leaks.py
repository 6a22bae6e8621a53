"""What must not be on two sides of a split: groups, images with identical pixels, near-copies, and overlaps."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from corpuscle.data.splits import PARTS, in_parts

if TYPE_CHECKING:
    from corpuscle.data.table import Table

SHARE = {
    "pixels": "hold the same pixels",
    "near-copy": "are nearly the same",
    "overlap": "show some of the same field",
}  # what images of a leak do, by its kind


@dataclass(frozen=True)
class Leak:
    """What parts of a split share.

    Attributes:
        kind: the same group, the same pixels, nearly the same picture, or some of the same field.
        names: the group's name, or the images that share pixels, picture or field.
        parts: part to the number of images that are in it.
    """

    kind: Literal["group", "pixels", "near-copy", "overlap"]
    names: tuple[str, ...]
    parts: Mapping[str, int]

    def __str__(self) -> str:
        if self.kind == "group":
            return f"group {self.names[0]} is in {in_parts(self.parts)}"
        more = f" and {len(self.names) - 2} more" if len(self.names) > 2 else ""
        return f"{' and '.join(self.names[:2])}{more} {SHARE[self.kind]} in {in_parts(self.parts)}"


@dataclass(frozen=True)
class Copies:
    """Images with identical pixels.

    Attributes:
        same: each set of images that are copies of one another, in name order.
        disagreeing: those of the sets whose images have different labels.
    """

    same: tuple[tuple[str, ...], ...]
    disagreeing: tuple[tuple[str, ...], ...]


def find_leaks(
    table: Table,
    content: Mapping[str, str] | None = None,
    near: Iterable[Sequence[str]] = (),
    overlapping: Iterable[Sequence[str]] = (),
) -> tuple[Leak, ...]:
    """What train, val and test share: groups first, then pixels, near-copies and overlaps, each in name order.

    Args:
        table: rows with their split.
        content: image to the digest of its pixels; leave it out to look at groups alone.
        near: groups of near-copies, `NearCopies.groups`.
        overlapping: groups of overlapping images, `Overlaps.groups`.
    """
    by_group: dict[str, Counter[str]] = defaultdict(Counter)
    by_pixels: dict[str, dict[str, str]] = defaultdict(dict)
    part_of: dict[str, str] = {}
    for image, group, part in table.frame.select("image", "group", "split").sort("image").iter_rows():
        if part not in PARTS:
            continue
        part_of[image] = part
        if group is not None:
            by_group[group][part] += 1
        if content and image in content:
            by_pixels[content[image]][image] = part
    groups = [Leak("group", (name,), parts) for name, parts in sorted(by_group.items()) if len(parts) > 1]
    pixels = [
        Leak("pixels", tuple(images), Counter(images.values()))
        for images in by_pixels.values()
        if len(set(images.values())) > 1
    ]
    torn = _torn(near, "near-copy", part_of), _torn(overlapping, "overlap", part_of)
    by_name = (sorted(leaks, key=lambda leak: leak.names) for leaks in (pixels, *torn))
    return (*groups, *(leak for leaks in by_name for leak in leaks))


def _torn(
    sets: Iterable[Sequence[str]], kind: Literal["near-copy", "overlap"], part_of: Mapping[str, str]
) -> list[Leak]:
    """The sets of images that are in several parts."""
    inside = ({image: part_of[image] for image in images if image in part_of} for images in sets)
    return [Leak(kind, tuple(parts), Counter(parts.values())) for parts in inside if len(set(parts.values())) > 1]


def leak_message(leaks: Sequence[Leak]) -> str:
    """One line that names the first leak of each kind, counts the others and says what to do.

    >>> leak_message([Leak("group", (name,), {"train": 2, "test": 1}) for name in ("1034", "1035")])[:83]
    'split leaks: group 1034 is in train (2 images) and test (1 image), and 1 more group'
    """
    told = []
    words = {
        "group": ("group", "groups"),
        "pixels": ("set of copies", "sets of copies"),
        "near-copy": ("set of near-copies", "sets of near-copies"),
        "overlap": ("set of overlapping images", "sets of overlapping images"),
    }
    for kind, (one, many) in words.items():
        found = [leak for leak in leaks if leak.kind == kind]
        if found:
            more = len(found) - 1
            told.append(str(found[0]) + (f", and {more} more {one if more == 1 else many}" if more else ""))
    remedy = "divide it with corpuscle split --anew, or pass --set guard.allow_leaks=true"
    return f"split leaks: {'; '.join(told)}; {remedy}"


def find_copies(content: Mapping[str, str], labels: Mapping[str, str | None]) -> Copies:
    """The images with identical pixels, and those of them that disagree on the label.

    >>> find_copies({"a": "0f", "b": "0f", "c": "11"}, {"a": "ig", "b": "monocyte", "c": "ig"}).disagreeing
    (('a', 'b'),)
    """
    by_pixels = defaultdict(list)
    for image in sorted(content):
        by_pixels[content[image]].append(image)
    same = tuple(sorted(tuple(images) for images in by_pixels.values() if len(images) > 1))
    return Copies(same, tuple(images for images in same if len({labels.get(image) for image in images} - {None}) > 1))
