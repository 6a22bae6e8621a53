"""The page of a net that learned from images alone: its words, its curves, and what it made again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from corpuscle.metrics.means import PAIRED, REMADE, as_part, score_means
from corpuscle.report.compare import compare_runs, write_comparison
from corpuscle.report.page import write_report

COLUMN = {"reconstruct": "ssim", "contrast": "retrieval"}


@pytest.fixture
def make(tmp_path):
    """A function that writes a run folder of a task, finished or not."""

    def write(task: str, name: str = "run", finished: bool = True) -> Path:
        folder = tmp_path / name
        (folder / "examples").mkdir(parents=True)
        log = {"epoch": [1, 2], "stage": [1, 1], "train": ["all"] * 2, "learning_rate": [0.1, 0.05]}
        curves = {f"{part}_{column}": [0.5, 0.25] for part in ("train", "val") for column in ("loss", COLUMN[task])}
        pl.DataFrame(log | curves | {"seconds": [1.0] * 2, "best": [True, False]}).write_csv(folder / "log.csv")
        facts = {
            "task": task,
            "layout": "a folder of images",
            "classes": {"image": {"train": 80, "val": 20, "test": 20}},
        }
        (folder / "fingerprint.json").write_text(json.dumps(facts))
        if finished:
            metrics = REMADE if task == "reconstruct" else PAIRED
            value_NC = np.random.default_rng(0).random((20, 2)) / 10 + 0.8
            parts = {part: as_part(score_means(value_NC, None, metrics)) for part in ("val", "test")}
            content = {"task": task, "classes": ["image"], "parts": parts}
            (folder / "metrics.json").write_text(json.dumps(content))
        items = []
        for number in range(3 if task == "reconstruct" else 0):
            files = {"picture": f"{number}.png", "said": f"{number}_said.png"}
            for file in files.values():
                Image.new("RGB", (16, 16), (50 * number, 9, 9)).save(folder / "examples" / file)
            items.append({"image": f"<b>/{number}.png", "part": "test", "mae": 0.1, "ssim": 0.5 + number / 10, **files})
        if items:
            (folder / "examples" / "index.json").write_text(json.dumps({"items": items}))
        return folder

    return write


def words_of(page: Path) -> str:
    return " ".join(page.read_text(encoding="utf-8").replace("\xa0", " ").replace("&nbsp;", " ").split())


def test_an_autoencoders_page_shows_what_it_made_again(make):
    folder = make("reconstruct")
    words = words_of(write_report(folder))
    assert "was trained on 80 images without labels for 2 epochs" in words
    assert "makes the test images again with an SSIM of 0.8" in words
    assert words.count("as it was made again") == 3 and "SSIM 0.700" in words
    assert "<b>/2.png" not in words and "&lt;b&gt;/2.png" in words
    assert {path.stem for path in (folder / "figures").iterdir()} == {"loss", "ssim", "learning-rate"}


def test_a_contrastive_nets_page_says_what_its_numbers_do_not(make):
    folder = make("contrast")
    words = words_of(write_report(folder))
    assert "images' views, the nearest in the batch is the other view of the same image" in words.replace("&#39;", "'")
    assert (
        "not how useful the features are" in words
        and "with <code>--weights</code>." in words
        and "corpuscle evaluate" not in words
    )
    assert {path.stem for path in (folder / "figures").iterdir()} == {"loss", "retrieval", "learning-rate"}


@pytest.mark.parametrize(
    ("task", "said"), [("contrast", "25.0 % of views are found"), ("reconstruct", "SSIM of 0.250")]
)
def test_a_run_under_way_says_how_far_it_is(task, said, make):
    folder = make(task, finished=False)
    log = pl.read_csv(folder / "log.csv").with_columns(best=pl.Series([False, True]))
    log.write_csv(folder / "log.csv")
    words = words_of(write_report(folder))
    assert said in words and "This run has not finished" in words


def test_pictures_that_are_gone_are_left_out(make):
    folder = make("reconstruct")
    (folder / "examples" / "1_said.png").unlink()
    assert words_of(write_report(folder)).count("as it was made again") == 2


@pytest.mark.parametrize("task", COLUMN)
def test_two_of_a_kind_stand_side_by_side(task, make, tmp_path):
    comparison = compare_runs([make(task, "a"), make(task, "b")])
    words = words_of(write_comparison(comparison, tmp_path / "page"))
    assert {"SSIM", "Mean absolute error"} <= set(words.replace(">", "<").split("<")) or task == "contrast"
    assert (tmp_path / "page" / "figures" / f"val-{COLUMN[task]}.png").is_file()
