"""The report: one HTML file a run, whole in itself, that opens offline."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from matplotlib.figure import Figure

from corpuscle.core.files import write_text
from corpuscle.report import figures, pictures, words
from corpuscle.report.run_data import PART_WORDS, RunData, read_run
from corpuscle.report.style import DARK, LIGHT, css_variables

HERE = Path(__file__).parent
GRID, ODD = 32, 16  # pictures in the random grid, and in each of the worst and the most doubtful
LISTED = 50  # faults and copies that are written out; the rest is in the run's files
STRIP = 12  # classes of the strip under the title


def write_report(folder: Path, title: str | None = None, read: pictures.Read = pictures.read_with_pillow) -> Path:
    """Write `report.html` and `figures/*.png` into a run folder.

    Args:
        folder: a run, finished or not, or an evaluation.
        title: the page's title; the folder's name without it.
        read: how an image file becomes pixels, for the thumbnails.

    Raises:
        CorpuscleError: the folder is no run, or cannot be written.
    """
    run = read_run(folder)
    drawn = draw(run)
    for name, figure in drawn.items():
        figures.save_png(figure, run.folder / "figures" / f"{name}.png")
    page = run.folder / "report.html"
    write_text(page, render("page.html.j2", title or run.name, **_content(run, drawn, read)))
    return page


def draw(run: RunData) -> dict[str, Figure]:
    """Every figure that the run's numbers allow, by file name."""
    drawn: dict[str, Figure] = {}
    if run.fingerprint.get("classes"):
        drawn["classes"] = figures.class_counts(run.fingerprint["classes"], _splits(run))
    if run.log is not None:
        drawn["loss"] = figures.loss_curves(run.log)
        drawn["accuracy"] = figures.score_curves(run.log)
        drawn["learning-rate"] = figures.learning_rate(run.log)
    if part := run.main_part:
        shown = {words.title_of(name): part.scores[name] for name in words.DRAWN_SCORES if name in part.scores}
        drawn["scores"] = figures.whiskers(shown)
        recalls = {name: scores.recall for name, scores in part.per_class.items()}
        drawn["recall"] = figures.whiskers(recalls, "recall: share of the class that is found", share=True)
        drawn["confusion"] = figures.confusion(part.confusion, run.classes)
        if part.before or part.after:
            drawn["calibration"] = figures.reliability(part.before, part.after)
    return drawn


def render(template: str, title: str, **content: Any) -> str:
    """Fill one of this folder's templates; everything that comes from data is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals["words"] = words
    environment.filters |= {
        "plain": words.plain,
        "percent": words.percent,
        "many": words.many,
        "duration": words.duration,
    }
    style = Markup(
        f":root{{{css_variables(LIGHT)}}}"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{css_variables(DARK)}}}}}\n"
        + (HERE / "style.css").read_text(encoding="utf-8")
    )
    return environment.get_template(template).render(title=title, style=style, **content)


def as_markup(drawn: Mapping[str, Figure]) -> dict[str, Markup]:
    """The figures as SVG elements; matplotlib has escaped their text."""
    return {name: Markup(figures.as_svg(figure)) for name, figure in drawn.items()}


def _content(run: RunData, drawn: Mapping[str, Figure], read: pictures.Read) -> dict[str, Any]:
    data = run.fingerprint
    part = run.main_part
    changed = {name: setting for name, setting in run.settings.items() if setting.get("from") != "default"}
    splits = _splits(run)
    return {
        "run": run,
        "part": part,
        "others": [other for other in run.parts.values() if other is not part],
        "figures": as_markup(drawn),
        "splits": splits,
        "totals": {split: sum(counts.get(split, 0) for counts in data.get("classes", {}).values()) for split in splits},
        "faults": data.get("faults", ())[:LISTED],
        "copies": data.get("copies", ())[:LISTED],
        "disagreeing": _with_labels(run)[:LISTED],
        "changed": changed,
        "defaults": {name: setting for name, setting in run.settings.items() if name not in changed},
        "command": shlex.quote(str(run.folder)),
        **_pictures(run, read),
    }


def _splits(run: RunData) -> dict[str, str]:
    """The parts that hold any image, in the order they are used, with their words."""
    there = {name for counts in run.fingerprint.get("classes", {}).values() for name, count in counts.items() if count}
    known = {name: PART_WORDS[name] for name in ("train", "val", "test") if name in there}
    return known | {name: name for name in sorted(there - set(known))}


def _with_labels(run: RunData) -> list[list[str]]:
    """The copies whose labels disagree, each image with its label."""
    labels: dict[str, str] = {}
    if run.samples is not None and {"image", "label"} <= set(run.samples.columns):
        labels = dict(run.samples.select("image", "label").iter_rows())
    return [
        [f"{image} ({labels[image]})" if labels.get(image) else image for image in same]
        for same in run.fingerprint.get("disagreeing", ())
    ]


def _pictures(run: RunData, read: pictures.Read) -> dict[str, Any]:
    """The galleries, the strip of one picture a class, and how many images could not be read again."""
    scored, part = run.predictions, run.main_part
    if part is not None and scored is not None and "split" in scored.columns:
        scored = scored.filter(scored["split"] == part.name)
    if part is None or scored is None or scored.is_empty():
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
