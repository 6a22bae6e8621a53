"""Numbers in words: what each score is called, how it is written, and what the run amounts to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from corpuscle.core.records import Score
from corpuscle.report.run_data import Part, RunData


@dataclass(frozen=True)
class ScoreWords:
    """A score's name, its meaning in one line, and whether it reads as a percentage."""

    title: str
    meaning: str
    unit: Literal["share", "number"] = "share"


SCORE_WORDS = {
    "accuracy": ScoreWords("Accuracy", "images named correctly"),
    "balanced_accuracy": ScoreWords(
        "Balanced accuracy", "the same, averaged over the classes: a rare class counts as much as a common one"
    ),
    "recall_macro": ScoreWords("Recall, macro", "of each class, how much is found; mean over classes"),
    "f1_macro": ScoreWords("F1, macro", "balance of finding a class and being right when naming it; mean over classes"),
    "f1_weighted": ScoreWords("F1, weighted", "the same, weighted by the classes' numbers of images"),
    "auroc": ScoreWords(
        "AUROC", "chance that an image of a class scores higher for it than one of another class", "number"
    ),
    "kappa": ScoreWords(
        "Cohen's kappa", "agreement with the labels beyond chance; 0 is chance, 1 is perfect", "number"
    ),
    "ece": ScoreWords(
        "Calibration error, raw", "mean gap between stated probability and share correct, as the net says"
    ),
    "ece_calibrated": ScoreWords("Calibration error", "the same after temperature scaling: what predictions carry"),
    "nll": ScoreWords("Negative log-likelihood", "mean surprise at the true class, in nats", "number"),
}
MAIN_SCORES = ("balanced_accuracy", "accuracy", "auroc", "ece_calibrated")
DRAWN_SCORES = ("accuracy", "balanced_accuracy", "f1_macro", "f1_weighted", "auroc", "kappa")


def title_of(score: str) -> str:
    """What a score is called.

    >>> title_of("f1_macro"), title_of("my_score")
    ('F1, macro', 'my score')
    """
    return SCORE_WORDS[score].title if score in SCORE_WORDS else score.replace("_", " ")


def is_share(score: str) -> bool:
    """Whether a score is written as a percentage."""
    return score in SCORE_WORDS and SCORE_WORDS[score].unit == "share"


def percent(share: float | None, digits: int = 1) -> str:
    """A share as a percentage, `n/a` where it is not defined.

    >>> percent(0.9312)
    '93.1\\xa0%'
    """
    return "n/a" if share is None or not math.isfinite(share) else f"{100 * share:.{digits}f}\xa0%"


def value_of(score: Score, share: bool = True) -> str:
    """The value alone."""
    return percent(score.value) if share else "n/a" if not math.isfinite(score.value) else f"{score.value:.3f}"


def interval_of(score: Score, share: bool = True) -> str:
    """The 95 % interval alone."""
    if not (math.isfinite(score.low) and math.isfinite(score.high)):
        return "n/a"
    return f"{100 * score.low:.1f} to {percent(score.high)}" if share else f"{score.low:.3f} to {score.high:.3f}"


def many(count: int, noun: str) -> str:
    """A count with its noun.

    >>> many(1, "epoch"), many(1200, "class")
    ('1 epoch', '1,200 classes')
    """
    plural = "" if count == 1 else "es" if noun.endswith("s") else "s"
    return f"{count:,} {noun}{plural}"


def duration(seconds: float) -> str:
    """Seconds as a person says them.

    >>> duration(3725), duration(8.4)
    ('1 h 2 min', '8.4 s')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def when(moment: str) -> str:
    """A moment in ISO 8601 as a person writes it.

    >>> when("2026-11-20T10:12:01+00:00")
    '20 November 2026, 10:12 UTC'
    """
    try:
        return datetime.fromisoformat(moment).strftime("%d %B %Y, %H:%M %Z").removeprefix("0").strip()
    except ValueError:
        return moment


def in_sentence(score: str) -> str:
    """A score's name inside a sentence.

    >>> in_sentence("balanced_accuracy"), in_sentence("auroc")
    ('balanced accuracy', 'AUROC')
    """
    title = title_of(score)
    return title if title[:2].isupper() or title.startswith(("Cohen", "F1")) else title[0].lower() + title[1:]


def plain(value: Any) -> str:
    """A settings value as one would type it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {plain(inner)}" for key, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(plain(inner) for inner in value)
    return "none" if value is None else str(value)


def recipe_of(run: RunData) -> str | None:
    """The recipe that set any of the values."""
    sources = [str(setting.get("from", "")) for setting in run.settings.values()]
    return next((source.removeprefix("recipe ") for source in sources if source.startswith("recipe ")), None)


def verdict(run: RunData) -> str:
    """What the run amounts to, in one or two sentences."""
    return " ".join(sentence for sentence in (_trained(run), _reached(run)) if sentence)


def _trained(run: RunData) -> str:
    if run.log is None:
        return "" if run.parts else "The run stopped before its first epoch was done."
    counts: dict[str, dict[str, int]] = dict(run.fingerprint.get("classes", {}))
    images = sum(parts.get("train", 0) for parts in counts.values())
    net = plain(run.settings.get("net.model", {}).get("value", "The net"))
    on = f" on {many(images, 'image')} of {many(len(counts), 'class')}" if images else ""
    return f"{net} was trained{on} for {many(len(run.log), 'epoch')}."


def _reached(run: RunData) -> str:
    part = run.main_part
    if part is None:
        if run.log is None or run.best_epoch is None or "val_recall" not in run.log.columns:
            return ""
        recall = run.log["val_recall"][run.log["epoch"].to_list().index(run.best_epoch)]
        return f"The best epoch so far is {run.best_epoch}, with a validation recall of {percent(recall)}."
    score = part.scores.get("balanced_accuracy")
    if score is None:
        return ""
    return (
        f"It names {percent(score.value)} of the {part.words} images correctly, every class counting the same "
        f"(95\xa0% interval {interval_of(score)}, {counted(part)})."
    )


def counted(part: Part) -> str:
    """What the part's numbers rest on."""
    return many(part.n, "image") + (f" in {many(part.groups, 'group')}" if part.groups != part.n else "")


def caution(run: RunData) -> str:
    """Why the numbers may flatter, or nothing."""
    part = run.main_part
    if part is None:
        return (
            "This run has not finished: there are no scores yet. Give the same command again and it goes on from here."
        )
    if part.name == "val" and run.log is not None:
        return (
            "These numbers are from the validation images. The best epoch was chosen on these images, so they are "
            "optimistic; for a number to quote, keep a test part aside or evaluate on new images."
        )
    return ""


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
