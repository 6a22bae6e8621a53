"""Single white blood cells as in a Wright-Giemsa stained smear under the 100x objective."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from corpuscle.core.errors import CorpuscleError, nearest
from corpuscle.synth.nuclei import NUCLEI
from corpuscle.synth.shapes import FIELD_UM, Grid, coverage, dots, ellipse, field, noise, scatter
from corpuscle.synth.smear import draw_smear
from corpuscle.synth.stain import Slide, develop, draw_slide

Range = tuple[float, float]

MOST_UM = FIELD_UM / 2 - 0.4
"""No cell reaches further from the middle of its field, however ragged."""


@dataclass(frozen=True)
class Granules:
    """Grains in the cytoplasm: lattice spacing and radius in microns, share of places taken, amount of each dye."""

    spacing: Range
    radius: Range
    share: Range
    dye: tuple[Range, Range, Range]
    over_nucleus: Range = (0.0, 0.0)


@dataclass(frozen=True)
class Look:
    """What is drawn from which range for one kind; dyes are azure, methylene blue and eosin.

    Attributes:
        diameter: microns.
        ragged: displacement of the outline in microns.
        chromatin: azure of the nucleus.
        clumps: size of the chromatin's clumps in microns.
        contrast: how much the clumps stand out.
        cytoplasm: dyes of the cytoplasm.
        mottle: how uneven the cytoplasm is.
        vacuoles: share of the places for clear bubbles that are taken.
        granules: layers of grains.
    """

    diameter: Range
    ragged: Range
    chromatin: Range
    clumps: Range
    contrast: Range
    cytoplasm: tuple[Range, Range, Range]
    mottle: Range
    vacuoles: Range
    granules: tuple[Granules, ...]


AZUROPHIL = Granules((0.9, 1.3), (0.20, 0.30), (0.05, 0.5), ((0.15, 0.45), (0.0, 0.0), (0.0, 0.1)))

LOOKS: dict[str, Look] = {
    "basophil": Look(
        diameter=(10.0, 13.5),
        ragged=(0.1, 0.4),
        chromatin=(0.55, 1.0),
        clumps=(0.6, 0.9),
        contrast=(0.10, 0.22),
        cytoplasm=((0.08, 0.22), (0.02, 0.12), (0.0, 0.06)),
        mottle=(0.1, 0.3),
        vacuoles=(0.0, 0.15),
        granules=(Granules((0.60, 0.85), (0.30, 0.46), (0.3, 1.0), ((0.6, 1.1), (0.0, 0.1), (0.0, 0.1)), (0.3, 0.75)),),
    ),
    "eosinophil": Look(
        diameter=(11.5, 15.0),
        ragged=(0.08, 0.3),
        chromatin=(0.60, 0.95),
        clumps=(0.5, 0.8),
        contrast=(0.16, 0.30),
        cytoplasm=((0.0, 0.05), (0.02, 0.10), (0.05, 0.17)),
        mottle=(0.1, 0.3),
        vacuoles=(0.0, 0.08),
        granules=(
            Granules((0.50, 0.72), (0.26, 0.40), (0.4, 1.0), ((0.0, 0.07), (0.0, 0.05), (0.14, 0.42)), (0.0, 0.2)),
        ),
    ),
    "lymphocyte": Look(
        diameter=(8.0, 13.0),
        ragged=(0.1, 0.4),
        chromatin=(0.75, 1.10),
        clumps=(0.5, 0.9),
        contrast=(0.12, 0.28),
        cytoplasm=((0.0, 0.12), (0.12, 0.38), (0.0, 0.02)),
        mottle=(0.1, 0.3),
        vacuoles=(0.0, 0.05),
        granules=(Granules((1.2, 1.8), (0.2, 0.3), (0.0, 0.12), ((0.2, 0.5), (0.0, 0.0), (0.0, 0.1))),),
    ),
    "monocyte": Look(
        diameter=(11.5, 17.0),
        ragged=(0.15, 0.65),
        chromatin=(0.55, 0.90),
        clumps=(0.45, 0.7),
        contrast=(0.16, 0.30),
        cytoplasm=((0.03, 0.13), (0.10, 0.30), (0.0, 0.03)),
        mottle=(0.15, 0.45),
        vacuoles=(0.0, 0.5),
        granules=(AZUROPHIL,),
    ),
    "neutrophil": Look(
        diameter=(10.5, 14.5),
        ragged=(0.08, 0.4),
        chromatin=(0.75, 1.10),
        clumps=(0.5, 0.8),
        contrast=(0.10, 0.26),
        cytoplasm=((0.02, 0.11), (0.0, 0.06), (0.04, 0.13)),
        mottle=(0.1, 0.3),
        vacuoles=(0.0, 0.1),
        granules=(
            Granules((0.55, 0.7), (0.18, 0.26), (0.3, 0.9), ((0.03, 0.16), (0.0, 0.02), (0.02, 0.12))),
            AZUROPHIL,
        ),
    ),
}

KINDS: tuple[str, ...] = tuple(sorted(LOOKS))
"""The kinds that can be drawn, in name order."""


@dataclass(frozen=True)
class Cell:
    """One drawn cell.

    Attributes:
        image_HWC: uint8 RGB.
        mask_HW: uint8; 255 nucleus, 128 cytoplasm, 0 background.
        kind: one of `KINDS`.
    """

    image_HWC: np.ndarray
    mask_HW: np.ndarray
    kind: str


def draw_cell(kind: str, size: int, rng: np.random.Generator, slide: Slide | None = None) -> Cell:
    """Draw one white blood cell in a square field of 24 microns, among red cells and platelets.

    Lengths are in microns, so the same generator state gives the same cell at any size, only sampled finer.

    Args:
        kind: one of `KINDS`.
        size: side in pixels, at least 16.
        rng: all randomness, and nothing else.
        slide: stain, lamp and camera; one of its own by default.

    Raises:
        CorpuscleError: the kind is unknown or the size too small.

    >>> cell = draw_cell("neutrophil", 96, np.random.default_rng(0))
    >>> cell.image_HWC.shape, sorted(set(cell.mask_HW.flat))
    ((96, 96, 3), [np.uint8(0), np.uint8(128), np.uint8(255)])
    """
    if kind not in LOOKS:
        raise CorpuscleError(f"a kind of white cell was expected, {kind!r} came. {nearest(kind, KINDS)}")
    if size < 16:
        raise CorpuscleError(f"a cell needs at least 16 pixels a side, {size} came; give a larger size")
    slide = slide or draw_slide(rng)
    grid = field(size)
    outline = _outlined(kind, grid, rng)
    inside_HW = coverage(outline.cell_HW, grid, 0.3)
    around_SHW = draw_smear(grid, outline.away, slide, rng)
    dye_SHW = around_SHW * (1 - inside_HW) + inside_HW * _stained(LOOKS[kind], grid, outline, rng)
    mask_HW = np.where(outline.nucleus_HW > 0, 255, np.where(outline.cell_HW > 0, 128, 0)).astype(np.uint8)
    return Cell(develop(dye_SHW, slide, rng), mask_HW, kind)


def draw_dye(kind: str, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The dye of one white cell with nothing around it, dye_SHW, and its share of each pixel, inside_HW."""
    grid = field(size)
    outline = _outlined(kind, grid, rng)
    inside_HW = coverage(outline.cell_HW, grid, 0.3)
    return inside_HW * _stained(LOOKS[kind], grid, outline, rng), inside_HW


