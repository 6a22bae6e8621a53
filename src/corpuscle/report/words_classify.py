"""A classifier's run in words."""

from __future__ import annotations

from collections.abc import Sequence

from corpuscle.report.part import Part
from corpuscle.report.run_data import RunData
from corpuscle.report.words import best_so_far, caution, counted, interval_of, many, percent, trained

__all__ = ["calibration_words", "caution", "confusions", "verdict"]


def verdict(run: RunData) -> str:
    """What the run amounts to, in one or two sentences."""
    counts: dict[str, dict[str, int]] = dict(run.fingerprint.get("classes", {}))
    images = sum(parts.get("train", 0) for parts in counts.values())
    on = f"{many(images, 'image')} of {many(len(counts), 'class')}" if images else ""
    return " ".join(sentence for sentence in (trained(run, on), _reached(run)) if sentence)


def _reached(run: RunData) -> str:
    part = run.main_part
    if not isinstance(part, Part):
        return best_so_far(run, "val_recall", lambda recall: f", with a validation recall of {percent(recall)}")
    score = part.scores.get("balanced_accuracy")
    if score is None:
        return ""
    return (
        f"It names {percent(score.value)} of the {part.words} images correctly, every class counting the same "
        f"(95\xa0% interval {interval_of(score)}, {counted(part)})."
    )


def confusions(part: Part, classes: Sequence[str], limit: int = 5) -> list[str]:
    """The most frequent mistakes, in words."""
    pairs = [
        (count, true, said)
        for true, row in enumerate(part.confusion)
        for said, count in enumerate(row)
        if count and true != said
    ]
    pairs.sort(key=lambda pair: -pair[0])
    totals = [sum(row) for row in part.confusion]
    return [
        f"{classes[true]} taken for {classes[said]}: {count} of {totals[true]} ({percent(count / totals[true], 0)})"
        for count, true, said in pairs[:limit]
    ]


def calibration_words(run: RunData, part: Part) -> str:
    """What the temperature did, in words."""
    if run.temperature is None:
        return ""
    sure = (
        "too sure of itself"
        if run.temperature > 1.02
        else "too modest"
        if run.temperature < 0.98
        else "about as sure as it should be"
    )
    words = f"The temperature is {run.temperature:.2f}: the net was {sure}."
    before, after = part.scores.get("ece"), part.scores.get("ece_calibrated")
    if before and after:
        words += (
            f" On the {part.words} images the mean gap went from {percent(before.value)} to {percent(after.value)}."
        )
    return words
