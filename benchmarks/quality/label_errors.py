"""How many planted label errors are found, and how many of those found are planted: 5 % of pbc and of fundus.

Labels are changed at random to any other class, by the seed. Fundus photographs of one patient are one group.
Near-copies are looked for first, as `corpuscle inspect --label-errors` does. Real errors of the sets count as false, so
the precision is at least what is said.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).parents[1]))

from record import Record, arguments, measured
from scipy.stats import binomtest

from corpuscle.core.progress import SILENT
from corpuscle.core.records import Score
from corpuscle.data.doctor.inspection import Choices, inspect
from corpuscle.data.sources import SourcePlan
from corpuscle.data.table import Table
from corpuscle.engine.label_errors import label_errors

GROUPS = {"fundus": r"^(?P<group>.+)_(left|right)\b"}
AT_RANK = (0.5, 0.75, 1.0, 1.5)  # lengths of the ranking, in planted errors


def planted(table: Table, share: float, random: np.random.Generator) -> tuple[Table, set[str]]:
    """The same images, some with another label; their names."""
    number = round(share * len(table))
    labels = table.frame["label"].to_list()
    places = random.choice(len(table), number, replace=False)
    for place in places:
        labels[place] = str(random.choice([name for name in table.classes if name != labels[place]]))
    images = table.frame["image"].to_list()
    return table.with_frame(table.frame.with_columns(label=pl.Series(labels))), {images[place] for place in places}


def share_of(found: int, total: int) -> Score:
    """A share with its interval by Wilson."""
    ends = binomtest(found, total).proportion_ci(method="wilson")
    return Score(found / total, ends.low, ends.high, total, total, "max")


def measure(options: argparse.Namespace, record: Record) -> None:
    """Each seed."""
    source = SourcePlan(group_from=GROUPS.get(options.data.name))
    looked = inspect(options.data, Choices(data=source), progress=SILENT)
    assert looked.audit is not None
    table = looked.table.with_frame(looked.table.frame.filter(looked.audit.sound))
    if options.quick:
        table = table.with_frame(table.frame.gather_every(10))
    for seed in range(options.seed, options.seed + options.seeds):
        wrong, truth = planted(table, options.share, np.random.default_rng(seed))
        started = time.perf_counter()
        found = label_errors(wrong, copies=looked.audit.together, seed=seed)
        hits = [suspect.image in truth for suspect in found.suspects]
        told = {}
        for length in AT_RANK:
            first = hits[: round(length * len(truth))]
            told[f"precision_at_{length:g}"] = float(np.mean(first)) if first else float("nan")
        record.add(
            data=options.data.name,
            planted=len(truth),
            suspects=len(hits),
            recall=share_of(sum(hits), len(truth)),
            precision=share_of(sum(hits), max(len(hits), 1)),
            accuracy=found.accuracy,
            seconds=time.perf_counter() - started,
            images=found.judged,
            planting_seed=seed,
            **told,
        )


def main() -> None:
    """Measure once."""
    parser = arguments(__doc__, data="pbc")
    parser.add_argument("--seeds", type=int, default=5, help="plantings")
    parser.add_argument("--share", type=float, default=0.05, help="of labels that are changed")
    measured("quality_label_errors", parser.parse_args(), measure)


if __name__ == "__main__":
    main()
