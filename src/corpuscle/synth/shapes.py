"""Smooth shapes as signed distances in microns, so that a drawing is the same at any number of pixels."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

FIELD_UM = 24.0
"""Side of the square field that is drawn: the largest monocyte with room around it."""


@dataclass(frozen=True)
class Grid:
    """Where each pixel lies, in microns from an origin (x to the right, y down).

    Attributes:
        x_HW, y_HW: position of each pixel's centre.
        pitch: microns between two pixels.
    """

    x_HW: np.ndarray
    y_HW: np.ndarray
    pitch: float

    def moved(self, x: float, y: float, angle: float = 0.0) -> Grid:
        """The same pixels seen from an origin at (x, y) whose axes are turned by an angle in radians."""
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        dx, dy = self.x_HW - np.float32(x), self.y_HW - np.float32(y)
        return Grid(cos * dx + sin * dy, cos * dy - sin * dx, self.pitch)

    def near(self, x: float, y: float, reach: float) -> tuple[slice, slice]:
        """Rows and columns within `reach` microns of a place on a whole field."""
        middle = len(self.x_HW) / 2
        low, high = (np.array((y, x)) - reach) / self.pitch + middle, (np.array((y, x)) + reach) / self.pitch + middle
        rows, columns = (slice(max(int(a), 0), max(int(b) + 1, 0)) for a, b in zip(low, high, strict=True))
        return rows, columns

    def part(self, window: tuple[slice, slice]) -> Grid:
        """The grid of some rows and columns."""
        return Grid(self.x_HW[window], self.y_HW[window], self.pitch)

    def warped(self, rng: np.random.Generator, scale: float, amount: float) -> Grid:
        """The same pixels after a smooth random displacement, so that what is drawn looks grown and not ruled.

        Args:
            scale: size of the waves in microns.
            amount: standard deviation of the displacement in microns.
        """
        size = self.x_HW.shape[-1]
        return Grid(
            self.x_HW + np.float32(amount) * noise(rng, size, scale),
            self.y_HW + np.float32(amount) * noise(rng, size, scale),
            self.pitch,
        )


@functools.cache
def field(size: int) -> Grid:
    """The grid of a whole field of `FIELD_UM` in `size` pixels, its origin in the middle."""
    pitch = FIELD_UM / size
    along = ((np.arange(size) + 0.5) * pitch - FIELD_UM / 2).astype(np.float32)
    x_HW, y_HW = np.meshgrid(along, along)
    return Grid(x_HW, y_HW, pitch)


def noise(rng: np.random.Generator, size: int, scale: float) -> np.ndarray:
    """Smooth random values of about unit deviation, with waves of `scale` microns; float32 (size, size)."""
    count = max(4, round(FIELD_UM / scale))
    lattice = rng.standard_normal((count, count), dtype=np.float32)
    return cv2.resize(lattice, (size, size), interpolation=cv2.INTER_CUBIC if count <= size else cv2.INTER_AREA)


def ellipse(grid: Grid, centre: tuple[float, float], radii: tuple[float, float], angle: float = 0.0) -> np.ndarray:
    """Distance to an ellipse's edge in microns, positive inside (exact at the edge of a circle, close elsewhere)."""
    local = grid.moved(*centre, angle)
    reach = np.sqrt((local.x_HW / radii[0]) ** 2 + (local.y_HW / radii[1]) ** 2)
    return (1 - reach) * np.float32(np.sqrt(radii[0] * radii[1]))


def strand(grid: Grid, start: tuple[float, float], end: tuple[float, float], radius: float) -> np.ndarray:
    """Distance to the edge of a straight thread with round ends in microns, positive inside."""
    run_x, run_y = end[0] - start[0], end[1] - start[1]
    local = grid.moved(*start)
    along = (local.x_HW * run_x + local.y_HW * run_y) / max(run_x**2 + run_y**2, 1e-9)
    along = np.clip(along, 0, 1)
    return np.float32(radius) - np.hypot(local.x_HW - along * run_x, local.y_HW - along * run_y)


def union(distances: Iterable[np.ndarray], melt: float) -> np.ndarray:
    """Distance to several shapes that run into one another where they are closer than `melt` microns."""

    def join(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        near = np.maximum(melt - np.abs(one - other), 0)
        return np.maximum(one, other) + near * near / (4 * melt)

    return functools.reduce(join, distances)


def coverage(distance_HW: np.ndarray, grid: Grid, soft: float = 0.0) -> np.ndarray:
    """Share of each pixel inside a shape, 0..1, rising smoothly over `soft` microns or a pixel, whichever is more."""
    share = np.clip(distance_HW / max(soft, grid.pitch) + 0.5, 0, 1)
    return share * share * (3 - 2 * share)


def scatter(rng: np.random.Generator, spacing: float, share: float, jitter: float = 0.35) -> np.ndarray:
    """Random places over a field and its margin that keep some distance: a jittered lattice of which a share is kept.

    Args:
        spacing: microns between neighbours of the lattice.
        share: probability that a place is kept.
        jitter: standard deviation of a place around its lattice point, as a share of the spacing.

    Returns:
        places_P2 (x, y) in microns from the middle of the field.
    """
    count = int(np.ceil(FIELD_UM / spacing)) + 3
    column, row = np.meshgrid(np.arange(count, dtype=np.float32), np.arange(count, dtype=np.float32))
    places = np.stack([column + 0.5 * (row % 2), row * np.float32(np.sqrt(0.75))], axis=-1).reshape(-1, 2)
    places += rng.random(2, dtype=np.float32) - places.mean(axis=0)
    places += np.float32(jitter) * rng.standard_normal(places.shape, dtype=np.float32)
    return spacing * places[rng.random(len(places)) < share]


def dots(places_P2: np.ndarray, size: int, radius: float) -> np.ndarray:
    """Round soft grains at given places, about 1 in the middle of a lone one; float32 (size, size).

    All grains are laid down as points and blurred together, so thousands cost no more than one.
    """
    pitch = FIELD_UM / size
    at = (places_P2 + FIELD_UM / 2) / pitch - 0.5
    corner = np.floor(at).astype(np.int64)
    part = (at - corner).astype(np.float32)
    flat = np.zeros((size + 2) * (size + 2), np.float32)
    corner = corner + 1  # a border of one pixel takes what falls outside
    for dy in (0, 1):
        for dx in (0, 1):
            weight = np.abs(1 - dx - part[:, 0]) * np.abs(1 - dy - part[:, 1])
            x, y = np.clip(corner[:, 0] + dx, 0, size + 1), np.clip(corner[:, 1] + dy, 0, size + 1)
            flat += np.bincount(y * (size + 2) + x, weight, len(flat)).astype(np.float32)
    points = flat.reshape(size + 2, size + 2)[1:-1, 1:-1]
    sigma = 0.6 * radius / pitch
    return cv2.GaussianBlur(points * np.float32(2 * np.pi * sigma**2), (0, 0), max(sigma, 0.3))
