"""Cut-outs that are drawn, of every kind of a smear, where no real ones are given."""

from __future__ import annotations

import numpy as np

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.seeds import generator_for
from corpuscle.synth.cells import draw_dye
from corpuscle.synth.cutouts import MARGIN_PX, Cutout
from corpuscle.synth.made import make_clumps, make_infected
from corpuscle.synth.plan_compose import HEALTHY, PLATELET, WHITE_KINDS
from corpuscle.synth.shapes import FIELD_UM, coverage, ellipse, field, noise
from corpuscle.synth.smear import HAEMOGLOBIN, PLASMA, draw_platelet, thickness
from corpuscle.synth.stain import AZURE, BLUE, EOSIN, develop, draw_slide

PIXEL_UM = 0.1875
"""Microns a pixel, as of a bank: a white cell is some 65 pixels wide, a red one 40."""

PARTS = {"train": 0.8, "val": 0.1, "test": 0.1}
NUM_SLIDES = 8  # stains a part


def drawn_cutouts(num_per_kind: int = 40, pixel_um: float = PIXEL_UM, seed: int = 0) -> list[Cutout]:
    """Cut-outs of all nine kinds: eight of ten for training, one for validation, one for the test.

    Args:
        num_per_kind: cut-outs of each kind, at least ten.
        pixel_um: microns a pixel.
        seed: of everything drawn.

    Raises:
        CorpuscleError: too few, or pixels too coarse to draw a platelet.
    """
    if num_per_kind < 10:
        raise CorpuscleError(f"expected at least 10 cut-outs of each kind, got {num_per_kind}; draw more")
    if not 0.02 <= pixel_um <= 0.3:
        raise CorpuscleError(f"expected 0.02 to 0.3 microns a pixel, got {pixel_um}; pass {PIXEL_UM}, say")
    size, found = round(FIELD_UM / pixel_um), []
    for part, share in PARTS.items():
        number = round(share * num_per_kind)
        drawn = {
            kind: [_drawn(kind, part, k, size, seed) for k in range(number)]
            for kind in (*WHITE_KINDS, PLATELET, HEALTHY)
        }
        ill = make_infected([_drawn(HEALTHY, part, number + k, size, seed) for k in range(number)], seed)
        found += [*(one for kind in drawn.values() for one in kind), *ill]
        found += make_clumps(drawn[PLATELET], seed, size, number)
    return found


def _drawn(kind: str, part: str, number: int, size: int, seed: int) -> Cutout:
    """One cell with nothing but plasma around it."""
    slide = draw_slide(generator_for(seed, "slide of cut-outs", part, number % NUM_SLIDES))
    rng = generator_for(seed, "cut-out", part, kind, number)
    draw = {PLATELET: _platelet, HEALTHY: _red_cell}.get(kind)
    dye_SHW, inside_HW = draw(size, 1 - slide.pallor, rng) if draw else draw_dye(kind, size, rng)
    dye_SHW[AZURE] += PLASMA * (1 - inside_HW)
    alpha_HW = np.rint(255 * inside_HW).astype(np.uint8)
    rows, columns = np.flatnonzero(alpha_HW.any(1)), np.flatnonzero(alpha_HW.any(0))
    crop = tuple(slice(max(lain[0] - MARGIN_PX, 0), lain[-1] + MARGIN_PX + 1) for lain in (rows, columns))
    source = f"drawn/{part}/{kind}/{number}"
    return Cutout(develop(dye_SHW, slide, rng)[crop], alpha_HW[crop], kind, source, part)


def _red_cell(size: int, middle: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Dye of a red cell, dye_SHW, and its share of each pixel, inside_HW."""
    grid = field(size)
    radius, squeeze = rng.normal(3.6, 0.22), rng.uniform(0.85, 1.0)
    inside_HW = ellipse(grid.warped(rng, 4.0, 0.22), (0, 0), (radius, radius * squeeze))
    middle = float(np.clip(middle + rng.normal(0, 0.12), -0.1, 1))
    thickness_HW = thickness(inside_HW, grid, radius * np.sqrt(squeeze), middle)
    thickness_HW = thickness_HW * (1 + 0.06 * noise(rng, size, 2.0))
    dye_SHW = np.zeros((3, size, size), np.float32)
    dye_SHW[EOSIN], dye_SHW[BLUE] = HAEMOGLOBIN[0] * thickness_HW, HAEMOGLOBIN[1] * thickness_HW
    return dye_SHW, coverage(inside_HW, grid, 0.3)


def _platelet(size: int, _: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return draw_platelet(field(size), (0.0, 0.0), rng.uniform(0.9, 1.6), rng)
