"""Tiled TIFFs of any size, written from strips of rows or from a few tiles, so that the whole is never held."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.files import whole_file

UNCOMPRESSED, JPEG = 1, 7
RGB, YCBCR = 2, 6
REDUCED = 1  # a smaller version of another image in the file
SHORT, LONG, RATIONAL = 3, 4, 5
FORMATS = {SHORT: "H", LONG: "I", RATIONAL: "II"}
MOST_BYTES = 2**32 - 2**20  # places in the file are 32 bits wide

Tags = dict[int, tuple[int, list[int]]]


@dataclass(frozen=True)
class Level:
    """One level of a pyramid.

    Attributes:
        size_HW: in pixels.
        place_RC: for each tile its place among the pictures; -1 leaves it out, as scanners do where they see nothing.
    """

    size_HW: tuple[int, int]
    place_RC: np.ndarray


def write_tiled(
    path: Path,
    size_HW: tuple[int, int],
    strips_HWC: Iterable[np.ndarray],
    side: int = 256,
    quality: int | None = None,
    mpp: float | None = None,
) -> None:
    """Write a tiled TIFF of 8-bit RGB, whole or not at all.

    Args:
        path: the file to be.
        size_HW: of the image.
        strips_HWC: the image from top to bottom, in strips of any heights and of the whole width.
        side: of a tile, a multiple of 16.
        quality: of JPEG, 1 to 95, colours not thinned out; None keeps every pixel as it is.
        mpp: microns per pixel, where known.

    Raises:
        CorpuscleError: the strips are not of that size, or the file would pass 4 GiB.
    """
    width = size_HW[1]
    places, lengths = [], []
    with whole_file(path) as part, part.open("wb") as file:
        file.write(b"II*\0" + struct.pack("<I", 0))
        for row_HWC in _rows(strips_HWC, size_HW, side):
            for left in range(0, width, side):
                content = _encoded(row_HWC[:, left : left + side], side, quality)
                places.append(file.tell())
                lengths.append(file.write(content))
                if file.tell() > MOST_BYTES:
                    raise CorpuscleError(f"expected at most 4 GiB, {path} would be larger; pass a lower quality")
        _close(file, [_tags(size_HW, side, quality, mpp) | {324: (LONG, places), 325: (LONG, lengths)}])


def write_pyramid(
    path: Path,
    levels: Sequence[Level],
    pictures: Sequence[np.ndarray],
    side: int = 256,
    quality: int | None = None,
    mpp: float | None = None,
) -> None:
    """Write a tiled TIFF of several levels, whole or not at all; a picture that several tiles show is stored once.

    Args:
        path: the file to be.
        levels: from the full resolution down.
        pictures: what the tiles show, each side x side x 3 of uint8 or smaller, then its border is repeated.
        side, quality, mpp: as in `write_tiled`; microns of level 0.

    Raises:
        CorpuscleError: the file would pass 4 GiB.
    """
    with whole_file(path) as part, part.open("wb") as file:
        file.write(b"II*\0" + struct.pack("<I", 0))
        at, lengths = [], []
        for picture_HWC in pictures:
            at.append(file.tell())
            lengths.append(file.write(_encoded(picture_HWC, side, quality)))
            if file.tell() > MOST_BYTES:
                raise CorpuscleError(f"expected at most 4 GiB, {path} would be larger; give fewer pictures")
        starts_N, lengths_N = np.array([*at, 0]), np.array([*lengths, 0])  # the last one, -1, is left out
        directories = []
        for number, level in enumerate(levels):
            place_N = level.place_RC.ravel()
            tags = _tags(level.size_HW, side, quality, mpp if number == 0 else None)
            tags |= {324: (LONG, starts_N[place_N].tolist()), 325: (LONG, lengths_N[place_N].tolist())}
            directories.append(tags | ({254: (LONG, [REDUCED])} if number else {}))
        _close(file, directories)


def pyramid_of(array_HWC: np.ndarray, levels: int, side: int = 256) -> tuple[list[Level], list[np.ndarray]]:
    """The levels and pictures of an image, each level half of the one before, for `write_pyramid`."""
    found: list[Level] = []
    pictures: list[np.ndarray] = []
    for _ in range(levels):
        height, width = array_HWC.shape[:2]
        cut = [array_HWC[y : y + side, x : x + side] for y in range(0, height, side) for x in range(0, width, side)]
        place_RC = len(pictures) + np.arange(len(cut)).reshape(-(-height // side), -1)
        found.append(Level((height, width), place_RC))
        pictures += cut
        whole_HWC = array_HWC[: height // 2 * 2, : width // 2 * 2].reshape(height // 2, 2, width // 2, 2, 3)
        array_HWC = whole_HWC.mean(axis=(1, 3)).round().astype(np.uint8)
    return found, pictures


def _close(file: BinaryIO, directories: Sequence[Tags]) -> None:
    """Write the directories behind the tiles, each pointing to the next, and the start's pointer to the first."""
    pointer = 4
    for tags in directories:
        file.seek(0, io.SEEK_END)
        place = file.tell() + file.tell() % 2
        file.seek(place)
        file.write(_directory(tags, place))
        file.seek(pointer)
        file.write(struct.pack("<I", place))
        pointer = place + 2 + 12 * len(tags)