@dataclass(frozen=True)
class _Outline:
    """Distances in microns to the edges of a cell and of its nucleus, and the place it takes: x, y and radius."""

    cell_HW: np.ndarray
    nucleus_HW: np.ndarray
    away: tuple[float, float, float]


def _outlined(kind: str, grid: Grid, rng: np.random.Generator) -> _Outline:
    look = LOOKS[kind]
    radius = _pick(look.diameter, rng) / 2
    x, y = np.clip(rng.normal(0, 0.8, 2), -1, 1) * (FIELD_UM / 2 - 2 - radius)
    local = grid.moved(x, y, rng.uniform(0, 2 * np.pi))

    ragged = _pick(look.ragged, rng)
    outline = local.warped(rng, 3.5, ragged).warped(rng, 1.2, 0.2 * ragged)
    cell_HW = ellipse(outline, (0, 0), (radius, radius * rng.uniform(0.88, 1.0)))
    cell_HW = np.minimum(cell_HW, ellipse(grid, (0, 0), (MOST_UM, MOST_UM)))
    nucleus_HW = NUCLEI[kind](local.warped(rng, 2.5, 0.18), radius, rng)
    return _Outline(cell_HW, np.minimum(nucleus_HW, cell_HW - 0.2), (x, y, radius))


def _stained(look: Look, grid: Grid, outline: _Outline, rng: np.random.Generator) -> np.ndarray:
    """Dye of a cell of which the distances to its edge and to its nucleus are known; dye_SHW."""
    cell_HW, nucleus_HW = outline.cell_HW, outline.nucleus_HW
    size = len(cell_HW)
    in_nucleus_HW = coverage(nucleus_HW, grid, 0.3)
    dye_SHW = _cytoplasm(look, cell_HW, nucleus_HW, rng) * (1 - in_nucleus_HW)

    clumps = _pick(look.clumps, rng)
    texture_HW = noise(rng, size, clumps) + 0.7 * noise(rng, size, clumps / 2)
    rim_HW = np.exp(-np.maximum(nucleus_HW, 0) / np.float32(0.4))
    chromatin_HW = 1 + np.float32(_pick(look.contrast, rng)) * (texture_HW + 1.2 * rim_HW)
    amount_HW = np.float32(_pick(look.chromatin, rng)) * np.maximum(chromatin_HW, 0.35) * in_nucleus_HW
    dye_SHW += _mixed(amount_HW, (1.0, 0.0, 0.05))

    for layer in look.granules:
        places = scatter(rng, _pick(layer.spacing, rng), _pick(layer.share, rng))
        grains_HW = np.minimum(dots(places, size, _pick(layer.radius, rng)), 1)
        grains_HW *= 1 - in_nucleus_HW * np.float32(1 - _pick(layer.over_nucleus, rng))
        dye_SHW += _mixed(grains_HW, [_pick(dye, rng) for dye in layer.dye])
    return dye_SHW


