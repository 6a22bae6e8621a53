"""Folders of images beside a table, and the images there that its rows name without their folder."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import polars as pl

from corpuscle.core.errors import CorpuscleError
from corpuscle.data.sources.disk import listing
from corpuscle.data.sources.folders import PARTS
from corpuscle.data.sources.resolve import resolve

DEEP = 2  # folders between the table and the images
MOST = 64  # folders that are looked into
WORDS = PARTS | {"submission": "test"}
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")


def image_folders(base: Path) -> list[str]:
    """The folders below a place that hold images, and those above them, as `jpeg/` and `jpeg/train/`; sorted."""
    found: set[str] = set()
    waiting = [""]
    for prefix in waiting:
        inside = None
        with contextlib.suppress(CorpuscleError):  # one that may not be listed holds nothing for us
            inside = listing(base / prefix)
        if inside is None:
            continue
        if prefix and inside.images:
            pieces = prefix.split("/")
            found |= {"/".join([*pieces[:depth], ""]) for depth in range(1, len(pieces))}
        if prefix.count("/") < DEEP:
            waiting += [f"{prefix}{name}/" for name in inside.folders][: MOST - len(waiting)]
    return sorted(found)


def part_of(name: str) -> str | None:
    """The part of a data set that a file or folder is named for, by any of its words, the last first.

    What a challenge wants to be filled in is about its test.

    >>> part_of("stage_1_train_images/"), part_of("trainLabels"), part_of("jpeg/test/"), part_of("images/")
    ('train', 'train', 'test', None)
    """
    words = [word.lower() for word in WORD.findall(name)]
    return next((WORDS[word] for word in reversed(words) if word in WORDS), None)


def found_beside(names: pl.Series, base: Path, root: Path, image_suffix: str | None, part: str | None) -> pl.DataFrame:
    """What `resolve` says of names that are looked for in the folders of images beside their table.

    Folders that are named for the table's part come first, those of other parts last; a table of no part is taken for
    one of train. A name that means images in several folders has these as `choices`.
    """
    names = names.str.strip_chars().str.replace_all("\\", "/", literal=True).str.replace(r"^(?:[A-Za-z]:)?/.*/", "")
    folders = image_folders(base)
    ours = part or "train"
    tiers = [[folder for folder in folders if _rank(folder, ours) == rank] for rank in range(3)]
    found = resolve(names, base, root, image_suffix, ())
    for tier in tiers:
        lost = found.with_row_index("place").filter(pl.col("image").is_null(), pl.col("choices").is_null())
        if len(lost) and tier:
            more = resolve(names.gather(lost["place"]), base, root, image_suffix, tier).with_columns(lost["place"])
            found = found.with_row_index("place").update(more, on="place").drop("place")
    return found.with_columns(how=pl.when(pl.col("how").is_not_null()).then(pl.lit("beside")))


def _rank(folder: str, ours: str) -> int:
    theirs = part_of(folder)
    return 0 if theirs == ours else 2 if theirs else 1
