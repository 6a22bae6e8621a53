"""Paired differences between finished runs, from their saved predictions."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.records import Score
from corpuscle.engine import run_folder
from corpuscle.metrics.areas import Areas
from corpuscle.metrics.compare import paired_count_difference, paired_difference
from corpuscle.metrics.means import CLUSTERED, PAIRED, REMADE, MeanMetric, score_means
from corpuscle.metrics.segmentation import paired_mask_difference


@dataclass(frozen=True)
class PairedDifference:
    """A score of run `a` less that of run `b`, on the images that both have judged."""

    name: str
    a: str
    b: str
    score: Score


def differences(runs: Mapping[str, Path], part: str) -> list[PairedDifference]:
    """Every pair of runs on the images that both have in a part; pairs without a common image are left out.

    Args:
        runs: folder of each run, by the name it is shown under.
        part: `val` or `test`.

    Raises:
        CorpuscleError: the runs are of other tasks, disagree on what is true of an image, or have other classes.
    """
    tables = {name: _predictions(folder, part) for name, folder in runs.items()}
    tasks = {name: _task_of(table) for name, table in tables.items()}
    found = []
    for a, b in itertools.combinations(tables, 2):
        if tasks[a] != tasks[b]:
            raise CorpuscleError(f"{a} was trained to {tasks[a]}, {b} to {tasks[b]}; compare runs of one task")
        both = tables[a].join(tables[b], on="image", suffix=" of b", maintain_order="left")
        if len(both):
            classes = _same_classes(a, b, tables, PREFIX[tasks[a]])
            found += [PairedDifference(name, a, b, score) for name, score in SCORES[tasks[a]](a, b, both, classes)]
    return found


def _of_classes(a: str, b: str, both: pl.DataFrame, classes: list[str]) -> list[tuple[str, Score]]:
    if (both["label"] != both["label of b"]).any():
        raise CorpuscleError(f"{a} and {b} have other labels for the same images; compare runs on the same labels")
    target_N = np.array([classes.index(label) for label in both["label"]])
    probs_a_NK = both.select(f"p_{name}" for name in classes).to_numpy()
    probs_b_NK = both.select(f"p_{name} of b" for name in classes).to_numpy()
    group_N = both["group"].to_list()
    names = ("accuracy", "balanced_accuracy")
    return [(name, paired_difference(name, probs_a_NK, probs_b_NK, target_N, group_N)) for name in names]


def _of_counts(a: str, b: str, both: pl.DataFrame, kinds: list[str]) -> list[tuple[str, Score]]:
    true_NK, true_b_NK = (both.select(f"true_{kind}{end}" for kind in kinds).to_numpy() for end in ("", " of b"))
    if (true_NK != true_b_NK).any():
        raise CorpuscleError(f"{a} and {b} have other true counts of the same images; compare runs on the same data")
    said_a_NK, said_b_NK = (both.select(f"count_{kind}{end}" for kind in kinds).to_numpy() for end in ("", " of b"))
    return [("mae", paired_count_difference("mae", said_a_NK, said_b_NK, true_NK, both["group"].to_list()))]


def _of_masks(a: str, b: str, both: pl.DataFrame, classes: list[str]) -> list[tuple[str, Score]]:
    def pixels(word: str, end: str) -> np.ndarray:
        return both.select(f"{word}_{name}{end}" for name in classes).to_numpy()

    one, other = (Areas(*(pixels("true", end), pixels("said", end), pixels("both", end))) for end in ("", " of b"))
    group_N = both["group"].to_list()
    return [(name, paired_mask_difference(name, one, other, group_N)) for name in ("mean_dice", "mean_iou")]


def _of_means(
    metrics: Mapping[str, MeanMetric], a: str, b: str, both: pl.DataFrame, classes: list[str]
) -> list[tuple[str, Score]]:
    value_NC = np.column_stack([both[name] - both[f"{name} of b"] for name in metrics])
    kinds = {name: metric.difference for name, metric in metrics.items()}
    return list(score_means(value_NC, both["group"].to_list(), kinds).items())


SCORES: dict[str, Callable[[str, str, pl.DataFrame, list[str]], list[tuple[str, Score]]]] = {
    "classify": _of_classes,
    "count": _of_counts,
    "segment": _of_masks,
    "cluster": partial(_of_means, CLUSTERED),
    "contrast": partial(_of_means, PAIRED),
    "reconstruct": partial(_of_means, REMADE),
}
PREFIX = {
    "segment": "both_",
    "classify": "p_",
    "count": "count_",
    "cluster": "distortion",
    "contrast": "retrieval",
    "reconstruct": "ssim",
}  # of the columns that name a class or a kind, and of those that no other task has


def _task_of(table: pl.DataFrame) -> str:
    """What a table of predictions is of; masks have a column that no other task has, and objects as counts have."""
    return next(task for task, prefix in PREFIX.items() if any(name.startswith(prefix) for name in table.columns))


def _predictions(folder: Path, part: str) -> pl.DataFrame:
    path = folder / run_folder.PREDICTIONS
    if not path.is_file():
        raise CorpuscleError(f"expected a finished run, {folder} has no {path.name}; train it to the end first")
    words = dict.fromkeys(("image", "label", "split", "group", "prediction"), pl.String)
    known = {name: kind for name, kind in words.items() if name in pl.scan_csv(path).collect_schema()}
    frame = pl.read_csv(path, infer_schema_length=None, schema_overrides=known)
    return frame.filter(pl.col("split") == part).unique("image", keep="first", maintain_order=True)


def _same_classes(a: str, b: str, tables: Mapping[str, pl.DataFrame], prefix: str) -> list[str]:
    classes, others = (
        [name.removeprefix(prefix) for name in tables[run].columns if name.startswith(prefix)] for run in (a, b)
    )
    if classes != others:
        raise CorpuscleError(
            f"{a} and {b} know other classes ({', '.join(classes)}; {', '.join(others)}); compare runs on the same "
            "classes"
        )
    return classes
