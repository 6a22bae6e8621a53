"""Numbers in words: how a score, a count or a time is written, and what holds for a run of any task."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from corpuscle.core.records import Score
from corpuscle.nets.zoo import FIXED
from corpuscle.report.part import JudgedPart
from corpuscle.report.run_data import RunData
from corpuscle.report.score_words import Unit


def percent(share: float | None, digits: int = 1) -> str:
    """A share as a percentage, `n/a` where it is not defined.

    >>> percent(0.9312)
    '93.1\\xa0%'
    """
    return "n/a" if share is None or not math.isfinite(share) else f"{100 * share:.{digits}f}\xa0%"


def value_of(score: Score, unit: Unit = "share") -> str:
    """The value alone."""
    return written(score.value, unit, _largest(score))


def interval_of(score: Score, unit: Unit = "share") -> str:
    """The 95 % interval alone."""
    if not (math.isfinite(score.low) and math.isfinite(score.high)):
        return "n/a"
    low = f"{100 * score.low:.1f}" if unit == "share" else written(score.low, unit, _largest(score))
    return f"{low} to {written(score.high, unit, _largest(score))}"


def written(value: float, unit: Unit, largest: float | None = None) -> str:
    """A number in its unit, `n/a` where it is not defined.

    Args:
        value: the number.
        unit: how it is written.
        largest: of the numbers it stands beside, which share its digits.

    >>> written(2.134, "count"), written(-0.5, "signed"), written(0.31, "share"), written(0.9123, "number")
    ('2.13', '−0.50', '31.0\\xa0%', '0.912')
    """
    if not math.isfinite(value):
        return "n/a"
    if unit == "share":
        return percent(value)
    if unit == "number":
        return f"{value:.3f}"
    size = abs(value) if largest is None else largest
    text = f"{value:{'+' if unit == 'signed' else ''},.{2 if size < 10 else 1 if size < 1000 else 0}f}"
    return text.replace("-", "−")


def spread_of(mean: float, spread: float, unit: Unit) -> str:
    """A mean with its standard deviation over several runs.

    >>> spread_of(0.912, 0.013, "share"), spread_of(2.13, 0.2, "count")
    ('91.2 ± 1.3\\xa0%', '2.13 ± 0.20')
    """
    if unit == "share":
        return f"{100 * mean:.1f} ± {percent(spread)}"
    return f"{written(mean, unit)} ± {written(spread, 'count' if unit == 'signed' else unit, abs(mean))}"


def amount(count: float, largest: float | None = None) -> str:
    """A count that a net gives: a digit after the point for a small one, none for a large one.

    Args:
        count: the count.
        largest: of the numbers it stands beside, which share its digits.

    >>> amount(3.14159), amount(171.6), amount(12345.6)
    ('3.1', '172', '12,346')
    """
    return "n/a" if not math.isfinite(count) else f"{count:,.{1 if abs(largest or count) < 99.5 else 0}f}"


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


def trained(run: RunData, on: str) -> str:
    """What was trained, on what and how long, as a sentence; nothing for an evaluation."""
    if run.log is None:
        return "" if run.parts else "The run stopped before its first epoch was done."
    net = plain(run.settings.get("net.model", {}).get("value", "The net"))
    on = f" on {on}" if on else ""
    frozen = frozen_beside(run)
    if in_one_go(run):
        if run.task == "cluster":
            return f"A codebook was made{on}."
        if not frozen and run.settings["net.model"]["value"] in FIXED:
            return f"A head was fitted to the {net} of colours and edges{on}."
        if not frozen:
            return f"The encoder of {net} was left as it was, and a head fitted to it{on}."
        return f"A head was fitted to {frozen if net == 'none' else f'the encoder of {net} and {frozen}'}{on}."
    for_long = f"for {many(len(run.log), 'epoch')}"
    if net == "none":
        return f"A head on {frozen} was trained{on} {for_long}."
    return f"{net} was trained{on} {for_long}{f', beside {frozen}' if frozen else ''}."


def frozen_beside(run: RunData) -> str:
    """The encoders that a net joins, in words; nothing where it joins none."""
    joined = sum(re.fullmatch(r"net\.joined\.\d+\.run", key) is not None for key in run.settings)
    return f"the frozen encoder{'s' if joined > 1 else ''} of {many(joined, 'earlier run')}" if joined else ""


def in_one_go(run: RunData) -> bool:
    """Whether all there was to fit was a head on a frozen encoder, or words, without epochs."""
    return run.log is not None and "train" in run.log.columns and set(run.log["train"]) <= {"probe", "words"}


def best_so_far(run: RunData, column: str, said: Callable[[float], str]) -> str:
    """How far a run without scores has come, as a sentence; nothing where its log does not tell.

    Args:
        run: the run.
        column: of the log, in the epoch that was kept.
        said: what follows the epoch, of the column's number.
    """
    value = run.at_best(column)
    return "" if value is None else f"The best epoch so far is {run.best_epoch}{said(value)}."


def counted(part: JudgedPart) -> str:
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


def _largest(score: Score) -> float:
    return max((abs(end) for end in (score.value, score.low, score.high) if math.isfinite(end)), default=0.0)
