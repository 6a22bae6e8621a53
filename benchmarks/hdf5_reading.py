"""What reading an HDF5 file of patches costs beside training on them.

Writes a LYSTO-shaped file of 299 × 299 patches (crops of bone-marrow fields, or drawn cells where there are none;
gzip, a chunk an image, or with --auto-chunks those that h5py chooses), then times the one pass in which a run reads
each patch into its cache, the digest of the file included. An epoch of ResNet-50 at 224 pixels is timed over a fixed
part of the patches and scaled to as many as were read: it grows with their number. 20,000 patches take 4 GiB, their
cache 3 GiB; a file that has just been written is still in memory, so the disk has no part in the time.
"""

from __future__ import annotations

import argparse
import itertools
import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image
from record import Record, arguments, measured, workplace

from corpuscle import api
from corpuscle.data.cache import survey
from corpuscle.data.prepare import PreparePlan
from corpuscle.data.readers.image import ReadPlan
from corpuscle.data.sources import scan
from corpuscle.synth.cells import KINDS, draw_cell
from corpuscle.synth.lysto import write_lysto

SIDE, SIZE, TARGET = 299, 224, 0.05
DRAWN = 16  # fields, where there are no real ones
MIB = 2**20 if sys.platform == "darwin" else 2**10  # of the unit in which the system counts memory


def patches(fields: list[np.ndarray], count: int, seed: int) -> Iterator[np.ndarray]:
    """Crops of the fields at random places."""
    rng = np.random.default_rng(seed)
    for image_HWC in itertools.islice(itertools.cycle(fields), count):
        top, left = (int(rng.integers(side - SIDE + 1)) for side in image_HWC.shape[:2])
        yield image_HWC[top : top + SIDE, left : left + SIDE]


def fields_of(folder: Path, seed: int) -> tuple[str, list[np.ndarray]]:
    """What the patches are cut from, in words and pixels."""
    real = [path for path in sorted(folder.glob("*.png")) if "dots" not in path.name]
    if real:
        return folder.name, [np.asarray(Image.open(path).convert("RGB")) for path in real]
    rng = np.random.default_rng(seed)
    return "drawn", [draw_cell(KINDS[k % len(KINDS)], 2 * SIDE, rng).image_HWC for k in range(DRAWN)]


def with_auto_chunks(source: Path, out: Path) -> None:
    """The same file with the chunks that h5py chooses, which cut across images; a row of chunks at a time."""
    import h5py

    with h5py.File(source) as old, h5py.File(out, "w") as new:
        images = new.create_dataset("x", old["x"].shape, "u1", chunks=True, compression="gzip")
        rows = images.chunks[0]
        for start in range(0, len(images), rows):
            images[start : start + rows] = old["x"][start : start + rows]
        new["y"] = old["y"][:]


def peak_mib() -> float:
    """The most memory this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MIB


def epoch_seconds(file: Path, place: Path, images: int, seed: int) -> float:
    """Median seconds a patch of an epoch of ResNet-50 over the first patches, the first epoch left out."""
    rows = pl.DataFrame({"image": [f"{file.name}#{k}" for k in range(images + 2)]})
    rows.with_columns(pl.Series("split", ["train"] * images + ["test"] * 2)).write_csv(place / "part.csv")
    settings = {
        "net.weights": "none",
        "prepare.size": SIZE,
        "epochs": [3],
        "data.split_file": str(place / "part.csv"),
        "split.val": 0,
        "seed": seed,
    }
    log = api.train(file, recipe="lysto", out=place / "run", settings=settings).log
    return float((1 / log["images_per_second"][1:]).median())


def measure(options: argparse.Namespace, record: Record) -> None:
    """Write, read, train."""
    count, images = (64, 16) if options.quick else (options.patches, options.images)
    with workplace() as place:
        os.environ["CORPUSCLE_CACHE"] = str(place / "cache")
        cut_from, fields = fields_of(options.data, options.seed)
        file = place / "patches.h5"
        started = time.perf_counter()
        write_lysto(file, patches(fields, count, options.seed), np.arange(count) % 40)
        if options.auto_chunks:
            with_auto_chunks(file, place / "auto.h5")
            file.unlink()
            file = place / "auto.h5"
        writing, before = time.perf_counter() - started, peak_mib()
        started = time.perf_counter()
        table = scan(file)
        found = survey(table, ReadPlan(), PreparePlan(size=SIZE, fit="stretch"))
        reading, after = time.perf_counter() - started, peak_mib()
        if not found.cached or found.frame["fault"].drop_nulls().len():
            raise SystemExit(f"expected {count} sound patches in the cache; see that {place} has room for them")
        patch_s = epoch_seconds(file, place, images, options.seed)
        size = file.stat().st_size / 2**20
    share = reading / count / patch_s
    record.add(
        patches=count,
        cut_from=cut_from,
        chunks="h5py's" if options.auto_chunks else "an image",
        file_mib=size,
        write_s=writing,
        read_s=reading,
        patches_a_second=count / reading,
        peak_mib=after,
        peak_growth_mib=after - before,
        timed_on=images,
        epoch_s=patch_s * count,
        share_of_an_epoch=share,
        target=TARGET,
        reached=share <= TARGET,
    )


def main() -> None:
    """Measure once."""
    parser = arguments(__doc__, data="bone_marrow")
    parser.add_argument("--patches", type=int, default=20_000, help="that are written and read")
    parser.add_argument("--images", type=int, default=96, help="that an epoch is timed on")
    parser.add_argument("--auto-chunks", action="store_true", help="chunks as h5py chooses them, across images")
    options = parser.parse_args()
    import cv2
    import torch

    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    measured("hdf5_reading", options, measure)


if __name__ == "__main__":
    main()
