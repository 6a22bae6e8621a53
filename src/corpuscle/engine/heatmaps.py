"""Densities of a few held-out images as pictures, for the report."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from corpuscle.core.files import write_bytes, write_json
from corpuscle.core.sampling import evenly
from corpuscle.data.table import Table

MOST = 16  # images of a part
SIDE = 1024  # larger maps are thinned: they are looked at, not added up


@dataclass
class Heatmaps:
    """Writes densities as 8-bit grey PNGs, and an index that says what 255 stands for.

    Args:
        folder: of the pictures; made with the first of them.
        table: names the images.
        shrink: pixels of an image to one of its canvas.
    """

    folder: Path
    table: Table
    shrink: int
    index: dict[str, dict[str, Any]] = field(default_factory=dict)

    def of(self, places: np.ndarray) -> Callable[[int, np.ndarray], None]:
        """What is to be called with each density of a part; it keeps some, spread evenly over the part."""
        chosen = set(places[evenly(len(places), MOST)].tolist())

        def show(place: int, density_KHW: np.ndarray) -> None:
            if place in chosen:
                self._write(self.table.frame["image"][place], density_KHW)

        return show

    def close(self) -> None:
        """Write the index, if there is anything in it."""
        if self.index:
            write_json(self.folder / "index.json", self.index)

    def _write(self, image: str, density_KHW: np.ndarray) -> None:
        import cv2

        density_HW = np.maximum(density_KHW.sum(axis=0), 0)
        step = -(-max(density_HW.shape) // SIDE)
        density_HW = density_HW[::step, ::step]
        full = float(density_HW.max()) or 1.0
        _, content = cv2.imencode(".png", np.rint(density_HW / full * 255).astype(np.uint8))
        name = f"{re.sub(r'[^A-Za-z0-9._-]', '_', image)}.png"
        while any(kept["file"] == name for other, kept in self.index.items() if other != image):
            name = f"_{name}"
        write_bytes(self.folder / name, content.tobytes())
        self.index[image] = {"file": name, "full": full, "shrink": self.shrink}
