"""The run of a net that learned from images alone, in words."""

from __future__ import annotations

import math

from corpuscle.report import words
from corpuscle.report.run_data import RunData
from corpuscle.report.score_words import Unit
from corpuscle.report.words import caution, counted, interval_of, many, percent, value_of, written

__all__ = ["caution", "verdict"]


def verdict(run: RunData) -> str:
    """What the run amounts to, in two or three sentences."""
    counts = run.fingerprint.get("classes", {}).values()
    images = sum(parts.get("train", 0) for parts in counts)
    on = f"{many(images, 'image')} without labels" if images else ""
    use = "What it learned is kept in its encoder: start another training from it with --weights."
    return " ".join(
        sentence for sentence in (words.trained(run, on), _reached(run), use if run.parts else "") if sentence
    )


def _reached(run: RunData) -> str:
    part = run.main_part
    remakes = run.task == "reconstruct"
    if run.task == "cluster":
        return _words_reached(run)
    if part is None:
        if remakes:
            return words.best_so_far(
                run, "val_ssim", lambda ssim: f", with a validation SSIM of {written(ssim, 'number')}"
            )
        return words.best_so_far(run, "val_retrieval", lambda share: f", in which {percent(share)} of views are found")
    score = part.scores["ssim" if remakes else "retrieval"]
    unit: Unit = "number" if remakes else "share"
    known = f"95\xa0% interval {interval_of(score, unit)}, " if math.isfinite(score.low) else ""
    if remakes:
        return (
            f"It makes the {part.words} images again with an SSIM of {value_of(score, unit)} ({known}{counted(part)})."
        )
    return (
        f"For {value_of(score, unit)} of the {part.words} images' views, the nearest in the batch is the other view of "
        f"the same image ({known}{counted(part)})."
    )


def _words_reached(run: RunData) -> str:
    part = run.main_part
    if part is None:
        return ""
    score = part.scores["distortion"]
    known = f"95\xa0% interval {interval_of(score, 'number')}, " if math.isfinite(score.low) else ""
    return (
        f"Squares of the {part.words} images lie {value_of(score, 'number')} of their variance from the nearest word "
        f"({known}{counted(part)})."
    )
