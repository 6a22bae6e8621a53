"""Images that look wrong: by themselves where that is a fact, else beside the other images of the data set.

What is odd is odd among all images and among those of its class too. A whole class that is dark, or comes from another
camera, is no fault of its images.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import PurePosixPath

import polars as pl
from PIL import Image

from corpuscle.data.doctor.finding import Finding
from corpuscle.data.doctor.looks import BARS, LOOKS
from corpuscle.data.doctor.masks import mask_faults
from corpuscle.data.table import Table

BLANK = 2 / 255  # contrast below which there is nothing to see
BLANK_WIDE, WIDE = BLANK / 16, r"16[- ]bit"  # the same of 16 bits, of which a camera may use twelve; in a mode
FEW = 10  # images, or of a class, that are too few to say what is usual
FAR = 3.5  # robust standard deviations: B. Iglewicz and D. Hoaglin, How to Detect and Handle Outliers (1993)
SPREAD = 1.4826  # of a normal distribution, over its median absolute deviation
SOFTER, EXPOSED = 0.12, 1.0  # by which sharpness, and the log odds of brightness, are off at the least
BAR = 0.05  # share of a side that a bar takes at the least
RARE, HALF = 0.1, 0.5  # share of all images, and of those of a class, that have bars at the most
USUAL = 2 / 3  # share of the images of one size, or mode, that makes the others odd
CLIPPED = 0.05  # share of clipped pixels that is worth a word
SHOWN = 4  # values that a line names
TIMES = 4.0  # larger or smaller, where the images have no size in common
PLAIN = "RGB, 8 bits"
TURNED = r"(, )?turned upright \(EXIF orientation \d\)"  # of a mode: how the camera was held
KIN = {"DIB": "BMP", "MPO": "JPEG"}  # formats that are read as another
LOOK = "look at it, and leave it out if it shows too little"


def image_faults(table: Table, seen: pl.DataFrame) -> list[Finding]:
    """Images whose file, size, look or mask is odd; those that cannot be read are the audit's.

    Args:
        table: the rows that were surveyed.
        seen: `Survey.frame`, a row for each of them.
    """
    if not LOOKS.keys() <= set(seen.columns):  # scenes that are composed: nobody took their measures
        return []
    rows = seen.drop("signature").with_columns(table.frame["image"], table.frame["label"]).drop_nulls("brightness")
    blank, visible = rows.filter(is_blank(rows)), rows.filter(~is_blank(rows))
    return [
        *_suffixes(rows),
        *_modes(rows),
        *_sizes(rows),
        *_blank(blank),
        *_blurred(visible),
        *_exposed(visible),
        *_letterboxed(visible),
        *mask_faults(table, seen),
    ]


def is_blank(seen: pl.DataFrame) -> pl.Series:
    """Which images of a survey are one grey level all over; none where nobody has looked."""
    if "contrast" not in seen.columns:
        return pl.repeat(False, len(seen), dtype=pl.Boolean, eager=True)
    least = pl.when(pl.col("mode").str.contains(WIDE)).then(BLANK_WIDE).otherwise(BLANK)
    return seen.select((pl.col("contrast") < least).fill_null(False)).to_series()


def _suffixes(rows: pl.DataFrame) -> Iterator[Finding]:
    """Files that are of another format than they are named after; suffixes that name none are passed over."""
    Image.init()
    format_of = {suffix: KIN.get(kind, kind) for suffix, kind in Image.registered_extensions().items()}
    suffixes = [PurePosixPath(image).suffix.lower() for image in rows["image"]]
    named = pl.Series("named", [format_of.get(suffix) for suffix in suffixes], pl.String)
    rows = rows.with_columns(named, pl.Series("suffix", suffixes, pl.String))
    wrong = rows.filter(pl.col("named") != pl.col("format"))
    for (suffix, kind), some in wrong.group_by("suffix", "format", maintain_order=True):
        values = {"suffix": suffix, "format": kind}
        what = f"{kind} named {suffix}: {_count(some, rows)}"
        yield Finding("suffix", what, f"give it a suffix of {kind}", tuple(some["image"]), values)


def _modes(rows: pl.DataFrame) -> Iterator[Finding]:
    plain = pl.col("mode").str.replace(TURNED, "").replace("", PLAIN)
    yield from _unlike_most("mode", rows.with_columns(value=plain), "see that they come from the same source")


def _sizes(rows: pl.DataFrame) -> Iterator[Finding]:
    """Sizes that few images have; where none is common, images many times larger or smaller than the others."""
    rows = rows.with_columns(value=pl.format("{} × {}", "height", "width"))
    if len(_most(rows)):
        yield from _unlike_most("size", rows, "see that nothing was cut off, and that the scale is the same")
        return
    side = (pl.col("height") * pl.col("width")).sqrt()
    usual = rows.select(side.median()).item()
    odd = _odd(rows, side.log(), math.log(TIMES)).filter(pl.col("low") | pl.col("high"))
    for image, value in odd.select("image", "value").iter_rows():
        what = f"{image}: {value} pixels, where the median side is {usual:.0f}"
        yield Finding("size", what, "see that it is an image of the same kind", (image,), {"size": value})


def _blank(rows: pl.DataFrame) -> Iterator[Finding]:
    for image, contrast, brightness in rows.select("image", "contrast", "brightness").iter_rows():
        what = f"{image}: one grey level all over ({255 * brightness:.0f} ± {255 * contrast:.1f} of 255)"
        values = {"contrast": contrast, "brightness": brightness}
        yield Finding("blank", what, "take it again, or leave it out", (image,), values)


def _blurred(rows: pl.DataFrame) -> Iterator[Finding]:
    median = rows.select(pl.median("sharpness")).item()
    odd = _odd(rows, pl.col("sharpness"), SOFTER).filter("low").sort("sharpness", "image")
    for image, sharpness in odd.select("image", "sharpness").iter_rows():
        what = f"{image}: its sharpness is {sharpness:.2f}, the median is {median:.2f}"
        yield Finding("blurred", what, LOOK, (image,), {"sharpness": sharpness, "median": median})


def _exposed(rows: pl.DataFrame) -> Iterator[Finding]:
    """Images too dark or too bright: by the log odds, so that a step towards black is as long as one towards white."""
    median = rows.select(pl.median("brightness")).item()
    share = pl.col("brightness").clip(1 / 512, 1 - 1 / 512)
    odd = _odd(rows, (share / (1 - share)).log(), EXPOSED).sort("brightness", "image")
    for kind, side, clipped in (("dark", "low", "black"), ("bright", "high", "white")):
        for image, brightness, lost in odd.filter(side).select("image", "brightness", clipped).iter_rows():
            what = f"{image}: its brightness is {brightness:.2f}, the median is {median:.2f}"
            what += f"; {lost:.0%} of it is {clipped}" if lost >= CLIPPED else ""
            values = {"brightness": brightness, "median": median, clipped: lost}
            yield Finding(kind, what, LOOK, (image,), values)


def _letterboxed(rows: pl.DataFrame) -> Iterator[Finding]:
    """Images with bars, where few have them, and few of their class."""
    barred = pl.max_horizontal(BARS) >= BAR
    odd = barred & (barred.mean() <= RARE) & (barred.mean().over("label") <= HALF)
    for row in rows.filter(odd).iter_rows(named=True):
        values = {name: row[name] for name in BARS}
        told = [f"{share:.0%} {name.removeprefix('bar_')}" for name, share in values.items() if share]
        what = f"{row['image']}: bars along its sides ({', '.join(told)})"
        yield Finding("letterboxed", what, "cut them off, or leave it out", (row["image"],), values)


def _odd(rows: pl.DataFrame, value: pl.Expr, least: float) -> pl.DataFrame:
    """The rows with `low` and `high`: whether a value is far from the median of all, and from that of its class.

    Args:
        rows: with `label`.
        value: what is measured.
        least: how far it must be, however alike the others are.
    """
    off, off_class = value - value.median(), value - value.median().over("label")
    reach = (FAR * SPREAD * off.abs().median()).clip(least)
    reach_class = (FAR * SPREAD * off_class.abs().median().over("label")).clip(least)
    unknown, enough = pl.len().over("label") < FEW, pl.len() >= FEW
    return rows.with_columns(
        low=enough & (off < -reach) & (unknown | (off_class < -reach_class)),
        high=enough & (off > reach) & (unknown | (off_class > reach_class)),
    )


def _most(rows: pl.DataFrame) -> pl.DataFrame:
    """The commonest value, in a row; none where it is not common."""
    counts = rows["value"].value_counts(sort=True, name="images")
    return counts.head(1).filter(pl.col("images") >= USUAL * len(rows))


def _unlike_most(kind: str, rows: pl.DataFrame, remedy: str) -> Iterator[Finding]:
    """The images of other values than the common one; nothing where none is common."""
    usual = _most(rows)
    others = rows.join(usual, on="value", how="anti", maintain_order="left")
    if len(usual) and len(others):
        numbers = dict(others.group_by("value").len().sort("len", "value", descending=[True, False]).rows())
        told = "; ".join([f"{value} ({number})" for value, number in numbers.items()][:SHOWN])
        are = "is" if len(others) == 1 else "are"
        what = f"{_count(others, rows)} {are} of another {kind} than most, which are {usual['value'][0]}: {told}"
        what += f" and {len(numbers) - SHOWN} more" if len(numbers) > SHOWN else ""
        values = {"most": usual["value"][0], "others": numbers}
        yield Finding(kind, what, remedy, tuple(others["image"]), values)


def _count(some: pl.DataFrame, rows: pl.DataFrame) -> str:
    """How many of how many, and one of them.

    >>> _count(pl.DataFrame({"image": ["a", "b"]}), pl.DataFrame({"image": ["a", "b", "c"]}))
    '2 of 3 images (first: a)'
    """
    first = some["image"][0]
    return f"{len(some)} of {len(rows)} images ({f'first: {first}' if len(some) > 1 else first})"
