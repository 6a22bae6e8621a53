"""Where the images lie that one file of annotations tells of, and which of several files is of which part."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from corpuscle.data.annotations.record import PART_OF, Part
from corpuscle.data.annotations.sheets import path_from
from corpuscle.data.sources.disk import listing
from corpuscle.data.sources.folders import PARTS
from corpuscle.data.sources.plan import SourcePlan
from corpuscle.data.sources.resolve import resolve


def part_in(name: str) -> Part | None:
    """The part that a file or a folder is named after.

    >>> part_in("instances_train2017.json"), part_in("valid"), part_in("notes.json")
    ('train', 'val', None)
    """
    words = re.findall(r"[a-z]+", name.lower())
    return next((PART_OF[PARTS[word]] for word in words if word in PARTS), None)


def places_of(
    names: Sequence[str], splits: Sequence[Part | None], file: Path, root: Path, plan: SourcePlan
) -> list[str | None]:
    """The path from the root of each image that a file names; None for those that are not there.

    They are looked for in `data.root` alone where it is given; else in the root, beside the file, in folders named
    after their part, and in all other folders of the root and of its folder `images`, the first that has it.

    Args:
        names: as the file calls them.
        splits: the part of each.
        file: the annotations.
        root: where paths start.
        plan: says the root and the suffix, where the user does.
    """
    places: list[str | None] = [None] * len(names)
    for split in dict.fromkeys(splits):
        for base in [root] if plan.root else dict.fromkeys(_bases(file, root, split)):
            asked = [at for at, own in enumerate(splits) if own == split and places[at] is None]
            if not asked:
                break
            series = pl.Series("image", [names[at] for at in asked], pl.String)
            found = resolve(series, base, base, plan.image_suffix)["image"].to_list()
            for at, image in zip(asked, found, strict=True):
                places[at] = None if image is None else path_from(root, base / image)
    return places


def _bases(file: Path, root: Path, split: Part | None) -> Iterator[Path]:
    yield from (root, file.parent)
    inside = [root / name for name in listing(root).folders]
    inside += [folder / name for folder in inside if folder.name == "images" for name in listing(folder).folders]
    if split:
        yield from (folder for folder in inside if part_in(folder.name) == split)
    yield from (folder for folder in inside if split is None or part_in(folder.name) in (None, split))
