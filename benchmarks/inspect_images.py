"""Seconds and memory in which `corpuscle inspect` looks through images, beside imagededup's hashes on the same files.

The images are made from a folder a class: windows of 60 to 85 % of the side at random places, turned over at random,
brought to 360 × 363 and saved as JPEG of a random quality, so that hardly two show the same. Then near-copies are
added, a sixth each: saved at quality 60, shrunk to 80 %, brightened by a tenth, cropped by 3 %, flipped, turned by a
quarter.

Both take turns, each time without a cache. Ours is a whole process from outside: its start, everything that inspect
looks for, and its answer as JSON. Theirs is `PHash().find_duplicates` alone, with as many processes, timed after its
imports. A near-copy counts as found where the answer joins it with its original; a false pair joins two images that
come from different files of the folder. Two that come from one, as two copies of an image or two windows that overlap,
are neither.
`--imagededup` names the Python of an environment that has it (`python -m venv A && A/bin/pip install imagededup`).
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from record import Record, arguments, clean_environment, measured, spread, workplace

SIZE_WH, WINDOW, QUALITIES = (360, 363), (0.6, 0.85), (75, 96)
TARGET_S, TARGET_MIB, TARGET_TIMES = 60.0, 1024, 3.0
MIB = 2**20 if sys.platform == "darwin" else 2**10  # of the unit in which the system counts memory
THEIRS = """
import json, sys, time
from imagededup.methods import PHash
folder, workers = sys.argv[1], int(sys.argv[2])
started = time.perf_counter()
found = PHash().find_duplicates(image_dir=folder, recursive=True, num_enc_workers=workers, num_dist_workers=workers)
print("ANSWER" + json.dumps({"seconds": time.perf_counter() - started, "found": found}))
"""

COPIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "re-encoded": lambda image: image,
    "shrunk": lambda image: cv2.resize(image, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA),
    "brightened": lambda image: np.clip(1.1 * image.astype(float), 0, 255).astype(np.uint8),
    "cropped": lambda image: image[5:-6, 5:-6],
    "flipped": lambda image: image[:, ::-1],
    "turned": lambda image: np.rot90(image),
}  # what a near-copy has gone through

Pair = frozenset[str]


@dataclass(frozen=True)
class Made:
    """Images in folders a class, near-copies among them.

    Attributes:
        pairs: how a copy was made, to the pairs of names.
        origin: name of an image to the file that it is a window of.
    """

    pairs: dict[str, set[Pair]]
    origin: dict[str, Path]


def make(source: Path, out: Path, images: int, copies: int, seed: int) -> Made:
    """Make the images."""
    random = np.random.default_rng(seed)
    originals = [path for path in sorted(source.rglob("*")) if path.suffix.lower() in (".jpg", ".png")]
    origin: dict[str, Path] = {}
    mixed = itertools.cycle(originals[place] for place in random.permutation(len(originals)))
    for number, path in zip(range(images - copies), mixed, strict=False):
        image_HWC = window_of(cv2.imread(str(path)), random)
        place = out / path.parent.name / f"{number:06d}.jpg"
        write(place, image_HWC, int(random.integers(*QUALITIES)))
        origin[place.name] = path
    made = sorted(out.rglob("*.jpg"))
    pairs: dict[str, set[Pair]] = {how: set() for how in COPIES}
    chosen = [made[place] for place in random.permutation(len(made))[:copies]]
    for number, (image, (how, change)) in enumerate(zip(chosen, itertools.cycle(COPIES.items()), strict=False)):
        copy = image.with_name(f"copy-{number:06d}.jpg")
        write(copy, change(cv2.imread(str(image))), 60 if how == "re-encoded" else 90)
        pairs[how].add(Pair((image.name, copy.name)))
        origin[copy.name] = origin[image.name]
    return Made(pairs, origin)


def window_of(image_HWC: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A part of an image at a random place, turned over or not, of the size that all have."""
    height, width = (round(side * random.uniform(*WINDOW)) for side in image_HWC.shape[:2])
    top, left = (random.integers(a - b + 1) for a, b in zip(image_HWC.shape[:2], (height, width), strict=True))
    part_HWC = image_HWC[top : top + height, left : left + width][:: random.choice([1, -1]), :: random.choice([1, -1])]
    return cv2.resize(np.ascontiguousarray(part_HWC), SIZE_WH, interpolation=cv2.INTER_LINEAR)


