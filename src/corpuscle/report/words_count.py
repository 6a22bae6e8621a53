"""A counter's run in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

from corpuscle.core.records import Score
from corpuscle.report import words
from corpuscle.report.part import CountPart
from corpuscle.report.run_data import RunData
from corpuscle.report.words import counted, interval_of, many, percent, value_of, written


def verdict(run: RunData) -> str:
    """What the run amounts to, in two or three sentences."""
    counts = run.fingerprint.get("counts", {})
    images = max((parts.get("train", {}).get("images", 0) for parts in counts.values()), default=0)
    objects = sum(parts.get("train", {}).get("objects", 0) for parts in counts.values())
    on = f"{many(images, 'image')} with {many(objects, noun_of(run.classes))}" if images else ""
    return " ".join(sentence for sentence in (words.trained(run, on), _reached(run)) if sentence)


def noun_of(kinds: Sequence[str]) -> str:
    """What is counted, in one word: the kind itself where there is one.

    >>> noun_of(["lymphocyte"]), noun_of(["red", "white"])
    ('lymphocyte', 'object')
    """
    return kinds[0] if len(kinds) == 1 else "object"


def caution(run: RunData) -> str:
    """Why the numbers may flatter, or nothing."""
    said = words.caution(run)
    if run.main_part is not None and run.main_part.name == "val" and _has_intervals(run):
        said += " The intervals were fitted on these images too: their coverage here is no proof of what they hold."
    return said


def _reached(run: RunData) -> str:
    part = run.main_part
    if not isinstance(part, CountPart):
        return words.best_so_far(
            run, "val_mae", lambda error: f"; there the validation counts are off by {error:.2f} on average"
        )
    score = part.scores.get("mae")
    if score is None or not math.isfinite(score.value):
        return ""
    said = (
        f"On the {part.words} images the count is off by {value_of(score, 'count')} on average "
        f"(95\xa0% interval {interval_of(score, 'count')}, {counted(part)})"
    )
    if part.mean_count > 0:
        said += f", {percent(score.value / part.mean_count)} of the mean count of {words.amount(part.mean_count)}"
    return f"{said}. {_leaning(part.scores.get('bias'))}".strip()


def _leaning(bias: Score | None) -> str:
    """Whether it counts too many or too few, where that can be told from chance."""
    if bias is None or not math.isfinite(bias.low):
        return ""
    if bias.low <= 0 <= bias.high:
        return "It leans neither to too many nor to too few."
    more = "many" if bias.value > 0 else "few"
    return f"It counts {written(abs(bias.value), 'count')} too {more} on average."


def promise(run: RunData) -> str:
    """What the interval of a count is, in words."""
    if not run.calibration:
        return "These counts come without an interval: none was fitted, which takes validation images."
    if not _has_intervals(run):
        return "These counts come without an interval."
    level = percent(_level(run), 0)
    groups = run.calibration.get("groups")
    resting = f" on {many(groups, 'group')} of validation images" if groups else " on the validation images"
    return (
        f"Each count comes with a {level} interval. It was fitted{resting}, which the net did not learn from: the "
        "errors made there, measured against the size of the count, say how wide it must be. For new images like "
        f"those, at least {level} of the intervals hold the true count, whatever the net is like (conformal "
        "prediction)."
    )


def kept(run: RunData) -> str:
    """The measured coverage beside the promise, in words."""
    part = run.main_part
    score = part.scores.get("coverage") if part is not None else None
    if part is None or score is None or not math.isfinite(score.value):
        return ""
    level = _level(run)
    said = (
        f"Measured on the {part.words} images: {percent(score.value)} of the intervals hold the true count "
        f"(95\xa0% interval {interval_of(score)}, {counted(part)})"
    )
    if math.isfinite(score.low) and score.high < level:
        return (
            f"{said}. That is less than the {percent(level, 0)} promised: these images are not like those the "
            "intervals were fitted on."
        )
    if math.isfinite(score.low) and score.low > level:
        return f"{said}, more than the {percent(level, 0)} promised: the intervals are wider than they need be."
    return f"{said}; promised were {percent(level, 0)}."


def withheld(run: RunData) -> str:
    """Why some kinds have no interval, in words; nothing where all have one."""
    quantiles = run.calibration.get("quantiles", {})
    without = [kind for kind in run.classes if kind in quantiles and quantiles[kind] is None]
    if not without:
        return ""
    level = _level(run)
    needed = math.ceil(round(1 / (1 - level), 6)) - 1 if level < 1 else None
    groups = run.calibration.get("groups")
    had = f", and this run has {groups}" if groups is not None else ""
    whose = "" if len(run.classes) == 1 else f" for {', '.join(without)}"
    reason = f": it takes at least {many(needed, 'group')} of validation images{had}" if needed else ""
    return f"There is no {percent(level, 0)} interval{whose}{reason}. None is given rather than one that is not true."


def _level(run: RunData) -> float:
    return float(run.calibration.get("level") or 0.9)


def _has_intervals(run: RunData) -> bool:
    return any(quantile is not None for quantile in run.calibration.get("quantiles", {}).values())
