"""What is measured of an image: its file, its light, its sharpness, its bars and its border."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from corpuscle.core.records import Pixels
from corpuscle.data.doctor.looks import LOOKS, bars, looks_of, quality_of, sharpness
from corpuscle.data.readers.image import decode


@pytest.fixture
def cells():
    """A pale picture with dark spots, 180 x 200."""
    image_HWC = np.full((180, 200, 3), (235, 205, 215), np.uint8)
    for at in ((40, 50), (110, 60), (150, 130), (70, 140), (60, 100)):
        cv2.circle(image_HWC, at, 16, (90, 40, 130), -1)
    random = np.random.default_rng(0)
    return image_HWC - random.integers(8, size=image_HWC.shape, dtype=np.uint8)


def encoded(image_HWC, kind, **options):
    out = io.BytesIO()
    Image.fromarray(image_HWC).save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize("quality", [1, 10, 49, 50, 51, 75, 90, 95, 100])
def test_the_quality_of_a_jpeg_is_that_it_was_saved_with(cells, quality):
    looks = looks_of(decode(encoded(cells, "JPEG", quality=quality), "a.jpg"))
    assert looks["quality"] == quality


def test_a_table_of_no_quality_has_the_nearest_and_none_has_none():
    assert quality_of((2,) * 64) in (97, 98, 99)
    assert quality_of(()) is None and quality_of((1, 2, 3)) is None


def test_the_facts_of_the_file_are_told(cells):
    exif = Image.Exif()
    exif[271], exif[272] = "Olympus\0", "DP74 "
    content = encoded(cells, "JPEG", exif=exif)
    looks = looks_of(decode(content, "named.png"))
    assert (looks["format"], looks["file_bytes"], looks["camera"]) == ("JPEG", len(content), "Olympus DP74")
    looks = looks_of(decode(encoded(cells, "PNG"), "a.png"))
    assert (looks["format"], looks["quality"], looks["camera"]) == ("PNG", None, None)


def test_an_image_inside_another_file_has_no_facts_of_a_file(cells):
    looks = looks_of(Pixels(cells))
    assert [looks[name] for name in ("format", "file_bytes", "quality", "camera")] == [None] * 4
    assert list(looks) == list(LOOKS)


def test_light_is_measured_from_black_to_white():
    half = np.zeros((64, 64, 3), np.uint8)
    half[:, 32:] = 255
    looks = looks_of(Pixels(half))
    assert looks["brightness"] == pytest.approx(0.5) and looks["contrast"] == pytest.approx(0.5)
    assert looks["black"] == looks["white"] == 0.5
    grey = looks_of(Pixels(np.full((64, 64, 3), 51, np.uint8)))
    assert (grey["brightness"], grey["contrast"], grey["black"], grey["white"]) == (pytest.approx(0.2), 0, 0, 0)


def test_eight_and_sixteen_bits_look_the_same(cells):
    narrow, wide = looks_of(Pixels(cells)), looks_of(Pixels(cells.astype(np.uint16) * np.uint16(257)))
    measured = [name for name in LOOKS if name not in ("format", "file_bytes", "quality", "camera", "signature")]
    assert [narrow[name] for name in measured] == pytest.approx([wide[name] for name in measured], rel=1e-3)


def test_what_a_camera_of_ten_bits_saw_is_told_in_sixteen(cells):
    dim = looks_of(Pixels(cells.astype(np.uint16) * np.uint16(4)))
    assert dim["contrast"] == pytest.approx(looks_of(Pixels(cells))["contrast"] * 255 * 4 / 65535, rel=1e-3)


@pytest.mark.parametrize("scale", [1, 4])
def test_blur_makes_less_sharp_whatever_the_contrast_and_the_size(cells, scale):
    image_HWC = cv2.resize(cells, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    found = [
        looks_of(Pixels(cv2.GaussianBlur(image_HWC, (0, 0), blur * scale) if blur else image_HWC))["sharpness"]
        for blur in (0, 1.5, 3, 5)
    ]
    assert found == sorted(found, reverse=True) and found[0] > found[2] + 0.12
    pale = looks_of(Pixels((image_HWC * 0.5 + 100).astype(np.uint8)))["sharpness"]
    assert pale == pytest.approx(found[0], abs=0.05)


def test_nothing_is_sharp_in_one_colour():
    assert sharpness(np.full((40, 40), 128, np.uint8)) == 0


@pytest.mark.parametrize("colour", [0, 128, 255])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_bars_are_measured_on_each_side(cells, colour, kind):
    barred = cv2.copyMakeBorder(cells, 20, 10, 0, 25, cv2.BORDER_CONSTANT, value=(colour,) * 3)
    looks = looks_of(decode(encoded(barred, kind), "a"))
    found = [looks[f"bar_{side}"] for side in ("top", "bottom", "left", "right")]
    assert found == pytest.approx([20 / 210, 10 / 210, 0, 25 / 225], abs=0.02)


def test_a_plain_background_and_a_round_picture_have_no_bars():
    plain = np.full((120, 120), 250, np.uint8)
    cv2.circle(plain, (60, 70), 30, 90, -1)
    assert bars(plain) == (0, 0, 0, 0)
    round_picture = np.zeros((300, 300), np.uint8)
    cv2.circle(round_picture, (150, 150), 130, 140, -1)
    assert bars(round_picture) == (0, 0, 0, 0)
    assert bars(np.full((50, 60), 7, np.uint8)) == (0, 0, 0, 0), "one colour all over is blank, not barred"


def test_the_colour_of_the_border_is_that_of_the_outermost_pixels(cells):
    framed = cv2.copyMakeBorder(cells, 6, 6, 6, 6, cv2.BORDER_CONSTANT, value=(255, 51, 0))
    looks = looks_of(Pixels(framed))
    assert [looks[f"border_{name}"] for name in ("red", "green", "blue")] == pytest.approx([1, 0.2, 0])


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 1), (2, 3), (900, 2)])
def test_images_of_a_few_pixels_have_looks_too(shape):
    looks = looks_of(Pixels(np.random.default_rng(0).integers(0, 255, (*shape, 3), np.uint8)))
    assert all(
        0 <= looks[name] <= 1
        for name in LOOKS
        if name not in ("format", "file_bytes", "quality", "camera", "signature")
    )
