"""True and predicted counts of one kind as arrays, from the tables of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from corpuscle.core.seeds import generator_for
from corpuscle.report.part import PART_WORDS

MOST_KINDS = 6  # panels of a figure


@dataclass(frozen=True)
class KindCounts:
    """Counts of one kind in the N images whose true count is known; low and high are NaN without an interval."""

    true_N: np.ndarray
    count_N: np.ndarray
    low_N: np.ndarray
    high_N: np.ndarray

    def __len__(self) -> int:
        return len(self.true_N)

    @property
    def has_interval_N(self) -> np.ndarray:
        """Whether there is an interval."""
        return np.isfinite(self.low_N) & np.isfinite(self.high_N)

    @property
    def missed_N(self) -> np.ndarray:
        """Whether there is an interval, and it does not hold the true count."""
        return self.has_interval_N & ((self.true_N < self.low_N) | (self.true_N > self.high_N))

    def at(self, places: np.ndarray) -> KindCounts:
        """Those images alone, in that order."""
        return KindCounts(self.true_N[places], self.count_N[places], self.low_N[places], self.high_N[places])

    def thinned(self, most: int) -> KindCounts:
        """At most so many images, drawn at random, the same each time."""
        if len(self) <= most:
            return self
        return self.at(np.sort(generator_for(0, "report", "thin").choice(len(self), most, replace=False)))


def complete(predictions: pl.DataFrame, kinds: Sequence[str]) -> pl.DataFrame:
    """The predictions with every column of counts there is, null where a number is not known."""
    names = [f"{what}_{kind}" for kind in kinds for what in ("true", "count", "low", "high")]
    return predictions.with_columns(
        (
            pl.col(name).cast(pl.Float64, strict=False).fill_nan(None)
            if name in predictions.columns
            else pl.lit(None, pl.Float64)
        ).alias(name)
        for name in names
    )


def counts_of(predictions: pl.DataFrame, kind: str) -> KindCounts:
    """The counts of a kind where the truth is known."""
    columns = [f"{what}_{kind}" for what in ("true", "count", "low", "high")]
    frame = complete(predictions, [kind]).drop_nulls(columns[:2])
    return KindCounts(*(frame[name].fill_null(np.nan).to_numpy().astype(float) for name in columns))


def counts_by_kind(predictions: pl.DataFrame, kinds: Sequence[str]) -> dict[str, KindCounts]:
    """The kinds with the most objects, at most as many as a figure has panels; kinds without truth are left out."""
    found = {kind: counts_of(predictions, kind) for kind in kinds}
    found = {kind: counts for kind, counts in found.items() if len(counts)}
    most = sorted(found, key=lambda kind: -float(found[kind].true_N.sum()))[:MOST_KINDS]
    return {kind: found[kind] for kind in found if kind in most}


def true_counts(
    samples: pl.DataFrame | None, predictions: pl.DataFrame | None, kinds: Sequence[str]
) -> dict[str, dict[str, np.ndarray]]:
    """Kind to part to the true counts of its images: from the samples where they hold them, else from the predictions.

    Args:
        samples: every image, with a column `true_<kind>` each.
        predictions: the images that were held out, likewise.
        kinds: in their order.
    """
    frame = predictions
    if samples is not None and all(f"true_{kind}" in samples.columns for kind in kinds):
        frame = samples
    if frame is None or "split" not in frame.columns:
        return {}
    found: dict[str, dict[str, np.ndarray]] = {}
    for kind in kinds[:MOST_KINDS]:
        name = f"true_{kind}"
        if name not in frame.columns:
            continue
        numbers = frame.select("split", pl.col(name).cast(pl.Float64, strict=False)).drop_nulls()
        parts = {part: numbers.filter(pl.col("split") == part)[name].to_numpy() for part in ("train", "val", "test")}
        found[kind] = {PART_WORDS[part]: counts for part, counts in parts.items() if len(counts)}
    return {kind: parts for kind, parts in found.items() if parts}
