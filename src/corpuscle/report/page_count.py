"""What the report of a counter draws and shows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from corpuscle.report import figures, figures_count
from corpuscle.report.kind_counts import MOST_KINDS, complete, counts_by_kind, true_counts
from corpuscle.report.part import PART_WORDS, CountPart
from corpuscle.report.pictures import Read
from corpuscle.report.pictures_count import MOST_DOTS, Album, furthest_off, least_sure, sample_over_counts
from corpuscle.report.run_data import RunData
from corpuscle.report.score_words import DRAWN_SCORES, title_of
from corpuscle.report.style import MARKS

GRID, ODD, MAPS = 12, 6, 6  # pictures of the sample, of each of the worst and the widest, and with their density
LEAST_DRAWN = -1.0  # R² has no lower end; below this it would press the other scores together
LEGEND = 9  # stops of the colour scale


def draw(run: RunData) -> dict[str, Figure]:
    """Every figure that the run's numbers allow, by file name."""
    drawn: dict[str, Figure] = {}
    if spread := true_counts(run.samples, run.predictions, run.classes):
        drawn["counts"] = figures_count.distribution(spread)
    if run.log is not None:
        drawn["loss"] = figures.loss_curves(run.log, log_over=20)
        if {"train_mae", "val_mae"} & set(run.log.columns):
            drawn["mae"] = figures.score_curves(run.log, {"mae": ""}, "mean absolute error", share=False)
    if isinstance(part := run.main_part, CountPart):
        shown = {title_of(n, "count"): part.scores[n] for n in DRAWN_SCORES["count"] if n in part.scores}
        shown = {title: score for title, score in shown.items() if score.value >= LEAST_DRAWN}
        if shown:
            drawn["scores"] = figures.whiskers(shown)
    scored = run.scored()
    kinds = counts_by_kind(scored, run.classes) if scored is not None else {}
    if kinds:
        drawn["predicted"] = figures_count.predicted_against_true(kinds)
        drawn["agreement"] = figures_count.bland_altman(kinds)
    sure = {kind: counts for kind, counts in kinds.items() if counts.has_interval_N.any()}
    if sure:
        drawn["intervals"] = figures_count.intervals(sure)
    return drawn


def content(run: RunData, read: Read) -> dict[str, Any]:
    """What the template needs besides the run and its figures."""
    counts = run.fingerprint.get("counts", {})
    images = {split: _images(counts, split) for split in ("train", "val", "test")}
    colours = figures_count.evenly_coloured(np.linspace(0, 1, LEGEND))
    return {
        "splits": {split: PART_WORDS[split] for split, number in images.items() if number},
        "images": images,
        "held": {kind: {split: _share(one, split) for split in images} for kind, one in counts.items()},
        "colours": {kind: MARKS[place % len(MARKS)] for place, kind in enumerate(run.classes)},
        "scale": ",".join(f"rgb({red},{green},{blue})" for red, green, blue in colours.tolist()),
        "most_points": figures_count.MOST_POINTS,
        "most_bars": figures_count.MOST_BARS,
        "most_kinds": MOST_KINDS,
        "most_dots": MOST_DOTS,
        **_pictures(run, read),
    }


def _images(counts: Mapping[str, Mapping[str, Mapping[str, int]]], split: str) -> int:
    return max((parts.get(split, {}).get("images", 0) for parts in counts.values()), default=0)


def _share(parts: Mapping[str, Mapping[str, int]], split: str) -> tuple[int, float]:
    """The objects of a part, and how many of them an image holds on average."""
    one = parts.get(split, {})
    images, objects = one.get("images", 0), one.get("objects", 0)
    return objects, objects / images if images else math.nan


def _pictures(run: RunData, read: Read) -> dict[str, Any]:
    """The galleries, the densities, and how many images could not be read again."""
    scored = run.scored()
    if scored is None or scored.is_empty():
        return {"grid": [], "worst": [], "widest": [], "densities": [], "unread": 0, "has_dots": False}
    scored = complete(scored, run.classes)
    album = Album(run, read)
    made = {
        "grid": album.fields(sample_over_counts(scored, run.classes, GRID, int(run.environment.get("seed", 0)))),
        "worst": album.fields(furthest_off(scored, run.classes, ODD)),
        "widest": album.fields(least_sure(scored, run.classes, ODD)),
    }
    every = [field for fields in made.values() for field in fields]
    densities = album.densities(scored, MAPS)
    return {
        **made,
        "densities": densities,
        "unread": sum(field.uri is None for field in every),
        "has_dots": any(field.marks for field in [*every, *(density.field for density in densities)]),
    }
