"""A few held-out images with their true and their said masks, kept in the run folder for the report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from corpuscle.core.files import write_bytes, write_json
from corpuscle.core.records import in_8_bits
from corpuscle.core.sampling import evenly
from corpuscle.data.cache import Canvases
from corpuscle.data.masks import Masks
from corpuscle.data.table import Table
from corpuscle.engine.heatmaps import MOST
from corpuscle.engine.png import png
from corpuscle.metrics.overlap import overlap_of

SIDE = 1024  # larger pictures are thinned: they are looked at, not measured


@dataclass
class Examples:
    """Writes pictures and masks as PNGs, and an index that says what they are; no Dice where no pixel is judged.

    Args:
        folder: of the pictures; made with the first of them.
        table: names the images.
        canvases, masks: what is true, by place.
        tolerance: of boundaries, in pixels; the index tells it.
    """

    folder: Path
    table: Table
    canvases: Canvases
    masks: Masks
    tolerance: float
    items: list[dict[str, Any]] = field(default_factory=list)

    def of(self, places: np.ndarray) -> Callable[[int, np.ndarray], None]:
        """What is to be called with each mask of a part; it keeps some, spread evenly over the part."""
        chosen = set(places[evenly(len(places), MOST)].tolist())

        def show(place: int, said_HW: np.ndarray) -> None:
            if place in chosen:
                self._write(place, said_HW)

        return show

    def close(self) -> None:
        """Write the index, if there is anything in it."""
        if self.items:
            write_json(self.folder / "index.json", {"tolerance": self.tolerance, "items": self.items})

    def _write(self, place: int, said_HW: np.ndarray) -> None:
        true_HW, canvas_HWC = self.masks[place], self.canvases[place]
        step, number = -(-max(said_HW.shape) // SIDE), len(self.items)
        files = {"picture": f"{number}.png", "true": f"{number}_true.png", "said": f"{number}_said.png"}
        for file, array in zip(files.values(), (in_8_bits(canvas_HWC), true_HW, said_HW), strict=True):
            write_bytes(self.folder / file, png(np.ascontiguousarray(array[::step, ::step])))
        pixels_KK = overlap_of(true_HW, said_HW, len(self.table.classes)).pixels_KK
        true_K, said_K = pixels_KK.sum(axis=1), pixels_KK.sum(axis=0)
        there = true_K > 0
        dice = (
            round(float((2 * np.diag(pixels_KK)[there] / (true_K + said_K)[there]).mean()), 6) if there.any() else None
        )
        row = self.table.frame.row(place, named=True)
        self.items.append({"image": row["image"], "part": row["split"], "dice": dice, **files})
