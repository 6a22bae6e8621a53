"""What was measured on the data before any choice is made; normalisation comes from the training part alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from corpuscle.core.seeds import generator_for
from corpuscle.data.cache import Canvases
from corpuscle.data.table import Table

MOST_MEASURED = 2000  # images whose pixels give the mean and deviation; the error is then far below a grey level


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation of each channel, on values from 0 to 1."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def measure_normalisation(canvases: Canvases, places: np.ndarray, seed: int) -> Normalisation:
    """Mean and deviation of the channels over the pixels of some images.

    Args:
        canvases: prepared images.
        places: of the training images.
        seed: which of them, where there are more than are needed.
    """
    if len(places) > MOST_MEASURED:
        places = np.sort(generator_for(seed, "normalisation").choice(places, MOST_MEASURED, replace=False))
    full = np.iinfo(canvases.dtype).max
    sums, squares, count = np.zeros(3), np.zeros(3), 0
    for place in places:
        pixels_PC = canvases[int(place)].reshape(-1, 3).astype(np.float32) / full
        sums += pixels_PC.sum(axis=0, dtype=np.float64)
        squares += np.square(pixels_PC, dtype=np.float32).sum(axis=0, dtype=np.float64)
        count += len(pixels_PC)
    mean = sums / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
    return Normalisation(_three(mean), _three(np.maximum(std, 1e-3)))  # a constant channel must not divide by zero


def sizes(seen: pl.DataFrame) -> dict[str, Any]:
    """Smallest, median and largest height and width, and how many different sizes there are."""
    sound = seen.select("height", "width").drop_nulls()  # an image whose mask alone is at fault has its size
    if sound.is_empty():
        return {"min": None, "median": None, "max": None, "distinct": 0}
    corners: dict[str, Any] = {
        name: [int(value) for value in sound.select(getattr(pl.all(), name)()).row(0)]
        for name in ("min", "median", "max")
    }
    return corners | {"distinct": sound.n_unique()}


def class_counts(table: Table) -> dict[str, dict[str, int]]:
    """Images of each class in each part."""
    counts = table.frame.group_by("label", "split").len()
    found = {(label, split): number for label, split, number in counts.rows()}
    parts = [part for part in ("train", "val", "test") if (table.frame["split"] == part).any()]
    if not parts:
        return {name: {"all": found.get((name, None), 0)} for name in table.classes}
    return {name: {part: found.get((name, part), 0) for part in parts} for name in table.classes}


def object_counts(table: Table) -> dict[str, dict[str, dict[str, int]]]:
    """Of each kind that is counted, the images and the objects in each part."""
    parts = [part for part in ("train", "val", "test") if (table.frame["split"] == part).any()]
    frames = {part: table.frame.filter(pl.col("split") == part) for part in parts} or {"all": table.frame}
    known = {part: frame["counts"].drop_nulls() for part, frame in frames.items()}
    return {
        kind: {part: {"images": len(rows), "objects": int(rows.list.get(k).sum())} for part, rows in known.items()}
        for k, kind in enumerate(table.classes)
    }


def pixel_counts(table: Table) -> dict[str, dict[str, dict[str, int]]]:
    """Of each class of the masks, the images that show it and its pixels in each part; of masks that were read."""
    parts = [part for part in ("train", "val", "test") if (table.frame["split"] == part).any()]
    frames = {part: table.frame.filter(pl.col("split") == part) for part in parts} or {"all": table.frame}
    known = {part: frame["pixels"].drop_nulls() for part, frame in frames.items()}
    return {
        name: {
            part: {"images": int((rows.list.get(k) > 0).sum()), "pixels": int(rows.list.get(k).sum())}
            for part, rows in known.items()
        }
        for k, name in enumerate(table.classes)
    }


def holdings(table: Table) -> dict[str, Any]:
    """What the labelled images hold in each part: `classes`, for counting `counts`, or `pixels` of their masks."""
    if table.segmented:
        return {"pixels": pixel_counts(table)} if "pixels" in table.frame.columns else {"masks": int(table.known.sum())}
    return {"counts": object_counts(table)} if table.counted else {"classes": class_counts(table)}


def _three(values: np.ndarray) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])
