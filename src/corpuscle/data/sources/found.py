"""What a layout gives before it is checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from corpuscle.core.errors import Fault


@dataclass(frozen=True)
class Found:
    """The rows of one layout as they stand on disk.

    Attributes:
        frame: the columns of `Table.frame`, labels and groups as written, an image that was not found is null.
        root: folder that the paths start from.
        notes: how the data were understood.
        faults: what is wrong so far.
    """

    frame: pl.DataFrame
    root: Path
    notes: tuple[str, ...]
    faults: tuple[Fault, ...]
