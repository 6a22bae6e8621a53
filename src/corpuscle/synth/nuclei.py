"""The nucleus of each kind, as the distance to its edge; drawn around the origin of the grid it is given."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from corpuscle.synth.shapes import Grid, ellipse, strand, union


def basophil(grid: Grid, radius: float, rng: np.random.Generator) -> np.ndarray:
    """Two or three broad lobes run together, without a clear edge between them."""
    lobes = int(rng.choice((2, 3), p=(0.65, 0.35)))
    places = _arc(lobes, bend=rng.uniform(0.36, 0.52) * radius, span=rng.uniform(2.0, 4.2), rng=rng)
    sizes = rng.uniform(0.36, 0.5, lobes) * radius * np.sqrt(2 / lobes)
    return _lobed(grid, places, sizes, thread=rng.uniform(0.5, 1.1), melt=1.2, rng=rng)


def eosinophil(grid: Grid, radius: float, rng: np.random.Generator) -> np.ndarray:
    """Two plump lobes, seldom three or a single bean, joined by a thread and often to one side."""
    lobes = int(rng.choice((1, 2, 3), p=(0.07, 0.73, 0.20)))
    if lobes == 1:
        return _sausage(grid, radius, width=0.38, span=rng.uniform(0.9, 2.2), rng=rng)
    places = _arc(lobes, bend=rng.uniform(0.4, 0.52) * radius, span=rng.uniform(1.9, 3.1) * lobes / 2, rng=rng)
    places[:, 0] -= rng.uniform(0.0, 0.3) * radius
    sizes = rng.uniform(0.34, 0.44, lobes) * radius * np.sqrt(2 / lobes)
    return _lobed(grid, places, sizes, thread=rng.uniform(0.25, 0.6), melt=0.5, rng=rng)


def lymphocyte(grid: Grid, radius: float, rng: np.random.Generator) -> np.ndarray:
    """One round nucleus that nearly fills the cell, at times dented; large lymphocytes leave more room."""
    fill = rng.uniform(0.84, 0.98) if radius < 5.0 else rng.uniform(0.68, 0.86)
    centre = rng.normal(0, 0.35, 2) * (1 - fill) * radius
    body_HW = ellipse(grid, (centre[0], centre[1]), (fill * radius, fill * radius * rng.uniform(0.84, 1.0)))
    if rng.random() < 0.3:
        dent_HW = ellipse(grid, (fill * radius * rng.uniform(0.95, 1.2), 0), (0.28 * radius, 0.4 * radius))
        return _without(body_HW, dent_HW)
    return body_HW


def monocyte(grid: Grid, radius: float, rng: np.random.Generator) -> np.ndarray:
    """One large nucleus: a kidney, a horseshoe, or folded on itself."""
    folded = grid.warped(rng, rng.uniform(2.6, 4.0), rng.uniform(0.15, 0.45))
    if rng.random() < 0.35:
        return _sausage(folded, radius, rng.uniform(0.28, 0.38), rng.uniform(2.4, 4.6), rng)
    body_HW = _sausage(folded, radius, rng.uniform(0.40, 0.50), rng.uniform(1.0, 3.2), rng)
    cleft = (radius * rng.uniform(0.2, 0.5), radius * rng.uniform(0.05, 0.28))
    return _without(body_HW, ellipse(folded, (-radius * rng.uniform(0.45, 0.85), 0), cleft, rng.normal(0, 0.4)))


def neutrophil(grid: Grid, radius: float, rng: np.random.Generator) -> np.ndarray:
    """Three to five lobes on thin strands; in band forms one even sausage."""
    lobes = int(rng.choice((1, 2, 3, 4, 5), p=(0.16, 0.12, 0.34, 0.26, 0.12)))
    if lobes == 1:
        return _sausage(grid, radius, width=rng.uniform(0.2, 0.28), span=rng.uniform(2.0, 4.6), rng=rng)
    places = _arc(lobes, bend=rng.uniform(0.42, 0.56) * radius, span=rng.uniform(1.15, 1.45) * lobes, rng=rng)
    places += rng.normal(0, 0.09 * radius, places.shape)
    sizes = rng.uniform(0.75, 1.3, lobes) * 0.53 * radius / np.sqrt(lobes)
    return _lobed(grid, places, sizes, thread=rng.uniform(0.2, 0.9), melt=0.5, rng=rng)


NUCLEI: dict[str, Callable[[Grid, float, np.random.Generator], np.ndarray]] = {
    "basophil": basophil,
    "eosinophil": eosinophil,
    "lymphocyte": lymphocyte,
    "monocyte": monocyte,
    "neutrophil": neutrophil,
}


def _without(body_HW: np.ndarray, dent_HW: np.ndarray) -> np.ndarray:
    """A body less what a second shape takes out of it, with rounded corners."""
    return -union((-body_HW, dent_HW), melt=0.8)


def _arc(count: int, bend: float, span: float, rng: np.random.Generator) -> np.ndarray:
    """Places along an arc of radius `bend` over `span` radians, their middle near the origin; (count, 2)."""
    span = min(span, 2 * np.pi * (1 - 1 / (count + 1)))
    angle = np.linspace(-span / 2, span / 2, count)
    places = bend * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    middle = (places.min(axis=0) + places.max(axis=0)) / 2
    return places - middle + rng.normal(0, 0.05 * bend, 2)


def _lobed(
    grid: Grid, places_P2: np.ndarray, sizes_P: np.ndarray, thread: float, melt: float, rng: np.random.Generator
) -> np.ndarray:
    """Egg-shaped lobes, each joined to the next by a thread of a radius in microns."""
    parts = []
    for (x, y), size in zip(places_P2, sizes_P, strict=True):
        stretch = np.sqrt(rng.uniform(1.0, 1.7))
        parts.append(ellipse(grid, (x, y), (size / stretch, size * stretch), rng.normal(np.arctan2(y, x), 0.5)))
    for start, end in itertools.pairwise(places_P2):
        parts.append(strand(grid, (start[0], start[1]), (end[0], end[1]), thread))
    return union(parts, melt)


def _sausage(grid: Grid, radius: float, width: float, span: float, rng: np.random.Generator) -> np.ndarray:
    """A bent sausage; its half width is a share of the cell's radius."""
    places = _arc(6, bend=(0.86 - width) * radius * rng.uniform(0.72, 0.95), span=span, rng=rng)
    sizes = width * radius * (1 + rng.normal(0, 0.07, 6))
    return _lobed(grid, places, sizes, thread=0.85 * width * radius, melt=0.5 * width * radius, rng=rng)
