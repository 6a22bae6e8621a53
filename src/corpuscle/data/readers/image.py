"""From the bytes of an image file to red, green and blue, every mode by an explicit rule and nothing clipped."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageFile, ImageOps
from PIL.ExifTags import Base as Tag
from PIL.TiffImagePlugin import TiffImageFile
from pydantic import Field

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.records import Encoding, Pixels
from corpuscle.core.settings import Settings

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
IMAGE_SUFFIXES = frozenset(
    {".bmp", ".dib", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
    | {".pbm", ".pgm", ".pnm", ".ppm"}
)
WHITE_IS_ZERO, CENTIMETRE, SIGNED = 0, 3, 2  # values of TIFF tags
PLAUSIBLE_MPP = 0.01, 20.0  # of microscopes; 72 dots an inch, a screen's, would be 353
REPLACE = "replace it by a whole copy, or leave it out"
END_OF_JPEG, RESTARTS = b"\xff\xd9", [bytes([0xFF, 0xD0 + number]) for number in range(8)]  # markers
SAVE_AGAIN = "save it again as an 8-bit or 16-bit PNG or TIFF, or leave it out"


class ReadPlan(Settings):
    """Limits and choices of the reader."""

    max_pixels: int = Field(200_000_000, ge=1, description="larger images are refused before they are decoded")
    page: int = Field(0, ge=0, description="page of a file with several pages (TIFF, GIF), counted from 0")


class UnreadableImage(CorpuscleError):
    """One file that gives no pixels; a run sets it aside and goes on."""

    def __init__(self, path: Path | str, what: str, remedy: str) -> None:
        self.path, self.what, self.remedy = path, what, remedy
        super().__init__(f"{path}: {what}; {remedy}")


class _Refused(Exception):
    """What is wrong and the remedy, before the file's name is known."""


