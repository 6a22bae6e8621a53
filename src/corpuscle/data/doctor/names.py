"""What names alone tell: labels and paths that are the same to a reader or to another machine, and tiny classes."""

from __future__ import annotations

import re
import statistics
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

import polars as pl

from corpuscle.data.doctor.finding import Finding
from corpuscle.data.table import Table

TINY = 10  # images of a class, fewer than which give no score of their own
BETWEEN = r"(?<=[^\W\d_])[\s_-]+(?=[^\W\d_])"  # what separates letters; between numbers, or at an end, it may mean much


def name_faults(table: Table) -> list[Finding]:
    """Names that differ by their spelling alone, and classes with very few images; opens no image.

    Args:
        table: of any kind; of masks the classes count once their pixels are known.
    """
    held = _held(table)
    counted = dict(held["label"].value_counts().rows())
    classes = table.classes[1:] if table.segmented else table.classes  # without the background
    number_of = {name: counted.get(name, 0) for name in classes}
    return [*_labels(held, number_of), *_tiny(held, number_of), *_paths(table.frame["image"])]


def plain(label: str) -> str:
    """A label without case, compatibility forms, and what separates its words.

    >>> plain("Immature_IG "), plain("immatureＩＧ"), plain("grade 1-2"), plain("CD4-")
    ('immatureig', 'immatureig', 'grade 1-2', 'cd4-')
    """
    folded = unicodedata.normalize("NFKC", label).casefold()
    return " ".join(re.sub(BETWEEN, "", unicodedata.normalize("NFKC", folded)).split())


def _held(table: Table) -> pl.DataFrame:
    """A row for each class that an image is of, or shows."""
    column = "counts" if table.counted else "pixels" if table.segmented else "label"
    if column == "label":
        return table.frame.select("image", "label").drop_nulls()
    if column not in table.frame.columns:
        return pl.DataFrame(schema={"image": pl.String, "label": pl.String})
    shows = [
        table.frame.filter(pl.col(column).list.get(number) > 0).select("image", label=pl.lit(name))
        for number, name in enumerate(table.classes)
    ]
    return pl.concat(shows)


def _labels(held: pl.DataFrame, number_of: dict[str, int]) -> Iterator[Finding]:
    for labels in _alike(number_of, plain):
        told = ", ".join(f"'{label}' ({number_of[label]})" for label in labels)
        rarer = sorted(labels, key=lambda label: number_of[label])[:-1]
        some = held.filter(pl.col("label").is_in(rarer))["image"]
        remedy = "write them alike, or with more difference"
        values = {"labels": {label: number_of[label] for label in labels}}
        yield Finding("label spelling", f"labels {told} differ by their spelling alone", remedy, tuple(some), values)


def _tiny(held: pl.DataFrame, number_of: dict[str, int]) -> Iterator[Finding]:
    """Classes with few images that have less than half as many as is usual: where all are small, everybody sees it."""
    usual = statistics.median(number_of.values()) if held.height else 0
    for name, number in number_of.items():
        if number < min(TINY, usual / 2):
            some = tuple(held.filter(pl.col("label") == name)["image"])
            what = f"class {name}: {number} image{'s' * (number != 1)}, the median class has {usual:g}"
            values = {"class": name, "images": number, "median": usual}
            yield Finding("tiny class", what, "add images, or merge it with another", some, values)


def _paths(images: pl.Series) -> Iterator[Finding]:
    """Files and folders that other systems take for one: those that know no case, or one form of Unicode."""
    folders = {parent for image in images.str.extract(r"^(.*)/[^/]*$").drop_nulls().unique() for parent in _up(image)}
    for names in _alike([*sorted(folders), *_doubled(images)], _place):
        first = {name.rpartition("/")[0] for name in names}
        if len(first) == len(names):  # the folders they lie in are told already
            continue
        told = " and ".join(f"'{name}'" for name in names)
        how = "case" if len({name.casefold() for name in names}) == 1 else "the form of Unicode"
        what = f"{told} differ by {how} alone"
        some = tuple(image for image in names if image not in folders)
        remedy = "rename all but one: other systems take them for the same"
        yield Finding("path spelling", what, remedy, some, {"paths": list(names)})


def _doubled(images: pl.Series) -> Iterable[str]:
    """The paths that are not alone, quickly: a million of them are compared in a second."""
    key = images.str.normalize("NFC").str.to_lowercase()
    return images.filter(key.is_duplicated())


def _up(folder: str) -> Iterator[str]:
    """A folder and all that it lies in.

    >>> list(_up("a/b/c"))
    ['a', 'a/b', 'a/b/c']
    """
    parts = folder.split("/")
    for depth in range(1, len(parts) + 1):
        yield "/".join(parts[:depth])


def _place(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _alike(names: Iterable[str], key: Callable[[str], str]) -> Iterator[tuple[str, ...]]:
    """Sets of different names that are the same by their key, in name order."""
    same: dict[str, set[str]] = defaultdict(set)
    for name in names:
        same[key(name)].add(name)
    return (tuple(sorted(some)) for _, some in sorted(same.items()) if len(some) > 1)
