"""The right fields are chosen, the dots lie on their pixels and the density on its image."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from corpuscle.core.records import Pixels
from corpuscle.report import pictures_count
from corpuscle.report.pictures_count import Album
from corpuscle.report.run_data import RunData, read_run

MakeRun = Callable[..., Path]
ROWS = pl.DataFrame(
    {
        "image": ["few", "many", "none", "exact"],
        "true_a": [4.0, 400.0, 0.0, 9.0],
        "count_a": [8.0, 420.0, 0.5, 9.0],
        "low_a": [6.0, 390.0, None, 8.0],
        "high_a": [10.0, 450.0, None, 10.0],
    }
)


def test_the_worst_are_furthest_off_for_the_root_of_their_count() -> None:
    assert pictures_count.furthest_off(ROWS, ["a"], 9)["image"].to_list() == ["few", "many", "none"]


def test_the_least_sure_have_the_widest_interval_and_those_without_one_are_left_out() -> None:
    assert pictures_count.least_sure(ROWS, ["a"], 9)["image"].to_list() == ["many", "few", "exact"]


def test_the_sample_goes_from_few_objects_to_many_and_is_seeded() -> None:
    frame = pl.DataFrame({"image": [str(n) for n in range(90)], "true_a": [float(n) for n in range(90)]})
    sample = pictures_count.sample_over_counts(frame, ["a"], 9, seed=1)
    assert [int(n) // 10 for n in sample["image"]] == list(range(9))
    assert sample.equals(pictures_count.sample_over_counts(frame, ["a"], 9, seed=1))
    assert not sample.equals(pictures_count.sample_over_counts(frame, ["a"], 9, seed=2))
    assert len(pictures_count.sample_over_counts(frame.head(3), ["a"], 9)) == 3


def run_with(folder: Path, points: list[tuple[str, float, float]], heatmaps: dict | None = None) -> RunData:
    rows = [{"image": "i", "what": what, "kind": "a", "x": x, "y": y, "score": None} for what, x, y in points]
    return RunData(
        folder, ("a",), None, {}, None, None, None, task="count", points=pl.DataFrame(rows), heatmaps=heatmaps or {}
    )


def row() -> pl.DataFrame:
    return pl.DataFrame({"image": ["i"], "true_a": [2.0], "count_a": [2.2], "low_a": [1.0], "high_a": [4.0]})


def read(path: Path) -> Pixels:
    return Pixels(np.full((100, 200, 3), 200, np.uint8))


def test_a_dot_lies_in_the_middle_of_its_pixel(tmp_path: Path) -> None:
    run = run_with(tmp_path, [("found", 10.0, 20.0), ("true", 10.0, 20.0), ("true", 0.0, 0.0)])
    (field,) = Album(run, read).fields(row())
    true, found = field.marks
    assert (true.what, true.number, found.what, found.number) == ("true", 2, "found", 1)
    x, y, radius = (float(n) for n in re.match(r"M([\d.-]+) ([\d.-]+)a([\d.]+)", found.path).groups())  # type: ignore[union-attr]
    assert (x + radius, y) == pytest.approx((10.5, 20.5), abs=0.06)
    x, y, arm = (float(n) for n in re.match(r"M([\d.-]+) ([\d.-]+)l([\d.]+)", true.path).groups())  # type: ignore[union-attr]
    assert (x + arm / 2, y + arm / 2) == pytest.approx((10.5, 20.5), abs=0.06)


def test_more_dots_than_a_picture_holds_are_cut_at_the_surest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures_count, "MOST_DOTS", 1)
    dots = pl.DataFrame({"x": [1.0, 50.0], "y": [1.0, 60.0], "score": [0.1, 0.9]})
    assert pictures_count._path("found", dots, 2.0).startswith("M48.5 60.5a")


def test_each_image_is_read_once_and_one_that_cannot_be_read_keeps_its_numbers(tmp_path: Path) -> None:
    asked = []

    def refuse(path: Path) -> Pixels:
        asked.append(path.name)
        raise OSError

    album = Album(run_with(tmp_path, [("true", 1.0, 1.0)]), refuse)
    for _ in range(2):
        (field,) = album.fields(row())
    assert asked == ["i"] and field.uri is None and field.marks == () and field.counts[0].holds is True


@pytest.mark.parametrize(
    ("cells", "shrink", "step"), [((25, 50), 1, 4), ((32, 64), 1, 4), ((100, 200), 1, 1), ((13, 25), 2, 8)]
)
def test_the_density_lies_on_its_image_whatever_its_stride_and_margin(
    tmp_path: Path, cells: tuple[int, int], shrink: int, step: int
) -> None:
    density = np.zeros(cells, np.uint8)
    density[80 // step, 40 // step] = 255
    (tmp_path / "heatmaps").mkdir()
    Image.fromarray(density).save(tmp_path / "heatmaps" / "i.png")
    run = run_with(tmp_path, [], {"i": {"file": "i.png", "full": 0.5, "shrink": shrink}})
    (one,) = Album(run, read).densities(row(), 5)
    assert one.most == pytest.approx(0.5 * 10_000 / step**2)
    colours = np.asarray(Image.open(io.BytesIO(base64.b64decode(one.uri.split(",")[1]))), float)
    y, x = np.unravel_index(colours[..., :2].sum(-1).argmax(), colours.shape[:2])
    assert colours.shape == (100, 200, 3) and abs(y - 80) <= step and abs(x - 40) <= step


def test_a_density_that_is_gone_is_left_out(make_count_run: MakeRun) -> None:
    folder = make_count_run(images=4)
    run = read_run(folder)
    next((folder / "heatmaps").glob("*.png")).unlink()
    assert len(Album(run, lambda path: Pixels(np.zeros((48, 64, 3), np.uint8))).densities(run.predictions, 9)) == 2  # type: ignore[arg-type]