def read_image(path: Path, plan: ReadPlan = ReadPlan()) -> Pixels:  # noqa: B008 (frozen)
    """Read a file; see `decode`.

    Raises:
        UnreadableImage: also where the file is missing or may not be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableImage(path, f"cannot be read ({error.strerror})", "restore it, or leave it out") from error
    return decode(content, path, plan)


def decode(content: bytes, name: Path | str, plan: ReadPlan = ReadPlan()) -> Pixels:  # noqa: B008 (frozen)
    """Decode the bytes of a BMP, GIF, JPEG, PNG, PPM, TIFF or WebP file.

    8 bits a channel come as uint8. 16 bits a channel, whole numbers within 0..65535 and real numbers within 0..1 come
    as uint16. Grey is repeated over the channels, transparency is laid over white, other colour spaces are converted,
    the image is turned upright by its EXIF orientation. Of several pages one is read. Each of these is said in the
    note. Microns per pixel come from TIFF files that state them in centimetres, and from no others.

    Args:
        content: the whole file.
        name: what to call it in errors.
        plan: limits and choices.

    Raises:
        UnreadableImage: not an image, truncated, too large, no such page, or values that 16 bits cannot hold.
    """
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise CorpuscleError("PIL.ImageFile.LOAD_TRUNCATED_IMAGES is on, truncated images would pass; set it to False")
    with _told_of(name), _opened(io.BytesIO(content)) as image:
        return _pixels(image, content, plan)


@contextlib.contextmanager
def header_of(path: Path) -> Iterator[ImageFile.ImageFile]:
    """A file opened by its header alone: nothing is decoded before its pixels are asked for.

    Raises:
        UnreadableImage: missing, no image, or broken; also where that shows only within the block.
    """
    try:
        stream = path.open("rb")
    except OSError as error:
        raise UnreadableImage(path, f"cannot be read ({error.strerror})", "restore it, or leave it out") from error
    with stream, _told_of(path), _opened(stream) as image:
        yield image


def size_of(path: Path) -> tuple[int, int]:
    """Width and height of an image as it stands upright, from its header.

    Raises:
        UnreadableImage: the header cannot be read.
    """
    with header_of(path) as image:
        exif = Image.Image.getexif(image)  # the PNG plugin's own decodes all pixels to look behind them
        lies = exif.get(Tag.Orientation, 1) >= 5  # 5 to 8 turn it by a quarter
        return (image.height, image.width) if lies else (image.width, image.height)


@contextlib.contextmanager
def _told_of(name: Path | str) -> Iterator[None]:
    """What can go wrong with a file, told with its name."""
    try:
        yield
    except _Refused as refused:
        raise UnreadableImage(name, *refused.args) from None
    except UnreadableImage:
        raise
    except Exception as error:  # a plugin raises whatever a broken byte leads it to: OSError, struct.error, KeyError...
        reason = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
        if "truncated" in reason.lower():
            raise UnreadableImage(name, f"the file is cut short ({reason})", REPLACE) from error
        raise UnreadableImage(
            name, f"cannot be decoded ({reason})", f"replace it by a whole copy, or {SAVE_AGAIN}"
        ) from error


def _opened(stream: IO[bytes]) -> ImageFile.ImageFile:
    """The header, read by the plugin of the file's own first bytes, whatever its name says.

    `Image.open` would do, but it holds every image against one limit of pixels for the whole process, and warns.
    """
    head = stream.read(24)
    stream.seek(0)
    if not head:
        raise _Refused("the file is empty (0 bytes)", REPLACE)
    Image.init()
    for kind in FORMATS:
        factory, accept = Image.OPEN[kind]
        if accept is None or accept(head[:16]) is True:
            image: ImageFile.ImageFile = factory(stream, "")
            return image
    if all(9 <= byte <= 13 or 32 <= byte < 127 for byte in head):
        raise _Refused(f"is a text file, not an image (begins with {head.decode()!r})", REPLACE)
    raise _Refused(f"is not an image of a known kind (known: {', '.join(FORMATS)})", SAVE_AGAIN)


def _pixels(image: ImageFile.ImageFile, content: bytes, plan: ReadPlan) -> Pixels:
    pages = getattr(image, "n_frames", 1)
    if plan.page >= pages:
        raise _Refused(
            f"has {pages} page(s), page {plan.page} was asked for (counted from 0)", "name another read.page"
        )
    if plan.page:
        image.seek(plan.page)
    width, height = image.size
    if width * height > plan.max_pixels:
        raise _Refused(
            f"has {width} x {height} pixels, more than the limit of {plan.max_pixels:,}",
            f"cut it into tiles, or pass --set read.max_pixels={width * height}",
        )
    wide = _bits(image, content) > 8 and image.mode not in EXACT
    exif = image.getexif()
    orientation, mpp, encoding = exif.get(Tag.Orientation, 1), _mpp(image), _encoding(image, exif, len(content))
    colour_HWC = _colour_jpeg(image, content)
    if colour_HWC is not None:
        pixels = Pixels(UPRIGHT[orientation](colour_HWC) if orientation in UPRIGHT else colour_HWC)
    else:
        image.load()
        if image.format != "TIFF":  # Pillow's TIFF plugin has turned its pixels and dropped the tag
            ImageOps.exif_transpose(image, in_place=True)
        pixels = _wide(image, content, plan.page, orientation) if wide else _by_mode(image)
    notes = [
        pixels.note,
        f"turned upright (EXIF orientation {orientation})" if orientation in UPRIGHT else "",
        f"page {plan.page} of {pages} pages" if pages > 1 else "",
    ]
    return Pixels(np.ascontiguousarray(pixels.array_HWC), mpp, ", ".join(note for note in notes if note), encoding)


def _colour_jpeg(image: ImageFile.ImageFile, content: bytes) -> np.ndarray | None:
    """The pixels of a JPEG in colour by OpenCV: the same as Pillow's, in half the time; None of what is left to Pillow.

    OpenCV passes what is cut short or has other markers among its pixels, which Pillow refuses: so there must be
    nothing but one scan between the header and the end.
    """
    if image.format != "JPEG" or image.mode != "RGB" or image.fp is None or not content.endswith(END_OF_JPEG):
        return None
    scan = image.fp.tell()  # Pillow has read the header, and no further
    marks = content.count(b"\xff", scan) - content.count(b"\xff\x00", scan) - 1
    if marks and marks != sum(content.count(restart, scan) for restart in RESTARTS):
        return None
    import cv2

    try:
        array_HWC = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:  # more pixels than it takes
        return None
    return array_HWC if array_HWC is not None and array_HWC.shape == (image.height, image.width, 3) else None


def _encoding(image: ImageFile.ImageFile, exif: Mapping[int, Any], size: int) -> Encoding:
    """How the file holds the image, by its header; an MPO file is a JPEG with more behind it."""
    assert image.format is not None
    tables: Mapping[int, Sequence[int]] = getattr(image, "quantization", None) or {}
    words = [str(exif.get(tag) or "").strip("\0 ") for tag in (Tag.Make, Tag.Model)]
    return Encoding(
        format="JPEG" if image.format == "MPO" else image.format,
        bytes=size,
        quantization=tuple(tables.get(0, ())),
        camera=" ".join(word for word in words if word) or None,
    )


def _bits(image: ImageFile.ImageFile, content: bytes) -> int:
    """Bits a channel in the file; Pillow's mode does not tell, for it drops the low byte of 16-bit colour."""
    if image.format == "PNG":
        return content[24]
    if isinstance(image, TiffImageFile):
        bits = max(image.tag_v2.get(Tag.BitsPerSample, (1,)))
        if bits <= 8 and SIGNED in image.tag_v2.get(Tag.SampleFormat, ()):
            raise _Refused("holds signed 8-bit values", SAVE_AGAIN)
        return int(bits)
    if image.format == "PPM" and image.mode == "RGB":
        args = image.tile[0].args  # (raw mode, largest value) where that is not 255
        return 16 if isinstance(args, tuple) and args[-1] > 255 else 8
    return 8


