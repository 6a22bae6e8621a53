"""What lies around a white cell: red cells with a pale middle, and platelets."""

from __future__ import annotations

import numpy as np

from corpuscle.synth.shapes import FIELD_UM, Grid, coverage, dots, ellipse, noise, scatter
from corpuscle.synth.stain import AZURE, BLUE, EOSIN, Slide

HAEMOGLOBIN = 0.155, 0.10
"""Eosin and methylene blue that a red cell takes up where it is thickest."""

PLASMA = 0.012
"""Azure of the plasma."""


def draw_smear(grid: Grid, away_from: tuple[float, float, float], slide: Slide, rng: np.random.Generator) -> np.ndarray:
    """Dye of the background.

    Args:
        grid: the field.
        away_from: x, y and radius in microns of a place that red cells and platelets leave free.
        slide: how crowded it is and how pale its red cells are.

    Returns:
        dye_SHW in units of the slide's stains.
    """
    size = len(grid.x_HW)
    dye_SHW = np.zeros((3, size, size), np.float32)
    haemoglobin_HW = _red_cells(grid.warped(rng, 4.0, 0.22), away_from, slide, rng)
    dye_SHW[EOSIN] = HAEMOGLOBIN[0] * haemoglobin_HW
    dye_SHW[BLUE] = HAEMOGLOBIN[1] * haemoglobin_HW
    plasma = PLASMA * (1 + 0.5 * noise(rng, size, 5.0))
    dye_SHW[AZURE] = np.maximum(plasma, 0)
    for _ in range(min(rng.poisson(0.6), 3)):
        x, y = rng.uniform(-FIELD_UM / 2, FIELD_UM / 2, 2)
        radius = rng.uniform(0.7, 1.4)
        if np.hypot(x - away_from[0], y - away_from[1]) > away_from[2] + radius:
            dye_SHW += draw_platelet(grid, (x, y), radius, rng)[0]
    return dye_SHW


def _red_cells(grid: Grid, away_from: tuple[float, float, float], slide: Slide, rng: np.random.Generator) -> np.ndarray:
    """Thickness of the red cells in each pixel, about 1 at the thickest place of a lone one.

    The profile of a biconcave disc: Evans and Fung, Improved measurements of the erythrocyte geometry, 1972.
    """
    places = scatter(rng, spacing=rng.uniform(6.8, 8.6), share=slide.crowding, jitter=0.16)
    places = places[np.abs(places).max(axis=1) < FIELD_UM / 2 + 4]
    count = len(places)
    radius_M = rng.normal(3.6, 0.22, count)
    squeeze_M, angle_M = rng.uniform(0.85, 1.0, count), rng.uniform(0, np.pi, count)
    middle_M = np.clip(1 - slide.pallor + rng.normal(0, 0.12, count), -0.1, 1)
    free_M = np.hypot(*(places - away_from[:2]).T) > away_from[2] + 0.85 * radius_M
    thickness_HW = np.zeros_like(grid.x_HW)
    for place, radius, squeeze, angle, middle in zip(
        places[free_M], radius_M[free_M], squeeze_M[free_M], angle_M[free_M], middle_M[free_M], strict=True
    ):
        window = grid.near(place[0], place[1], radius + 1.5)  # 1.5 for the warp
        inside_HW = ellipse(grid.part(window), (place[0], place[1]), (radius, radius * squeeze), angle)
        thickness_HW[window] += thickness(inside_HW, grid, radius * np.sqrt(squeeze), middle)
    return thickness_HW


def thickness(inside_HW: np.ndarray, grid: Grid, radius: float, middle: float) -> np.ndarray:
    """Thickness of one red cell, about 1 at its thickest place.

    Args:
        inside_HW: distance to its edge in microns.
        grid: of these pixels.
        radius: its own, in microns.
        middle: how full its middle is; 0 is the biconcave disc, 1 an even one.
    """
    reach2 = np.clip(1 - inside_HW / radius, 0, 1) ** 2
    disc = 0.207 + 2.003 * reach2 - 1.123 * reach2**2
    profile = np.sqrt(1 - reach2) * (disc + middle * (1.25 - disc)) / 0.63
    return profile * coverage(inside_HW, grid)


def draw_platelet(
    grid: Grid, centre: tuple[float, float], radius: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """One platelet, a pale body with violet granules in its middle: dye_SHW, and its share of each pixel, inside_HW."""
    size = len(grid.x_HW)
    body_HW = ellipse(
        grid.warped(rng, 1.5, 0.15), centre, (radius, radius * rng.uniform(0.6, 1)), rng.uniform(0, np.pi)
    )
    inside_HW = coverage(body_HW, grid, 0.4)
    grains_HW = np.minimum(dots(scatter(rng, 0.5, 0.8), size, 0.25), 1)
    dye_SHW = np.zeros((3, size, size), np.float32)
    dye_SHW[AZURE] = inside_HW * (0.2 + rng.uniform(0.3, 0.7) * grains_HW)
    dye_SHW[BLUE] = 0.12 * inside_HW
    return dye_SHW, inside_HW
