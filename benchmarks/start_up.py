"""Seconds until `corpuscle --help` has answered, and of `corpuscle inspect --no-pixels` on a CSV of 100,000 rows.

Whole processes are timed from outside. The first start is not counted: it reads the files from the disk. The rows of
the CSV name small files that are there, in folders of a thousand, with a label and a patient each.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from record import Record, arguments, clean_environment, measured, spread, workplace

HELP_TARGET, INSPECT_TARGET = 0.3, 5.0


def command() -> list[str]:
    """The command as it is installed beside this Python, else the module."""
    script = Path(sys.executable).with_name("corpuscle")
    return [str(script)] if script.is_file() else [sys.executable, "-m", "corpuscle"]


def timed(words: Sequence[str], threads: int, cache: Path, expected: str) -> float:
    """Wall seconds of a process that ends well and says what is expected.

    Raises:
        SystemExit: it did not.
    """
    started = time.perf_counter()
    done = subprocess.run(words, capture_output=True, text=True, env=clean_environment(threads, cache))
    seconds = time.perf_counter() - started
    if done.returncode or expected not in done.stdout + done.stderr:
        raise SystemExit(f"{' '.join(words)} ended with code {done.returncode}:\n{done.stdout}{done.stderr}")
    return seconds


def write_rows(folder: Path, rows: int, seed: int) -> Path:
    """A CSV of images that are there, 1,000 a folder, five classes, 2,000 patients."""
    rng = np.random.default_rng(seed)
    labels, patients = rng.integers(0, 5, rows), rng.integers(0, 2000, rows)
    path = folder / "labels.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "label", "patient"])
        for row in range(rows):
            name = f"{row // 1000:03d}/{row:06d}.png"
            if row % 1000 == 0:
                (folder / name).parent.mkdir()
            (folder / name).touch()
            writer.writerow([name, f"class {labels[row]}", f"p{patients[row]}"])
    return path


def measure(options: argparse.Namespace, record: Record) -> None:
    """Time both commands, in turns."""
    rows = 2000 if options.quick else options.rows
    with workplace() as place:
        table = write_rows(place, rows, options.seed)
        what = {
            "corpuscle --help": ([*command(), "--help"], "inspect", HELP_TARGET),
            f"corpuscle inspect, {rows} rows": (
                [*command(), "inspect", str(table), "--no-pixels"],
                f"{rows} images of 5 classes",
                INSPECT_TARGET,
            ),
        }
        seconds: dict[str, list[float]] = {name: [] for name in what}
        for _ in range(1 + options.repeats):
            for name, (words, expected, _target) in what.items():
                seconds[name].append(timed(words, options.threads, place / "cache", expected))
    for name, (_words, _expected, target) in what.items():
        counted = seconds[name][1:]
        record.add(
            what=name,
            repeats=len(counted),
            seconds=statistics.median(counted),
            range=spread(counted),
            target=target,
            first_s=seconds[name][0],
        )


def main() -> None:
    """Measure once."""
    parser = arguments(__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=9, help="of each command, after one that is not counted")
    options = parser.parse_args()
    measured("start_up", options, measure)


if __name__ == "__main__":
    main()
