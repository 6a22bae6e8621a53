"""Seconds of `corpuscle budget` against those of training each cell of the same table by itself, on a reduced grid.

The cells apart are what a person types who has no such command: a process each of `corpuscle train` that starts from
the same weights and fits every parameter (of a codebook, which has none, the head), on the same split, labels and
seeds, with the cache of prepared images that all share. With --probe they fit a linear probe as the command's cells do,
each with a cache of its own: what sharing alone saves. The encoders that both start from learn before, and are in
neither time.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl

sys.path.append(str(Path(__file__).parent / "quality"))
from budget_runs import write_cells
from record import DATA, Record, arguments, clean_environment, measured, workplace

TINY = {"net.model": "timm/test_resnet", "fit.batch_size": 16, "epochs": [1], "score.resamples": 100}
TINY_ENCODER = {"net.model": "timm/test_resnet", "fit.batch_size": 16}
ENCODERS = ("contrast", "prcc", "codebook")
PROBE = [{"train": "probe", "views": 1}]
OF_EPOCHS = ("epochs", "fit.images")  # what a probe has no use for


def seconds_of(words: list[object], environment: dict[str, str]) -> float:
    """How long a command takes, from its start to its end."""
    begun = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "corpuscle", *map(str, words)], env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"corpuscle {' '.join(map(str, words))} failed with code {done.returncode}")
    return time.perf_counter() - begun


def setting_words(settings: dict[str, Any]) -> list[object]:
    """Settings as they are typed."""
    return [word for key, value in settings.items() for word in ("--set", f"{key}={json.dumps(value)}")]


def probes(start: str, probe: bool) -> bool:
    """Whether a cell apart fits a probe: all where that was asked for, and what has no parameters to learn else."""
    return start == "codebook" or (probe and start != "scratch")


def apart_words(cell: dict[str, Any], base: dict[str, Any], table: Path, runs: dict[str, Path]) -> list[object]:
    """What is typed to train one cell by itself, after `train`; `cell` says whether it probes."""
    settings = {key: value for key, value in base.items() if not (cell["probes"] and key in OF_EPOCHS)}
    settings |= {"data.split_file": str(table / "split.csv"), "split.budget": cell["budget"] / 100}
    settings |= {"seed": cell["seed"]} | ({"stages": PROBE} if cell["probes"] else {})
    if cell["start"] in runs:
        settings["net.weights"] = str(runs[cell["start"]])
    if cell["start"] == "codebook":
        settings["net.model"] = "codebook"
    if cell["start"].startswith("joined"):
        settings["net.joined"] = [str(run) for run in runs.values()]
        settings |= {"net.model": "none"} if cell["probes"] else {}
    return setting_words(settings)


def learn_encoders(options: argparse.Namespace, cells: Path, environment: dict[str, str]) -> dict[str, Path]:
    """The encoders that were asked for, each trained shortly, beside the cells."""
    names = [word for word in options.starts.split(",") if word in ENCODERS]
    for name in names:
        own: dict[str, Any] = {"prepare.size": options.size}
        if name != "codebook":
            own |= {"epochs": [options.pretrained]} | (TINY_ENCODER if options.quick else {})
        seconds_of(["train", cells, "--recipe", name, "--out", cells.parent / name, *setting_words(own)], environment)
    return {name: cells.parent / name for name in names}


def measure(options: argparse.Namespace, record: Record) -> None:
    """The command, then its cells one by one."""
    with workplace() as place:
        cells = write_cells(options.folder, place, options.images)
        base: dict[str, Any] = {"prepare.size": options.size, "split.rare": "train"}
        base |= {"fit.images": options.seen} | (TINY if options.quick else {})
        environment = clean_environment(options.threads, place / "cache")
        runs = learn_encoders(options, cells, environment)

        starts = ",".join(str(runs.get(word, word)) for word in options.starts.split(","))
        table = place / "table"
        grid = ["--budgets", options.budgets, "--seeds", options.seeds, "--starts", starts]
        took = seconds_of(["budget", cells, "--out", table, *grid, *setting_words(base)], environment)
        done = pl.read_csv(table / "budget.csv")
        apart = dict.fromkeys(done["start"].unique(maintain_order=True), 0.0)
        for number, cell in enumerate(done.rows(named=True)):
            own = clean_environment(options.threads, place / f"cache-{number}") if options.probe else environment
            words = apart_words(cell | {"probes": probes(cell["start"], options.probe)}, base, table, runs)
            apart[cell["start"]] += seconds_of(["train", cells, "--out", place / f"apart-{number}", *words], own)
        told = {
            "apart_by": "probe, nothing shared" if options.probe else "fine-tuning",
            "images": len(pl.read_csv(table / "split.csv")),
            "seen": options.seen,
        }
        told |= {"size": options.size, "budgets": options.budgets, "seeds": options.seeds}
        for start, seconds in apart.items():
            rows = done.filter(pl.col("start") == start)
            record.add(**told, start=start, cells=len(rows), cells_s=float(rows["seconds"].sum()), apart_s=seconds)
        whole = sum(apart.values())
        record.add(**told, start="all", cells=len(done), budget_s=took, apart_s=whole, times=whole / took)


def main() -> None:
    """Measure once."""
    parser = arguments(__doc__, size=96)
    parser.add_argument("--folder", type=Path, default=DATA, help="holds wbc_masks and pbc")
    parser.add_argument("--images", type=int, default=100, help="of each kind and data set, at most")
    parser.add_argument("--budgets", default="100,10", help="in percent")
    of_all = "scratch,contrast,prcc,codebook,joined:probe"
    parser.add_argument("--starts", default=of_all, help=f"of {of_all}")
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument("--seen", type=int, default=8000, help="images that a cell from scratch sees")
    parser.add_argument("--pretrained", type=int, default=2, help="epochs of the encoders before")
    parser.add_argument("--probe", action="store_true", help="the cells apart fit probes too, and share nothing")
    options = parser.parse_args()
    if options.quick:
        options.starts = "scratch,contrast,codebook,joined:probe"
        options.images, options.size, options.budgets, options.seeds, options.pretrained = 12, 32, "100", "0", 1
    measured("budget_speed", options, measure)


if __name__ == "__main__":
    main()
