"""What the benchmarks share: the facts beside each figure, tables, folders of links, and processes that take turns."""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from corpuscle.core.files import write_text
from corpuscle.core.records import Score

HERE = Path(__file__).parent
ROOT = HERE.parent
RESULTS = HERE / "results"
DATA = Path(os.environ.get("CORPUSCLE_TEST_DATA") or ROOT.parent / "shared" / "data")
FACTS = ("machine", "cores", "threads", "load", "versions", "date", "seed", "command")
PACKAGES = ("corpuscle", "torch", "torchvision", "numpy", "opencv-python-headless", "pillow")
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

NUMBERS = {
    "size": "side of the images in pixels",
    "epochs": "passes over the training part",
    "batch": "images an optimiser step",
}  # whole numbers that several benchmarks take

Row = dict[str, Any]


def arguments(about: str | None, data: str | None = None, **numbers: int) -> argparse.ArgumentParser:
    """A parser with what every benchmark takes.

    Args:
        about: the docstring of the script.
        data: sample data it reads unless told otherwise.
        numbers: what it takes of `NUMBERS`, each with its default.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny settings, to see that it runs; nothing is recorded")
    parser.add_argument("--seed", type=int, default=0, help="of every random choice")
    parser.add_argument("--threads", type=int, default=CORES, help="threads of each side's arithmetic")
    if data is not None:
        parser.add_argument("--data", type=Path, default=DATA / data, help="folder with the images")
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default, help=NUMBERS[name])
    return parser


def run_arguments(about: str | None) -> argparse.ArgumentParser:
    """The same for benchmarks that train on several data sets: where those lie, what is passed on, where runs go."""
    parser = arguments(about)
    parser.add_argument("--folder", type=Path, default=DATA, help="holds the data sets")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.FIELD=VALUE", help="passed on")
    parser.add_argument("--out", type=Path, help="folder for the runs; a temporary one unless named")
    return parser


def run_options(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """What they were told, with a folder for the runs; torch computes with as many threads as were asked for."""
    options = parser.parse_args()
    import torch  # not for --help

    torch.set_num_threads(options.threads)
    options.out = options.out or Path(tempfile.mkdtemp(prefix=f"corpuscle-{Path(sys.argv[0]).stem.replace('_', '-')}-"))
    options.out.mkdir(parents=True, exist_ok=True)
    print(f"runs: {options.out}", flush=True)
    return options


def facts(options: argparse.Namespace, load: float) -> Row:
    """Where, with what, when and how a figure was measured."""
    versions = {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}
    words = ["python", Path(sys.argv[0]).resolve().relative_to(ROOT).as_posix(), *map(_portable, sys.argv[1:])]
    return {
        "machine": f"{_cpu()}, {_memory_gib():.0f} GiB, {platform.system()} {platform.machine()}",
        "cores": CORES,
        "threads": options.threads,
        "load": round(load, 2),
        "versions": ", ".join(f"{name} {number}" for name, number in versions.items()),
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "seed": options.seed,
        "command": shlex.join(words),
    }


class Record:
    """The figures of one benchmark: added to its CSV as they come, unless this is a quick try, and shown at the end.

    Args:
        name: of the CSV in results/.
        options: the arguments it was given.
    """

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        self.path = RESULTS / f"{name}.csv"
        self.quick = options.quick
        self.facts = facts(options, os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan"))
        self.rows: list[Row] = []

    def add(self, **figures: Any) -> None:
        """One row of figures; a score takes three columns of the CSV, for its interval."""
        row = {name: round(value, 4) if isinstance(value, float) else value for name, value in figures.items()}
        self.rows.append(row)
        if not self.quick:
            append(self.path, [self.facts | dict(_plain(row))])

    def close(self) -> None:
        """Show all rows, and what they rest on."""
        print(f"\n{markdown(self.rows)}\n")
        print("\n".join(f"{name}: {value}" for name, value in self.facts.items()))
        print("a quick try: nothing was recorded" if self.quick else f"added to {self.path.relative_to(ROOT)}")


def measured(name: str, options: argparse.Namespace, measure: Callable[[argparse.Namespace, Record], None]) -> Record:
    """The record of a measurement that is done once, after it has been shown."""
    record = Record(name, options)
    measure(options, record)
    record.close()
    return record


def append(path: Path, rows: Sequence[Row]) -> None:
    """Add rows to a CSV, whole or not at all; its columns grow where rows bring new ones, the facts stay last."""
    old: list[Row] = []
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as file:
            old = list(csv.DictReader(file))
    names = dict.fromkeys(name for row in [*old, *rows] for name in row if name not in FACTS)
    text = _Lines()
    writer = csv.DictWriter(text, [*names, *FACTS], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows([*old, *rows])
    write_text(path, "".join(text.lines))


def _plain(row: Row) -> Iterator[tuple[str, Any]]:
    for name, value in row.items():
        if isinstance(value, Score):
            ends = {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
            yield from ((end, round(number, 4)) for end, number in ends.items())
        else:
            yield name, value


class _Lines:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, line: str) -> None:
        self.lines.append(line)


def markdown(rows: Sequence[Row]) -> str:
    """Rows as a Markdown table; a column is there where any row has it."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [names, *([str(row.get(name, "")) for name in names] for row in rows)]
    widths = [max(len(line[k]) for line in cells) for k in range(len(names))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in cells]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def linked_part(source: Path, out: Path, images: int, skip: int = 0) -> int:
    """Links to a fixed part of a folder a class: of each class equally many images, the first by name after `skip`.

    Returns:
        How many were linked: `images`, less what does not divide by the classes.
    """
    classes = sorted(folder for folder in source.iterdir() if folder.is_dir())
    each = images // len(classes)
    for folder in classes:
        chosen = sorted(folder.iterdir())[skip : skip + each]
        if len(chosen) < each:
            raise SystemExit(f"{folder} has fewer than {skip + each} images; ask for less with --images")
        (out / folder.name).mkdir(parents=True)
        for image in chosen:
            (out / folder.name / image.name).symlink_to(image.resolve())
    return each * len(classes)


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """An empty folder that goes away at the end, for runs and for a cache of prepared images of its own."""
    with tempfile.TemporaryDirectory(prefix="corpuscle-benchmark-") as folder:
        yield Path(folder)


