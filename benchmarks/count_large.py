"""Seconds and memory of counting an image of 20,000 x 20,000 pixels, against sliding a regression net over it.

The image is a tiled TIFF made of real bone-marrow fields, mirrored and turned, so the true number of nuclei is known.
Each way counts in a process of its own, one after the other. Ours goes through the whole image by tiles and finds the
dots. The usual way cuts windows of 299 pixels that overlap by half and gives each to a ResNet-50 with five hidden
layers behind it, 32 at a time, in plain PyTorch and fp32. It does a part of the image; the whole is its seconds a
window times the windows of the whole. Nets are loaded before the time starts, reading is in it.

Without --run and --regression the nets are random, which takes the same time, and what they count means nothing.
Trained ones are judged too: by the number of nuclei in each window of the part, the same windows for both, where ours
sums its density. `quality/count_ways.py --data lysto_shaped` trains such a pair on four slides, and --fields leaves
only the others in the image.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from record import Record, arguments, clean_environment, measured, workplace

WINDOW, STEP, BATCH = 299, 150, 32
TARGET = 5.0
TARGET_MIB = 2048
FIELD = 600
QUALITY = 85
QUICK = {"side": 1500, "part": WINDOW + 3 * STEP}


def fields_of(folder: Path, pattern: str) -> list[np.ndarray]:
    """Each bone-marrow field whose name holds the pattern, with its dots as a fourth channel: array_HW4."""
    from corpuscle.data.readers.dots import read_dots
    from corpuscle.data.readers.image import read_image

    fields = []
    for path in sorted(path for path in folder.glob("*.png") if "_dots_" not in path.name):
        if not re.search(pattern, path.name):
            continue
        stem, _, number = path.stem.rpartition("_")
        dots = read_dots(path.with_name(f"{stem}_dots_{number}.png"))
        marked_HW = np.zeros((FIELD, FIELD, 1), np.uint8)
        x_M, y_M = np.rint(dots.xy_M2).astype(int).T
        np.add.at(marked_HW, (y_M, x_M), 1)
        fields.append(np.concatenate([read_image(path).array_HWC, marked_HW], axis=2))
    if not fields:
        raise SystemExit(
            f"expected bone-marrow fields (*.png) in {folder} whose names hold '{pattern}', there are none; "
            "name their folder by --data, or others by --fields"
        )
    return fields


def make(path: Path, options: argparse.Namespace) -> list[tuple[int, int]]:
    """Write the image, a row of fields at a time; row and column of all its nuclei."""
    from corpuscle.synth.tiff import write_tiled

    fields, rng = fields_of(options.data, options.fields), np.random.default_rng(options.seed)
    true: list[tuple[int, int]] = []

    def strips() -> Iterator[np.ndarray]:
        for top in range(0, options.side, FIELD):
            row = [turned(fields[rng.integers(len(fields))], rng.integers(8)) for _ in range(0, options.side, FIELD)]
            strip_HW4 = np.concatenate(row, axis=1)[: options.side - top, : options.side]
            marked_HW = strip_HW4[..., 3]
            row_M, column_M = (np.repeat(place_M, marked_HW[marked_HW > 0]) for place_M in np.nonzero(marked_HW))
            true.extend(zip((row_M + top).tolist(), column_M.tolist(), strict=True))
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
    from corpuscle.engine.maps import Eye
    from corpuscle.engine.stitch import Scale
    from corpuscle.nets.card import load
    from corpuscle.nets.zoo import NetPlan, build

    if options.run:
        loaded = load(options.run)
        net, card = loaded.net, loaded.card
        shrink, views = PreparePlan(**card.prepare).shrink, options.views or card.views
        scale = Scale(shrink, np.array(card.mean), np.array(card.std), views)
    else:
        net = build(NetPlan(model="unet", head="density"), 1, 0)
        scale = Scale(options.shrink, *HALVES, options.views or 1)
        expect(net, options.true * (options.shrink * net.stride / options.side) ** 2)
    eye = Eye(net.to(memory_format=torch.channels_last).eval(), scale, torch.device("cpu"), num_classes=1)
    started = time.perf_counter()
    with open_windows(options.image) as windows:
        looked = eye.look(windows)
    seconds = time.perf_counter() - started
    unit = scale.shrink * net.stride
    sides = {start: slice(round(start / unit), round((start + WINDOW) / unit)) for start in places_in(options.part)}
    return {
        "net": f"{net.plan.model} {net.plan.widths}, shrink {scale.shrink}, views {scale.views}",
        "seconds": seconds,
        "counted": float(looked.said_K.sum()),
        "dots": sum(len(dots.x_M) for dots in looked.dots),
        "said": [float(looked.map[:, sides[top], sides[left]].sum()) for top, left in windows_of(options.part)],
    }


HALVES = np.full(3, 0.5), np.full(3, 0.25)


def expect(net: Any, density: float) -> None:
    """Let a random net give about this density, so that there are as many dots to find as in earnest."""
    last, share = net.head[1], net.head[2].share
    last.weight.data.mul_(0.1)  # the sum is then mostly the bias's
    last.bias.data.fill_(density / share)


def by_windows(options: argparse.Namespace) -> dict[str, Any]:
    """Slide the regression net over the top left part of the image."""
    import torch

    from corpuscle.data.prepare import PreparePlan, prepare
    from corpuscle.data.readers.windows import open_windows
    from corpuscle.nets.card import load

    net, (mean_3, std_3), plan = regression(), HALVES, PreparePlan(size=WINDOW, fit="stretch")
    if options.regression:
        loaded = load(options.regression)
        net, plan = loaded.net, PreparePlan(**loaded.card.prepare)
        mean_3, std_3 = np.array(loaded.card.mean), np.array(loaded.card.std)
    mean_C11, std_C11 = (torch.from_numpy(one).float()[:, None, None] for one in (mean_3, std_3))
    places, said = windows_of(options.part), []
    started = time.perf_counter()
    with open_windows(options.image) as windows, torch.no_grad():
        part_HWC = windows.read(0, 0, options.part, options.part)
        for first in range(0, len(places), BATCH):
            cuts = [part_HWC[top : top + WINDOW, left : left + WINDOW] for top, left in places[first : first + BATCH]]
            batch_NHWC = np.stack([prepare(cut_HWC, plan) for cut_HWC in cuts])
            image_NCHW = torch.from_numpy(batch_NHWC).permute(0, 3, 1, 2).float() / 255
            said += net((image_NCHW - mean_C11) / std_C11)[:, 0].clamp_min(0).tolist()
    seconds = time.perf_counter() - started
    return {"net": "resnet50, five hidden layers", "seconds": seconds, "said": said}


def regression() -> Any:
    """A random ResNet-50 with five hidden layers and one output, in torchvision's own modules."""
    from torch import nn
    from torchvision.models import resnet50

    net = resnet50()
    width = 2 * net.fc.in_features
    hidden: list[nn.Module] = [nn.Linear(net.fc.in_features, width), nn.ReLU()]
    for _ in range(4):
        hidden += [nn.Linear(width, width), nn.ReLU()]
    net.fc = nn.Sequential(*hidden, nn.Linear(width, 1))
    return net.eval()


