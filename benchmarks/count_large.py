"""Seconds and memory of counting an image of 20,000 x 20,000 pixels, against sliding a regression net over it.

The image is a tiled TIFF made of real bone-marrow fields, mirrored and turned, so the true number of nuclei is known.
Each way counts in a process of its own, one after the other. Ours goes through the whole image by tiles and finds the
dots. The usual way cuts windows of 299 pixels that overlap by half and gives each to a ResNet-50 with five hidden
layers behind it, 32 at a time, in plain PyTorch and fp32. It does a part of the image; the whole is its seconds a
window times the windows of the whole. Nets are loaded before the time starts, reading is in it. Without --run the nets
are random, which takes the same time, and what they count means nothing. How well each counts is in quality/.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from record import Record, arguments, clean_environment, workplace

WINDOW, STEP, BATCH = 299, 150, 32
TARGET = 5.0
TARGET_MIB = 2048
FIELD = 600
QUALITY = 85
QUICK = {"side": 1500, "part": WINDOW + 3 * STEP}


def fields_of(folder: Path) -> list[np.ndarray]:
    """Each bone-marrow field with its dots as a fourth channel: array_HW4."""
    from corpuscle.data.readers.dots import read_dots
    from corpuscle.data.readers.image import read_image

    fields = []
    for path in sorted(path for path in folder.glob("*.png") if "_dots_" not in path.name):
        stem, _, number = path.stem.rpartition("_")
        dots = read_dots(path.with_name(f"{stem}_dots_{number}.png"))
        marked_HW = np.zeros((FIELD, FIELD, 1), np.uint8)
        x_M, y_M = np.rint(dots.xy_M2).astype(int).T
        np.add.at(marked_HW, (y_M, x_M), 1)
        fields.append(np.concatenate([read_image(path).array_HWC, marked_HW], axis=2))
    if not fields:
        raise SystemExit(
            f"expected bone-marrow fields (*.png) in {folder}, there are none; name their folder by --data"
        )
    return fields


def make(path: Path, options: argparse.Namespace) -> int:
    """Write the image, a row of fields at a time; the true number of its nuclei."""
    from corpuscle.synth.tiff import write_tiled

    fields, rng, true = fields_of(options.data), np.random.default_rng(options.seed), 0

    def strips() -> Iterator[np.ndarray]:
        nonlocal true
        for top in range(0, options.side, FIELD):
            row = [turned(fields[rng.integers(len(fields))], rng.integers(8)) for _ in range(0, options.side, FIELD)]
            strip_HW4 = np.concatenate(row, axis=1)[: options.side - top, : options.side]
            true += int(strip_HW4[..., 3].sum())
            yield strip_HW4[..., :3]

    write_tiled(path, (options.side, options.side), strips(), quality=QUALITY)
    return true


def turned(field_HW4: np.ndarray, view: int) -> np.ndarray:
    """One of the eight mirrored and quarter-turned views."""
    return np.rot90(field_HW4 if view < 4 else field_HW4[:, ::-1], view)


def by_tiles(options: argparse.Namespace) -> dict[str, Any]:
    """Count the whole image our way."""
    import torch

    from corpuscle.data.prepare import PreparePlan
    from corpuscle.data.readers.windows import open_windows
    from corpuscle.engine.maps import count_windows
    from corpuscle.engine.stitch import Scale
    from corpuscle.nets.card import load
    from corpuscle.nets.zoo import NetPlan, build

    if options.run:
        loaded = load(options.run)
        net, card = loaded.net, loaded.card
        shrink = PreparePlan(**card.prepare).shrink
        scale = Scale(shrink, np.array(card.mean), np.array(card.std), card.views)
    else:
        net, scale = build(NetPlan(model="unet", head="density"), 1, 0), Scale(options.shrink, *HALVES)
        expect(net, options.true * (options.shrink * net.stride / options.side) ** 2)
    net = net.to(memory_format=torch.channels_last).eval()
    started = time.perf_counter()
    with open_windows(options.image) as windows:
        counted = count_windows(net, windows, scale, torch.device("cpu"))
    seconds = time.perf_counter() - started
    return {
        "net": f"{net.plan.model} {net.plan.widths}, shrink {scale.shrink}, views {scale.views}",
        "seconds": seconds,
        "counted": float(counted.count_K.sum()),
        "dots": sum(len(dots.x_M) for dots in counted.dots),
    }


HALVES = np.full(3, 0.5), np.full(3, 0.25)


def expect(net: Any, density: float) -> None:
    """Let a random net give about this density, so that there are as many dots to find as in earnest."""
    last, share = net.head[1], net.head[2].share
    last.bias.data.fill_(density / share)


def by_windows(options: argparse.Namespace) -> dict[str, Any]:
    """Slide the regression net over the top left part of the image."""
    import torch
    from torch import nn
    from torchvision.models import resnet50

    from corpuscle.data.readers.windows import open_windows

    net = resnet50()
    width = 2 * net.fc.in_features
    hidden: list[nn.Module] = [nn.Linear(net.fc.in_features, width), nn.ReLU()]
    for _ in range(4):
        hidden += [nn.Linear(width, width), nn.ReLU()]
    net.fc = nn.Sequential(*hidden, nn.Linear(width, 1))
    net.eval()
    places = [(top, left) for top in places_in(options.part) for left in places_in(options.part)]
    total = 0.0
    started = time.perf_counter()
    with open_windows(options.image) as windows, torch.no_grad():
        part_HWC = windows.read(0, 0, options.part, options.part)
        for first in range(0, len(places), BATCH):
            batch = [part_HWC[top : top + WINDOW, left : left + WINDOW] for top, left in places[first : first + BATCH]]
            image_NCHW = torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2).float() / 255
            total += float(net((image_NCHW - 0.5) / 0.25).sum())
    seconds = time.perf_counter() - started
    return {"net": "resnet50, five hidden layers", "seconds": seconds, "windows": len(places)}


def places_in(side: int) -> range:
    """Where the windows along a side start."""
    return range(0, side - WINDOW + 1, STEP)


def windows_in(side: int) -> int:
    """How many windows cover a square to its ends."""
    return (math.ceil(max(side - WINDOW, 0) / STEP) + 1) ** 2


WAYS = {"tiles": by_tiles, "windows": by_windows}


def child(options: argparse.Namespace) -> None:
    """One way, in a process of its own: what it found and the most memory it held, as a line of JSON."""
    import torch

    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    found = WAYS[options.way](options)
    unit = 1024 if sys.platform == "linux" else 1024**2
    print(json.dumps(found | {"peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit}))


def run_child(way: str, image: Path, true: int, options: argparse.Namespace) -> dict[str, Any]:
    """Count in another process."""
    told = {"side": options.side, "part": options.part, "shrink": options.shrink, "true": true, "image": image}
    told |= {"way": way, "threads": options.threads, "seed": options.seed} | (
        {"run": options.run} if options.run else {}
    )
    words = [word for name, value in told.items() for word in (f"--{name}", str(value))]
    environment = clean_environment(options.threads, image.parent / "cache")
    done = subprocess.run([sys.executable, __file__, *words], env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"counting by {way} failed with code {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"{way}: {found['seconds']:.1f} s, {found['peak_mib']:.0f} MiB", flush=True)
    return found


def measure(options: argparse.Namespace, record: Record) -> None:
    """Make the image, and count it both ways."""
    with workplace() as place:
        image = place / "large.tiff"
        started = time.perf_counter()
        true = make(image, options)
        took = time.perf_counter() - started
        mib = image.stat().st_size / 2**20
        print(f"{options.side} x {options.side} pixels, {true} nuclei, {mib:.0f} MiB, made in {took:.0f} s", flush=True)
        windows, tiles = (run_child(way, image, true, options) for way in ("windows", "tiles"))
    whole = windows["seconds"] / windows["windows"] * windows_in(options.side)
    shared = {"side": options.side, "true": true}
    record.add(
        way="windows",
        **shared,
        net=windows["net"],
        seconds=whole,
        peak_mib=windows["peak_mib"],
        measured_windows=windows["windows"],
        measured_seconds=windows["seconds"],
    )
    record.add(
        way="tiles",
        **shared,
        **tiles,
        weights="trained" if options.run else "random",
        times_as_fast=whole / tiles["seconds"],
        target=TARGET,
        target_mib=TARGET_MIB,
        reached=whole >= TARGET * tiles["seconds"] and tiles["peak_mib"] < TARGET_MIB,
    )


def main() -> None:
    """Measure once."""
    parser = arguments(__doc__, data="bone_marrow")
    parser.add_argument("--side", type=int, default=20_000, help="of the image in pixels")
    parser.add_argument("--part", type=int, default=WINDOW + 15 * STEP, help="side of what the windows slide over")
    parser.add_argument("--run", type=Path, help="a trained run that counts with a density net; else the net is random")
    parser.add_argument("--shrink", type=int, default=1, choices=(1, 2, 4, 8), help="of the random net's image")
    for name in ("way", "image"):
        parser.add_argument(f"--{name}", help=argparse.SUPPRESS)
    parser.add_argument("--true", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        options.image = Path(options.image)
        child(options)
        return
    if options.quick:
        vars(options).update(QUICK)
    if not WINDOW <= options.part <= options.side:
        parser.error(f"--part expects {WINDOW} to --side {options.side}, got {options.part}")
    record = Record("count_large", options)
    measure(options, record)
    record.close()


if __name__ == "__main__":
    main()
