"""From an image's name in a CSV to the file it means, by listing each folder once."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from corpuscle.core.errors import CorpuscleError
from corpuscle.data.readers.image import IMAGE_SUFFIXES
from corpuscle.data.sources.disk import listing

TILE = r"(#\d+,\d+,\d+@\d+)$"  # of a slide, behind its file's name
ROW = r"(?i)\.(?:h5|hdf5|npz)(#(?:(?:train|val|test)/)?\d+)$"  # of an HDF5 or NPZ file
ABSOLUTE = re.compile(r"^(?:[A-Za-z]:)?/")
SUFFIX = rf"(?i)({'|'.join(sorted(suffix.replace('.', '[.]') for suffix in IMAGE_SUFFIXES))})$"


def resolve(
    names: pl.Series, base: Path, root: Path, image_suffix: str | None, within: Sequence[str] = ("",)
) -> pl.DataFrame:
    """Find the file of each name: as it stands; else by its stem, with a known suffix; else by its number.

    `1` is found as `1.bmp`, then as `001.bmp`; `a.jpg` also as `a.JPG`. Where a PNG lies beside one other image of that
    stem, it is taken for that image's mask. An absolute path to a folder that is not here, as of another machine, is
    looked for by its end.

    Args:
        names: paths as written, with either slash, relative to `base` or absolute.
        base: where relative ones start.
        root: where the paths that are returned start; those outside become absolute.
        image_suffix: suffix of names that have none.
        within: folders below `base` in which each name is looked for, with a slash at their ends.

    Returns:
        A row per name: `image` (null if not found), `how` ("name", "stem", "number", "end"), `masks` (whether a PNG
        was passed over) and `choices` (the file names it could mean, where they are several).
    """
    given = names.rename("given").str.strip_chars().str.replace_all("\\", "/", literal=True)
    inside = given.str.extract(TILE).fill_null(given.str.extract(ROW)).fill_null("")
    asked = given.str.strip_suffix(inside).to_frame().with_row_index("place")
    asked = asked.select(
        "place",
        pl.col("given").str.extract(r"^(.*/)").fill_null("").alias("folder"),
        pl.col("given").str.extract(r"([^/]*)$").alias("name"),
    )
    ends = {folder: end for folder in asked["folder"].unique() if (end := _end_of(folder, base)) is not None}
    moved = asked["folder"].is_in(list(ends))
    asked = asked.with_columns(pl.col("folder").replace(ends))
    folders = asked["folder"].unique(maintain_order=True).to_list()
    files = _files(folders, base, root, within)
    there = asked.join(files, on=["folder", "name"], maintain_order="left")
    there = there.select("place", "way", "prefix", suffix=pl.lit(None, pl.String), file="name", how=pl.lit("name"))
    missing = asked.join(there, on="place", how="anti", maintain_order="left")
    loose = _loose_pairs(missing, files, image_suffix) if len(missing) else there.clear()
    found = asked.select("place").join(
        _one_each(pl.concat([there, loose])), on="place", how="left", maintain_order="left"
    )
    how = pl.when(moved & (pl.col("how") == "name")).then(pl.lit("end")).otherwise("how")
    return found.select(
        image=pl.col("image") + inside, how=how, masks=pl.col("masks").fill_null(False), choices="choices"
    )


def _loose_pairs(missing: pl.DataFrame, files: pl.DataFrame, image_suffix: str | None) -> pl.DataFrame:
    """`place`, `way`, `prefix`, `suffix`, `file`, `how`: each name with the images of its stem, else of its number."""
    images = _with_keys(files).filter(pl.col("suffix").is_not_null()).rename({"name": "file", "suffix": "has"})
    default = f".{image_suffix.lower().lstrip('.')}" if image_suffix else None
    wanted = _with_keys(missing).with_columns(pl.col("suffix").fill_null(pl.lit(default, pl.String)))
    pairs = []
    for key in ("stem", "number"):
        fits = wanted.join(images, on=["folder", key], maintain_order="left")
        fits = fits.filter(pl.col("suffix").is_null() | (pl.col("suffix") == pl.col("has")))
        pairs.append(fits.select("place", "way", "prefix", "suffix", "file", how=pl.lit(key)))
        wanted = wanted.join(fits, on="place", how="anti", maintain_order="left")
    return pl.concat(pairs)


def _one_each(pairs: pl.DataFrame) -> pl.DataFrame:
    """`place`, `image`, `how`, `masks`, `choices`: the file of each name, or those it could mean; masks passed over."""
    is_png = pl.col("file").str.to_lowercase().str.ends_with(".png")
    several = pl.col("place").is_duplicated()
    doubtful = pairs.filter(several)
    others = doubtful.filter(~is_png).select("place").unique()
    asked_for = pl.col("suffix").is_not_null() | (pl.col("how") == "name")
    beside = doubtful.filter(is_png, ~asked_for).join(others, on="place", how="semi")
    clear = pl.concat([pairs.filter(~several), doubtful.join(beside, on=["place", "way", "file"], how="anti")])
    clear = clear.with_columns(masks=pl.col("place").is_in(beside["place"].unique().implode()))
    several = pl.col("place").is_duplicated()
    one = clear.filter(~several).select("place", "how", "masks", image=pl.col("prefix") + pl.col("file"))
    choices = (
        clear.filter(several).group_by("place", "how", "masks").agg(choices=(pl.col("way") + pl.col("file")).sort())
    )
    return pl.concat([one, choices.with_columns(how=pl.lit(None, pl.String))], how="diagonal").select(
        "place", "image", "how", "masks", "choices"
    )


def _with_keys(names: pl.DataFrame) -> pl.DataFrame:
    """With `suffix` (a known one, in small letters, or null), `stem`, and `number` (null unless the stem is digits)."""
    stem = pl.col("name").str.replace(SUFFIX, "")
    return names.with_columns(
        suffix=pl.col("name").str.extract(SUFFIX).str.to_lowercase(),
        stem=stem,
        number=stem.str.extract(r"^0*(\d+)$"),
    )


def _end_of(folder: str, base: Path) -> str | None:
    """The end of an absolute path that is a folder below `base`; None where the path is there itself, or relative."""
    if not ABSOLUTE.match(folder) or os.path.isdir(folder):  # noqa: PTH112 (one of 100,000 folders)
        return None
    pieces = folder.strip("/").split("/")
    ends = ("/".join([*pieces[start:], ""]) for start in range(1, len(pieces) + 1))
    return next(end for end in ends if (base / end).is_dir())


def _prefix(folder: str, base: Path, root: Path) -> str:
    """What goes before a file's name to make its path from `root`, or its absolute one."""
    whole, start = os.path.join(_place(folder, base), ""), os.path.join(root, "")  # noqa: PTH118 (keeps the last slash)
    return whole.removeprefix(start)


def _place(folder: str, base: Path) -> str:
    return os.path.normpath(base / folder)


def _files(folders: Sequence[str], base: Path, root: Path, within: Sequence[str]) -> pl.DataFrame:
    """`folder`, `name` of every file of these folders, `way` (which of `within`) and `prefix` (its path's beginning).

    A folder that is not there has none.
    """
    columns: dict[str, list[str]] = {name: [] for name in ("folder", "name", "way", "prefix")}
    for way in within:
        for folder in folders:
            with contextlib.suppress(CorpuscleError):
                inside = listing(Path(_place(way + folder, base))).files
                columns["name"] += inside
                prefix = _prefix(way + folder, base, root)
                for column, value in (("folder", folder), ("way", way), ("prefix", prefix)):
                    columns[column] += [value] * len(inside)
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
