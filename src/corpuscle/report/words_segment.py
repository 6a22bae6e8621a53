"""The run of a net that classifies pixels, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from corpuscle.core.legend import BACKGROUND
from corpuscle.core.records import Score
from corpuscle.report import words
from corpuscle.report.part import MaskPart
from corpuscle.report.run_data import RunData
from corpuscle.report.words import counted, interval_of, many, percent, value_of

FEW_IMAGES = 5  # showing a class, below which its scores are an anecdote
FEW_PIXELS = 1000  # of a class in a whole part, below which a rim of one pixel decides
FEW_GROUPS = 10  # below which an interval is known to be rough
LEAST_MISTAKEN = 0.005  # share of a class's pixels from which on a mistake is told


def verdict(run: RunData) -> str:
    """What the run amounts to, in two to four sentences."""
    held = run.fingerprint.get("pixels", {})
    images = max((parts.get("train", {}).get("images", 0) for parts in held.values()), default=0)
    kinds = sum(parts.get("train", {}).get("pixels", 0) > 0 for name, parts in held.items() if name != BACKGROUND)
    on = f"{many(images, 'image')} with masks of {many(kinds, 'class')}" if images else ""
    return " ".join(sentence for sentence in (words.trained(run, on), _reached(run)) if sentence)


def caution(run: RunData) -> str:
    """Why the numbers may flatter or say little, or nothing."""
    said, part = [words.caution(run)], run.main_part
    if isinstance(part, MaskPart):
        if part.groups < FEW_GROUPS:
            what = "group" if part.groups != part.n else "image"
            said.append(
                f"All scores rest on {many(part.groups, what)}: the intervals are rough, and from fewer than four "
                "there are none."
            )
        thin = [f"{kind} ({_held(part, kind)})" for kind in part.images if _is_thin(part, kind)]
        if thin:
            said.append(f"Little of these classes is there to judge by: {listed(thin)}. Do not lean on their scores.")
    return " ".join(sentence for sentence in said if sentence)


def _reached(run: RunData) -> str:
    part = run.main_part
    if not isinstance(part, MaskPart):
        return words.best_so_far(run, "val_mean_dice", lambda dice: f", with a validation Dice of {percent(dice)}")
    dice, iou = part.scores.get("mean_dice"), part.scores.get("mean_iou")
    if dice is None or not math.isfinite(dice.value):
        return _absent(part)
    known = f"95\xa0% interval {interval_of(dice)}" if math.isfinite(dice.low) else "too few groups for an interval"
    said = f"On the {part.words} images its masks reach a mean Dice of {value_of(dice)} ({known}, {counted(part)})"
    if iou is not None and math.isfinite(iou.value):
        said += f" and a mean IoU of {value_of(iou)}{_ends(iou)}"
    return " ".join(sentence for sentence in (f"{said}.", _worst(part), _absent(part)) if sentence)


def _worst(part: MaskPart) -> str:
    dice = {kind: scores["dice"] for kind, scores in part.per_class.items() if "dice" in scores}
    dice = {kind: score for kind, score in dice.items() if math.isfinite(score.value) and kind not in part.absent}
    if len(dice) < 2:
        return ""
    kind = min(dice, key=lambda kind: dice[kind].value)
    return f"{_first_upper(kind)} is the hardest class, with a Dice of {value_of(dice[kind])}{_ends(dice[kind])}."


def _ends(score: Score) -> str:
    return f" ({interval_of(score)})" if math.isfinite(score.low) else ""


def _absent(part: MaskPart) -> str:
    if not part.absent:
        return ""
    those = "it is" if len(part.absent) == 1 else "they are"
    return (
        f"No {part.words} image shows {listed(part.absent, 'or')}: how well {those} found is not known, and the means "
        f"leave {'it' if len(part.absent) == 1 else 'them'} out."
    )


def mistaken(part: MaskPart, classes: Sequence[str], limit: int = 6) -> list[str]:
    """Where the largest shares of the classes' pixels go wrong, in words."""
    pixels_KK = np.asarray(part.confusion, dtype=float)
    share_KK = pixels_KK / np.maximum(pixels_KK.sum(axis=1, keepdims=True), 1)
    np.fill_diagonal(share_KK, 0)
    found = []
    for place in np.argsort(-share_KK, axis=None, kind="stable")[:limit]:
        true, said = np.unravel_index(place, share_KK.shape)
        if share_KK[true, said] >= LEAST_MISTAKEN:
            found.append(f"{percent(share_KK[true, said])} of {classes[true]} is called {classes[said]}")
    return found


def short_count(pixels: int) -> str:
    """A count of pixels in a few characters.

    >>> short_count(812), short_count(15_200), short_count(3_460_000), short_count(999_950)
    ('812', '15k', '3.5M', '1.0M')
    """
    for unit, word in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if pixels >= 0.9995 * unit:
            size = pixels / unit
            return f"{size:.1f}{word}" if size < 9.95 else f"{size:.0f}{word}"
    return str(pixels)


def listed(names: Sequence[str], last: str = "and") -> str:
    """Names in a row, as one says them.

    >>> listed(["a", "b", "c"]), listed(["a", "b"], "or"), listed(["a"])
    ('a, b and c', 'a or b', 'a')
    """
    return f" {last} ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def _is_thin(part: MaskPart, kind: str) -> bool:
    return 0 < part.images[kind] < min(FEW_IMAGES, part.n) or 0 < part.pixels[kind] < FEW_PIXELS


def _held(part: MaskPart, kind: str) -> str:
    return f"{many(part.pixels[kind], 'pixel')} in {many(part.images[kind], 'image')}"


def _first_upper(name: str) -> str:
    return name[:1].upper() + name[1:]
