"""Masks that cannot be their image's own."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

from corpuscle.data.cache import survey
from corpuscle.data.doctor.faults import image_faults
from corpuscle.data.masks import survey_masks
from corpuscle.data.readers.image import ReadPlan
from corpuscle.data.sources import scan


@pytest.fixture
def pairs(tmp_path):
    """Six different images, each with a mask of its own that holds as many pixels as the others."""
    random = np.random.default_rng(0)
    for number in range(6):
        for folder in ("images", "masks"):
            (tmp_path / folder).mkdir(exist_ok=True)
        mask_HW = np.zeros((20, 24), np.uint8)
        mask_HW[number : number + 8, 4:12] = 1
        Image.fromarray(mask_HW).save(tmp_path / "masks" / f"{number}.png")
        image_HWC = np.repeat(150 - 60 * mask_HW[..., None], 3, axis=2) + random.integers(
            40, size=(20, 24, 3), dtype=np.uint8
        )
        Image.fromarray(image_HWC.astype(np.uint8)).save(tmp_path / "images" / f"{number}.png")
    return tmp_path


def of_masks(folder):
    table = scan(folder)
    seen = survey(table, ReadPlan(), None).frame
    assert image_faults(table, seen) == [], "nothing is known before the masks are read"
    found = survey_masks(table, seen, ReadPlan(), None)
    return image_faults(table.with_frame(table.frame.with_columns(found.frame["pixels"])), found.joined(seen))


def test_masks_of_as_many_pixels_are_no_fault(pairs):
    assert of_masks(pairs) == []


def test_one_mask_of_two_images_is_told(pairs):
    shutil.copy(pairs / "masks" / "1.png", pairs / "masks" / "4.png")
    (finding,) = of_masks(pairs)
    assert finding.kind == "same mask" and finding.images == ("images/1.png", "images/4.png")
    assert str(finding) == (
        "images/1.png, images/4.png have one and the same mask, and are different images; give each its own"
    )


def test_copies_of_an_image_rightly_share_a_mask(pairs):
    for folder in ("images", "masks"):
        shutil.copy(pairs / folder / "1.png", pairs / folder / "4.png")
    assert of_masks(pairs) == []


def test_empty_masks_are_alike_without_fault(pairs):
    for number in (2, 3):
        Image.fromarray(np.zeros((20, 24), np.uint8)).save(pairs / "masks" / f"{number}.png")
    assert of_masks(pairs) == []
