"""What every layout of a data set must keep."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest

from corpuscle.core.errors import DataFault
from corpuscle.data.sources import scan
from corpuscle.data.sources.layouts import LAYOUTS
from corpuscle.data.table import COLUMNS

ROWS = "image,label\n" + "".join(f"{label}/{n}.png,{label}\n" for label in "ba" for n in (10, 9))
IMAGES = [f"{label}/{n}.png" for label in "ab" for n in (9, 10)]
EXAMPLES = {
    "one folder per class": dict.fromkeys(IMAGES, ""),
    "train, val and test folders": {f"{part}/{name}": "" for part in ("train", "val", "test") for name in IMAGES},
    "one CSV": {"x/all.csv": ROWS} | {f"x/{name}": "" for name in IMAGES},
    "train, valid and test CSVs": {"train.csv": ROWS, "test.csv": "image\nc.png\n", "c.png": ""}
    | dict.fromkeys(IMAGES, ""),
}


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> str:
    """The name of each layout."""
    assert request.param in EXAMPLES, f"add an example of '{request.param}' so that its contract is tested"
    return request.param


@pytest.fixture
def path(layout: str, tmp_path: Path) -> Path:
    """An example of the layout on disk."""
    for name, text in EXAMPLES[layout].items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path / "x" / "all.csv" if layout == "one CSV" else tmp_path


def test_every_layout_is_recognised(layout, path):
    assert scan(path).layout == layout


def test_every_layout_gives_the_same_rows_twice_sorted_by_path(path):
    table = scan(path)
    assert table.frame.equals(scan(path).frame)
    assert table.frame["image"].is_sorted()
    assert table.frame["image"].is_unique().all()
    assert table.classes == ("a", "b")


def test_every_layout_gives_the_columns_of_the_table(path):
    table = scan(path)
    assert table.frame.schema == COLUMNS
    assert set(table.frame["split"]) <= {"train", "val", "test", "unlabelled", None}
    assert table.frame.filter(pl.col("label").is_null() != (pl.col("split").fill_null("") == "unlabelled")).is_empty()
    assert table.frame["source"].null_count() == 0


def test_every_layout_names_images_that_exist_and_opens_none(path, monkeypatch):
    monkeypatch.setattr("PIL.Image.open", None)
    monkeypatch.setattr("corpuscle.data.readers.image.decode", None)
    table = scan(path)
    assert all(table.path_of(image).is_file() for image in table.frame["image"])


def test_every_layout_refuses_a_single_class_by_name(path, tmp_path):
    for table in tmp_path.rglob("*.csv"):
        table.write_text("".join(line for line in table.read_text().splitlines(True) if not line.endswith(",b\n")))
    for folder in [folder for folder in tmp_path.rglob("b") if folder.is_dir()]:
        shutil.rmtree(folder)
    with pytest.raises(DataFault, match=r"a single class \('a'\), at least 2 were expected"):
        scan(path)
