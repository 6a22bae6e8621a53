"""What reading an HDF5 file of patches costs beside training on them.

Writes a LYSTO-shaped file of 299 × 299 patches (crops of bone-marrow fields, gzip), then times the pass in which a run
reads each patch once into its cache, the digest of the file included, and an epoch of ResNet-50 at 224 pixels over a
fixed part of them. Both are scaled to 20,000 patches: they grow with the number.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image
from record import Record, arguments, workplace

from corpuscle import api
from corpuscle.data.cache import survey
from corpuscle.data.prepare import PreparePlan
from corpuscle.data.readers.image import ReadPlan
from corpuscle.data.sources import scan
from corpuscle.synth.lysto import write_lysto

SIDE, SIZE, MANY, TARGET = 299, 224, 20_000, 0.05


def patches(folder: Path, count: int, seed: int) -> Iterator[np.ndarray]:
    """Crops of real fields at random places."""
    fields = [path for path in sorted(folder.glob("*.png")) if "dots" not in path.name]
    if not fields:
        raise SystemExit(f"expected images in {folder}; name their folder with --data")
    fields_HWC = [np.asarray(Image.open(path).convert("RGB")) for path in fields]
    rng = np.random.default_rng(seed)
    for k in range(count):
        image_HWC = fields_HWC[k % len(fields_HWC)]
        top, left = (int(rng.integers(side - SIDE)) for side in image_HWC.shape[:2])
        yield image_HWC[top : top + SIDE, left : left + SIDE]


def measure(options: argparse.Namespace, record: Record) -> None:
    """Write, read, train."""
    count, images = (64, 16) if options.quick else (options.patches, options.images)
    with workplace() as place:
        os.environ["CORPUSCLE_CACHE"] = str(place / "cache")
        write_lysto(place / "patches.h5", patches(options.data, count, options.seed), np.arange(count) % 40)
        table = scan(place / "patches.h5")
        started = time.perf_counter()
        survey(table, ReadPlan(), PreparePlan(size=SIZE, fit="stretch"))
        reading = time.perf_counter() - started
        parts = ["train"] * images + ["test"] * 2
        part = table.frame.select("image").head(images + 2).with_columns(pl.Series("split", parts))
        part.write_csv(place / "part.csv")
        settings = {
            "net.weights": "none",
            "prepare.size": SIZE,
            "epochs": [3],
            "data.split_file": str(place / "part.csv"),
            "split.val": 0,
        }
        run = api.train(place / "patches.h5", recipe="lysto", out=place / "run", settings=settings)
        epoch = float(run.log["seconds"][1:].median() or 0) / images
        size = (place / "patches.h5").stat().st_size / 2**20
    record.add(
        patches=count,
        file_mib=size,
        read_s=reading,
        patches_a_second=count / reading,
        read_20000_s=reading / count * MANY,
        epoch_20000_s=epoch * MANY,
        share_of_an_epoch=reading / count / epoch,
        target=TARGET,
    )


def main() -> None:
    """Measure once."""
    parser = arguments(__doc__, data="bone_marrow")
    parser.add_argument("--patches", type=int, default=2000, help="that are written and read")
    parser.add_argument("--images", type=int, default=96, help="that an epoch is timed on")
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    record = Record("hdf5_reading", options)
    measure(options, record)
    record.close()


if __name__ == "__main__":
    main()
