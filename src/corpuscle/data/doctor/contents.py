"""Which images hold the same pixels, where the pass over them has digested none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from corpuscle.core.progress import SILENT, Progress
from corpuscle.core.threads import in_threads
from corpuscle.data.cache import content_of
from corpuscle.data.readers.image import ReadPlan
from corpuscle.data.readers.read import read_pixels


def told_apart(paths: Sequence[Path], seen: pl.DataFrame, read: ReadPlan, progress: Progress = SILENT) -> pl.DataFrame:
    """The rows with a content that is the same for the same pixels, but a digest only where it has to be.

    What differs in its signature differs in its pixels: only images of one size and one signature, by a hash that
    takes less memory to sort by, are read again.

    Args:
        paths: of the images.
        seen: `Survey.frame` without digests.
        read: limits of the reader.
        progress: says how far it is.
    """
    alike = (pl.len().over("height", "width", pl.col("signature").hash()) > 1) & pl.col("height").is_not_null()
    places = np.flatnonzero(seen.select(alike).to_series().to_numpy()).tolist()
    digests = in_threads(lambda place: content_of(read_pixels(paths[place], read).array_HWC), places)
    content = dict(zip(places, progress.track(digests, "comparing pixels", len(places)), strict=True))
    readable = enumerate(seen["height"].is_not_null())
    named = [content.get(place, f"alone {place}") if there else None for place, there in readable]
    return seen.with_columns(content=pl.Series(named, dtype=pl.String))
