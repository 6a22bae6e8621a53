"""JPEG tiles of a TIFF, decoded straight from their places in the file: five times as fast as through OpenSlide."""

from __future__ import annotations

import itertools
import os
import struct
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL.ExifTags import Base as Tag
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

JPEG, GREY, RGB, YCBCR, TOGETHER = 7, 1, 2, 6, 1  # values of TIFF tags
JPEG_TABLES, TILE_WIDTH, TILE_HEIGHT, TILE_STARTS, TILE_LENGTHS = 347, 322, 323, 324, 325
BEGIN, END = b"\xff\xd8", b"\xff\xd9"
COLOUR_IS = {
    RGB: b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00",
    YCBCR: b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x01",
}  # Adobe's marker tells a decoder of lone JPEGs what else only the TIFF says
ROUNDING = 2  # shades by which two decoders may differ; wrong colours differ by tens
FRAME = b"\xff\xc0\x00\x11\x08"  # begins the header of a baseline JPEG of 8 bits and three colours; its height is next
RECENT_BYTES = 512 << 20  # eight rows of tiles across a slide of 80,000 pixels, two fifths of one of 20,000 x 20,000
_numbers = itertools.count()


class _Recent:
    """The tiles that were decoded last, of all files together."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.tiles: OrderedDict[tuple[int, int], np.ndarray] = OrderedDict()
        self.bytes = 0

    def get(self, key: tuple[int, int]) -> np.ndarray | None:
        with self.lock:
            if key in self.tiles:
                self.tiles.move_to_end(key)
            return self.tiles.get(key)

    def put(self, key: tuple[int, int], tile_HWC: np.ndarray) -> None:
        with self.lock:
            before = self.tiles.pop(key, None)  # its upper part, or the same from another thread
            self.bytes += tile_HWC.nbytes - (0 if before is None else before.nbytes)
            self.tiles[key] = tile_HWC
            while self.bytes > RECENT_BYTES:
                self.bytes -= self.tiles.popitem(last=False)[1].nbytes


_RECENT = _Recent()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_RECENT.__init__)  # type: ignore[misc]  # a lock may be held at that moment


@dataclass(frozen=True, eq=False)
class JpegTiles:
    """One image of a TIFF, all of whose tiles are JPEGs.

    Attributes:
        size_HW: of the image.
        tile_HW: of each tile, those at the border included.
        start_N, length_N: place and number of bytes of each tile, row by row.
        before: what stands before the bytes of a tile to make it a JPEG of its own.
        content: the file.
        gaps: whether tiles that are left out are white; else where there are any the whole rectangle is passed over.
    """

    size_HW: tuple[int, int]
    tile_HW: tuple[int, int]
    start_N: np.ndarray
    length_N: np.ndarray
    before: bytes
    content: np.ndarray
    gaps: bool = False
    number: int = field(default_factory=lambda: next(_numbers))

    def read(self, top: int, left: int, height: int, width: int) -> np.ndarray | None:
        """A rectangle over white, array_HWC; None where a tile is broken."""
        (tile_h, tile_w), (size_h, size_w) = self.tile_HW, self.size_HW
        across = -(-size_w // tile_w)
        rows = range(max(top, 0) // tile_h, -(-min(top + height, size_h) // tile_h))
        columns = range(max(left, 0) // tile_w, -(-min(left + width, size_w) // tile_w))
        whole = (height, width) == self.tile_HW and top % tile_h == 0 and left % tile_w == 0
        inside = top >= 0 and left >= 0 and top + height <= size_h and left + width <= size_w
        if whole and inside:
            return self._decoded(rows[0] * across + columns[0], tile_h)
        out_HWC = (np.empty if inside else _white)((height, width, 3), np.uint8)
        lower_left = (rows.stop - 1) * across + columns.start
        in_order = _RECENT.get((self.number, lower_left)) is not None  # from the rectangle to the left
        for row, column in itertools.product(rows, columns):
            y, x = row * tile_h, column * tile_w
            needed = min(top + height - y, tile_h)
            tile_HWC = self._tile(row * across + column, needed, tile_h if in_order else needed)
            if tile_HWC is None:
                return None
            from_y, from_x = max(y, top, 0), max(x, left, 0)
            to_y, to_x = min(y + tile_h, top + height, size_h), min(x + tile_w, left + width, size_w)
            out_HWC[from_y - top : to_y - top, from_x - left : to_x - left] = tile_HWC[
                from_y - y : to_y - y, from_x - x : to_x - x
            ]
        return out_HWC

    def agrees(self, read: Callable[[int, int, int, int], np.ndarray], scale: float) -> bool:
        """Whether another reader gives the same pixels for two of the tiles.

        Args:
            read: from top, left, height and width to array_HWC.
            scale: pixels of level 0 along one of this level. The other reader takes whole ones, and shifts its pixels
                by the rest; the tiles are those that shift least.
        """
        across = -(-self.size_HW[1] // self.tile_HW[1])
        there_N = np.flatnonzero(self.length_N)
        corner_2N = np.stack([there_N // across * self.tile_HW[0], there_N % across * self.tile_HW[1]]) * scale
        shift_N = np.abs(corner_2N - corner_2N.round()).max(axis=0)
        for place in there_N[np.argsort(shift_N, kind="stable")[:2]].tolist():
            top, left = place // across * self.tile_HW[0], place % across * self.tile_HW[1]
            height, width = min(self.tile_HW[0], self.size_HW[0] - top), min(self.tile_HW[1], self.size_HW[1] - left)
            ours_HWC = self.read(top, left, height, width)
            if ours_HWC is None:
                return False
            if np.abs(ours_HWC.astype(np.int16) - read(top, left, height, width)).mean() > ROUNDING:
                return False
        return len(there_N) > 0

    def _tile(self, place: int, needed: int, rows: int) -> np.ndarray | None:
        """The rows of a tile that are needed, or more: so many are decoded, and kept for the next rectangle."""
        tile_HWC = _RECENT.get((self.number, place))
        if tile_HWC is None or len(tile_HWC) < needed:
            tile_HWC = self._decoded(place, rows)
            if tile_HWC is not None:
                _RECENT.put((self.number, place), tile_HWC)
        return tile_HWC

    def _decoded(self, place: int, rows: int) -> np.ndarray | None:
        import simplejpeg

        start, length = int(self.start_N[place]), int(self.length_N[place])
        if self.gaps and not length:
            return _white((*self.tile_HW, 3), np.uint8)
        stored = self.content[start : start + length].tobytes()
        if len(stored) < length or not (stored.startswith(BEGIN) and stored.endswith(END)):
            return None
        height, width = self.tile_HW
        if rows + 1 < height:  # a decoder stops where the picture is said to end; colours may mix in the row below
            stored = stored.replace(_frame(height, width), _frame(rows + 1, width), 1)
        try:
            tile_HWC: np.ndarray = simplejpeg.decode_jpeg(self.before + stored[len(BEGIN) :], strict=False)
        except ValueError:
            return None
        return tile_HWC if rows <= len(tile_HWC) <= height and tile_HWC.shape[1] == width else None


def _frame(height: int, width: int) -> bytes:
    """What stands in a JPEG before its size, and the size."""
    return FRAME + struct.pack(">HH", height, width)


def jpeg_tiles_of(path: Path) -> list[JpegTiles]:
    """The images of a TIFF that are stored as JPEG tiles; none where it is no TIFF."""
    found: list[JpegTiles] = []
    try:
        with path.open("rb") as file:
            image = TiffImageFile(file)  # not `Image.open`, which warns of many pixels
            for page in range(image.n_frames):
                image.seek(page)
                found += _tiles_of(image.tag_v2, path)
    except (OSError, SyntaxError, ValueError, KeyError, EOFError):
        return found  # what else is in it OpenSlide reads, or says what is wrong
    return found


def _tiles_of(tags: ImageFileDirectory_v2, path: Path) -> list[JpegTiles]:
    colour = tags.get(Tag.PhotometricInterpretation)
    plain = tags.get(Tag.Compression) == JPEG and colour in (GREY, RGB, YCBCR)
    eight_bits = set(tags.get(Tag.BitsPerSample, (1,))) == {8} and tags.get(Tag.PlanarConfiguration, 1) == TOGETHER
    if not plain or not eight_bits or TILE_STARTS not in tags:
        return []
    tables = tags.get(JPEG_TABLES) or BEGIN + END
    before = BEGIN + COLOUR_IS.get(colour or GREY, b"") + tables[len(BEGIN) : -len(END)]
    start_N, length_N = (np.atleast_1d(np.array(tags[tag], np.int64)) for tag in (TILE_STARTS, TILE_LENGTHS))
    tiles = JpegTiles(
        (tags[Tag.ImageLength], tags[Tag.ImageWidth]),
        (tags[TILE_HEIGHT], tags[TILE_WIDTH]),
        start_N,
        length_N,
        before,
        np.asarray(np.memmap(path, np.uint8, mode="r")),
    )
    across, down = -(-tiles.size_HW[1] // tiles.tile_HW[1]), -(-tiles.size_HW[0] // tiles.tile_HW[0])
    return [tiles] if len(start_N) == len(length_N) == across * down else []


def _white(shape: tuple[int, ...], dtype: type[np.uint8]) -> np.ndarray:
    return np.full(shape, 255, dtype)
