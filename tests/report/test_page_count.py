"""The page of a counter: its numbers, pictures and promises; honest about what is missing."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

from corpuscle.report.page import write_report

MakeRun = Callable[..., Path]
FIGURES = {"counts", "loss", "mae", "learning-rate", "scores", "predicted", "agreement", "intervals"}


class Page(HTMLParser):
    """The page's text, ids, addresses and number of pictures."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text, self.ids, self.addresses, self.pictures, self.style = "", [], [], 0, False
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.style = tag == "style"
        self.pictures += tag == "img"
        self.ids += [values["id"]] if "id" in values and tag not in {"path", "clippath"} else []
        self.addresses += [values[key] or "" for key in ("src", "href", "xlink:href") if key in values]

    def handle_data(self, data: str) -> None:
        self.text += "" if self.style else data

    @property
    def words(self) -> str:
        return " ".join(self.text.replace("\xa0", " ").split())


def set_score(folder: Path, name: str, **values: float | None) -> None:
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["parts"]["test"]["scores"][name] |= values
    (folder / "metrics.json").write_text(json.dumps(metrics))


def test_a_finished_run_has_every_section_figure_and_picture(make_count_run: MakeRun) -> None:
    folder = make_count_run()
    set_score(folder, "mae", value=2.134, low=1.8, high=2.4)
    set_score(folder, "bias", value=-0.5, low=-0.9, high=-0.1)
    page = Page(write_report(folder))
    sections = {"asked", "data", "training", "scores", "counts", "intervals", "density", "pictures", "settings", "use"}
    assert sections <= set(page.ids) and len(page.ids) == len(set(page.ids)) and "kinds" not in page.ids
    assert {figure.stem for figure in (folder / "figures").glob("*.png")} == FIGURES
    frame = pl.read_csv(folder / "predictions.csv").filter(pl.col("split") == "test")
    mean = frame["true_cell"].mean()
    for part in (
        "On the test images the count is off by 2.13 on average (95 % interval 1.80 to 2.40, 24 images in 12 groups)",
        f"{100 * 2.134 / mean:.1f} % of the mean count of {mean:.1f}",
        "It counts 0.50 too few on average.",
        "24 images with",
        "Each count comes with a 90 % interval. It was fitted on 12 groups of validation images",
        "Measured on the test images: 91.7 % of the intervals hold the true count",
        "within 6 pixels of the original",
        "Quadratic kappa",
    ):
        assert part in page.words
    assert page.pictures == 12 + 6 + 6 + 2 * 3
    assert all(address.startswith(("#", "data:image/jpeg")) for address in page.addresses)
    assert "<b> 1" not in page.source and "<script" not in page.source


@pytest.mark.slow
def test_several_kinds_have_a_table_and_a_colour_each(make_count_run: MakeRun) -> None:
    page = Page(write_report(make_count_run(kinds=("<i>red</i>", "true", "white"), images=8)))
    assert "kinds" in page.ids and "<i>red" not in page.source and "<i>red</i>" in page.words
    assert "over all kinds" in page.words and len(set(re.findall(r'stroke="(#\w{6})" stroke-width', page.source))) == 3


def test_a_run_without_dots_or_intervals_says_why(make_count_run: MakeRun) -> None:
    page = Page(write_report(make_count_run(points=False, intervals=False, images=6)))
    assert "density" not in page.ids and "checkbox" not in page.source and "Coverage" not in page.words
    assert (
        "There is no 90 % interval: it takes at least 9 groups of validation images, and this run has 5" in page.words
    )
    assert "nan" not in page.words.lower().split()


@pytest.mark.slow
def test_a_kind_without_an_interval_is_named(make_count_run: MakeRun) -> None:
    folder = make_count_run(kinds=("red", "white"), images=6)
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["calibration"]["quantiles"]["white"] = None
    (folder / "metrics.json").write_text(json.dumps(metrics))
    assert "There is no 90 % interval for white" in Page(write_report(folder)).words


def test_a_run_that_was_never_calibrated_says_so(make_count_run: MakeRun) -> None:
    folder = make_count_run(intervals=False, images=6)
    metrics = json.loads((folder / "metrics.json").read_text()) | {"calibration": None}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    assert "These counts come without an interval: none was fitted" in Page(write_report(folder)).words


@pytest.mark.slow
def test_coverage_below_the_promise_is_told(make_count_run: MakeRun) -> None:
    folder = make_count_run(images=6)
    set_score(folder, "coverage", value=0.7, low=0.6, high=0.8)
    assert "That is less than the 90 % promised" in Page(write_report(folder)).words


@pytest.mark.slow
def test_a_run_scored_on_validation_only_says_that_it_is_optimistic(make_count_run: MakeRun) -> None:
    page = Page(write_report(make_count_run(parts=("val",), images=6)))
    assert "so they are optimistic" in page.words and "The intervals were fitted on these images too" in page.words


def test_an_interrupted_run_reports_what_there_is(make_count_run: MakeRun) -> None:
    folder = make_count_run(images=6)
    for name in ("metrics.json", "predictions.csv", "points.csv"):
        (folder / name).unlink()
    page = Page(write_report(folder))
    assert "This run has not finished" in page.words and "The best epoch so far is 9" in page.words
    assert "validation counts are off by" in page.words and {"data", "training"} <= set(page.ids)
    objects = pl.read_csv(folder / "samples.csv").filter(pl.col("split") == "train")["counts"].sum()
    assert f"with {objects} cells" in page.words and "scores" not in page.ids


def test_an_evaluation_with_nothing_but_scores_has_a_page(make_count_run: MakeRun) -> None:
    folder = make_count_run(images=6)
    for file in folder.iterdir():
        if file.name != "metrics.json":
            shutil.rmtree(file) if file.is_dir() else file.unlink()
    page = Page(write_report(folder))
    assert "report of an evaluation" in page.words and "scores" in page.ids and "pictures" not in page.ids


@pytest.mark.slow
def test_scores_that_are_not_defined_are_told_so(make_count_run: MakeRun) -> None:
    folder = make_count_run(images=6)
    for name in ("mae", "r", "r2", "bias", "kappa", "coverage", "dot_f1"):
        set_score(folder, name, value=None, low=None, high=None)
    page = Page(write_report(folder))
    assert "n/a" in page.words and "is off by" not in page.words.split("What was asked")[0]


@pytest.mark.slow
def test_ten_thousand_images_stay_under_ten_megabytes(make_count_run: MakeRun) -> None:
    folder = make_count_run(images=12, side=300)
    frame = pl.read_csv(folder / "predictions.csv")
    pl.concat([frame] * 420).write_csv(folder / "predictions.csv")
    assert write_report(folder).stat().st_size < 5_000_000


@pytest.mark.slow
def test_images_that_are_gone_leave_their_names_and_numbers(make_count_run: MakeRun) -> None:
    folder = make_count_run(images=6)
    shutil.rmtree(folder.parent / "counts images")
    page = Page(write_report(folder))
    assert "could not be read again" in page.words and "image not found" in page.words and page.pictures == 0
