"""Every mode of image, on pixels."""

from __future__ import annotations

import io
import os
import re
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFile, ImageOps

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.records import Pixels
from corpuscle.data.readers.image import IMAGE_SUFFIXES, ReadPlan, UnreadableImage, decode, read_image

DATA = Path(os.environ.get("CORPUSCLE_TEST_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
RNG = np.random.default_rng(0)
COLOUR_HWC = RNG.integers(0, 256, (9, 13, 3), dtype=np.uint8)
GREY_HW = RNG.integers(0, 256, (9, 13), dtype=np.uint8)
WIDE_HWC = RNG.integers(0, 65536, (9, 13, 3), dtype=np.uint16)
WIDE_HW = RNG.integers(0, 65536, (9, 13), dtype=np.uint16)


def written(image: Image.Image | np.ndarray, kind: str, **options: object) -> bytes:
    """The bytes of an image file as Pillow writes it."""
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def by_opencv(array: np.ndarray, suffix: str) -> bytes:
    """The bytes of an image file as OpenCV writes it; colours are given as RGB or RGBA."""
    order = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    array = cv2.cvtColor(array, order[array.shape[2]]) if array.ndim == 3 else array
    return cv2.imencode(suffix, array)[1].tobytes()


def little_tiff(tags: dict[int, tuple[int, int, int]], strip: bytes) -> bytes:
    """A TIFF by hand, for what no library writes: tag to (type, count, value), one strip of pixels."""
    strip_at = 8 + 2 + 12 * (len(tags) + 2) + 4
    tags = tags | {273: (4, 1, strip_at), 279: (4, 1, len(strip))}
    entries = b"".join(struct.pack("<HHII", tag, *tags[tag]) for tag in sorted(tags))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + b"\0\0\0\0" + strip


def grey_tiff(bits: int, photometric: int, strip: bytes, **more: int) -> bytes:
    """A grey TIFF of 2 x 2 pixels by hand."""
    short = {256: 2, 257: 2, 258: bits, 259: 1, 262: photometric, 277: 1, 278: 2, 339: more.get("sample_format", 1)}
    return little_tiff({tag: (3, 1, value) for tag, value in short.items()}, strip)


def read(content: bytes, **choices: int) -> Pixels:
    """What the reader gives, with its promise on shape, order and type checked."""
    pixels = decode(content, "cell.png", ReadPlan(**choices))
    assert pixels.array_HWC.ndim == 3
    assert pixels.array_HWC.shape[2] == 3
    assert pixels.array_HWC.dtype in (np.uint8, np.uint16)
    assert pixels.array_HWC.flags.c_contiguous
    assert pixels.array_HWC.flags.writeable
    return pixels


def three(array_HW: np.ndarray) -> np.ndarray:
    """Grey repeated over the channels."""
    return np.stack([array_HW] * 3, axis=-1)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "WEBP"])
def test_colours_without_loss_come_back_as_they_were(kind):
    pixels = read(written(COLOUR_HWC, kind, **({"lossless": True} if kind == "WEBP" else {})))
    np.testing.assert_array_equal(pixels.array_HWC, COLOUR_HWC)
    assert pixels.array_HWC.dtype == np.uint8
    assert pixels.note == ""


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": "4:4:4"}])
def test_jpeg_is_what_pillow_decodes(options):
    content = written(COLOUR_HWC, "JPEG", **options)
    np.testing.assert_array_equal(read(content).array_HWC, np.asarray(Image.open(io.BytesIO(content))))


@pytest.mark.parametrize("options", [{}, {"quality": 98, "subsampling": 0}, {"restart_marker_blocks": 3}])
def test_a_plain_jpeg_in_colour_is_decoded_without_pillow_to_the_same_pixels(options, monkeypatch):
    content = written(cv2.resize(COLOUR_HWC, (97, 61)), "JPEG", **options)
    expected_HWC = np.asarray(Image.open(io.BytesIO(content)))
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: pytest.fail("Pillow decodes it"))
    np.testing.assert_array_equal(read(content).array_HWC, expected_HWC)