def _by_mode(image: ImageFile.ImageFile) -> Pixels:
    """Three channels from what Pillow decoded."""
    if image.mode in EXACT:
        if "transparency" in image.info:
            raise _Refused("is 16-bit grey with a transparent shade", SAVE_AGAIN)
        return EXACT[image.mode](image)
    if image.has_transparency_data:
        kind = {"1": "1 bit", "L": "grey", "LA": "grey", "P": "palette", "PA": "palette"}.get(image.mode, "RGB")
        return Pixels(_over_white(np.asarray(image.convert("RGBA"))), note=f"{kind} with transparency over white")
    if image.mode == "RGB":
        return Pixels(np.array(image))
    if image.mode in PLAIN:
        return Pixels(np.array(image.convert("RGB")), note=f"{PLAIN[image.mode]} to RGB")
    raise _Refused(f"has the mode {image.mode}, for which there is no rule", SAVE_AGAIN)


def _wide(image: ImageFile.ImageFile, content: bytes, page: int, orientation: int) -> Pixels:
    """16 bits a channel by OpenCV, held against the high bytes that Pillow decoded: two decoders must agree."""
    import cv2

    if image.mode not in ("LA", "RGB", "RGBA") or "transparency" in image.info:
        raise _Refused(f"has 16-bit colours of a kind ({image.mode}) for which there is no rule", SAVE_AGAIN)
    high_HWC = np.asarray(image.convert("RGBA") if image.mode == "LA" else image)
    found, pages = cv2.imdecodemulti(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED, range=(page, page + 1))
    if found and pages[0].dtype == np.uint16 and pages[0].ndim == 3:
        colour_order = cv2.COLOR_BGRA2RGBA if pages[0].shape[2] == 4 else cv2.COLOR_BGR2RGB
        array_HWC: np.ndarray = cv2.cvtColor(pages[0], colour_order)[..., : high_HWC.shape[2]]
        if image.format != "TIFF" and orientation in UPRIGHT:  # OpenCV too turns a TIFF itself
            array_HWC = UPRIGHT[orientation](array_HWC)
        if np.array_equal(array_HWC >> 8, high_HWC):
            if high_HWC.shape[2] == 3:
                return Pixels(array_HWC)
            return Pixels(_over_white(array_HWC), note="16-bit colours with transparency over white")
    raise _Refused("has 16-bit colours that Pillow and OpenCV decode differently", SAVE_AGAIN)


