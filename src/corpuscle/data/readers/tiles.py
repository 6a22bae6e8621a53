"""Tiles of whole slides as images: `<slide>#<left>,<top>,<side>@<pixels>` names one, and nothing is taken out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from corpuscle.core.records import Pixels
from corpuscle.data.readers.image import ReadPlan, UnreadableImage
from corpuscle.data.readers.slides import kept_slide

MEMBER = re.compile(r"^(?P<file>.+)#(?P<left>\d+),(?P<top>\d+),(?P<side>\d+)@(?P<pixels>\d+)$")
DIGITS = 6  # so that names in the order of letters are in the order of places


@dataclass(frozen=True)
class Tile:
    """A square of a slide.

    Attributes:
        file: the slide.
        left, top: its corner in pixels of level 0.
        side: in pixels of level 0.
        pixels: that each side is brought to.
    """

    file: Path
    left: int
    top: int
    side: int
    pixels: int


def tile_path(file: Path | str, left: int, top: int, side: int, pixels: int) -> str:
    """The name of a tile, beside the slide's own.

    >>> tile_path("slides/a.svs", 1024, 0, 512, 256)
    'slides/a.svs#001024,000000,512@256'
    """
    return f"{file}#{left:0{DIGITS}},{top:0{DIGITS}},{side}@{pixels}"


def tile_of(path: Path) -> Tile | None:
    """What `<slide>#<left>,<top>,<side>@<pixels>` names, None for all other paths.

    >>> tile_of(Path("a.svs#1024,0,512@256")).left, tile_of(Path("a.svs")), tile_of(Path("a.svs#1024"))
    (1024, None, None)
    """
    found = MEMBER.match(str(path))
    if found is None or not (int(found["side"]) and int(found["pixels"])):
        return None
    return Tile(Path(found["file"]), *(int(found[name]) for name in ("left", "top", "side", "pixels")))


def read_tile(path: Path, plan: ReadPlan = ReadPlan()) -> Pixels:  # noqa: B008 (frozen)
    """The pixels of a tile from the level nearest above its resolution; safe to call from several threads.

    What reaches over the border of the slide or was not scanned is white. The slide stays open for the next read.

    Returns:
        array_SSC, S the pixels that the name asks for, and microns per pixel of these.

    Raises:
        UnreadableImage: no such slide or place, damaged, or more pixels than the plan allows.
    """
    import cv2

    tile = tile_of(path)
    if tile is None:
        raise UnreadableImage(path, "is no tile of a slide", "name it as in a.svs#1024,0,512@256")
    try:
        slide = kept_slide(tile.file)
        if not lies_in(tile, slide.height, slide.width):
            what = f"its corner lies outside of the slide, which has {slide.width} x {slide.height} pixels"
            raise UnreadableImage(path, what, "name a place within it")
        scale = tile.side / tile.pixels
        level = slide.level_for(scale)
        own = slide.downsamples[level]
        side = max(1, round(tile.side / own))
        if max(side, tile.pixels) ** 2 > plan.max_pixels:
            what = f"takes {max(side, tile.pixels) ** 2:,} pixels, more than the limit of {plan.max_pixels:,}"
            raise UnreadableImage(path, what, "take a smaller one, or a slide with more levels")
        array_SSC = slide.read_level(level, round(tile.top / own), round(tile.left / own), side, side)
    except UnreadableImage as error:
        raise UnreadableImage(path, error.what, error.remedy) from error
    if side != tile.pixels:
        method = cv2.INTER_AREA if side > tile.pixels else cv2.INTER_LINEAR
        array_SSC = cv2.resize(array_SSC, (tile.pixels, tile.pixels), interpolation=method)
    return Pixels(np.ascontiguousarray(array_SSC), slide.mpp and slide.mpp * scale)


def lies_in(tile: Tile, height: int, width: int) -> bool:
    """Whether a tile begins within a slide of that size."""
    return tile.left < width and tile.top < height
