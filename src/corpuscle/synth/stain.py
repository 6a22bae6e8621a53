"""Colour as optical density: what a slide's stains, lamp and camera make of the dyes in each pixel.

Light falls off exponentially with the amount of dye it meets (Beer–Lambert), so dyes add up as optical
densities: Ruifrok and Johnston, Quantification of histochemical staining by color deconvolution, 2001.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from corpuscle.synth.shapes import field

STAINS_SC = np.array(
    [
        [0.51, 0.84, 0.18],  # azure B with eosin on chromatin: violet
        [0.74, 0.65, 0.18],  # methylene blue on ribonucleic acid: sky blue
        [0.20, 0.72, 0.66],  # eosin on haemoglobin and basic granules: orange-red
    ],
    np.float32,
)
"""Absorption of red, green and blue light by azure, methylene blue and eosin in a Wright-Giemsa stain (unit length)."""

AZURE, BLUE, EOSIN = range(3)


@dataclass(frozen=True)
class Slide:
    """What all cells of one smear share.

    Attributes:
        stains_SC: optical density of a unit of each dye (azure, methylene blue, eosin) in red, green and blue.
        light_C: colour of the empty slide, 0..1.
        gradient_2: how much brighter the lamp is at the right and the lower edge than in the middle.
        vignette: how much darker the corners are than the middle.
        blur: standard deviation of the microscope's blur in microns.
        noise: standard deviation of the camera's noise at full light, as a share of it.
        crowding: share of the places for red cells that are taken.
        pallor: how pale the middle of the red cells is; 0 is an even disc, 1 the biconcave one of a textbook.
    """

    stains_SC: np.ndarray
    light_C: np.ndarray
    gradient_2: np.ndarray
    vignette: float
    blur: float
    noise: float
    crowding: float
    pallor: float


def draw_slide(rng: np.random.Generator) -> Slide:
    """A smear with its own stain, lamp and camera."""
    hue = STAINS_SC + rng.normal(0, 0.035, (3, 3)).astype(np.float32)
    hue = np.clip(hue, 0.03, None)
    hue /= np.linalg.norm(hue, axis=1, keepdims=True)
    strength = rng.uniform((0.72, 0.65, 0.65), (1.12, 1.3, 1.3)).astype(np.float32)
    cream, lilac = np.array([1.0, 0.91, 0.81]), np.array([0.86, 0.84, 0.91])
    cool = rng.beta(0.7, 1.2)
    light = (cream + cool * (lilac - cream)) * rng.uniform(0.92, 1.0) + rng.normal(0, 0.012, 3)
    return Slide(
        stains_SC=hue * strength[:, None],
        light_C=np.clip(light, 0, 1).astype(np.float32),
        gradient_2=rng.normal(0, 0.03, 2).astype(np.float32),
        vignette=rng.uniform(0, 0.06),
        blur=rng.uniform(0.06, 0.20),
        noise=rng.uniform(0.004, 0.014),
        crowding=rng.uniform(0.45, 1.0),
        pallor=rng.uniform(0.75, 1.2),
    )


def develop(dye_SHW: np.ndarray, slide: Slide, rng: np.random.Generator) -> np.ndarray:
    """The picture of an amount of dye per pixel: absorption, lamp, blur and noise; uint8 RGB (H, W, 3)."""
    size = dye_SHW.shape[-1]
    grid = field(size)
    across, down = grid.x_HW / grid.x_HW.max(), grid.y_HW / grid.y_HW.max()
    lamp_HW = 1 + slide.gradient_2[0] * across + slide.gradient_2[1] * down
    lamp_HW -= np.float32(slide.vignette / 2) * (across**2 + down**2)
    density_CHW = np.tensordot(slide.stains_SC.T, dye_SHW, 1)
    passed_CHW = np.exp(np.float32(-np.log(10)) * density_CHW) * lamp_HW
    image = cv2.merge(list(passed_CHW * slide.light_C[:, None, None]))
    image = cv2.GaussianBlur(image, (0, 0), max(slide.blur / grid.pitch, 0.3))
    grain = rng.standard_normal(image.shape, dtype=np.float32)
    image += np.float32(slide.noise) * np.sqrt(image) * grain  # photons arrive one by one: variance follows light
    return np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8)
