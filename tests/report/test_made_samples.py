"""The pictures that steps made, on the page of their run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from corpuscle.report.made_samples import ACROSS, made_samples
from corpuscle.report.page import write_report
from corpuscle.report.run_data import read_run

MakeRun = Callable[..., Path]


def with_made(folder: Path, number: int = 6) -> Path:
    """The run with so many made pictures, white from black."""
    (folder / "made").mkdir()
    items = []
    for place in range(number):
        files = {"picture": f"{place}.png", "original": f"{place}_of.png"}
        for file, level in zip(files.values(), (255, 0), strict=True):
            Image.fromarray(np.full((8, 8, 3), level, np.uint8)).save(folder / "made" / file)
        row = {"image": f"{place}.png (background removed)", "label": "<b>", "step": "background removed"}
        items.append(row | {"of": f"{place}.png", "donor": None} | files)
    (folder / "made" / "index.json").write_text(json.dumps({"items": items}))
    return folder


def test_each_pair_is_drawn_with_the_original_on_the_left(make_run: MakeRun) -> None:
    figure = made_samples(read_run(with_made(make_run())))
    assert figure is not None
    filled = [axes for axes in figure.axes if axes.images]
    assert len(figure.axes) == 2 * ACROSS and len(filled) == 6
    both_HWC = filled[0].images[0].get_array()
    assert both_HWC.shape == (8, 16, 3) and both_HWC[:, :8].max() == 0 and both_HWC[:, 8:].min() == 255
    assert filled[0].get_title() == "<b>: background removed"


def test_the_report_shows_them_and_the_figure_is_a_file_of_the_run(make_run: MakeRun) -> None:
    folder = with_made(make_run())
    page = write_report(folder).read_text(encoding="utf-8")
    assert "Images made for training, the original on the left" in page and "<b>: background" not in page
    assert (folder / "figures" / "made_samples.png").is_file()


def test_a_run_without_them_has_no_such_figure(make_run: MakeRun) -> None:
    folder = make_run()
    assert made_samples(read_run(folder)) is None
    assert "Images made for training" not in write_report(folder).read_text(encoding="utf-8")


def test_pictures_that_are_gone_are_left_out(make_run: MakeRun) -> None:
    folder = with_made(make_run())
    for place in range(6):
        (folder / "made" / f"{place}.png").unlink()
        figure = made_samples(read_run(folder))
        assert (None if figure is None else sum(bool(axes.images) for axes in figure.axes)) == (5 - place or None)
