"""The page: whole, offline, escaped, small; honest about what is missing."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from corpuscle.core.errors import CorpuscleError
from corpuscle.report.page import write_report

MakeRun = Callable[..., Path]
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """The page as elements: which there are, what they point to, whether they are closed, and the text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.unnamed_images = 0
        self.text = ""
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        assert not self.open, "elements left open"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append(tag)
        self.addresses += [
            values[key] or "" for key in ("src", "href", "xlink:href", "srcset", "action") if key in values
        ]
        self.ids += [values["id"] or ""] if "id" in values and tag not in {"path", "clippath"} else []
        self.unnamed_images += tag == "img" and "alt" not in values
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data

    @property
    def words(self) -> str:
        return " ".join(self.text.replace("\xa0", " ").split())


def test_a_finished_run_has_every_section_and_its_figures(make_run: MakeRun) -> None:
    folder = make_run()
    path = write_report(folder, title="First try")
    page = Page(path)
    assert path == folder / "report.html"
    sections = {
        "asked",
        "data",
        "training",
        "scores",
        "classes",
        "calibration",
        "pictures",
        "settings",
        "environment",
        "use",
    }
    assert sections <= set(page.ids) and len(page.ids) == len(set(page.ids))
    for part in ("First try", "resnet18 was trained", "of the test images correctly", "AUROC0.962", "0.932 to 0.977"):
        assert part in page.words
    for part in (
        "truncated JPEG",
        "copy the file again",
        "labels that disagree",
        "temperature is 1.37",
        "recipe leukemia",
    ):
        assert part in page.words
    for part in (
        "4 settings left at the default",
        "9a3f5e0c2b7d",
        "Not a medical device",
        "corpuscle predict",
        "the processor computes it",
    ):
        assert part in page.words
    assert "optimistic" not in page.words
    names = {"classes", "loss", "accuracy", "learning-rate", "scores", "recall", "confusion", "calibration"}
    assert {figure.stem for figure in (folder / "figures").glob("*.png")} == names
    assert not list(folder.rglob("*.part"))


def test_the_page_needs_nothing_from_outside_and_runs_no_script(make_run: MakeRun) -> None:
    page = Page(write_report(make_run()))
    assert page.addresses and all(address.startswith(("#", "data:image/jpeg")) for address in page.addresses)
    assert "script" not in page.tags and "@import" not in page.source and "url(http" not in page.source
    assert page.unnamed_images == 0


def test_names_from_the_data_are_escaped(make_run: MakeRun) -> None:
    page = Page(write_report(make_run(), title="<img src=x onerror=alert(1)>"))
    assert "<script" not in page.source and "<img src=x" not in page.source
    assert "<script>alert(1)</script>" in page.text and "<b>BA_1</b>" in page.text and "my <images>" in page.text


@pytest.mark.slow
def test_headings_go_down_one_step_at_a_time(make_run: MakeRun) -> None:
    levels = [int(tag[1]) for tag in Page(write_report(make_run())).tags if tag in {"h1", "h2", "h3", "h4"}]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_a_run_scored_on_validation_only_says_that_it_is_optimistic(make_run: MakeRun) -> None:
    page = Page(write_report(make_run(parts=("val",), classes=("ill", "well"))))
    assert "The best epoch was chosen on these images, so they are optimistic" in page.words
    assert "of the validation images correctly" in page.words


def test_an_interrupted_run_reports_what_there_is(make_run: MakeRun) -> None:
    folder = make_run()
    for name in ("metrics.json", "predictions.csv"):
        (folder / name).unlink()
    page = Page(write_report(folder))
    assert "This run has not finished" in page.words and "The best epoch so far is 9" in page.words
    assert "training" in page.ids and "scores" not in page.ids


def test_an_evaluation_folder_with_nothing_but_scores_has_a_page(make_run: MakeRun) -> None:
    folder = make_run()
    for name in ("log.csv", "plan.json", "samples.csv", "environment.json", "fingerprint.json"):
        (folder / name).unlink()
    page = Page(write_report(folder))
    assert "report of an evaluation" in page.words and "scores" in page.ids and "training" not in page.ids


@pytest.mark.slow
def test_images_that_are_gone_leave_their_names(make_run: MakeRun) -> None:
    folder = make_run()
    shutil.rmtree(folder.parent / "run images")
    page = Page(write_report(folder))
    assert "could not be read again" in page.words and "image not found" in page.words and "細胞" in page.words


@pytest.mark.slow
def test_ten_thousand_predictions_and_a_thousand_faults_stay_under_ten_megabytes(make_run: MakeRun) -> None:
    folder = make_run(scored=10_000)
    fingerprint = json.loads((folder / "fingerprint.json").read_text(encoding="utf-8"))
    fingerprint["faults"] *= 1000
    fingerprint["copies"] *= 1000
    (folder / "fingerprint.json").write_text(json.dumps(fingerprint))
    path = write_report(folder)
    assert path.stat().st_size < 2_000_000
    assert "And 950 more" in Page(path).words


@pytest.mark.slow
def test_many_classes_and_a_single_epoch_have_a_page(make_run: MakeRun) -> None:
    page = Page(write_report(make_run(classes=[f"class {k}" for k in range(100)], epochs=1, scored=200)))
    assert "12 of 100 classes" in page.words and "for 1 epoch." in page.words


def test_what_is_no_run_gets_no_page(tmp_path: Path) -> None:
    with pytest.raises(CorpuscleError, match="expected a run folder"):
        write_report(tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_the_doctor_found_is_told_beside_faults_and_copies(make_run: MakeRun) -> None:
    folder = make_run()
    fingerprint = json.loads((folder / "fingerprint.json").read_text())
    dark = {"kind": "dark", "what": "a/<b>.png: its brightness is 0.02", "remedy": "look at it"}
    copies = {"kind": "copies", "what": "x, y", "remedy": "keep one"}
    fingerprint |= {"found": {"dark": 60, "copies": 1}, "findings": [dark] * 50 + [copies]}
    (folder / "fingerprint.json").write_text(json.dumps(fingerprint))
    page = Page(write_report(folder))
    assert "Worth a look" in page.words and "Images too dark: 60" in page.words and "And 10 more." in page.words
    assert "a/<b>.png: its brightness is 0.02" in page.words and "Images with identical pixels: 1" not in page.words
    assert "corpuscle inspect DATA --html page.html" in page.words