def test_a_jpeg_with_another_marker_among_its_pixels_is_refused():
    content = written(cv2.resize(COLOUR_HWC, (200, 150)), "JPEG")
    middle = len(content) * 3 // 4
    with pytest.raises(UnreadableImage, match=r"cannot be decoded \(broken data stream when reading image file\)"):
        read(content[:middle] + b"\xff\xc0\0\x11" + content[middle:])


def test_a_jpeg_with_bytes_behind_its_end_is_read():
    content = written(COLOUR_HWC, "JPEG")
    np.testing.assert_array_equal(read(content + bytes(3)).array_HWC, read(content).array_HWC)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF", "PPM"])
def test_eight_bit_grey_is_repeated_over_the_channels(kind):
    pixels = read(written(GREY_HW, kind))
    np.testing.assert_array_equal(pixels.array_HWC, three(GREY_HW))
    assert pixels.note == ("palette to RGB" if kind == "GIF" else "grey to RGB")  # a GIF always has a palette


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_one_bit_becomes_black_and_white(kind):
    pixels = read(written(Image.fromarray(GREY_HW > 127), kind))
    np.testing.assert_array_equal(pixels.array_HWC, three(np.where(GREY_HW > 127, 255, 0)))
    if kind != "BMP":  # a BMP of one bit has a palette
        assert pixels.note == "1 bit to RGB"


@pytest.mark.parametrize("bits", [2, 4])
def test_few_bits_of_grey_reach_from_black_to_white(bits):
    shades = np.array([[0, 1], [2**bits - 2, 2**bits - 1]], np.uint8)
    row = [int(a) << (8 - bits) | int(b) << (8 - 2 * bits) for a, b in shades]
    expected = np.rint(shades * (255 / (2**bits - 1))).astype(np.uint8)
    np.testing.assert_array_equal(read(grey_tiff(bits, 1, bytes(row))).array_HWC, three(expected))


def test_a_palette_gives_its_colours():
    palette = Image.fromarray(COLOUR_HWC).quantize(16)
    pixels = read(written(palette, "PNG"))
    np.testing.assert_array_equal(pixels.array_HWC, np.asarray(palette.convert("RGB")))
    assert pixels.note == "palette to RGB"


def test_a_transparent_palette_colour_becomes_white():
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.putdata([0, 1])
    for content in (written(palette, "PNG", transparency=1), written(palette, "GIF", transparency=1)):
        pixels = read(content)
        assert pixels.array_HWC.tolist() == [[[10, 20, 30], [255, 255, 255]]]
        assert pixels.note == "palette with transparency over white"


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_transparency_is_laid_over_white(kind):
    alpha_HW = RNG.integers(0, 256, (9, 13), dtype=np.uint8)
    image = np.dstack([COLOUR_HWC, alpha_HW])
    pixels = read(written(image, kind, **({"lossless": True, "exact": True} if kind == "WEBP" else {})))
    share = alpha_HW[..., None] / 255
    np.testing.assert_array_equal(pixels.array_HWC, np.rint(COLOUR_HWC * share + 255 * (1 - share)).astype(np.uint8))
    assert pixels.note == "RGB with transparency over white"


def test_grey_with_transparency_is_laid_over_white():
    image = Image.merge("LA", (Image.new("L", (1, 1), 100), Image.new("L", (1, 1), 51)))
    pixels = read(written(image, "PNG"))
    assert pixels.array_HWC.tolist() == [[[224, 224, 224]]]  # 100 × 0.2 + 255 × 0.8
    assert pixels.note == "grey with transparency over white"


