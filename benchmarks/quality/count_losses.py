"""Losses of a net that learns to count from numbers alone, on the same splits of `vgg_cells` with the same seeds.

50 images train, each known by its number and nothing else; the 50 images that neither train nor test in
`count_runs.py` judge, and its test images are not touched. Each run is the recipe `count` with as many epochs as the
others and the weights of the last one; only its loss is replaced, learning rate and clip of gradients are the recipe's.
A difference to the product's own loss is paired by image. What is finished in --out is not trained again.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import polars as pl

sys.path.append(str(Path(__file__).parents[1]))
from count_runs import AS_THEY_ARE, SETS, divide
from count_ways import differences, test_counts
from real_runs import mean_and_spread, test_score
from record import Record, run_arguments, run_options

from corpuscle import api
from corpuscle.core.progress import Progress
from corpuscle.core.settings import parse_assignment
from corpuscle.data.sources import scan

if TYPE_CHECKING:
    from torch import Tensor

DATA_SET = "vgg_cells"
SHOWN = ("mae", "rmse", "bias", "r")


def squared(count_NK: Tensor, true_NK: Tensor) -> Tensor:
    """Squared error in units of the variance, were it Poisson's: large errors weigh more."""
    return ((count_NK - true_NK).square() / (true_NK + 1)).mean()


def huber(count_NK: Tensor, true_NK: Tensor) -> Tensor:
    """Squared within one unit of the scatter, absolute beyond."""
    error_NK = (count_NK - true_NK).abs() / (true_NK + 1).sqrt()
    return (error_NK.clamp_max(1).square() / 2 + (error_NK - 1).clamp_min(0)).mean()


def poisson(count_NK: Tensor, true_NK: Tensor) -> Tensor:
    """Negative log-likelihood of Poisson's law; below one object the logarithm goes on as its tangent.

    A density may be negative, and the net starts near zero, where a bound would leave it without a gradient.
    """
    log_NK = count_NK.clamp_min(1).log() + count_NK.clamp_max(1) - 1
    return (count_NK - true_NK * log_NK).mean()


def relative(count_NK: Tensor, true_NK: Tensor) -> Tensor:
    """Absolute error as a share of the count: full images weigh less."""
    return ((count_NK - true_NK).abs() / (true_NK + 1)).mean()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor] | None] = {
    "ours": None,
    "squared": squared,
    "huber": huber,
    "poisson": poisson,
    "relative": relative,
}


def write_split(options: argparse.Namespace, split: int) -> Path:
    """A CSV of the images that train and of those that judge, with their numbers."""
    folder = options.folder / DATA_SET
    if not folder.is_dir():
        raise SystemExit(f"expected the images in {folder}; name their folder with --folder")
    counts = scan(folder).frame.select("image", pl.col("counts").list.first().alias("count"))
    parts = divide(folder, SETS[DATA_SET], split, by_slide=False, seed=options.seed)
    chosen = parts.filter(pl.col("split") != "test").with_columns(pl.col("split").replace("val", "test"))
    path = options.out / f"split-{split}.csv"
    absolute = pl.concat_str(pl.lit(f"{folder.resolve()}/"), "image").alias("image")
    chosen.join(counts, on="image", maintain_order="left").with_columns(absolute).write_csv(path)
    return path


def train(name: str, split: int, options: argparse.Namespace) -> api.Run:
    """A run with one of the losses; a finished one is only read."""
    place = options.out / f"split-{split}" / name
    settings = AS_THEY_ARE | {"data.kind": "cell", "split.val": 0, "seed": options.seed + split}
    settings |= {"epochs": [options.epochs]} | dict(parse_assignment(text) for text in options.set)
    if options.quick:
        settings |= {"epochs": [1], "score.views": 1}
    progress = Progress(shown=True)
    progress.say(f"== {name}, split {split}: {place}")
    sheet = write_split(options, split)
    loss = LOSSES[name]
    with mock.patch("corpuscle.tasks.count.count_loss", loss) if loss else contextlib.nullcontext():
        return api.train(sheet, recipe="count", out=place, settings=settings, progress=progress)


def compare(split: int, options: argparse.Namespace, record: Record) -> dict[str, float]:
    """Train with every loss and record a row each, with how it differs from ours; their mean absolute errors."""
    errors, tables = {}, {}
    for name in LOSSES:
        run = train(name, split, options)
        scores, tables[name] = {key: test_score(run, key) for key in SHOWN}, test_counts(run.folder, "(.+)")
        did = {"epochs": len(run.log), "train_s": run.log["seconds"].sum(), "n": scores["mae"].n}
        less = {} if name == "ours" else {"mae_less_ours": differences(tables[name], tables["ours"])["cell"]}
        record.add(data=DATA_SET, loss=name, run=f"split {split}", **did, **scores, **less)
        errors[name] = scores["mae"].value
    return errors


def main() -> None:
    """Train and report."""
    parser = run_arguments(__doc__)
    parser.add_argument("--epochs", type=int, default=60, help="of every run")
    parser.add_argument("--splits", nargs="+", type=int, default=[0, 1])
    options = run_options(parser)
    record = Record("quality_count_losses", options)
    errors = [compare(split, options, record) for split in options.splits]
    for name in LOSSES:
        mean = mean_and_spread([one[name] for one in errors])
        record.add(data=DATA_SET, loss=name, run=f"mean ± sd of {len(errors)}", mae=mean)
    record.close()


if __name__ == "__main__":
    main()
