"""Scores of the default recipe on the sample images: three seeds or five folds of pbc, wbc_masks and fundus.

Each run is what `corpuscle train` does with no more than is said here; both eyes of a patient stay together in fundus.
The split changes with the seed as everything else does. What is finished in --out is not trained again, so the same
command goes on after a stop; without --out the runs go to a temporary folder, which is named and kept.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

sys.path.append(str(Path(__file__).parents[1]))
from record import Record, run_arguments, run_options

from corpuscle import api
from corpuscle.core.progress import Progress
from corpuscle.core.records import Score
from corpuscle.core.settings import parse_assignment
from corpuscle.engine.run_folder import PLAN, read_json
from corpuscle.metrics.classification import score

SHOWN = ("accuracy", "balanced_accuracy", "f1_macro", "auroc", "ece_calibrated")
CELLS = {"1": "neutrophil", "2": "lymphocyte", "3": "monocyte", "4": "eosinophil", "5": "basophil"}
SETS: dict[str, dict[str, Any]] = {
    "pbc": {},
    "wbc_masks": {"data.label_names": CELLS, "split.rare": "train"},  # a single basophil
    "fundus": {"data.group_from": r"^(?P<group>.+)_(left|right)\b"},
}


def train_all(name: str, options: argparse.Namespace) -> dict[str, api.Run]:
    """Every run of one data set, by what tells them apart; finished ones are only read."""
    path = options.folder / name
    if not path.is_dir():
        raise SystemExit(f"expected the images in {path}; name their folder with --folder")
    if options.folds:
        varied = {f"fold {k}": {"split.folds": options.folds, "split.fold": k} for k in range(1, options.folds + 1)}
    else:
        varied = {f"seed {seed}": {"seed": seed} for seed in options.seeds}
    runs = {}
    for word, own in varied.items():
        settings = SETS[name] | {"seed": options.seed} | own | dict(parse_assignment(text) for text in options.set)
        if options.quick:
            settings |= {"epochs": [1], "prepare.size": 32}
        folder = options.out / name / word.replace(" ", "-")
        progress = Progress(shown=True)
        progress.say(f"== {name}, {word}: {folder}")
        runs[word] = api.train(path, recipe=options.recipe, out=folder, settings=settings, progress=progress)
    return runs


def test_score(run: api.Run, name: str) -> Score:
    """A score of the test part with its interval."""
    found = run.metrics["parts"]["test"]["scores"][name]
    return Score(**{key: float("nan") if value is None else value for key, value in found.items()})


def add_rows(name: str, runs: dict[str, api.Run], options: argparse.Namespace, record: Record) -> None:
    """A row a run, and one of all: mean and standard deviation, and of folds the scores of all images together."""
    base = {"data": name, "recipe": options.recipe, "settings": " ".join(options.set)}
    scores = {word: {key: test_score(run, key) for key in SHOWN} for word, run in runs.items()}
    for word, run in runs.items():
        log = run.log
        record.add(
            **base,
            run=word,
            seed=run_settings(run)["seed"],
            size=run_settings(run)["prepare.size"],
            epochs=len(log),
            train_s=log["seconds"].sum(),
            n=scores[word]["accuracy"].n,
            groups=scores[word]["accuracy"].groups,
            **scores[word],
        )
    spread = {key: mean_and_spread([own[key].value for own in scores.values()]) for key in SHOWN}
    record.add(**base, run=f"mean ± sd of {len(runs)}", **spread)
    if options.folds:
        record.add(**base, run=f"all {len(runs)} folds together", **together(list(runs.values())))


def mean_and_spread(values: Sequence[float]) -> str:
    """Mean and standard deviation over runs."""
    sd = statistics.stdev(values) if len(values) > 1 else float("nan")
    return f"{statistics.mean(values):.4f} ± {sd:.4f}"


def together(runs: Sequence[api.Run]) -> dict[str, Any]:
    """Scores of the test parts of all folds as one: each image is judged once, by a net that has not seen it."""
    text = {"group": pl.String, "label": pl.String, "prediction": pl.String}
    paths = [run.folder / "predictions.csv" for run in runs]
    tables = [pl.read_csv(path, infer_schema_length=None, schema_overrides=text) for path in paths]
    rows = pl.concat(tables).filter(pl.col("split") == "test")
    if rows["image"].is_duplicated().any():
        raise SystemExit("expected each image in the test part of one fold; these runs are not folds of one split")
    classes = runs[0].metrics["classes"]
    target_N = rows["label"].replace_strict(classes, range(len(classes)), return_dtype=pl.Int64).to_numpy()
    group_N = None if rows["group"].is_null().all() else rows["group"].to_list()
    raw_NK, scaled_NK = (rows.select(f"{prefix}_{c}" for c in classes).to_numpy() for prefix in ("raw", "p"))
    found = score(raw_NK, target_N, group_N, classes=classes, calibrated_NK=scaled_NK)
    return {"n": found.n, "groups": found.groups, **{key: found.scores[key] for key in SHOWN}}


def run_settings(run: api.Run) -> dict[str, Any]:
    """What a run was done with, the size that was chosen for it too, by dotted key."""
    plan = read_json(run.folder / PLAN)
    values = {key: entry["value"] for key, entry in plan["settings"].items()}
    return values | {key: entry["value"] for key, entry in plan["derived"].items()}


def main() -> None:
    """Train and report."""
    parser = run_arguments(__doc__)
    parser.add_argument("--data", nargs="+", choices=SETS, default=list(SETS), help="data sets")
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--folds", type=int, default=0, help="this many folds in the place of seeds")
    options = run_options(parser)
    record = Record("quality_real_runs", options)
    for name in options.data:
        add_rows(name, train_all(name, options), options, record)
    record.close()


if __name__ == "__main__":
    main()