def test_a_transparent_shade_of_grey_or_colour_becomes_white():
    grey = np.array([[7, 8]], np.uint8)
    assert read(written(grey, "PNG", transparency=7)).array_HWC[0, :, 0].tolist() == [255, 8]
    colours = np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)
    assert read(written(colours, "PNG", transparency=(1, 2, 3))).array_HWC.tolist() == [[[255] * 3, [4, 5, 6]]]


@pytest.mark.parametrize("kind", ["TIFF", "JPEG"])
def test_cmyk_is_converted_the_right_way_round(kind):
    ink = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # magenta and yellow: red; inverted it would be cyan
    pixels = read(written(ink, kind, **({"quality": 100} if kind == "JPEG" else {})))
    np.testing.assert_allclose(pixels.array_HWC[8, 8], [255, 0, 0], atol=3)
    assert pixels.note == "CMYK to RGB"


def test_ycbcr_is_converted():
    pixels = read(written(Image.fromarray(COLOUR_HWC).convert("YCbCr"), "TIFF"))
    np.testing.assert_allclose(pixels.array_HWC.astype(int), COLOUR_HWC, atol=3)
    assert pixels.note == "YCbCr to RGB"


def test_cie_lab_is_converted():
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    lab = ImageCms.applyTransform(Image.new("RGB", (4, 4), (200, 120, 90)), to_lab)
    pixels = read(written(lab, "TIFF"))
    np.testing.assert_allclose(pixels.array_HWC[0, 0].astype(int), [200, 120, 90], atol=3)
    assert pixels.note == "CIE Lab to RGB"


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_keeps_every_value(kind):
    pixels = read(written(WIDE_HW, kind))
    np.testing.assert_array_equal(pixels.array_HWC, three(WIDE_HW))
    assert pixels.note == "16-bit grey to RGB"


def test_sixteen_bit_grey_in_big_endian_keeps_every_value():
    big = Image.frombytes("I;16B", (13, 9), WIDE_HW.astype(">u2").tobytes())
    np.testing.assert_array_equal(read(written(big, "TIFF")).array_HWC, three(WIDE_HW))


def test_sixteen_bit_portable_grey_keeps_every_value():
    content = b"P5 13 9 65535\n" + WIDE_HW.astype(">u2").tobytes()
    np.testing.assert_array_equal(read(content).array_HWC, three(WIDE_HW))


def test_sixteen_bit_grey_where_white_is_zero_is_turned_round():
    values = np.array([[0, 1], [256, 65535]], "<u2")
    assert read(grey_tiff(16, 0, values.tobytes())).array_HWC[..., 0].tolist() == [[65535, 65534], [65279, 0]]
    assert read(grey_tiff(8, 0, bytes([0, 1, 2, 255]))).array_HWC[..., 0].tolist() == [[255, 254], [253, 0]]


def test_twelve_bit_grey_reaches_from_black_to_white():
    rows = bytes([0x00, 0x0F, 0xFF, 0x80, 0x00, 0x01])  # 0, 4095 and 2048, 1: two values in three bytes
    values = read(grey_tiff(12, 1, rows)).array_HWC[..., 0].astype(int)
    np.testing.assert_array_equal(values, np.rint(np.array([[0, 4095], [2048, 1]]) * 65535 / 4095))


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bit_colours_keep_their_low_byte(suffix):
    pixels = read(by_opencv(WIDE_HWC, suffix))
    assert pixels.array_HWC.dtype == np.uint16
    np.testing.assert_array_equal(pixels.array_HWC, WIDE_HWC)
    assert pixels.note == ""


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bit_transparency_is_laid_over_white(suffix):
    alpha_HW = WIDE_HW.copy()
    alpha_HW[0], alpha_HW[1] = 0, 65535
    pixels = read(by_opencv(np.dstack([WIDE_HWC, alpha_HW]), suffix))
    share = alpha_HW[..., None] / 65535
    np.testing.assert_array_equal(pixels.array_HWC, np.rint(WIDE_HWC * share + 65535 * (1 - share)))
    assert pixels.note == "16-bit colours with transparency over white"