def write(path: Path, image_HWC: np.ndarray, quality: int) -> None:
    """Save a JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), image_HWC, [cv2.IMWRITE_JPEG_QUALITY, quality]):
        raise SystemExit(f"{path} could not be written")


def run(words: list[str], threads: int, cache: Path) -> tuple[float, float, str]:
    """Wall seconds, the most memory in MiB and the output of a process.

    Raises:
        SystemExit: it failed.
    """
    answer = cache / "answer"
    shutil.rmtree(cache, ignore_errors=True)
    cache.mkdir()
    started = time.perf_counter()
    with answer.open("w") as out:
        process = subprocess.Popen(words, stdout=out, env=clean_environment(threads, cache))
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if os.waitstatus_to_exitcode(status) not in (0, 3):  # 3: inspect has found something
        raise SystemExit(f"{' '.join(words[:4])} … ended with code {os.waitstatus_to_exitcode(status)}")
    return seconds, usage.ru_maxrss / MIB, answer.read_text()


def ours(folder: Path, threads: int, cache: Path) -> tuple[float, float, set[Pair]]:
    """Seconds, memory and pairs of `corpuscle inspect --json`."""
    seconds, memory, answer = run([sys.executable, "-m", "corpuscle", "inspect", str(folder), "--json"], threads, cache)
    sets = [found["images"] for found in json.loads(answer)["findings"] if found["kind"].startswith(("copies", "near"))]
    return seconds, memory, set(pairs_in(sets))


def theirs(python: str, folder: Path, threads: int, cache: Path) -> tuple[float, float, set[Pair]]:
    """The same of imagededup; memory is that of its first process."""
    _, memory, answer = run([python, "-c", THEIRS, str(folder), str(threads)], threads, cache)
    told = json.loads(answer.partition("ANSWER")[2])
    return told["seconds"], memory, set(pairs_in([[name, *same] for name, same in told["found"].items()], star=True))


def pairs_in(sets: Iterable[Iterable[str]], star: bool = False) -> Iterator[Pair]:
    """All pairs of names within each set; of a star only those with its first."""
    for some in sets:
        names = [Path(image).name for image in some]
        for one, other in itertools.combinations(names, 2):
            if one != other and (not star or one == names[0]):
                yield Pair((one, other))


def measure(options: argparse.Namespace, record: Record) -> None:
    """Make the images, then let both look at them by turns."""
    images, copies = (120, 12) if options.quick else (options.images, options.copies)
    with workplace() as place:
        made = make(options.data, place / "images", images, copies, options.seed)
        sides: dict[str, Callable[[], tuple[float, float, set[Pair]]]] = {
            "corpuscle inspect": lambda: ours(place / "images", options.threads, place / "cache")
        }
        if options.imagededup:
            sides["imagededup PHash"] = lambda: theirs(
                options.imagededup, place / "images", options.threads, place / "cache"
            )
        runs: dict[str, list[tuple[float, float, set[Pair]]]] = {name: [] for name in sides}
        for _ in range(1 if options.quick else options.repeats):
            for name, side in sides.items():
                runs[name].append(side())
                print(f"{name}: {runs[name][-1][0]:.1f} s, {runs[name][-1][1]:.0f} MiB", flush=True)
    known = set().union(*made.pairs.values())
    middle = {name: statistics.median(seconds for seconds, *_ in some) for name, some in runs.items()}
    for name, some in runs.items():
        found = some[-1][2]
        record.add(
            what=name,
            images=images,
            repeats=len(some),
            seconds=middle[name],
            range=spread([seconds for seconds, *_ in some]),
            peak_mib=max(memory for _, memory, _ in some),
            near_copies=copies,
            recall=len(known & found) / len(known),
            **{how.replace("-", "_"): len(pairs & found) / max(len(pairs), 1) for how, pairs in made.pairs.items()},
            false_pairs=sum(len({made.origin[name] for name in pair}) > 1 for pair in found),
            times_as_fast=middle["imagededup PHash"] / middle[name] if options.imagededup else "not measured",
            target=f"{TARGET_S:g} s, {TARGET_MIB} MiB, {TARGET_TIMES:g} times" if name.startswith("corpuscle") else "",
        )
    if not options.imagededup:
        record.add(
            what="imagededup PHash", images=images, seconds="not measured: --imagededup names no Python that has it"
        )


def main() -> None:
    """Measure once."""
    parser = arguments(__doc__, data="pbc")
    parser.add_argument("--images", type=int, default=10_000, help="that are looked at, near-copies included")
    parser.add_argument("--copies", type=int, default=600, help="near-copies among them")
    parser.add_argument("--repeats", type=int, default=3, help="of each side, by turns")
    parser.add_argument("--imagededup", metavar="PYTHON", help="Python of an environment that has imagededup")
    measured("inspect_images", parser.parse_args(), measure)


if __name__ == "__main__":
    main()
