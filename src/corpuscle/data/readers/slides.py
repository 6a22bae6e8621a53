"""Slides at any of their levels, a rectangle at a time; the only door to OpenSlide and to tiffslide."""

from __future__ import annotations

import math
import os
import struct
import threading
import warnings
from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.ExifTags import Base as Tag
from PIL.TiffImagePlugin import TiffImageFile

from corpuscle.data.readers.image import PLAUSIBLE_MPP, REPLACE, UnreadableImage
from corpuscle.data.readers.jpeg_tiles import TILE_STARTS, JpegTiles, jpeg_tiles_of

if TYPE_CHECKING:
    from openslide import OpenSlide, OpenSlideCache

SLIDE_SUFFIXES = frozenset({".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".svslide", ".czi"})
TIFF_SUFFIXES = frozenset({".tif", ".tiff"})
SQUARE = 0.01  # a pixel's sides may differ by this share, as slide scanners state them
NEAR = 1.01  # a level of 4.0003 will do where 4 was asked for
PLAIN = "generic-tiff"  # OpenSlide's word for a tiled TIFF of no scanner's own
APERIO = "Aperio"  # begins the description of an SVS, whatever its suffix
STRAIGHT = (PLAIN, "aperio", "philips", "trestle")  # formats in which a level is one image of a TIFF
BIG_TIFF = 43  # version of TIFFs whose places are 64 bits wide
KEPT = 16  # slides that stay open
CACHE_BYTES = 64 << 20  # of OpenSlide, for all slides together
COPY = "copy it anew, or leave it out"
TILED = "save it as a tiled TIFF of 8 bits, grey or RGB"


@dataclass(frozen=True)
class SlideWindows:
    """A slide or tiled TIFF that is open, at any of its levels.

    Attributes:
        path: of the file.
        slide: open; several threads may read at once, another process opens its own.
        stored: for each level its JPEG tiles, where they are read straight from the file.
    """

    path: Path
    slide: OpenSlide
    stored: tuple[JpegTiles | None, ...] = (None,)

    @property
    def height(self) -> int:
        return self.sizes_HW[0][0]

    @property
    def width(self) -> int:
        return self.sizes_HW[0][1]

    @property
    def stated_mpp(self) -> tuple[float, float]:
        """Microns a pixel, across and down, as the file says; NaN where it does not."""
        return self._property("mpp-x"), self._property("mpp-y")

    @cached_property
    def mpp(self) -> float | None:
        x, y = self.stated_mpp
        if not math.isclose(x, y, rel_tol=SQUARE):
            return None
        return x if PLAUSIBLE_MPP[0] <= x <= PLAUSIBLE_MPP[1] else None

    @cached_property
    def sizes_HW(self) -> tuple[tuple[int, int], ...]:
        """Height and width of each level; OpenSlide takes half as long to say them as a tile to be decoded."""
        return tuple((int(height), int(width)) for width, height in self.slide.level_dimensions)

    @cached_property
    def downsamples(self) -> tuple[float, ...]:
        """How many pixels of level 0 lie along one of each level; the first is 1."""
        return tuple(float(number) for number in self.slide.level_downsamples)

    def level_for(self, downsample: float) -> int:
        """The level nearest above a resolution: the smallest that need not be enlarged."""
        fine = [level for level, own in enumerate(self.downsamples) if own <= downsample * NEAR]
        return max(fine, key=self.downsamples.__getitem__, default=0)

    def level_size(self, level: int) -> tuple[int, int]:
        """Height and width of a level."""
        return self.sizes_HW[level]

    def read(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        """A rectangle at full resolution; see `read_level`."""
        return self.read_level(0, top, left, height, width)

    def read_level(self, level: int, top: int, left: int, height: int, width: int) -> np.ndarray:
        """A rectangle of a level over white, which is what a scanner left out and what lies beyond the border.

        Args:
            level: its number; 0 is the full resolution.
            top, left, height, width: in pixels of that level.

        Raises:
            UnreadableImage: the tiles there are damaged.
        """
        stored = self.stored[level]
        array_HWC = stored.read(top, left, height, width) if stored else None
        return array_HWC if array_HWC is not None else self._through_library(level, top, left, height, width)

    def _through_library(self, level: int, top: int, left: int, height: int, width: int) -> np.ndarray:
        scale = self.downsamples[level] if level else 1.0
        place = round(left * scale), round(top * scale)
        try:
            try:
                region = self.slide.read_region(place, level, (width, height))
            except Exception:  # OpenSlide reads nothing more through what failed once, perhaps for another thread
                forget(self.path)
                region = (opened(self.path) or self.slide).read_region(place, level, (width, height))
        except Exception as error:  # OpenSlide's own error, or whatever a decoder behind tiffslide raises
            where = f"its pixels at row {place[1]}, column {place[0]} cannot be decoded ({error})"
            raise UnreadableImage(self.path, where, REPLACE) from error
        region_HWC = np.asarray(region)
        if region_HWC.shape[2] == 3:  # tiffslide's, black beyond the border
            size_HW = self.level_size(level)
            whole_HWC = np.full_like(region_HWC, 255)
            inside = slice(max(size_HW[0] - top, 0)), slice(max(size_HW[1] - left, 0))
            whole_HWC[inside] = region_HWC[inside]
            return whole_HWC
        if region_HWC[..., 3].min() == 255:
            return np.ascontiguousarray(region_HWC[..., :3])
        over = Image.new("RGB", region.size, "white")
        over.paste(region, mask=region.getchannel("A"))
        return np.array(over)

    def _property(self, name: str) -> float:
        properties = self.slide.properties
        return float(properties.get(f"openslide.{name}") or properties.get(f"tiffslide.{name}") or "nan")


class _Kept:
    """The slides that were read last."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.slides: OrderedDict[tuple[str, int, int], SlideWindows] = OrderedDict()


_KEPT = _Kept()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_KEPT.__init__)  # type: ignore[misc]  # processes must not share an open file


def kept_slide(path: Path) -> SlideWindows:
    """A slide that stays open for the next read; nobody need close it.

    Raises:
        UnreadableImage: missing, damaged, or no slide.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise UnreadableImage(path, f"cannot be read ({error.strerror})", "restore it, or leave it out") from error
    key = str(path), stat.st_size, stat.st_mtime_ns
    with _KEPT.lock:
        if key not in _KEPT.slides:
            _KEPT.slides[key] = open_slide(path)
        _KEPT.slides.move_to_end(key)
        while len(_KEPT.slides) > KEPT:
            _KEPT.slides.popitem(last=False)  # it is closed when the last read through it has ended
        return _KEPT.slides[key]


def forget(path: Path) -> None:
    """Open a slide anew at its next read."""
    with _KEPT.lock:
        for key in [key for key in _KEPT.slides if key[0] == str(path)]:
            del _KEPT.slides[key]


def open_slide(path: Path) -> SlideWindows:
    """Open a slide or tiled TIFF by OpenSlide, or by tiffslide where OpenSlide cannot.

    Raises:
        UnreadableImage: missing, damaged, or no slide.
    """
    slide = opened(path) or _by_tiffslide(path)
    try:
        return SlideWindows(path, slide, _stored(path, slide))
    except UnreadableImage:  # a tile: the others may be whole
        return SlideWindows(path, opened(path) or _by_tiffslide(path), (None,) * slide.level_count)


def opened(path: Path) -> OpenSlide | None:
    """The file opened by OpenSlide; None where it is of another format, or is no plain tiled TIFF.

    Raises:
        UnreadableImage: OpenSlide knows the format and cannot open it.
    """
    import openslide

    try:
        kind = openslide.OpenSlide.detect_format(path)
        if kind is None or (kind == PLAIN and not _is_plain(path)):
            return None
        slide = openslide.OpenSlide(path)
        slide.set_cache(_cache())
        return slide
    except (openslide.OpenSlideError, UnicodeError) as error:
        raise UnreadableImage(path, f"OpenSlide cannot open it ({error})", REPLACE) from error


def is_slide(path: Path, named: bool = False) -> bool:
    """Whether a file is a slide: by its suffix, and of TIFFs those that are tiled and Aperio's or of several sizes.

    Args:
        path: the file.
        named: a person named this very file; of TIFFs any tiled one will do.
    """
    suffix = path.suffix.lower()
    if suffix not in TIFF_SUFFIXES:
        return suffix in SLIDE_SUFFIXES
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tags that are cut short
            image = TiffImageFile(file)
            tiled = TILE_STARTS in image.tag_v2
            if named or not tiled or str(image.tag_v2.get(Tag.ImageDescription, "")).startswith(APERIO):
                return tiled
            return any(_is_tiled(image, page) for page in range(1, image.n_frames))
    except (OSError, SyntaxError, EOFError, ValueError, KeyError):
        return named and path.is_file() and _ends_early(path)


def _is_tiled(image: TiffImageFile, page: int) -> bool:
    image.seek(page)
    return TILE_STARTS in image.tag_v2


def _stored(path: Path, slide: OpenSlide) -> tuple[JpegTiles | None, ...]:
    """For each level the tiles that may be read straight from the file: two decoders must agree on them.

    Raises:
        UnreadableImage: a tile is damaged, and `slide` of no more use.
    """
    levels = range(slide.level_count)
    vendor = slide.properties.get("openslide.vendor")
    if vendor not in STRAIGHT:
        return (None,) * len(levels)
    windows, tiles = SlideWindows(path, slide, (None,) * len(levels)), jpeg_tiles_of(path)
    stored: list[JpegTiles | None] = []
    for level in levels:
        same = [one for one in tiles if one.size_HW == windows.level_size(level)]
        agreed = same and same[0].agrees(partial(windows.read_level, level), windows.downsamples[level])
        stored.append(replace(same[0], gaps=vendor == PLAIN) if agreed else None)
    return tuple(stored)


def _by_tiffslide(path: Path) -> Any:
    """What tiffslide makes of a file that OpenSlide does not know; its objects are read alike."""
    of_scanner = path.suffix.lower() in SLIDE_SUFFIXES
    what = f"is no slide that OpenSlide opens{', or is cut short or damaged' * of_scanner}"
    remedy = COPY if of_scanner else TILED
    if not path.is_file():
        raise UnreadableImage(path, "cannot be read (no such file)", "restore it, or leave it out")
    if _ends_early(path):
        raise UnreadableImage(
            path, f"is cut short: its {path.stat().st_size:,} bytes end before a list of its tiles", COPY
        )
    try:
        import tiffslide
    except ImportError:
        remedy = f"{remedy}, or install corpuscle[slides], which brings tiffslide to open more kinds"
        raise UnreadableImage(path, what, remedy) from None
    try:
        return tiffslide.TiffSlide(path)
    except Exception as error:  # whatever a broken byte leads tifffile to
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UnreadableImage(path, f"{what}, nor does tiffslide ({reason})", remedy) from error


def _ends_early(path: Path) -> bool:
    """Whether a TIFF ends before one of its directories does, which most programs write behind the pixels."""
    with path.open("rb") as file:
        head = file.read(16)
        order = {b"II": "<", b"MM": ">"}.get(head[:2])
        if order is None or len(head) < 16:
            return False
        (version,) = struct.unpack_from(f"{order}H", head, 2)
        count, entry, pointer, first = ("Q", 20, "Q", 8) if version == BIG_TIFF else ("H", 12, "I", 4)
        (place,) = struct.unpack_from(order + pointer, head, first)
        size, seen = path.stat().st_size, {0}
        while place not in seen:
            seen.add(place)
            entries = place + struct.calcsize(count)
            if entries > size:
                return True
            file.seek(place)
            (number,) = struct.unpack(order + count, file.read(struct.calcsize(count)))
            following = entries + number * entry
            if following + struct.calcsize(pointer) > size:
                return True
            file.seek(following)
            (place,) = struct.unpack(order + pointer, file.read(struct.calcsize(pointer)))
    return False


def _is_plain(path: Path) -> bool:
    """Whether a TIFF is upright and has 8 bits of grey or RGB, which OpenSlide reads as they are."""
    try:
        with path.open("rb") as file:
            image = TiffImageFile(file)  # not `Image.open`, which warns of many pixels
            bits, turn = image.tag_v2.get(Tag.BitsPerSample, (1,)), image.tag_v2.get(Tag.Orientation, 1)
            return image.mode in ("L", "RGB") and max(bits) == 8 and turn == 1 and "transparency" not in image.info
    except (OSError, SyntaxError, UnidentifiedImageError):
        return False  # the image reader says what is wrong with it


@cache
def _cache() -> OpenSlideCache:
    import openslide

    return openslide.OpenSlideCache(CACHE_BYTES)