def test_sixteen_bit_grey_with_transparency_is_laid_over_white():
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 2, 1, 16, 4, 0, 0, 0)
    line = b"\0" + struct.pack(">4H", 1000, 65535, 1000, 13107)  # shade, alpha; 13107 is a fifth
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(line)), chunk(b"IEND", b"")
    pixels = read(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    assert pixels.array_HWC.tolist() == [[[1000] * 3, [52628] * 3]]  # 1000 × 0.2 + 65535 × 0.8


def test_sixteen_bit_cmyk_is_refused_rather_than_misread():
    short = {256: 2, 257: 2, 259: 1, 262: 5, 277: 4, 278: 2}
    tags = {tag: (3, 1, value) for tag, value in short.items()}
    at = 8 + 2 + 12 * (len(tags) + 3) + 4
    bits, strip = struct.pack("<4H", 16, 16, 16, 16), bytes(2 * 2 * 4 * 2)
    content = little_tiff(tags | {258: (3, 4, at + len(strip))}, strip) + bits
    with pytest.raises(UnreadableImage, match=r"16-bit colours of a kind \(CMYK\) for which there is no rule"):
        read(content)


def test_sixteen_bit_portable_colours_are_refused_rather_than_halved():
    with pytest.raises(UnreadableImage, match="16-bit colours that Pillow and OpenCV decode differently") as caught:
        read(b"P6 1 1 1000\n" + struct.pack(">3H", 1, 2, 3))
    assert "PNG or TIFF" in str(caught.value)


def test_whole_numbers_within_sixteen_bits_are_exact():
    pixels = read(written(Image.fromarray(WIDE_HW.astype(np.int32)), "TIFF"))
    assert pixels.array_HWC.dtype == np.uint16
    np.testing.assert_array_equal(pixels.array_HWC, three(WIDE_HW))


@pytest.mark.parametrize("value", [-1, 65536])
def test_whole_numbers_beyond_sixteen_bits_are_refused_with_their_range(value):
    low, high = sorted([value, 5])
    with pytest.raises(UnreadableImage, match=f"whole numbers from {low} to {high}, 0 to 65535 was expected"):
        read(written(Image.fromarray(np.array([[value, 5]], np.int32)), "TIFF"))


def test_real_numbers_within_one_are_rounded_to_sixteen_bits():
    values = np.array([[0.0, 1.0, 0.5, 0.25]], np.float32)
    assert read(written(values, "TIFF")).array_HWC[0, :, 0].tolist() == [0, 65535, 32768, 16384]


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (1.5, "real numbers from 0.5 to 1.5, 0 to 1 was expected"),
        (-0.25, "real numbers from -0.25 to 0.5"),
        (np.nan, "1 values that are not finite"),
        (np.inf, "1 values that are not finite"),
    ],
)
def test_real_numbers_beyond_one_are_refused_with_their_range(value, what):
    with pytest.raises(UnreadableImage, match=what):
        read(written(np.array([[value, 0.5]], np.float32), "TIFF"))


