"""The report: one HTML file a run, whole in itself, that opens offline."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import jinja2
from markupsafe import Markup
from matplotlib.figure import Figure

from corpuscle.core.files import write_text
from corpuscle.data.doctor.finding import KINDS
from corpuscle.report import (
    figures,
    page_classify,
    page_count,
    page_label_free,
    page_segment,
    pictures,
    score_words,
    words,
    words_classify,
    words_count,
    words_label_free,
    words_segment,
)
from corpuscle.report.made_samples import made_samples
from corpuscle.report.run_data import RunData, read_run
from corpuscle.report.style import DARK, LIGHT, css_variables

HERE = Path(__file__).parent
TOLD = ("unreadable", "mask", "copies", "copies disagree")  # kinds that have a place of their own on the page
LISTED = 50  # faults and copies that are written out; the rest is in the run's files


@dataclass(frozen=True)
class TaskPage:
    """What a task draws and tells; everything else on the page is the same for each.

    Attributes:
        template: that fills the blocks of `page.html.j2`.
        draw: every figure of the task that the run's numbers allow, by file name.
        content: what the template needs besides.
        told: the module with the verdict, the caution and the other sentences.
    """

    template: str
    draw: Callable[[RunData], dict[str, Figure]]
    content: Callable[[RunData, pictures.Read], dict[str, Any]]
    told: ModuleType


TASKS = {
    "classify": TaskPage("classify.html.j2", page_classify.draw, page_classify.content, words_classify),
    "cluster": TaskPage("label_free.html.j2", page_label_free.draw, page_label_free.content, words_label_free),
    "contrast": TaskPage("label_free.html.j2", page_label_free.draw, page_label_free.content, words_label_free),
    "count": TaskPage("count.html.j2", page_count.draw, page_count.content, words_count),
    "reconstruct": TaskPage("label_free.html.j2", page_label_free.draw, page_label_free.content, words_label_free),
    "segment": TaskPage("segment.html.j2", page_segment.draw, page_segment.content, words_segment),
}


def write_report(folder: Path, title: str | None = None, read: pictures.Read = pictures.read_with_pillow) -> Path:
    """Write `report.html` and `figures/*.png` into a run folder.

    Args:
        folder: a run, finished or not, or an evaluation.
        title: the page's title; the folder's name without it.
        read: how an image becomes pixels, for the pictures; it gets the data's root with the image's name.

    Raises:
        CorpuscleError: the folder is no run, or cannot be written.
    """
    run = read_run(folder)
    drawn = draw(run)
    for name, figure in drawn.items():
        figures.save_png(figure, run.folder / "figures" / f"{name}.png")
    page = run.folder / "report.html"
    write_text(page, render(TASKS[run.task].template, title or run.name, **_content(run, drawn, read)))
    return page


def draw(run: RunData) -> dict[str, Figure]:
    """Every figure that the run's numbers allow, by file name."""
    drawn = TASKS[run.task].draw(run)
    if run.log is not None and run.log["learning_rate"].is_not_null().any():
        drawn["learning-rate"] = figures.learning_rate(run.log)
    if (made := made_samples(run)) is not None:
        drawn["made_samples"] = made
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
    data, part, task = run.fingerprint, run.main_part, TASKS[run.task]
    changed = {name: setting for name, setting in run.settings.items() if setting.get("from") != "default"}
    return {
        "run": run,
        "told": task.told,
        "title_of": partial(score_words.title_of, task=run.task),
        "unit_of": partial(score_words.unit_of, task=run.task),
        "meaning_of": partial(score_words.meaning_of, task=run.task),
        "main_scores": [name for name in score_words.MAIN_SCORES[run.task] if part and name in part.scores][:4],
        "part": part,
        "others": [other for other in run.parts.values() if other is not part],
        "figures": as_markup(drawn),
        "faults": data.get("faults", ())[:LISTED],
        "copies": data.get("copies", ())[:LISTED],
        "disagreeing": _with_labels(run)[:LISTED],
        "looked": looked_at(data),
        "changed": changed,
        "defaults": {name: setting for name, setting in run.settings.items() if name not in changed},
        "command": shlex.quote(str(run.folder)),
        **task.content(run, read),
    }


@dataclass(frozen=True)
class Looked:
    """What was found of a kind: its title, how many there are, and the first of them."""

    title: str
    number: int
    first: tuple[str, ...]


def looked_at(data: Mapping[str, Any]) -> list[Looked]:
    """What was found beside what cannot be read and copies, which the page tells in their own way."""
    return [
        Looked(
            KINDS[kind].title,
            number,
            tuple(one["what"] for one in data["findings"] if one["kind"] == kind)[:LISTED],
        )
        for kind, number in data.get("found", {}).items()
        if kind not in TOLD and kind in KINDS
    ]


def _with_labels(run: RunData) -> list[list[str]]:
    """The copies whose labels disagree, each image with its label."""
    labels: dict[str, str] = {}
    if run.samples is not None and {"image", "label"} <= set(run.samples.columns):
        labels = dict(run.samples.select("image", "label").iter_rows())
    return [
        [f"{image} ({labels[image]})" if labels.get(image) else image for image in same]
        for same in run.fingerprint.get("disagreeing", ())
    ]