def _rows(strips_HWC: Iterable[np.ndarray], size_HW: tuple[int, int], side: int) -> Iterator[np.ndarray]:
    """The same rows in strips of a tile's height; the last one may be lower."""
    height, width = size_HW
    waiting_HWC, seen = np.zeros((0, width, 3), np.uint8), 0
    for strip_HWC in strips_HWC:
        if strip_HWC.shape[1:] != (width, 3) or strip_HWC.dtype != np.uint8:
            came = f"{strip_HWC.shape} of {strip_HWC.dtype}"
            raise CorpuscleError(f"expected strips of (rows, {width}, 3) of uint8, got {came}; cut them to that width")
        waiting_HWC, seen = np.concatenate([waiting_HWC, strip_HWC]), seen + len(strip_HWC)
        while len(waiting_HWC) >= side:
            yield waiting_HWC[:side]
            waiting_HWC = waiting_HWC[side:]
    if seen != height:
        raise CorpuscleError(f"expected {height} rows, the strips have {seen}; give as many as the size says")
    if len(waiting_HWC):
        yield waiting_HWC


def _encoded(tile_HWC: np.ndarray, side: int, quality: int | None) -> bytes:
    """The bytes of a tile; one at the end repeats its border to its full size."""
    bottom, right = side - tile_HWC.shape[0], side - tile_HWC.shape[1]
    whole_SSC = np.pad(tile_HWC, ((0, bottom), (0, right), (0, 0)), mode="edge")
    if quality is None:
        return whole_SSC.tobytes()
    file = io.BytesIO()
    Image.fromarray(whole_SSC).save(file, "JPEG", quality=quality, subsampling=0)
    return file.getvalue()


def _tags(size_HW: tuple[int, int], side: int, quality: int | None, mpp: float | None) -> Tags:
    """What a reader needs to know, but for the places of the tiles."""
    tags: Tags = {
        256: (LONG, [size_HW[1]]),
        257: (LONG, [size_HW[0]]),
        258: (SHORT, [8, 8, 8]),
        259: (SHORT, [UNCOMPRESSED if quality is None else JPEG]),
        262: (SHORT, [RGB if quality is None else YCBCR]),
        277: (SHORT, [3]),
        284: (SHORT, [1]),
        322: (LONG, [side]),
        323: (LONG, [side]),
    }
    if quality is not None:
        tags[530] = (SHORT, [1, 1])
    if mpp is not None:
        dots_per_cm = [round(10_000 / mpp * 1000), 1000]
        tags |= {282: (RATIONAL, dots_per_cm), 283: (RATIONAL, dots_per_cm), 296: (SHORT, [3])}
    return tags


def _directory(tags: Tags, place: int) -> bytes:
    """The directory of a TIFF, and behind it the values that do not fit in it."""
    behind = place + 2 + 12 * len(tags) + 4
    entries, more = b"", b""
    for tag, (kind, values) in sorted(tags.items()):
        content = struct.pack("<" + FORMATS[kind][0] * len(values), *values)
        count = len(values) // len(FORMATS[kind])
        if len(content) > 4:
            content, more = struct.pack("<I", behind + len(more)), more + content
        entries += struct.pack("<HHI", tag, kind, count) + content.ljust(4, b"\0")
    return struct.pack("<H", len(tags)) + entries + b"\0\0\0\0" + more