def test_signed_bytes_are_refused():
    with pytest.raises(UnreadableImage, match="signed 8-bit"):
        read(grey_tiff(8, 1, bytes(4), sample_format=2))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_an_image_is_turned_upright_by_its_exif_orientation(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    plain = Image.fromarray(cv2.resize(COLOUR_HWC, (48, 32)))
    content = written(plain, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    lying = np.asarray(Image.open(io.BytesIO(content))) if kind == "JPEG" else np.asarray(plain)
    upright = {
        1: lying,
        2: np.fliplr(lying),
        3: np.rot90(lying, 2),
        4: np.flipud(lying),
        5: lying.swapaxes(0, 1),
        6: np.rot90(lying, -1),
        7: np.rot90(lying, 2).swapaxes(0, 1),
        8: np.rot90(lying, 1),
    }[orientation]
    pixels = read(content)
    np.testing.assert_array_equal(pixels.array_HWC, upright)
    assert ("orientation" in pixels.note) == (orientation > 1)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bit_colours_are_turned_upright_as_eight_bit_ones(suffix, orientation):
    content = bytearray(by_opencv(WIDE_HWC, suffix))
    exif = Image.Exif()
    exif[0x0112] = orientation
    if suffix == ".png":
        chunk = b"eXIf" + exif.tobytes()[6:]
        sized = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        content = content[:33] + sized + content[33:]
    else:
        content = bytearray(tiff_16(WIDE_HWC, orientation))
    eight = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    array_HWC = read(bytes(content)).array_HWC
    np.testing.assert_array_equal(array_HWC >> 8, np.asarray(eight))
    assert array_HWC.dtype == np.uint16
    assert array_HWC.shape[:2] == ((13, 9) if orientation > 4 else (9, 13))


def tiff_16(image_HWC: np.ndarray, orientation: int) -> bytes:
    """A 16-bit colour TIFF with an orientation, by hand."""
    height, width, _ = image_HWC.shape
    short = {256: width, 257: height, 259: 1, 262: 2, 274: orientation, 277: 3, 278: height, 284: 1}
    tags = {tag: (3, 1, value) for tag, value in short.items()}
    strip = image_HWC.astype("<u2").tobytes()
    at = 8 + 2 + 12 * (len(tags) + 3) + 4
    return little_tiff(tags | {258: (3, 3, at + len(strip))}, strip) + struct.pack("<3H", 16, 16, 16)


def test_the_page_asked_for_is_read_and_said():
    pages = [Image.new("RGB", (4, 3), (shade, 0, 0)) for shade in (10, 20, 30)]
    for kind, options in {"TIFF": {}, "GIF": {}, "WEBP": {"lossless": True}}.items():
        content = written(pages[0], kind, save_all=True, append_images=pages[1:], **options)
        for page in range(3):
            pixels = read(content, page=page)
            assert pixels.array_HWC[0, 0].tolist() == [10 * (page + 1), 0, 0]
            assert f"page {page} of 3 pages" in pixels.note
        with pytest.raises(UnreadableImage, match=r"has 3 page\(s\), page 3 was asked for"):
            read(content, page=3)


def test_pages_of_sixteen_bit_colours_are_told_apart():
    pages = [WIDE_HWC, 65535 - WIDE_HWC]
    content = cv2.imencodemulti(".tiff", [cv2.cvtColor(page, cv2.COLOR_RGB2BGR) for page in pages])[1].tobytes()
    for place, page in enumerate(pages):
        np.testing.assert_array_equal(read(content, page=place).array_HWC, page)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "GIF", "WEBP", "PPM"])
def test_a_truncated_file_is_refused_in_one_line(kind):
    content = written(cv2.resize(COLOUR_HWC, (200, 150)), kind)
    for length in (len(content) // 2, len(content) - 64):
        with pytest.raises(UnreadableImage, match=r"^cell.png: ") as caught:
            read(content[:length])
        assert "\n" not in str(caught.value)
        assert "replace it by a whole copy" in str(caught.value)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_truncated_sixteen_bit_colours_are_refused(suffix):
    content = by_opencv(cv2.resize(WIDE_HWC, (200, 150)), suffix)
    for length in (len(content) // 2, len(content) - 64):
        with pytest.raises(UnreadableImage):
            read(content[:length])


def test_a_truncated_jpeg_says_so(tmp_path):
    path = tmp_path / "cut.jpg"
    content = written(cv2.resize(COLOUR_HWC, (200, 150)), "JPEG")
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UnreadableImage, match=rf"^{re.escape(str(path))}: the file is cut short \(.*\); replace it"):
        read_image(path)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "the file is empty (0 bytes)"),
        (b"patient,label\n1,normal\n", "is a text file, not an image (begins with 'patient,label\\n1,normal\\n')"),
        (b"Please find attached", "is a text file, not an image"),
        (b"\0\1\2\3" * 9, "is not an image of a known kind (known: BMP, GIF, JPEG"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "cannot be decoded"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "is a text file, not an image"),
    ],
)
def test_what_is_no_image_is_refused_by_what_it_is(content, what):
    with pytest.raises(UnreadableImage, match=re.escape(what)):
        read(content)


