"""Masks that fit their image by size and values, and yet cannot be its own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import polars as pl

from corpuscle.data.doctor.finding import Finding
from corpuscle.data.drawn import is_drawn
from corpuscle.data.readers.read import content_digest
from corpuscle.data.table import Table

SHOWN = 5  # images that a line names


def mask_faults(table: Table, seen: pl.DataFrame) -> Iterator[Finding]:
    """Sets of different images with one and the same mask, objects and all; opens only masks that hold as much.

    Args:
        table: rows, with the pixels of each class where masks have been read.
        seen: `Survey.frame`, a row for each of them.
    """
    if not table.segmented or "pixels" not in table.frame.columns:
        return
    rows = table.frame.select("image", "mask", "pixels").with_columns(seen["content"]).drop_nulls()
    rows = rows.filter(pl.col("pixels").list.slice(1).list.sum() > 0)
    alike = rows.filter(pl.len().over(pl.col("pixels").cast(pl.List(pl.String)).list.join(" ")) > 1)
    held = defaultdict(list)
    for image, mask, content in alike.select("image", "mask", "content").iter_rows():
        if not is_drawn(mask):
            held[content_digest(table.path_of(mask))].append((image, content))
    for some in held.values():
        images = tuple(image for image, _ in some)
        if len({content for _, content in some}) > 1:  # copies of an image rightly share a mask
            more = f" and {len(images) - SHOWN} more" if len(images) > SHOWN else ""
            what = f"{', '.join(images[:SHOWN])}{more} have one and the same mask, and are different images"
            yield Finding("same mask", what, "give each its own", images)