def clean_environment(threads: int, cache: Path) -> dict[str, str]:
    """The environment of either side: the same threads, an own cache, and no allocator setting of the caller's."""
    dropped = ("MALLOC_", "OMP_", "MKL_", "LD_PRELOAD", "GOMP_", "KMP_", "TORCH_", "ONEDNN_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return kept | {"OMP_NUM_THREADS": str(threads), "CORPUSCLE_CACHE": str(cache), "PYTHONUNBUFFERED": "1"}


class Side:
    """A training in a process of its own that does an epoch, says how it went, and waits for its next turn.

    Args:
        name: plain or ours, the script of that name in this folder.
        words: its arguments.
        environment: of the process.
    """

    def __init__(self, name: str, words: Sequence[object], environment: Mapping[str, str]) -> None:
        command = [sys.executable, str(HERE / f"{name}.py"), *map(str, words), "--turns"]
        pipe = subprocess.PIPE
        self.name, self.command = name, shlex.join(command)
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=dict(environment))
        self.epochs: list[Row] = []

    def turn(self) -> Row:
        """Let it go on; its next line: what it says of the epoch it has finished."""
        assert self.process.stdin is not None and self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it has failed; why is on standard error
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.command} ended early, with code {self.process.wait()}")
        row: Row = json.loads(line)
        self.epochs.append(row)
        took = f"{row['seconds']:.2f} s, {row['images'] / row['seconds']:.1f} images/s"
        print(f"{self.name}, epoch {row['epoch']}: {row['steps']} steps, {took}", flush=True)
        return row

    def run(self, epochs: int) -> None:
        """All its turns at once, and its end."""
        for _ in range(epochs):
            self.turn()
        self.finish()

    def finish(self) -> None:
        """Let it do what it does after its last epoch, and wait for its end."""
        self.process.communicate("\n")
        if self.process.returncode:
            raise SystemExit(f"{self.command} failed with code {self.process.returncode}")

    def total(self) -> float:
        """Seconds of all training passes."""
        return float(sum(epoch["seconds"] for epoch in self.epochs))

    def seconds(self, warm_up: int = 1) -> float:
        """Median seconds of an epoch's training pass after those that warm up."""
        return statistics.median(epoch["seconds"] for epoch in self.epochs[warm_up:])


def chosen(settings: Mapping[str, Any]) -> list[str]:
    """Settings as the words that ours.py takes."""
    return [word for key, value in settings.items() for word in ("--set", f"{key}={json.dumps(value)}")]


def take_turns(sides: Sequence[Side], epochs: int) -> None:
    """Let the sides do their epochs one after the other, the first one first and last one first by turns.

    Raises:
        SystemExit: a side failed, or they did not do the same number of steps.
    """
    for epoch in range(epochs):
        for side in sides if epoch % 2 == 0 else tuple(reversed(sides)):
            side.turn()
        did = [(side.epochs[-1]["epoch"], side.epochs[-1]["steps"]) for side in sides]
        if set(did) != {did[0]}:
            raise SystemExit(f"expected the same work of each side, got (epoch, steps) of {did}")
    for side in sides:
        side.finish()


def spread(values: Sequence[float]) -> str:
    """Least and greatest of some seconds, for a table."""
    return f"{min(values):.2f} to {max(values):.2f}"


def _portable(word: str) -> str:
    """An argument as it may stand in a public file: of a path from the root only its last part."""
    flag, equals, value = word.rpartition("=")
    return f"{flag}{equals}…/{Path(value).name}" if Path(value).is_absolute() else word


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    arithmetic = [flag for flag in ("avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    return " ".join([name, *arithmetic])


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