def test_an_image_is_known_by_its_bytes_and_not_by_its_name(tmp_path):
    path = tmp_path / "really_a_png.jpg"
    path.write_bytes(written(COLOUR_HWC, "PNG"))
    np.testing.assert_array_equal(read_image(path).array_HWC, COLOUR_HWC)


def test_a_missing_file_is_unreadable(tmp_path):
    with pytest.raises(UnreadableImage, match=r"gone\.png: cannot be read \(No such file or directory\)"):
        read_image(tmp_path / "gone.png")


def test_too_many_pixels_are_refused_before_they_are_decoded():
    # a header that claims 40,000 x 40,000 pixels, and no pixels: decoding would say something else
    bomb = bytearray(written(GREY_HW, "BMP"))
    bomb[18:26] = struct.pack("<ii", 40_000, 40_000)
    with pytest.raises(UnreadableImage, match="has 40000 x 40000 pixels, more than the limit of 200,000,000") as caught:
        read(bytes(bomb))
    assert "--set read.max_pixels=1600000000" in str(caught.value)


def test_the_limit_of_pixels_is_the_plans_own(recwarn, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # a tenth of the image: Image.open would refuse it
    content = written(GREY_HW, "PNG")
    assert read(content, max_pixels=9 * 13).array_HWC.shape == (9, 13, 3)
    with pytest.raises(UnreadableImage, match="13 x 9 pixels, more than the limit of 116"):
        read(content, max_pixels=9 * 13 - 1)
    assert not recwarn.list


def test_pillow_told_to_pass_truncated_images_is_an_error(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(CorpuscleError, match=r"^PIL\.ImageFile\.LOAD_TRUNCATED_IMAGES is on"):
        read(written(GREY_HW, "PNG"))


def test_microns_per_pixel_come_from_centimetres_alone():
    assert read(written(COLOUR_HWC, "TIFF", resolution=20_000, resolution_unit="cm")).mpp == pytest.approx(0.5)
    assert read(written(COLOUR_HWC, "TIFF", resolution=50_800, resolution_unit="inch")).mpp is None
    assert read(written(COLOUR_HWC, "TIFF", resolution=28.3, resolution_unit="cm")).mpp is None
    assert read(written(COLOUR_HWC, "TIFF")).mpp is None
    assert read(written(COLOUR_HWC, "JPEG", dpi=(300, 300))).mpp is None


def test_many_threads_read_the_same_pixels():
    contents = [by_opencv(WIDE_HWC, ".png"), written(COLOUR_HWC, "JPEG"), written(WIDE_HW, "TIFF")] * 40
    alone = [read(content).array_HWC for content in contents]
    with ThreadPoolExecutor(8) as pool:
        for one, other in zip(alone, pool.map(lambda content: read(content).array_HWC, contents), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("folder", ["pbc", "wbc_masks", "bccd", "vgg_cells", "bone_marrow", "slide", "fundus"])
def test_thirty_real_images_of_each_folder_are_what_pillow_gives(folder):
    images = sorted(path for path in (DATA / folder).rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not images:
        pytest.skip(f"no images in {DATA / folder}; set CORPUSCLE_TEST_DATA to the sample data")
    for path in images[:: max(1, len(images) // 30)][:30]:
        with Image.open(path) as image:
            assert image.mode in ("RGB", "L", "P", "1", "RGBA"), f"{path} has the mode {image.mode}"
            expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
            transparent = image.has_transparency_data
        pixels = read_image(path)
        if not transparent:
            np.testing.assert_array_equal(pixels.array_HWC, expected, err_msg=str(path))
