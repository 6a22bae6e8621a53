"""The page of a net that classifies pixels: its numbers, its masks, and what it owns up to."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from corpuscle.core.errors import CorpuscleError
from corpuscle.report.compare import Difference, compare_runs, write_comparison
from corpuscle.report.page import write_report
from corpuscle.report.part import MaskPart
from corpuscle.report.run_data import read_run

MakeRun = Callable[..., Path]
FIGURES = {"images", "loss", "overlap", "learning-rate", "scores", "classes", "confusion", "dice"}


class Page(HTMLParser):
    """The page's text, ids, addresses, and what stands for each picture."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text, self.ids, self.addresses, self.alts, self.style = "", [], [], [], False
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.words = " ".join(self.text.replace("\xa0", " ").split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.style = tag == "style"
        self.alts += [values.get("alt")] if tag == "img" else []
        self.ids += [values["id"]] if "id" in values and tag not in {"path", "clippath"} else []
        self.addresses += [values[key] or "" for key in ("src", "href", "xlink:href") if key in values]

    def handle_data(self, data: str) -> None:
        self.text += "" if self.style else data


def change(folder: Path, name: str, by: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads((folder / f"{name}.json").read_text())
    by(content)
    (folder / f"{name}.json").write_text(json.dumps(content))


def test_a_finished_run_has_every_section_figure_and_picture(make_segment_run: MakeRun) -> None:
    folder = make_segment_run(kept=10)
    change(
        folder,
        "metrics",
        lambda metrics: (
            metrics["parts"]["test"]["scores"]["mean_dice"].update(value=0.8123, low=0.75, high=0.86),
            metrics["parts"]["test"]["per_class"]["platelet clump"]["scores"]["dice"].update(
                value=0.31, low=0.2, high=0.4
            ),
        ),
    )
    page = Page(write_report(folder))
    sections = {"asked", "data", "training", "scores", "classes", "confusion", "pictures", "settings", "use"}
    assert sections <= set(page.ids) and len(page.ids) == len(set(page.ids))
    assert {figure.stem for figure in (folder / "figures").glob("*.png")} == FIGURES
    for part in (
        "trained on 12 images with masks of 4 classes for 12 epochs",
        "a mean Dice of 81.2 % (95 % interval 75.0 to 86.0 %, 12 images in 6 groups) and a mean IoU of",
        "Platelet clump is the hardest class, with a Dice of 31.0 % (20.0 to 40.0 %).",
        "No test image shows eosinophil: how well it is found is not known, and the means leave it out.",
        "in no test image: not judged",
        "All scores rest on 6 groups: the intervals are rough",
        "8 drawn at random from the 10 images that the run has kept of the test part",
        "Outlines agree where they lie within 2 pixels.",
    ):
        assert part in page.words
    assert len(page.alts) == 4 * (8 + 4) and all(page.alts)
    assert all(address.startswith(("#", "data:image/jpeg")) for address in page.addresses)
    assert "<i>mono" not in page.source and "<b> 1" not in page.source and "<script" not in page.source


def test_the_page_holds_the_numbers_of_the_run(make_segment_run: MakeRun) -> None:
    folder = make_segment_run(kept=2)
    page, part = Page(write_report(folder)), read_run(folder).main_part
    assert isinstance(part, MaskPart) and part.absent == ["eosinophil"]
    frame = pl.read_csv(folder / "predictions.csv").filter(pl.col("split") == "test")
    for kind, pixels in part.pixels.items():
        assert pixels == frame[f"true_{kind}"].sum() == sum(part.confusion[list(part.pixels).index(kind)])
        assert f"{pixels:,}" in page.words
    table = page.words.split("The lowest Dice of all test images")[1]
    worst = frame.sort("dice").row(0, named=True)
    assert table.split("DiceIoU ")[1].startswith(worst["image"]) and f"{100 * worst['dice']:.1f} %" in table
    assert "All the 2 images that the run has kept" in page.words and "The worst of those kept" not in page.words


@pytest.mark.slow
def test_a_class_is_drawn_in_its_own_colour_on_the_whole_page(make_segment_run: MakeRun) -> None:
    folder = make_segment_run(images=4)
    colours = json.loads((folder / "metrics.json").read_text())["legend"]["colours"]
    source = Page(write_report(folder)).source
    for name, colour in zip(read_run(folder).classes, colours, strict=True):
        escaped = name.replace("<", "&lt;").replace(">", "&gt;")
        found = re.findall(rf'background:(#\w{{6}})"></i>&nbsp;{re.escape(escaped)}<', source)
        assert set(found) == {"#{:02x}{:02x}{:02x}".format(*colour)} and len(found) >= 2


@pytest.mark.slow
def test_classes_with_little_to_judge_by_are_named(make_segment_run: MakeRun) -> None:
    folder = make_segment_run()

    def thin(metrics: dict[str, Any]) -> None:
        kinds = metrics["parts"]["test"]["per_class"]
        for name, (pixels, images) in {"infected RBC": (312, 9), "platelet clump": (99_000, 1)}.items():
            kinds[name] |= {"pixels": pixels, "images": images}
        kinds["<i>monocyte</i>"] |= {"pixels": 5000, "images": 9}

    change(folder, "metrics", thin)
    words = Page(write_report(folder)).words
    said = "judge by: platelet clump (99,000 pixels in 1 image) and infected RBC (312 pixels in 9 images). Do not lean"
    assert said in words


@pytest.mark.slow
def test_a_run_scored_on_validation_only_says_that_it_is_optimistic(make_segment_run: MakeRun) -> None:
    assert "so they are optimistic" in Page(write_report(make_segment_run(parts=("val",), images=6))).words


def test_an_interrupted_run_reports_what_there_is(make_segment_run: MakeRun) -> None:
    folder = make_segment_run(images=6)
    for name in ("metrics.json", "predictions.csv"):
        (folder / name).unlink()
    shutil.rmtree(folder / "examples")
    page = Page(write_report(folder))
    assert "This run has not finished" in page.words
    assert "The best epoch so far is 9, with a validation Dice of 63.3 %." in page.words
    assert {"data", "training"} <= set(page.ids) and not {"scores", "pictures"} & set(page.ids)


def test_an_evaluation_with_nothing_but_scores_has_a_page(make_segment_run: MakeRun) -> None:
    folder = make_segment_run(images=6)
    for file in folder.iterdir():
        if file.name != "metrics.json":
            shutil.rmtree(file) if file.is_dir() else file.unlink()
    page = Page(write_report(folder))
    assert "report of an evaluation" in page.words and "scores" in page.ids and "pictures" not in page.ids


@pytest.mark.slow
def test_masks_that_were_never_measured_are_no_hindrance(make_segment_run: MakeRun) -> None:
    folder = make_segment_run(images=6)
    change(folder, "fingerprint", lambda found: (found.pop("pixels"), found.update(masks=18)))
    (folder / "log.csv").unlink()
    page = Page(write_report(folder))
    assert "On the test images" in page.words and "training" not in page.ids


@pytest.mark.slow
def test_scores_that_are_not_defined_are_told_so(make_segment_run: MakeRun) -> None:
    folder = make_segment_run(images=4)
    nothing = {"value": None, "low": None, "high": None}
    change(folder, "metrics", lambda m: [one.update(nothing) for one in m["parts"]["test"]["scores"].values()])
    page = Page(write_report(folder))
    assert "n/a" in page.words and "mean Dice of" not in page.words
    assert "nan" not in page.words.lower().split()


@pytest.mark.slow
def test_a_score_without_an_interval_says_why(make_segment_run: MakeRun) -> None:
    folder = make_segment_run(images=4)
    change(folder, "metrics", lambda m: m["parts"]["test"]["scores"]["mean_dice"].update(low=None, high=None))
    assert "(too few groups for an interval, 4 images in 2 groups)" in Page(write_report(folder)).words


@pytest.mark.slow
def test_a_perfect_run_has_nothing_to_reproach(make_segment_run: MakeRun) -> None:
    folder = make_segment_run(images=4)

    def perfect(metrics: dict[str, Any]) -> None:
        rows = metrics["parts"]["test"]["confusion"]
        metrics["parts"]["test"]["confusion"] = [
            [sum(row) if k == place else 0 for k in range(len(row))] for place, row in enumerate(rows)
        ]

    change(folder, "metrics", perfect)
    assert "No class loses more than 0.5 % of its pixels to another" in Page(write_report(folder)).words


def test_a_legend_that_is_no_legend_is_refused_in_one_line(make_segment_run: MakeRun) -> None:
    folder = make_segment_run(images=2)
    change(folder, "metrics", lambda m: m["legend"].update(colours=["red"] * 6))
    with pytest.raises(CorpuscleError, match=r"metrics\.json should hold the scores of a run, but ValueError"):
        read_run(folder)


@pytest.mark.slow
def test_two_runs_are_set_side_by_side(make_segment_run: MakeRun, tmp_path: Path) -> None:
    runs = [make_segment_run("a", images=4), make_segment_run("b", images=4)]
    difference = Difference("mean_iou", "a", "b", 0.021, 0.004, 0.039, 96, task="segment")
    page = Page(write_comparison(compare_runs(runs, ["a", "b"], [difference]), tmp_path / "out"))
    assert "a is above b by 2.1 points of mean IoU" in page.words and "Validation mean Dice." in page.words
    figures = {figure.stem for figure in (tmp_path / "out" / "figures").glob("*.png")}
    assert figures == {"scores", "train-loss", "val-loss", "val-mean-dice", "val-mean-iou"}
