"""What the report of a net that classifies pixels draws and shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from corpuscle.report import figures, figures_segment
from corpuscle.report.part import MaskPart, in_words
from corpuscle.report.pictures import Read
from corpuscle.report.pictures_segment import DIFFERENCES, examples, lowest, sample
from corpuscle.report.run_data import RunData
from corpuscle.report.score_words import DRAWN_SCORES, title_of

GRID, ODD = 8, 4  # pictures of the sample and of the worst
LISTED = 10  # images of the table of the worst
CURVES = {"mean_dice": "Dice", "mean_iou": "IoU"}


def draw(run: RunData) -> dict[str, Figure]:
    """Every figure that the run's numbers allow, by file name."""
    drawn: dict[str, Figure] = {}
    held = _held(run)
    if held:
        shown = {kind: {split: one["images"] for split, one in parts.items()} for kind, parts in held.items()}
        drawn["images"] = figures.class_counts(shown, _splits(held))
    if run.log is not None:
        drawn["loss"] = figures.loss_curves(run.log)
        curves = {name: word for name, word in CURVES.items() if {f"train_{name}", f"val_{name}"} & {*run.log.columns}}
        if curves:
            drawn["overlap"] = figures.score_curves(run.log, curves, "mean over the classes")
    if isinstance(part := run.main_part, MaskPart):
        scores = {title_of(n, "segment"): part.scores[n] for n in DRAWN_SCORES["segment"] if n in part.scores}
        drawn["scores"] = figures.whiskers(scores, share=True)
        if (by_class := figures_segment.class_scores(part)) is not None:
            drawn["classes"] = by_class
        drawn["confusion"] = figures_segment.pixel_confusion(part)
    scored = run.scored()
    if scored is not None and "dice" in scored.columns and len(dice := scored["dice"].drop_nulls().drop_nans()):
        drawn["dice"] = figures_segment.image_scores(dice.to_numpy())
    return drawn


def content(run: RunData, read: Read) -> dict[str, Any]:
    """What the template needs besides the run and its figures; the pictures lie in the run, so nothing is read."""
    held = _held(run)
    splits = _splits(held)
    totals = {split: sum(parts[split]["pixels"] for parts in held.values()) for split in splits}
    kept = examples(run)
    return {
        "held": held,
        "splits": splits,
        "shares": {
            kind: {split: parts[split]["pixels"] / totals[split] if totals[split] else None for split in splits}
            for kind, parts in held.items()
        },
        "colours": {name: _css(colour) for name, colour in zip(run.classes, run.colours, strict=True)},
        "differences": {what: _css(colour) for what, colour in DIFFERENCES.items()},
        "kept": len(kept),
        "tolerance": run.examples.get("tolerance"),
        "grid": sample(kept, GRID, int(run.environment.get("seed", 0))),
        "worst": lowest(kept, ODD) if len(kept) > GRID else [],
        "lowest": _lowest_rows(run),
    }


def _held(run: RunData) -> dict[str, dict[str, dict[str, int]]]:
    """Class to part to its images and pixels; parts that the fingerprint leaves out hold none."""
    held: Mapping[str, Mapping[str, Mapping[str, int]]] = run.fingerprint.get("pixels") or {}
    there = list(dict.fromkeys(split for parts in held.values() for split in parts))
    return {
        kind: {
            split: {what: int(parts.get(split, {}).get(what, 0)) for what in ("images", "pixels")} for split in there
        }
        for kind, parts in held.items()
    }


def _splits(held: Mapping[str, Mapping[str, Mapping[str, int]]]) -> dict[str, str]:
    """The parts that hold any pixel, in the order they are used, with their words."""
    return in_words({split for parts in held.values() for split, one in parts.items() if one["pixels"]})


def _lowest_rows(run: RunData) -> list[dict[str, Any]]:
    """The images with the lowest Dice, with the classes they truly show."""
    scored = run.scored()
    if scored is None or not {"image", "dice"} <= set(scored.columns):
        return []
    kinds = [kind for kind in run.classes[1:] if f"true_{kind}" in scored.columns]
    rows = scored.drop_nulls("dice").sort("dice", maintain_order=True).head(LISTED).iter_rows(named=True)
    return [
        {
            "image": row["image"],
            "dice": row["dice"],
            "iou": row.get("iou"),
            "shows": [kind for kind in kinds if row[f"true_{kind}"]],
        }
        for row in rows
    ]


def _css(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