def places_in(side: int) -> range:
    """Where the windows along a side start."""
    return range(0, side - WINDOW + 1, STEP)


def windows_of(side: int) -> list[tuple[int, int]]:
    """Top and left of every window in a square."""
    return [(top, left) for top in places_in(side) for left in places_in(side)]


def errors(said: Sequence[float], true: Sequence[tuple[int, int]], side: int) -> dict[str, float]:
    """How far counts of the windows in a square are from the truth: a window, as a share of it, and to one side."""
    place_M2, window_N2 = np.array(true), np.array(windows_of(side))[:, None]
    true_N = ((place_M2 >= window_N2) & (place_M2 < window_N2 + WINDOW)).all(axis=2).sum(axis=1)
    error_N = np.array(said) - true_N
    mae, mean = float(np.abs(error_N).mean()), float(true_N.mean())
    return {"window_true": mean, "window_mae": mae, "window_share": mae / mean, "window_bias": float(error_N.mean())}


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
    """Count in another process, which is told all that this one was told."""
    words = [*sys.argv[1:], "--way", way, "--image", str(image), "--true", str(true)]
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
        mib, square = image.stat().st_size / 2**20, f"{options.side} x {options.side} pixels"
        print(f"{square}, {len(true)} nuclei, {mib:.0f} MiB, made in {took:.0f} s", flush=True)
        windows, tiles = (run_child(way, image, len(true), options) for way in ("windows", "tiles"))
    said = {way: found.pop("said") for way, found in (("windows", windows), ("tiles", tiles))}
    told = {"windows": options.regression, "tiles": options.run}
    judged = {way: errors(said[way], true, options.part) if told[way] else {} for way in said}
    whole = windows["seconds"] / len(said["windows"]) * windows_in(options.side)
    shared = {"side": options.side, "true": len(true)}
    record.add(
        way="windows",
        **shared,
        net=windows["net"],
        seconds=whole,
        peak_mib=windows["peak_mib"],
        measured_windows=len(said["windows"]),
        measured_seconds=windows["seconds"],
        weights="trained" if options.regression else "random",
        **judged["windows"],
    )
    record.add(
        way="tiles",
        **shared,
        **tiles,
        weights="trained" if options.run else "random",
        **judged["tiles"],
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
    parser.add_argument("--regression", type=Path, help="a trained run of the recipe lysto; else the net is random")
    parser.add_argument("--views", type=int, choices=(1, 4, 8), help="of the density net; those of the run, or 1")
    parser.add_argument("--shrink", type=int, default=1, choices=(1, 2, 4, 8), help="of the random net's image")
    parser.add_argument("--fields", default="", metavar="REGEX", help="of the names of the fields in the image")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--image", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--true", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quick:
        vars(options).update(QUICK)
    if options.way:
        child(options)
        return
    if not WINDOW <= options.part <= options.side:
        parser.error(f"--part expects {WINDOW} to --side {options.side}, got {options.part}")
    measured("count_large", options, measure)


if __name__ == "__main__":
    main()
