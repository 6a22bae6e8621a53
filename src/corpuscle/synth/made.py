"""Cut-outs made of others: clumps of thrombocytes, and red cells with a parasite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from corpuscle.core.seeds import generator_for
from corpuscle.synth.cutouts import Cutout, tight
from corpuscle.synth.plan_compose import CLUMP, INFECTED
from corpuscle.synth.sprites import around

CLUMPS = 24  # made for a part
CHROMATIN, CYTOPLASM = np.array([112.0, 40.0, 120.0], np.float32), np.array([120.0, 95.0, 170.0], np.float32)
"""Colours of a ring form in a Giemsa stain: its dot and its ring."""
RING, DOT, THREAD = 0.13, 0.055, 0.035
"""Radius of a ring form, of its dot, and half the thickness of its ring, in diameters of the red cell."""


def make_clumps(thrombocytes: Sequence[Cutout], seed: int, most: int, number: int = CLUMPS) -> list[Cutout]:
    """Clumps of 4 to 9 thrombocytes that touch.

    Args:
        thrombocytes: of one part.
        seed: of everything drawn.
        most: pixels a side that a clump may have.
        number: clumps tried.
    """
    made = (_clump(thrombocytes, generator_for(seed, "clump", thrombocytes[0].part, k)) for k in range(number))
    small = [clump for clump in made if max(clump.alpha_HW.shape) <= most]
    return small or [replace(one, kind=CLUMP) for one in thrombocytes]


def make_infected(healthy: Sequence[Cutout], seed: int) -> list[Cutout]:
    """Each red cell with one ring form in it, seldom two: chromatin dot and ring of cytoplasm."""
    return [_infected(one, generator_for(seed, "infected", one.part, k)) for k, one in enumerate(healthy)]


def _clump(thrombocytes: Sequence[Cutout], rng: np.random.Generator) -> Cutout:
    members = [thrombocytes[int(k)] for k in rng.integers(len(thrombocytes), size=rng.integers(4, 10))]
    side = 2 * sum(max(one.alpha_HW.shape) for one in members)
    plasma_3 = np.median([(255.0,) * 3 if (own := around(one)) is None else own for one in members], axis=0)
    image_HWC = np.broadcast_to(plasma_3.astype(np.float32), (side, side, 3)).copy()
    alpha_HW = np.zeros((side, side), np.float32)
    for one in members:
        turns, flip = int(rng.integers(4)), bool(rng.integers(2))
        pixels_HW4 = np.rot90(np.dstack([one.image_HWC, one.alpha_HW]), turns).astype(np.float32)
        pixels_HW4 = pixels_HW4[:, ::-1] if flip else pixels_HW4
        tall, wide = pixels_HW4.shape[:2]
        y, x = _beside(alpha_HW, min(tall, wide), rng)
        here = slice(int(y - tall / 2), int(y - tall / 2) + tall), slice(int(x - wide / 2), int(x - wide / 2) + wide)
        share_HW = pixels_HW4[..., 3] / 255
        image_HWC[here] += share_HW[..., None] * (pixels_HW4[..., :3] - image_HWC[here])
        alpha_HW[here] = np.maximum(alpha_HW[here], pixels_HW4[..., 3])
    cropped_HWC, cropped_HW = tight(image_HWC.astype(np.uint8), alpha_HW.astype(np.uint8))
    first = members[0]
    return Cutout(cropped_HWC, cropped_HW, CLUMP, first.source, first.part, first.group, scale=first.scale)


def _beside(alpha_HW: np.ndarray, width: int, rng: np.random.Generator) -> tuple[float, float]:
    """A place (row, column) at which a piece of that width touches what lies there, rather near the middle."""
    middle = len(alpha_HW) / 2
    lain_P2 = np.argwhere(alpha_HW > 127)
    if not len(lain_P2):
        return middle, middle
    angle_T = rng.uniform(0, 2 * np.pi, 4)
    place_T2 = lain_P2[rng.integers(len(lain_P2), size=4)] + 0.62 * width * np.column_stack(
        [np.sin(angle_T), np.cos(angle_T)]
    )
    row, column = place_T2[np.abs(place_T2 - middle).sum(1).argmin()]
    return float(row), float(column)


def _infected(cell: Cutout, rng: np.random.Generator) -> Cutout:
    diameter = 2 * np.sqrt(cell.area / np.pi)
    image_HWC = cell.image_HWC.astype(np.float32)
    depth_HW = cv2.distanceTransform((cell.alpha_HW > 127).astype(np.uint8), cv2.DIST_L2, 5)
    places = np.argwhere(depth_HW > min((RING + THREAD) * diameter, 0.9 * depth_HW.max()))
    rows, columns = np.mgrid[: depth_HW.shape[0], : depth_HW.shape[1]].astype(np.float32)
    for _ in range(1 + int(rng.random() < 0.15)):
        y, x = places[rng.integers(len(places))] + rng.uniform(-0.5, 0.5, 2)
        angle, size = rng.uniform(0, 2 * np.pi), rng.uniform(0.75, 1.15) * diameter
        squeeze = rng.uniform(0.75, 1.0)
        along, across = columns - np.float32(x), rows - np.float32(y)
        along, across = (
            along * np.cos(angle) + across * np.sin(angle),
            (across * np.cos(angle) - along * np.sin(angle)) / squeeze,
        )
        ring_HW = _inside(THREAD * size - np.abs(np.hypot(along, across) - RING * size))
        dot_HW = _inside(DOT * size * rng.uniform(0.85, 1.2) - np.hypot(along - RING * size, across))
        for share_HW, colour_3, most in ((ring_HW, CYTOPLASM, 0.7), (dot_HW, CHROMATIN, 0.95)):
            image_HWC += most * share_HW[..., None] * (colour_3 - image_HWC)
    return replace(cell, image_HWC=np.clip(np.rint(image_HWC), 0, 255).astype(np.uint8), kind=INFECTED)


def _inside(distance_HW: np.ndarray) -> np.ndarray:
    """Share of each pixel inside a shape, from the distance to its edge in pixels."""
    return np.clip(distance_HW / 1.4 + 0.5, 0, 1).astype(np.float32)
