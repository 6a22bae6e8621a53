"""Errors of the count recipe over repeated random splits, as the literature judges the small published sets.

Of `vgg_cells` 50 images train, 100 others judge, and the 50 that are left set the intervals and nothing else; of
`bone_marrow` 15 train and the others judge: drawn at random as in the literature, or with --by-slide by whole slides.
The weights of the last epoch are kept, so no image outside of the training part has any say in them. Each run is what
`corpuscle train` does with no more than is said here. What is finished in --out is not trained again.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

sys.path.append(str(Path(__file__).parents[1]))
from real_runs import mean_and_spread, run_settings, test_score
from record import Record, run_arguments, run_options

from corpuscle import api
from corpuscle.core.progress import Progress
from corpuscle.core.seeds import generator_for
from corpuscle.core.settings import parse_assignment

SHOWN = ("mae", "rmse", "r", "bias", "dot_f1")
INTERVALS = ("coverage", "width")
AS_THEY_ARE = {f"augment.{name}": 0 for name in ("zoom", "brightness", "contrast", "saturation", "hue")}


@dataclass(frozen=True)
class Protocol:
    """How a set is divided, and what was chosen for it on training and spare images.

    Attributes:
        train, calibrate, test: images of each part; 0 is all that are left.
        images: pattern of the names of its images.
        slide: pattern of the slide in such a name.
        settings: beside those of the recipe.
        target: mean absolute error to reach.
        published: the errors of others under this protocol.
    """

    train: int
    calibrate: int
    test: int
    images: str
    target: float
    published: str
    slide: str = ""
    settings: dict[str, Any] = field(default_factory=dict)


SETS = {
    "vgg_cells": Protocol(
        *(50, 50, 100),
        images="*cell.png",
        target=2.2,
        published="Count-ception 2.3, FCRN 2.9",
        settings={"count.sigma": 2.0, **AS_THEY_ARE},
    ),
    "bone_marrow": Protocol(
        *(15, 0, 0),
        images="*_[0-9][0-9]_[0-9][0-9][0-9].png",
        target=5.7,
        published="Count-ception 8.8, SAU-Net 5.7",
        slide=r"HE_(\d+)_",
        settings={"augment.zoom": 0},
    ),
}


def divide(folder: Path, protocol: Protocol, split: int, by_slide: bool, seed: int) -> pl.DataFrame:
    """`image` and `split` of one random split; whole slides train with --by-slide, as far as the number allows."""
    images = np.array(sorted(path.name for path in folder.glob(protocol.images)))
    rng = generator_for(seed, "protocol", split)
    parts = np.full(len(images), "test", dtype=object)
    order = rng.permutation(len(images))
    if by_slide:
        slides = np.array([re.search(protocol.slide, name)[1] for name in images])  # type: ignore[index]
        names = rng.permutation(np.unique(slides))
        order = np.concatenate([rng.permutation(np.flatnonzero(slides == name)) for name in names])
        cut = next(k for k in range(1, len(names) + 1) if np.isin(slides, names[:k]).sum() >= protocol.train)
        parts[np.isin(slides, names[:cut])] = "unused"
    parts[order[: protocol.train]] = "train"
    rest = order[protocol.train :]
    parts[rest[: protocol.calibrate]] = "val"
    if protocol.test:
        parts[rest[protocol.calibrate + protocol.test :]] = "unused"
    return pl.DataFrame({"image": images, "split": parts.tolist()}).filter(pl.col("split") != "unused")


def train_all(name: str, options: argparse.Namespace) -> dict[int, api.Run]:
    """The run of every split; finished ones are only read."""
    folder, protocol = options.folder / name, SETS[name]
    if not folder.is_dir():
        raise SystemExit(f"expected the images in {folder}; name their folder with --folder")
    runs = {}
    for split in options.splits:
        place = options.out / f"{name}{'-by-slide' * options.by_slide}" / f"split-{split}"
        place.parent.mkdir(parents=True, exist_ok=True)
        parts = place.with_suffix(".csv")
        divide(folder, protocol, split, options.by_slide, options.seed).write_csv(parts)
        settings = {"data.split_file": str(parts), "seed": options.seed + split, "split.val": 0} | protocol.settings
        settings |= dict(parse_assignment(text) for text in options.set)
        if options.quick:
            settings |= {"epochs": [1], "score.views": 1}
        progress = Progress(shown=True)
        progress.say(f"== {name}, split {split}: {place}")
        runs[split] = api.train(folder, recipe=options.recipe, out=place, settings=settings, progress=progress)
    return runs


def add_rows(name: str, runs: dict[int, api.Run], options: argparse.Namespace, record: Record) -> None:
    """A row a split, and one of all: mean and standard deviation, and the coverage of all intervals together."""
    protocol = SETS[name]
    own = " ".join([f"{key}={value}" for key, value in protocol.settings.items()] + options.set)
    base = {"data": name, "recipe": options.recipe, "settings": own, "by": "slide" if options.by_slide else "image"}
    shown = SHOWN + (INTERVALS if protocol.calibrate else ())
    scores = {split: {key: test_score(run, key) for key in shown} for split, run in runs.items()}
    for split, run in runs.items():
        epochs = {"epochs": len(run.log), "shrink": run_settings(run)["prepare.shrink"]}
        spent = {"train_s": run.log["seconds"].sum(), "n": scores[split]["mae"].n}
        record.add(**base, run=f"split {split}", **epochs, **spent, **scores[split])
    spread = {key: mean_and_spread([one[key].value for one in scores.values()]) for key in shown}
    told = {"target": protocol.target, "published": protocol.published}
    record.add(**base, run=f"mean ± sd of {len(runs)}", **spread, **told)


def main() -> None:
    """Train and report."""
    parser = run_arguments(__doc__)
    parser.add_argument("--data", nargs="+", choices=SETS, default=list(SETS), help="data sets")
    parser.add_argument("--recipe", default="count")
    parser.add_argument("--splits", nargs="+", type=int, default=list(range(10)))
    parser.add_argument("--by-slide", action="store_true", help="train on whole slides")
    options = run_options(parser)
    record = Record("quality_count_runs", options)
    for name in options.data:
        add_rows(name, train_all(name, options), options, record)
    record.close()


if __name__ == "__main__":
    main()
