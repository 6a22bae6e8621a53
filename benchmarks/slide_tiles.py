"""Tiles of whole slides: how fast they are read beside a plain OpenSlide loop, and how a large slide lists its own.

Writes a pyramid of JPEG tiles whose pictures are those of a real slide (drawn ones where it is absent), each shown many
times, so that the file stays small while every tile is decoded anew. One core reads the same tiles both ways by turns,
some hundreds at a time: `read_tile` as training calls it, and `read_region`, `convert("RGB")`, `asarray` as everyone
writes it. Aligned tiles are those of the file; the others begin in the middle of them. Each order reads a copy of the
slide of its own, of which nothing is in memory yet. All pixels are compared. Then two threads read on two cores, by
turns with one; and two processes that do nothing but decode, which is all that this machine has to give. Last, the
tiles of a slide of 100,000 x 100,000 pixels with an annotation are listed in a process of its own, tissue and annotated
shares included.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from record import Record, arguments, clean_environment, measured, workplace

SIDE, QUALITY, MPP = 256, 85, 0.25
DOWN = (1, 4, 16, 64)
CHUNK = 200  # tiles between two turns
TARGETS = {"times": 3.0, "two_cores": 1.8, "mib": 2048}


def pictures_of(path: Path, seed: int) -> list[np.ndarray]:
    """The tiles of a slide that are whole, or drawn cells, and one of glass."""
    from corpuscle.data.readers.image import read_image
    from corpuscle.synth.cells import KINDS, draw_cell

    glass = [np.full((SIDE, SIDE, 3), 244, np.uint8)]
    if not path.is_file():
        rng = np.random.default_rng(seed)
        return [draw_cell(KINDS[k % len(KINDS)], SIDE, rng).image_HWC for k in range(32)] + glass
    whole_HWC = read_image(path).array_HWC
    height, width = (side // SIDE * SIDE for side in whole_HWC.shape[:2])
    return [
        whole_HWC[y : y + SIDE, x : x + SIDE] for y in range(0, height, SIDE) for x in range(0, width, SIDE)
    ] + glass


def write_slide(path: Path, side: int, options: argparse.Namespace) -> None:
    """A pyramid with pictures at random in the middle, and glass around it."""
    from corpuscle.synth.tiff import Level, write_pyramid

    pictures, rng = pictures_of(options.slide, options.seed), np.random.default_rng(options.seed)
    levels = []
    for down in (down for down in DOWN if side // down >= SIDE):
        tiles = -(-side // down // SIDE)
        place_RC = np.full((tiles, tiles), len(pictures) - 1)
        rim = tiles // 8
        inner = tiles - 2 * rim
        place_RC[rim : rim + inner, rim : rim + inner] = rng.integers(0, len(pictures), (inner, inner))
        levels.append(Level((side // down, side // down), place_RC))
    write_pyramid(path, levels, pictures, SIDE, QUALITY, MPP)


def plain(slide: Any, left: int, top: int) -> np.ndarray:
    """A tile as everyone reads it."""
    return np.asarray(slide.read_region((left, top), 0, (SIDE, SIDE)).convert("RGB"))


def ours(path: Path, left: int, top: int) -> np.ndarray:
    """A tile by its name, as training reads it."""
    from corpuscle.data.readers.tiles import read_tile, tile_path

    return read_tile(Path(tile_path(path, left, top, SIDE, SIDE))).array_HWC


def by_turns(path: Path, corners: list[tuple[int, int]]) -> dict[str, Any]:
    """Seconds of both ways on the same tiles, by turns on one core, and the largest difference of a pixel."""
    import openslide

    slide = openslide.OpenSlide(path)
    ways: dict[str, Callable[[int, int], np.ndarray]] = {
        "plain": lambda left, top: plain(slide, left, top),
        "ours": lambda left, top: ours(path, left, top),
    }
    for way in ways.values():
        way(*corners[0])
    seconds, difference = dict.fromkeys(ways, 0.0), 0
    for turn, start in enumerate(range(0, len(corners), CHUNK)):
        chunk, read = corners[start : start + CHUNK], {}
        for name in sorted(ways, reverse=turn % 2 == 1):
            started = time.perf_counter()
            read[name] = [ways[name](*corner) for corner in chunk]
            seconds[name] += time.perf_counter() - started
        for one_HWC, other_HWC in zip(*read.values(), strict=True):
            difference = max(difference, int(np.abs(one_HWC.astype(np.int16) - other_HWC).max()))
    times = seconds["plain"] / seconds["ours"]
    return {
        "tiles": len(corners),
        "plain_tiles_a_second": len(corners) / seconds["plain"],
        "ours_tiles_a_second": len(corners) / seconds["ours"],
        "times_as_fast": times,
        "largest_difference": difference,
        "target": TARGETS["times"],
        "reached": times >= TARGETS["times"],
    }


def on_two(path: Path, corners: list[tuple[int, int]], cores: list[int]) -> dict[str, dict[str, Any]]:
    """Tiles a second on two cores against one, by turns: threads and processes that read, and such that only decode."""
    spawn = get_context("spawn")
    decoding = [ProcessPoolExecutor(1, spawn, initializer=os.sched_setaffinity, initargs=(0, {core})) for core in cores]
    for pool in decoding:
        for warm in (read, decode):
            pool.submit(warm, path, corners[:CHUNK]).result()
    names = {
        "read": "two threads against one",
        "load": "two processes against one, as loaders read",
        "decode": "ceiling: two processes that only decode, against one",
    }
    apart = {"load": read, "decode": decode}
    ways = [(name, number) for name in names for number in (1, 2)]
    seconds = dict.fromkeys(ways, 0.0)
    for turn, start in enumerate(range(0, len(corners), 4 * CHUNK)):
        chunk = corners[start : start + 4 * CHUNK]
        for name, number in ways if turn % 2 else reversed(ways):
            os.sched_setaffinity(0, set(cores[:number]))
            with ThreadPoolExecutor(number) as pool:
                started = time.perf_counter()
                if name == "read":
                    list(pool.map(lambda corner: ours(path, *corner).shape, chunk))
                else:
                    shares = [chunk[place::number] for place in range(number)]
                    waiting = [
                        one.submit(apart[name], path, share) for one, share in zip(decoding, shares, strict=False)
                    ]
                    for one in waiting:
                        one.result()
                seconds[name, number] += time.perf_counter() - started
    for pool in decoding:
        pool.shutdown()
    return {
        f"aligned, {words}": {
            "tiles": len(corners),
            "ours_tiles_a_second": len(corners) / seconds[name, 2],
            "times_as_fast": seconds[name, 1] / seconds[name, 2],
        }
        for name, words in names.items()
    }


def read(path: Path, corners: list[tuple[int, int]]) -> None:
    """Read tiles as a training does."""
    for corner in corners:
        ours(path, *corner)


def decode(path: Path, corners: list[tuple[int, int]]) -> None:
    """Decode tiles of the file and nothing else."""
    tiles = tiles_of(path)
    for left, top in corners:
        if tiles.read(top, left, SIDE, SIDE) is None:
            raise ValueError(f"{path}: the tile at {left}, {top} cannot be decoded")


@cache
def tiles_of(path: Path) -> Any:
    """The JPEG tiles of level 0, of a file that stays open."""
    from corpuscle.data.readers.jpeg_tiles import jpeg_tiles_of

    return jpeg_tiles_of(path)[0]


def list_tiles(path: Path) -> dict[str, Any]:
    """Scan a slide in this process: seconds, tiles of each class, and the most memory it held."""
    from corpuscle.data.sources import scan

    started = time.perf_counter()
    table = scan(path)
    seconds = time.perf_counter() - started
    counts = dict(table.frame["label"].value_counts().rows())
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return {"tiles": len(table), **counts, "seconds": seconds, "peak_mib": mib}


def annotate(path: Path, side: int) -> None:
    """A circle of 2,000 corners with a hole, and a hundred small areas, as QuPath exports them."""
    rng, turn_P = np.random.default_rng(0), np.linspace(0, 2 * np.pi, 2001)
    ring = np.stack([np.cos(turn_P), np.sin(turn_P)], axis=1)
    ring[-1] = ring[0]
    areas = [[side * (0.4 + 0.2 * ring), side * (0.4 + 0.05 * ring)]]
    areas += [[side * (rng.uniform(0.2, 0.8, 2) + 0.01 * ring)] for _ in range(100)]
    features = [
        {
            "geometry": {"type": "Polygon", "coordinates": [area_P2.tolist() for area_P2 in rings]},
            "properties": {"classification": {"name": "Tumor"}},
        }
        for rings in areas
    ]
    path.with_suffix(".geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def measure(options: argparse.Namespace, record: Record) -> None:
    """Read by turns, then list."""
    side, large, most = (2048, 8192, 49) if options.quick else (options.side, options.large, options.tiles)
    cores = os.sched_getaffinity(0)
    rng = np.random.default_rng(options.seed)
    with workplace() as place:
        slide = place / "slide.tiff"
        write_slide(slide, side, options)
        steps = range(0, side - 2 * SIDE + 1, SIDE)
        for name, shift in (("aligned", 0), ("not aligned", SIDE // 2)):
            in_order = [(left + shift, top + shift) for top in steps for left in steps][:most]
            mixed = [in_order[k] for k in rng.permutation(len(in_order))]
            os.sched_setaffinity(0, {min(cores)})
            for order, corners in (("in order", in_order), ("mixed", mixed)):
                own = shutil.copyfile(slide, place / f"{name} {order}.tiff")
                record.add(way=f"{name}, {order}, one core", **by_turns(own, corners))
            os.sched_setaffinity(0, cores)
        if len(cores) > 1:
            corners = [(left, top) for top in steps for left in steps][:most]
            target = TARGETS["two_cores"]
            for way, row in on_two(slide, corners, sorted(cores)[:2]).items():
                aim = {} if "ceiling" in way else {"target": target, "reached": row["times_as_fast"] >= target}
                record.add(way=way, **row, **aim)
            os.sched_setaffinity(0, cores)
        write_slide(place / "large.tiff", large, options)
        annotate(place / "large.tiff", large)
        command = [sys.executable, __file__, "--list", str(place / "large.tiff")]
        environment = clean_environment(options.threads, place / "cache")
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        listed = json.loads(done.stdout)
        target = TARGETS["mib"]
        record.add(way=f"listed, {large} x {large}", **listed, target=target, reached=listed["peak_mib"] <= target)


def main() -> None:
    """Measure once."""
    parser = arguments(__doc__, data="slide")
    parser.add_argument("--side", type=int, default=20_000, help="of the slide that is read, in pixels")
    parser.add_argument("--large", type=int, default=100_000, help="side of the slide whose tiles are listed")
    parser.add_argument("--tiles", type=int, default=100_000, help="that are read at most, each way")
    parser.add_argument("--list", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.list:
        print(json.dumps(list_tiles(options.list)))
        return
    options.slide = options.data / "CMU-1-Small-Region.tiff"
    import cv2

    cv2.setNumThreads(1)
    measured("slide_tiles", options, measure)


if __name__ == "__main__":
    main()
