"""From an image's name in a CSV to the file it means, by listing each folder once."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from corpuscle.core.errors import CorpuscleError
from corpuscle.data.readers.image import IMAGE_SUFFIXES
from corpuscle.data.sources.disk import listing

TILE = r"(#\d+,\d+,\d+@\d+)$"  # of a slide, behind its file's name
SUFFIX = rf"(?i)({'|'.join(sorted(suffix.replace('.', '[.]') for suffix in IMAGE_SUFFIXES))})$"


def resolve(names: pl.Series, base: Path, root: Path, image_suffix: str | None) -> pl.DataFrame:
    """Find the file of each name: as it stands; else by its stem, with a known suffix; else by its number.

    `1` is found as `1.bmp`, then as `001.bmp`; `a.jpg` also as `a.JPG`. Where a PNG lies beside one other image of that
    stem, it is taken for that image's mask.

    Args:
        names: paths as written, with either slash, relative to `base` or absolute.
        base: where relative ones start.
        root: where the paths that are returned start; those outside become absolute.
        image_suffix: suffix of names that have none.

    Returns:
        A row per name: `image` (null if not found), `how` ("name", "stem", "number"), `masks` (whether a PNG
        was passed over) and `choices` (the file names it could mean, where they are several).
    """
    given = names.rename("given").str.strip_chars().str.replace_all("\\", "/", literal=True)
    asked = (
        given.str.replace(TILE, "")
        .to_frame()
        .select(
            pl.col("given").str.extract(r"^(.*/)").fill_null("").alias("folder"),
            pl.col("given").str.extract(r"([^/]*)$").alias("name"),
        )
    )
    folders = asked["folder"].unique(maintain_order=True).to_list()
    files = _files(folders, base)
    found = asked.with_row_index("place").join(
        files.select("folder", "name", there=pl.lit(True)), on=["folder", "name"], how="left", maintain_order="left"
    )
    found = found.with_columns(
        file=pl.when(pl.col("there")).then("name"),
        how=pl.when(pl.col("there")).then(pl.lit("name")),
        masks=pl.lit(False),
    ).with_columns(choices=pl.lit(None, pl.List(pl.String)))
    missing = found.filter(pl.col("there").is_null()).select("place", "folder", "name")
    if len(missing):
        loose = _loose_matches(missing, files, image_suffix)
        found = found.select("place", "folder", "name", "file", "how", "masks", "choices").update(loose, on="place")
    prefix = pl.col("folder").replace_strict(folders, [_prefix(folder, base, root) for folder in folders])
    image = prefix + pl.col("file") + given.str.extract(TILE).fill_null("")
    return found.sort("place").select(image=image, how="how", masks="masks", choices="choices")


def _loose_matches(missing: pl.DataFrame, files: pl.DataFrame, image_suffix: str | None) -> pl.DataFrame:
    """`place`, `file`, `how`, `masks`, `choices` of the names that mean at least one file."""
    images = _with_keys(files).filter(pl.col("suffix").is_not_null()).rename({"name": "file", "suffix": "has"})
    wanted = _with_keys(missing).with_columns(
        pl.col("suffix").fill_null(pl.lit(f".{image_suffix.lower().lstrip('.')}" if image_suffix else None, pl.String))
    )
    pairs = pl.concat(
        [
            wanted.join(images, on=["folder", key]).select("place", "suffix", "file", "has", how=pl.lit(key))
            for key in ("stem", "number")
        ]
    ).filter(pl.col("suffix").is_null() | (pl.col("suffix") == pl.col("has")))
    pairs = pairs.filter((pl.col("how") == "stem") | ~(pl.col("how") == "stem").any().over("place"))
    is_png = pl.col("has") == ".png"
    beside = is_png & pl.col("suffix").is_null() & (~is_png).any().over("place")
    groups = pairs.with_columns(masks=beside.any().over("place")).filter(~beside).group_by("place", "how", "masks")
    choices = groups.agg(choices=pl.col("file").sort())
    alone = pl.col("choices").list.len() == 1
    return choices.select(
        "place",
        "how",
        "masks",
        file=pl.when(alone).then(pl.col("choices").list.first()),
        choices=pl.when(~alone).then("choices"),
    )


def _with_keys(names: pl.DataFrame) -> pl.DataFrame:
    """With `suffix` (a known one, in small letters, or null), `stem`, and `number` (null unless the stem is digits)."""
    stem = pl.col("name").str.replace(SUFFIX, "")
    return names.with_columns(
        suffix=pl.col("name").str.extract(SUFFIX).str.to_lowercase(),
        stem=stem,
        number=stem.str.extract(r"^0*(\d+)$"),
    )


def _prefix(folder: str, base: Path, root: Path) -> str:
    """What goes before a file's name to make its path from `root`, or its absolute one."""
    whole, start = os.path.join(_place(folder, base), ""), os.path.join(root, "")  # noqa: PTH118 (keeps the last slash)
    return whole.removeprefix(start)


def _place(folder: str, base: Path) -> str:
    return os.path.normpath(base / folder)


def _files(folders: Sequence[str], base: Path) -> pl.DataFrame:
    """`folder` and `name` of every file of these folders; a folder that is not there has none."""
    where: list[str] = []
    names: list[str] = []
    for folder in folders:
        with contextlib.suppress(CorpuscleError):
            inside = listing(Path(_place(folder, base))).files
            names += inside
            where += [folder] * len(inside)
    return pl.DataFrame({"folder": where, "name": names}, schema={"folder": pl.String, "name": pl.String})