def _cytoplasm(look: Look, cell_HW: np.ndarray, nucleus_HW: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Dye of the cytoplasm: mottled, darker at the membrane, paler beside the nucleus, with clear vacuoles."""
    size = len(cell_HW)
    mottle = np.float32(_pick(look.mottle, rng))
    amount_HW = 1 + mottle * (noise(rng, size, 2.2) + 0.8 * noise(rng, size, 0.7))
    amount_HW += np.float32(rng.uniform(0.1, 0.7)) * np.exp(-np.maximum(cell_HW, 0) / np.float32(0.35))
    amount_HW -= np.float32(rng.uniform(0.0, 0.4)) * np.exp(np.minimum(nucleus_HW, 0) / np.float32(0.5))
    bubbles_HW = dots(scatter(rng, 2.2, _pick(look.vacuoles, rng)), size, rng.uniform(0.4, 0.8))
    amount_HW *= 1 - 0.85 * np.minimum(bubbles_HW, 1)
    return _mixed(np.maximum(amount_HW, 0.05), [_pick(dye, rng) for dye in look.cytoplasm])


def _mixed(amount_HW: np.ndarray, dyes: Sequence[float]) -> np.ndarray:
    """Dye of a stuff that takes up each stain in its own measure; dye_SHW."""
    return amount_HW * np.array(dyes, np.float32)[:, None, None]


def _pick(limits: Range, rng: np.random.Generator) -> float:
    return float(rng.uniform(*limits))
