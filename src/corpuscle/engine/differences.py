"""Paired differences between finished runs, from their saved predictions."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.records import Score
from corpuscle.engine import run_folder
from corpuscle.metrics.compare import paired_difference


@dataclass(frozen=True)
class PairedDifference:
    """A score of run `a` less that of run `b`, on the images that both have judged."""

    name: str
    a: str
    b: str
    score: Score


def differences(
    runs: Mapping[str, Path], part: str, names: tuple[str, ...] = ("accuracy", "balanced_accuracy")
) -> list[PairedDifference]:
    """Every pair of runs on the images that both have in a part; pairs without a common image are left out.

    Args:
        runs: folder of each run, by the name it is shown under.
        part: `val` or `test`.
        names: of the scores.

    Raises:
        CorpuscleError: the runs disagree on the label of an image, or have other classes.
    """
    tables = {name: _predictions(folder, part) for name, folder in runs.items()}
    found = []
    for a, b in itertools.combinations(tables, 2):
        both = tables[a].join(tables[b], on="image", suffix=" of b", maintain_order="left")
        if both.is_empty():
            continue
        if (both["label"] != both["label of b"]).any():
            raise CorpuscleError(f"{a} and {b} have other labels for the same images; compare runs on the same labels")
        classes, others = _classes(tables[a]), _classes(tables[b])
        if classes != others:
            raise CorpuscleError(
                f"{a} and {b} know other classes ({', '.join(classes)}; {', '.join(others)}); compare runs on the same "
                "classes"
            )
        target_N = np.array([classes.index(label) for label in both["label"]])
        probs_a_NK = both.select(f"p_{name}" for name in classes).to_numpy()
        probs_b_NK = both.select(f"p_{name} of b" for name in classes).to_numpy()
        group_N = both["group"].to_list()
        found += [
            PairedDifference(name, a, b, paired_difference(name, probs_a_NK, probs_b_NK, target_N, group_N))
            for name in names
        ]
    return found


def _predictions(folder: Path, part: str) -> pl.DataFrame:
    path = folder / run_folder.PREDICTIONS
    if not path.is_file():
        raise CorpuscleError(f"expected a finished run, {folder} has no {path.name}; train it to the end first")
    words = dict.fromkeys(("image", "label", "split", "group", "prediction"), pl.String)
    frame = pl.read_csv(path, infer_schema_length=None, schema_overrides=words)
    return frame.filter(pl.col("split") == part).unique("image", keep="first", maintain_order=True)


def _classes(predictions: pl.DataFrame) -> list[str]:
    return [name.removeprefix("p_") for name in predictions.columns if name.startswith("p_")]
