"""Rectangles of images of any size are the rectangles of the whole."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from corpuscle.data.readers import windows as module
from corpuscle.data.readers.image import ReadPlan, UnreadableImage, read_image
from corpuscle.data.readers.windows import ArrayWindows, SlideWindows, open_windows
from corpuscle.synth.tiff import write_tiled

RNG = np.random.default_rng(0)
NOISE_HWC = RNG.integers(0, 256, (150, 217, 3), dtype=np.uint8)
RECTANGLES = ((0, 0, 150, 217), (60, 70, 10, 12), (149, 216, 1, 1), (3, 100, 140, 117))


def smooth(height, width):
    y, x = np.mgrid[:height, :width]
    return np.stack([x % 256, y % 256, (x + y) // 2 % 256], axis=-1).astype(np.uint8)


def assert_same_pixels(windows, whole_HWC):
    assert (windows.height, windows.width) == whole_HWC.shape[:2]
    for top, left, height, width in RECTANGLES:
        array_HWC = windows.read(top, left, height, width)
        assert array_HWC.dtype == whole_HWC.dtype
        np.testing.assert_array_equal(array_HWC, whole_HWC[top : top + height, left : left + width])


@pytest.mark.parametrize("quality", [None, 90])
def test_a_tiled_tiff_has_the_pixels_of_the_image_reader_and_is_not_decoded_whole(tmp_path, quality, monkeypatch):
    path = tmp_path / "a.tiff"
    array_HWC = NOISE_HWC if quality is None else smooth(150, 217)
    write_tiled(path, (150, 217), [array_HWC], side=64, quality=quality, mpp=0.5)
    whole = read_image(path)
    monkeypatch.setattr(module, "read_pixels", None)
    with open_windows(path, ReadPlan(max_pixels=100)) as windows:
        assert isinstance(windows, SlideWindows)
        assert_same_pixels(windows, whole.array_HWC)
        assert windows.mpp == whole.mpp == 0.5


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".jpg"])
def test_any_other_file_is_read_whole(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(NOISE_HWC).save(path)
    with open_windows(path) as windows:
        assert isinstance(windows, ArrayWindows)
        assert_same_pixels(windows, read_image(path).array_HWC)


def tagged(path, **changes):
    """A tiled TIFF some of whose tags are changed in place."""
    write_tiled(path, (150, 217), [NOISE_HWC], side=64)
    content = bytearray(path.read_bytes())
    start = int.from_bytes(content[4:8], "little")
    for place in range(start + 2, start + 2 + 12 * content[start], 12):
        tag = f"tag{int.from_bytes(content[place : place + 2], 'little')}"
        if tag in changes:
            content[place + 8 : place + 10] = changes[tag].to_bytes(2, "little")
    path.write_bytes(bytes(content))
    return path


def test_colours_that_openslide_would_change_go_to_the_image_reader(tmp_path):
    path = tagged(tmp_path / "ycbcr.tiff", tag262=6)
    with open_windows(path) as windows:
        assert isinstance(windows, ArrayWindows)
        assert_same_pixels(windows, read_image(path).array_HWC)


def test_another_page_goes_to_the_image_reader(tmp_path):
    write_tiled(tmp_path / "a.tiff", (150, 217), [NOISE_HWC], side=64)
    with (
        pytest.raises(UnreadableImage, match="page 1 was asked for"),
        open_windows(tmp_path / "a.tiff", ReadPlan(page=1)),
    ):
        pass


def test_sixteen_bits_stay_sixteen(tmp_path):
    array_HW = RNG.integers(0, 65536, (150, 217), dtype=np.uint16)
    Image.fromarray(array_HW).save(tmp_path / "wide.png")
    with open_windows(tmp_path / "wide.png") as windows:
        assert_same_pixels(windows, np.stack([array_HW] * 3, axis=-1))


def test_a_real_slide_has_the_pixels_of_the_image_reader(sample_data):
    path = sample_data / "slide" / "CMU-1-Small-Region.tiff"
    whole_HWC = read_image(path).array_HWC
    with open_windows(path) as windows:
        assert isinstance(windows, SlideWindows)
        assert (windows.height, windows.width, windows.mpp) == (2967, 2220, 0.499)
        for top, left in ((0, 0), (1201, 777), (2867, 2120)):
            np.testing.assert_array_equal(
                windows.read(top, left, 100, 100), whole_HWC[top : top + 100, left : left + 100]
            )


def test_what_a_scanner_left_out_is_white(tmp_path):
    class Slide:
        def read_region(self, place, level, size):
            region = Image.new("RGBA", size, (0, 0, 0, 0))
            region.putpixel((0, 0), (10, 20, 30, 255))
            return region

    array_HWC = SlideWindows(tmp_path, Slide()).read(0, 0, 2, 3)
    assert array_HWC[0, 0].tolist() == [10, 20, 30]
    assert (array_HWC.reshape(-1, 3)[1:] == 255).all()


@pytest.mark.parametrize(("x", "y", "mpp"), [("0.25", "0.251", 0.25), ("0.25", "0.5", None), ("353", "353", None)])
def test_microns_are_those_of_a_microscope_and_square(tmp_path, x, y, mpp):
    class Slide:
        properties = {"openslide.mpp-x": x, "openslide.mpp-y": y}  # noqa: RUF012

    assert SlideWindows(tmp_path, Slide()).mpp == mpp


def test_an_image_too_large_to_decode_whole_is_refused_with_the_way_out(tmp_path):
    Image.fromarray(NOISE_HWC).save(tmp_path / "large.png")
    says = (
        "large.png: has 217 x 150 pixels, more than the limit of 1,000; save it as a tiled TIFF of 8 bits, grey or "
        "RGB, which is read piece by piece, or pass --set read.max_pixels=32550"
    )
    with (
        pytest.raises(UnreadableImage, match=re.escape(says)),
        open_windows(tmp_path / "large.png", ReadPlan(max_pixels=1000)),
    ):
        pass


@pytest.mark.parametrize("content", [None, b"", b"words, not pixels", b"II*\0\x08\0\0\0"])
def test_what_is_no_image_is_refused(tmp_path, content):
    path = tmp_path / "bad.tiff"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UnreadableImage, match=r"bad\.tiff: .+; "), open_windows(path):
        pass


def test_a_damaged_tile_is_found_when_it_is_read(tmp_path):
    path = tmp_path / "damaged.tiff"
    write_tiled(path, (150, 217), [smooth(150, 217)], side=64, quality=90)
    content = bytearray(path.read_bytes())
    content[8:12] = b"\0\0\0\0"
    path.write_bytes(bytes(content))
    with open_windows(path) as windows:
        windows.read(100, 100, 10, 10)
        with pytest.raises(UnreadableImage, match="pixels at row 0, column 0 cannot be decoded"):
            windows.read(0, 0, 10, 10)
