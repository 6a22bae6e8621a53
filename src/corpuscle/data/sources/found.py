"""What a layout gives before it is checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from corpuscle.core.errors import Fault
from corpuscle.core.legend import Legend

POINTS = {"image": pl.String, "x": pl.Float64, "y": pl.Float64, "kind": pl.String, "where": pl.String}


@dataclass(frozen=True)
class Found:
    """The rows of one layout as they stand on disk.

    Attributes:
        frame: the columns of `Table.frame`, labels and groups as written, an image that was not found is null; where
            objects are counted and their places are not known also `count`, null where unlabelled; where images have
            masks also `mask`, null where it was not found or is unlabelled.
        root: folder that the paths start from.
        notes: how the data were understood.
        faults: what is wrong so far.
        points: a row per counted object, the columns of `POINTS`; `where` names the row it comes from and is null where
            it cannot lie outside of its image. None where no places are known.
        kind: the name of what the column `count` counts.
        legend: what the values of the masks mean, where the layout says it.
    """

    frame: pl.DataFrame
    root: Path
    notes: tuple[str, ...]
    faults: tuple[Fault, ...]
    points: pl.DataFrame | None = None
    kind: str = "cell"
    legend: Legend | None = None

    @property
    def counted(self) -> bool:
        """Whether objects are counted, rather than images named."""
        return self.points is not None or "count" in self.frame.columns

    @property
    def segmented(self) -> bool:
        """Whether each image has a mask."""
        return "mask" in self.frame.columns


def points_frame(rows: list[tuple[str | None, float, float, str, str | None]]) -> pl.DataFrame:
    """`Found.points` of (image, x, y, kind, where)."""
    return pl.DataFrame(rows, schema=POINTS, orient="row")