def _over_white(array_HWC: np.ndarray) -> np.ndarray:
    """Red, green, blue, alpha laid over white, rounded to the nearest."""
    full = int(np.iinfo(array_HWC.dtype).max)
    colour_HWC, alpha_HW1 = array_HWC[..., :3].astype(np.uint32), array_HWC[..., 3:].astype(np.uint32)
    over_HWC = (colour_HWC * alpha_HW1 + full * (full - alpha_HW1) + full // 2) // full
    return over_HWC.astype(array_HWC.dtype)


def _grey(array_HW: np.ndarray, note: str) -> Pixels:
    return Pixels(np.repeat(array_HW.astype(np.uint16)[..., None], 3, axis=2), note=note)


def _sixteen_bits(image: ImageFile.ImageFile) -> Pixels:
    array_HW = np.asarray(image)
    if isinstance(image, TiffImageFile):
        if image.tag_v2.get(Tag.BitsPerSample) == (12,):
            array_HW = array_HW << 4 | array_HW >> 8
        if image.tag_v2.get(Tag.PhotometricInterpretation) == WHITE_IS_ZERO:  # Pillow heeds it at 8 bits only
            array_HW = 65535 - array_HW
    return _grey(array_HW, "16-bit grey to RGB")


def _whole_numbers(image: ImageFile.ImageFile) -> Pixels:
    array_HW = np.asarray(image)
    low, high = int(array_HW.min()), int(array_HW.max())
    if low < 0 or high > 65535:
        raise _Refused(f"holds whole numbers from {low} to {high}, 0 to 65535 was expected", "scale it to that range")
    return _grey(array_HW, "32-bit grey to 16-bit RGB")


def _real_numbers(image: ImageFile.ImageFile) -> Pixels:
    array_HW = np.asarray(image)
    if not np.isfinite(array_HW).all():
        count = np.count_nonzero(~np.isfinite(array_HW))
        raise _Refused(f"holds {count} values that are not finite (NaN or infinite)", "give them a value within 0 to 1")
    low, high = float(array_HW.min()), float(array_HW.max())
    if low < 0 or high > 1:
        raise _Refused(f"holds real numbers from {low:g} to {high:g}, 0 to 1 was expected", "scale it to that range")
    return _grey(np.rint(array_HW.astype(np.float64) * 65535), "real numbers to 16-bit RGB")


def _mpp(image: ImageFile.ImageFile) -> float | None:
    """Microns per pixel of a TIFF in centimetres; None where it is not stated, not square or not a microscope's."""
    tags: Mapping[int, Any] = image.tag_v2 if isinstance(image, TiffImageFile) else {}
    x, y = (float(tags.get(tag, 0)) for tag in (Tag.XResolution, Tag.YResolution))
    if tags.get(Tag.ResolutionUnit) != CENTIMETRE or x != y or not x > 0:
        return None
    mpp = 10_000 / x
    return mpp if PLAUSIBLE_MPP[0] <= mpp <= PLAUSIBLE_MPP[1] else None


PLAIN = {
    "1": "1 bit",
    "L": "grey",
    "P": "palette",
    "CMYK": "CMYK",
    "YCbCr": "YCbCr",
    "LAB": "CIE Lab",
}  # 8-bit modes that Pillow converts, to their names
EXACT: dict[str, Callable[[ImageFile.ImageFile], Pixels]] = {
    "I;16": _sixteen_bits,
    "I;16B": _sixteen_bits,
    "I": _whole_numbers,
    "F": _real_numbers,
}  # modes that Pillow would clip
UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda array_HWC: array_HWC[:, ::-1],
    3: lambda array_HWC: array_HWC[::-1, ::-1],
    4: lambda array_HWC: array_HWC[::-1],
    5: lambda array_HWC: array_HWC.transpose(1, 0, 2),
    6: lambda array_HWC: np.rot90(array_HWC, -1),
    7: lambda array_HWC: array_HWC[::-1, ::-1].transpose(1, 0, 2),
    8: lambda array_HWC: np.rot90(array_HWC),
}  # EXIF orientation to what undoes it
