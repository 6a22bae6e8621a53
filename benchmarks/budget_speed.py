"""Seconds of `corpuscle budget` against those of training each cell of the same table by itself, on a reduced grid.

The cells apart are what a person types who has no such command: a process each of `corpuscle train` that starts from
the same weights and fits every parameter, on the same split, labels and seeds, with the cache of prepared images that
all share. With --probe they fit a linear probe as the command's cells do, each with a cache of its own: what sharing
alone saves. The encoder that both start from learns before, and is in neither time.
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


def apart_words(cell: dict[str, Any], folder: Path, encoder: Path, probe: bool) -> list[object]:
    """What is typed to train one cell by itself, after `train`."""
    settings: dict[str, Any] = {"data.split_file": str(folder / "split.csv"), "split.budget": cell["budget"] / 100}
    settings |= {"seed": cell["seed"]}
    if cell["start"] in ("contrast", "contrast-all"):
        settings |= {"net.weights": str(encoder)}
    if cell["start"].startswith("joined"):
        settings |= {"net.joined": [str(encoder)]} | ({"net.model": "none"} if probe else {})
    if probe and cell["start"] in ("contrast", "joined-probe"):
        settings |= {"stages": [{"train": "probe", "views": 1}]}
    return setting_words(settings)


def measure(options: argparse.Namespace, record: Record) -> None:
    """The command, then its cells one by one."""
    with workplace() as place:
        cells = write_cells(options.folder, place, options.images)
        base: dict[str, Any] = {"prepare.size": options.size, "split.rare": "train"} | (TINY if options.quick else {})
        first = {key: value for key, value in base.items() if key not in ("epochs", "split.rare")}
        environment = clean_environment(options.threads, place / "cache")
        encoder = place / "contrast"
        words = setting_words(first | {"epochs": [options.pretrained]})
        seconds_of(["train", cells, "--recipe", "contrast", "--out", encoder, *words], environment)

        starts = options.starts.replace("contrast", str(encoder))
        table = place / "table"
        grid = ["--budgets", options.budgets, "--seeds", options.seeds, "--starts", starts]
        took = seconds_of(["budget", cells, "--out", table, *grid, *setting_words(base)], environment)
        done = pl.read_csv(table / "budget.csv")
        apart = dict.fromkeys(done["start"].unique(maintain_order=True), 0.0)
        for number, cell in enumerate(done.rows(named=True)):
            own = clean_environment(options.threads, place / f"cache-{number}") if options.probe else environment
            shared = base
            if options.probe and cell["start"] in ("contrast", "joined-probe"):
                shared = {key: value for key, value in base.items() if key != "epochs"}
            words = [*setting_words(shared), *apart_words(cell, table, encoder, options.probe)]
            apart[cell["start"]] += seconds_of(["train", cells, "--out", place / f"apart-{number}", *words], own)
        told = {
            "apart_by": "probe, nothing shared" if options.probe else "fine-tuning",
            "images": len(done_rows(table)),
        }
        told |= {"size": options.size, "budgets": options.budgets, "seeds": options.seeds}
        for start, seconds in apart.items():
            rows = done.filter(pl.col("start") == start)
            record.add(**told, start=start, cells=len(rows), cells_s=float(rows["seconds"].sum()), apart_s=seconds)
        whole = sum(apart.values())
        record.add(**told, start="all", cells=len(done), budget_s=took, apart_s=whole, times=whole / took)


def done_rows(table: Path) -> pl.DataFrame:
    """The images of the table."""
    return pl.read_csv(table / "split.csv")


def main() -> None:
    """Measure once."""
    parser = arguments(__doc__, size=96)
    parser.add_argument("--folder", type=Path, default=DATA, help="holds wbc_masks and pbc")
    parser.add_argument("--images", type=int, default=100, help="of each kind and data set, at most")
    parser.add_argument("--budgets", default="100,50,10", help="in percent")
    parser.add_argument("--starts", default="scratch,contrast,joined:probe", help="of scratch, contrast, joined:probe")
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument("--pretrained", type=int, default=3, help="epochs of the encoder before")
    parser.add_argument("--probe", action="store_true", help="the cells apart fit probes too, and share nothing")
    options = parser.parse_args()
    if options.quick:
        options.images, options.size, options.budgets, options.seeds, options.pretrained = 12, 32, "100", "0", 1
    measured("budget_speed", options, measure)


if __name__ == "__main__":
    main()
