"""Seconds and memory of `corpuscle inspect --no-pixels` on a table of a million rows, however it was written.

Whole processes are timed from outside, by the clock and by the processor, whose seconds say more where a machine does
other things too. The rows name empty files that are there, in folders of a thousand, with a label and a patient each:
a CSV with whole paths, one with a group of its own for each row, one without suffixes and with Windows' slashes, and a
Parquet file.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
from record import Record, arguments, clean_environment, measured, workplace
from start_up import command, write_rows

TARGET = 30.0
MIB = 2**20 if sys.platform == "darwin" else 2**10  # of the unit in which the system counts memory


def tables(folder: Path, rows: int, seed: int) -> Iterator[tuple[str, Path]]:
    """What is timed, in words, and its table."""
    path = write_rows(folder, rows, seed)
    frame = pl.read_csv(path, infer_schema=False)
    yield "a CSV", path
    own = folder / "own_groups.csv"
    frame.with_columns(patient=pl.format("p{}", pl.int_range(pl.len()))).write_csv(own)
    yield "a CSV, a group a row", own
    names = pl.col("image").str.replace(".png", "", literal=True).str.replace("/", "\\", literal=True)
    windows = folder / "windows.csv"
    frame.with_columns(names).write_csv(windows, separator=";", include_bom=True)
    yield "a CSV of stems, of Windows", windows
    frame.write_parquet(folder / "labels.parquet")
    yield "a Parquet file", folder / "labels.parquet"


def timed(table: Path, threads: int, cache: Path, expected: str) -> tuple[float, float, float]:
    """Seconds by the clock and by the processor, and the most memory in MiB, of a process that says what is expected.

    Raises:
        SystemExit: it did not.
    """
    words = [*command(), "inspect", str(table), "--no-pixels"]
    environment = clean_environment(threads, cache) | {"POLARS_MAX_THREADS": str(threads)}
    started = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if expected not in said:
        raise SystemExit(f"{' '.join(words)} ended with code {process.returncode}:\n{said}")
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / MIB


def measure(options: argparse.Namespace, record: Record) -> None:
    """Time each table once, after a start that is not counted."""
    rows = 2000 if options.quick else options.rows
    with workplace() as place:
        for number, (what, table) in enumerate(tables(place, rows, options.seed)):
            for _ in range(1 + (number == 0)):
                seconds, processor_s, mib = timed(
                    table, options.threads, place / "cache", f"{rows} images of 5 classes"
                )
            record.add(
                what=what,
                rows=rows,
                seconds=seconds,
                processor_s=processor_s,
                peak_mib=mib,
                target=TARGET,
                reached=seconds <= TARGET,
            )


def main() -> None:
    """Measure once."""
    parser = arguments(__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    measured("inspect_rows", parser.parse_args(), measure)


if __name__ == "__main__":
    main()
