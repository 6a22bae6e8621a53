"""Masks of white cells over folds of wbc_masks: background, cytoplasm and nucleus, each image judged once.

The folds have the same mix of labels, and images with identical pixels lie in one. All that is not the test part
trains: the recipe keeps the weights of the last epoch, so no image outside of the training part has any say in them.
`cell` is cytoplasm with nucleus. Each run is what `corpuscle train` does with no more than is said here. What is
finished in --out is not trained again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

sys.path.append(str(Path(__file__).parents[1]))
from real_runs import mean_and_spread, run_settings, test_score
from record import Record, run_arguments, run_options

from corpuscle import api
from corpuscle.core.progress import Progress
from corpuscle.core.records import Score
from corpuscle.core.settings import parse_assignment
from corpuscle.metrics.areas import Areas, AreaSums
from corpuscle.metrics.bootstrap import resample
from corpuscle.metrics.classification import as_score

DATA = "wbc_masks"
CLASSES = ("background", "cytoplasm", "nucleus")
LEGEND = dict(zip(("0", "128", "255"), CLASSES, strict=True))
QUICK = {"epochs": [1], "score.views": 1, "prepare.shrink": 4, "net.widths": [8, 16]}
IN_PLACES = ("boundary_f1",)  # what predictions.csv does not hold the counts of
TARGETS = {"mean_iou": 0.93, "dice_nucleus": 0.965, "dice_cell": 0.985}
PUBLISHED = "LDAS-Net: Dice 0.9635 of nucleus, 0.9897 of cell"
RESAMPLES = 2000
SHARE = (0.0, 1.0)


def train_all(options: argparse.Namespace) -> dict[int, api.Run]:
    """The run of every fold; finished ones are only read."""
    path = options.folder / DATA
    if not path.is_dir():
        raise SystemExit(f"expected the images in {path}; name their folder with --folder")
    same = {"data.masks": "beside", "data.legend": LEGEND, "split.val": 0, "seed": options.seed}
    same |= {"split.folds": options.folds} | dict(parse_assignment(text) for text in options.set)
    if options.quick:
        same |= QUICK
    runs = {}
    for fold in range(1, options.folds + 1):
        place, progress = options.out / f"fold-{fold}", Progress(shown=True)
        progress.say(f"== {DATA}, fold {fold} of {options.folds}: {place}")
        settings = same | {"split.fold": fold}
        runs[fold] = api.train(path, recipe=options.recipe, out=place, settings=settings, progress=progress)
    return runs


def with_cell(rows: pl.DataFrame) -> Areas:
    """Pixels of the three classes in each image, and fourth those of the cell: all that is not background."""
    true_NK, said_NK, both_NK = (
        rows.select(f"{word}_{name}" for name in CLASSES).to_numpy() for word in ("true", "said", "both")
    )
    pixels_N = true_NK.sum(axis=1)
    beside_N = pixels_N - true_NK[:, 0] - said_NK[:, 0] + both_NK[:, 0]  # neither true nor said background
    cells = (pixels_N - true_NK[:, 0], pixels_N - said_NK[:, 0], beside_N)
    return Areas(*(np.column_stack(pair) for pair in zip((true_NK, said_NK, both_NK), cells, strict=True)))


def scores_of(rows: pl.DataFrame, seed: int) -> dict[str, Score]:
    """Scores of the images of predictions.csv, each with its interval from a bootstrap of the images.

    `dice_…` is that of all pixels together, `image_dice_…` the mean over images.
    """
    part, every_N = with_cell(rows), np.arange(len(rows))
    dice_NK = 2 * part.both_NK / np.maximum(part.true_NK + part.said_NK, 1)
    nucleus, cell = CLASSES.index("nucleus"), len(CLASSES)

    def computed(weight_NB: np.ndarray) -> dict[str, np.ndarray]:
        sums = AreaSums(part, every_N, weight_NB)
        image_KB = sums.total(dice_NK) / weight_NB.sum(axis=0)
        return {
            "mean_iou": sums.iou_KB[: len(CLASSES)].mean(axis=0),
            "dice_nucleus": sums.dice_KB[nucleus],
            "dice_cell": sums.dice_KB[cell],
            "image_dice_nucleus": image_KB[nucleus],
            "image_dice_cell": image_KB[cell],
            "pixel_accuracy": sums.both_KB[: len(CLASSES)].sum(axis=0) / sums.true_KB[: len(CLASSES)].sum(axis=0),
        }

    names = list(computed(np.ones((len(rows), 1))))
    drawn = resample(
        lambda weight_NB: np.vstack([*computed(weight_NB).values()]), len(rows), seed=seed, resamples=RESAMPLES
    )
    found = {name: drawn.interval(row, len(rows), SHARE) for row, name in enumerate(names)}
    values = zip(names, drawn.value_S, strict=True)
    return {name: as_score(value, found[name], len(rows), len(rows), "max") for name, value in values}


def judged(runs: Sequence[api.Run]) -> pl.DataFrame:
    """The test images of runs."""
    columns = ["image", *(f"{word}_{name}" for word in ("true", "said", "both") for name in CLASSES)]
    return pl.concat([run.predictions.filter(pl.col("split") == "test").select(columns) for run in runs])


def add_rows(runs: dict[int, api.Run], options: argparse.Namespace, record: Record) -> None:
    """A row a fold, one of their mean and standard deviation, and one of all images together."""
    base: dict[str, Any] = {"data": DATA, "recipe": options.recipe, "settings": " ".join(options.set)}
    scores = {}
    for fold, run in runs.items():
        rows = judged([run])
        scores[fold] = scores_of(rows, options.seed) | {name: test_score(run, name) for name in IN_PLACES}
        own = run_settings(run)
        chosen = {"widths": own["net.widths"], "views": own["score.views"], "shrink": own["prepare.shrink"]}
        spent = {"epochs": len(run.log), "train_s": run.log["seconds"].sum(), "n": len(rows)}
        record.add(**base, run=f"fold {fold}", **chosen, **spent, **scores[fold])
    names = next(iter(scores.values()))
    spread = {name: mean_and_spread([one[name].value for one in scores.values()]) for name in names}
    record.add(**base, run=f"mean ± sd of {len(runs)}", **spread)
    rows = judged(list(runs.values()))
    together = scores_of(rows, options.seed)
    reached = " ".join(f"{name}>={goal}:{together[name].value >= goal}" for name, goal in TARGETS.items())
    told = {"n": len(rows), "reached": reached, "published": PUBLISHED}
    record.add(**base, run=f"all {len(runs)} folds together", **together, **told)


def main() -> None:
    """Train and report."""
    parser = run_arguments(__doc__)
    parser.add_argument("--recipe", default="segment")
    parser.add_argument("--folds", type=int, default=5, help="each is the test part once")
    options = run_options(parser)
    if options.quick:
        options.folds = 2
    record = Record("quality_mask_runs", options)
    add_rows(train_all(options), options, record)
    record.close()


if __name__ == "__main__":
    main()
