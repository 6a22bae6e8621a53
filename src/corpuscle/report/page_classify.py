"""What the report of a classifier draws and shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from corpuscle.report import figures, pictures
from corpuscle.report.part import Part, in_words
from corpuscle.report.run_data import RunData
from corpuscle.report.score_words import DRAWN_SCORES, title_of

GRID, ODD = 32, 16  # pictures in the random grid, and in each of the worst and the most doubtful
STRIP = 12  # classes of the strip under the title


def draw(run: RunData) -> dict[str, Figure]:
    """Every figure that the run's numbers allow, by file name."""
    drawn: dict[str, Figure] = {}
    if run.fingerprint.get("classes"):
        drawn["classes"] = figures.class_counts(run.fingerprint["classes"], _splits(run))
    if run.log is not None:
        drawn["loss"] = figures.loss_curves(run.log)
        drawn["accuracy"] = figures.score_curves(run.log)
    if isinstance(part := run.main_part, Part):
        shown = {title_of(name): part.scores[name] for name in DRAWN_SCORES["classify"] if name in part.scores}
        drawn["scores"] = figures.whiskers(shown)
        recalls = {name: scores.recall for name, scores in part.per_class.items()}
        drawn["recall"] = figures.whiskers(recalls, "recall: share of the class that is found", share=True)
        drawn["confusion"] = figures.confusion(part.confusion, run.classes)
        if part.before or part.after:
            drawn["calibration"] = figures.reliability(part.before, part.after)
    return drawn


def content(run: RunData, read: pictures.Read) -> dict[str, Any]:
    """What the template needs besides the run and its figures."""
    counts, splits = run.fingerprint.get("classes", {}), _splits(run)
    return {
        "splits": splits,
        "totals": {split: sum(parts.get(split, 0) for parts in counts.values()) for split in splits},
        **_pictures(run, read),
    }


def _splits(run: RunData) -> dict[str, str]:
    """The parts that hold any image, in the order they are used, with their words."""
    there = {name for counts in run.fingerprint.get("classes", {}).values() for name, count in counts.items() if count}
    return in_words(there)


def _pictures(run: RunData, read: pictures.Read) -> dict[str, Any]:
    """The galleries, the strip of one picture a class, and how many images could not be read again."""
    scored = run.scored()
    if scored is None or scored.is_empty():
        return {"strip": [], "grid": [], "worst": [], "doubtful": [], "unread": 0}
    root = Path(run.fingerprint.get("root", "."))
    chosen = {
        "grid": pictures.balanced_sample(scored, GRID, int(run.environment.get("seed", 0))),
        "worst": pictures.worst(scored, ODD),
        "doubtful": pictures.most_doubtful(scored, run.classes, ODD),
    }
    made = {name: pictures.pictures(frame, run.classes, root, read) for name, frame in chosen.items()}
    first = {picture.label: picture for picture in reversed(made["grid"]) if picture.uri and picture.label}
    strip = [first[name] for name in run.classes if name in first][:STRIP]
    return {**made, "strip": strip, "unread": sum(picture.uri is None for shown in made.values() for picture in shown)}
