"""From one format of annotations to another: written whole or not at all, and nothing lost without a word."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from corpuscle.core.errors import CorpuscleError, nearest
from corpuscle.core.files import whole_folder
from corpuscle.core.progress import SILENT, Progress
from corpuscle.data.annotations.fitting import WORDS, fitted
from corpuscle.data.annotations.formats import FORMATS, Format, read_annotations
from corpuscle.data.annotations.placing import places_for
from corpuscle.data.annotations.record import Annotations, Kind, Marked
from corpuscle.data.annotations.sound import sound
from corpuscle.data.sources.plan import SourcePlan

How = Literal["copy", "link", "none"]


@dataclass(frozen=True)
class Converted:
    """What was written.

    Attributes:
        folder: where.
        title: the format.
        images: their number.
        objects: of each kind of shape.
        classes: names, in the format's order.
        notes: how the data were understood, and what the format has no room for.
    """

    folder: Path
    title: str
    images: int
    objects: Mapping[Kind, int]
    classes: tuple[str, ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        shown = [f"{number:,} {WORDS[kind] if number != 1 else kind}" for kind, number in self.objects.items()]
        classes = f"{len(self.classes)} class{'es' * (len(self.classes) != 1)}"
        held = " and ".join(shown) or "no shapes"
        images = f"{self.images:,} image{'s' * (self.images != 1)}"
        return f"wrote {images}, {held} of {classes} to {self.folder} ({self.title})"


def convert(path: Path, to: str, out: Path, images: How, plan: SourcePlan, progress: Progress = SILENT) -> Converted:
    """Write the annotations of a data set in another format.

    Args:
        path: whatever holds boxes, outlines, points or masks.
        to: a key of `FORMATS`.
        out: a new or empty folder.
        images: copy them, link them (hard links: one file under two names), or write none.
        plan: what does not show by itself.
        progress: shows how far it is.

    Raises:
        DataFault: everything that is wrong with the data.
        CorpuscleError: no such format, nothing to convert, or a folder that cannot be written.
    """
    if to not in FORMATS:
        raise CorpuscleError(f"'{to}' is no format of annotations; {nearest(to, FORMATS)}")
    found = sound(read_annotations(path, plan, progress), plan)
    return write(found, FORMATS[to], out, images, progress)


def write(
    found: Annotations, target: Format, out: Path, images: How = "copy", progress: Progress = SILENT
) -> Converted:
    """Write annotations in a format, with their images, whole or not at all.

    Raises:
        CorpuscleError: it has no room for any of them, or the folder cannot be written.
    """
    kept, notes = fitted(found, target.holds, target.title)
    places = places_for(kept.images, target.place, target.flat)
    placed = tuple(replace(one, image=place) for one, place in zip(kept.images, places, strict=True))
    with whole_folder(out) as whole:
        if images != "none":
            pairs = [(kept.root / one.image, whole / place) for one, place in zip(kept.images, places, strict=True)]
            for old, new in progress.track(pairs, "images", len(pairs)):
                _bring(old, new, images)
        lost = target.write(replace(kept, images=placed), whole)
    said = (*found.notes, *notes, *lost, *_renamed(kept.images, places))
    if images == "none" and places:
        said = (*said, f"no image was written; put them where the annotations name them, such as {places[0]}")
    objects = Counter(pieces[0].kind for one in placed for pieces in one.objects())
    return Converted(out, target.title, len(placed), objects, kept.classes, said)


def _bring(old: Path, new: Path, how: How) -> None:
    """A copy of an image, or a second name for it."""
    new.parent.mkdir(parents=True, exist_ok=True)
    if how == "copy":
        shutil.copy2(old, new)
        return
    try:
        os.link(old.resolve(), new)
    except OSError as error:
        raise CorpuscleError(
            f"{old} cannot be linked from {new.parent} ({error.strerror}); pass --images copy"
        ) from error


def _renamed(images: Sequence[Marked], places: Sequence[str]) -> tuple[str, ...]:
    """A note where images are not called as they were."""
    pairs = [(one.image, place) for one, place in zip(images, places, strict=True)]
    changed = [(old, new) for old, new in pairs if PurePosixPath(old).name != PurePosixPath(new).name]
    if not changed:
        return ()
    old, new = changed[0]
    return (f"images called otherwise, so that no two are alike: {len(changed)} (first: {old} is now {new})",)
