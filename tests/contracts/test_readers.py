"""What every format that the reader knows must keep."""

from __future__ import annotations

import io

import h5py
import numpy as np
import pytest
from PIL import Image

from corpuscle.core.records import Pixels
from corpuscle.data.readers.image import FORMATS, IMAGE_SUFFIXES, UnreadableImage, decode, read_image, size_of
from corpuscle.data.readers.read import content_digest, read_pixels
from corpuscle.synth.tiff import write_tiled

COLOUR_HWC = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)


@pytest.fixture(params=FORMATS)
def content(request: pytest.FixtureRequest) -> bytes:
    """A file of each format."""
    file = io.BytesIO()
    Image.fromarray(COLOUR_HWC).save(file, request.param)
    return file.getvalue()


def test_every_format_gives_three_channels_of_whole_numbers(content):
    pixels = decode(content, "x")
    assert isinstance(pixels, Pixels)
    assert pixels.array_HWC.shape == (24, 32, 3)
    assert pixels.array_HWC.dtype == np.uint8
    assert pixels.array_HWC.flags.c_contiguous


def test_every_format_gives_the_same_pixels_from_a_file_and_from_its_bytes_again_and_again(content, tmp_path):
    path = tmp_path / "x"
    path.write_bytes(content)
    first = decode(content, "x").array_HWC
    for _ in range(3):
        np.testing.assert_array_equal(read_image(path).array_HWC, first)


def test_every_format_is_refused_where_it_breaks_off_in_the_middle(content):
    for share in (0.1, 0.5, 0.9):
        with pytest.raises(UnreadableImage, match=r"^x: [^\n]+; [^\n]+$"):
            decode(content[: int(len(content) * share)], "x")


def test_no_byte_that_is_wrong_brings_the_reader_down(content):
    rng = np.random.default_rng(1)
    for _ in range(40):
        broken = bytearray(content)
        broken[rng.integers(len(content))] = rng.integers(256)
        try:
            assert decode(bytes(broken), "x").array_HWC.shape[2] == 3
        except UnreadableImage as refused:
            assert "\n" not in str(refused)


def test_every_format_has_a_suffix_by_which_it_is_found():
    Image.init()
    for kind in FORMATS:
        assert any(Image.EXTENSION.get(suffix) == kind for suffix in IMAGE_SUFFIXES), kind


def test_every_format_tells_its_size_without_being_decoded(content, tmp_path, monkeypatch):
    path = tmp_path / "x"
    path.write_bytes(content)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", None)
    assert size_of(path) == (32, 24)


@pytest.mark.parametrize("kind", [*FORMATS, "HDF5", "slide"])
def test_every_kind_is_read_by_one_door_and_known_by_its_bytes(kind, tmp_path):
    path = tmp_path / "x.h5"
    if kind == "HDF5":
        with h5py.File(path, "w") as file:
            file["x"] = np.stack([255 - COLOUR_HWC, COLOUR_HWC])
        path = tmp_path / "x.h5#1"
    elif kind == "slide":
        write_tiled(path, (24, 32), [COLOUR_HWC], side=32)
        path = tmp_path / "x.h5#0,0,24@24"
    else:
        Image.fromarray(COLOUR_HWC).save(path, kind)
    pixels = read_pixels(path)
    assert pixels.array_HWC.shape == (24, 24 if kind == "slide" else 32, 3) and pixels.array_HWC.flags.c_contiguous
    np.testing.assert_array_equal(read_pixels(path).array_HWC, pixels.array_HWC)
    other = tmp_path / ("x.h5#1,0,24@24" if kind == "slide" else "x.h5#0")
    assert content_digest(path) == content_digest(path) != content_digest(other)
