"""What is measured on the data, against numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from corpuscle.data import fingerprint
from corpuscle.data.cache import InMemory
from corpuscle.data.fingerprint import class_counts, holdings, measure_normalisation, object_counts, sizes
from corpuscle.data.table import COLUMNS, Table


def canvases(count=12, dtype=np.uint8, size=16):
    rng = np.random.default_rng(0)
    full = np.iinfo(dtype).max
    levels = rng.uniform(0.1, 0.9, (count, 1, 1, 3))
    stored = np.clip(rng.normal(levels, 0.1, (count, size, size, 3)), 0, 1) * full
    return InMemory(dict(enumerate(stored.astype(dtype))), np.dtype(dtype))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_mean_and_deviation_are_those_of_all_pixels_of_the_places(dtype):
    stored, places = canvases(dtype=dtype), np.array([0, 3, 4, 11])
    measured = measure_normalisation(stored, places, seed=0)
    pixels = np.stack([stored[place] for place in places]).reshape(-1, 3) / np.iinfo(dtype).max
    assert np.allclose(measured.mean, pixels.mean(axis=0), atol=1e-6)
    assert np.allclose(measured.std, pixels.std(axis=0), atol=1e-6)


def test_a_constant_channel_does_not_divide_by_zero():
    black = InMemory({0: np.zeros((8, 8, 3), np.uint8)}, np.dtype(np.uint8))
    measured = measure_normalisation(black, np.array([0]), seed=0)
    assert measured.mean == (0, 0, 0) and measured.std == (1e-3, 1e-3, 1e-3)


def test_many_images_are_measured_on_some_of_them_the_same_ones_each_time(monkeypatch):
    stored, places = canvases(200, size=4), np.arange(200)
    whole = measure_normalisation(stored, places, seed=0)
    monkeypatch.setattr(fingerprint, "MOST_MEASURED", 100)
    some = [measure_normalisation(stored, places, seed) for seed in (0, 0, 1)]
    assert some[0] == some[1] != some[2]
    assert np.abs(np.subtract(some[0].mean, whole.mean)).max() < 0.05


def test_sizes_leave_out_what_could_not_be_read():
    seen = pl.DataFrame({"height": [20, 10, None, 10], "width": [30, 50, None, 50], "fault": [None, None, "bad", None]})
    assert sizes(seen) == {"min": [10, 30], "median": [10, 50], "max": [20, 50], "distinct": 2}
    assert sizes(seen.filter(pl.col("fault") == "bad")) == {"min": None, "median": None, "max": None, "distinct": 0}


def test_classes_are_counted_in_the_order_of_the_table_and_parts_that_are_empty_are_left_out():
    rows = [("1", "b", "train"), ("2", "a", "train"), ("3", "a", "test"), ("4", None, "unlabelled")]
    frame = pl.DataFrame([(i, label, None, split, "", None) for i, label, split in rows], schema=COLUMNS, orient="row")
    table = Table(frame, Path(), ("a", "b", "c"), "rows")
    assert class_counts(table) == {
        "a": {"train": 1, "test": 1},
        "b": {"train": 1, "test": 0},
        "c": {"train": 0, "test": 0},
    }
    undivided = table.with_frame(frame.with_columns(split=pl.lit(None, pl.String)))
    assert class_counts(undivided) == {"a": {"all": 2}, "b": {"all": 1}, "c": {"all": 0}}


def counted(rows):
    """A table of two kinds from image, counts and split."""
    frame = pl.DataFrame(
        [(image, None, None, split, "", None) for image, _, split in rows], schema=COLUMNS, orient="row"
    )
    counts = pl.Series("counts", [numbers for _, numbers, _ in rows], pl.List(pl.Int64))
    return Table(frame.with_columns(counts), Path(), ("b", "a"), "rows")


def test_objects_are_counted_by_kind_in_the_order_of_the_table_beside_the_images():
    table = counted([("1", [3, 0], "train"), ("2", [4, 2], "train"), ("3", [1, 1], "test"), ("4", None, "unlabelled")])
    assert object_counts(table) == {
        "b": {"train": {"images": 2, "objects": 7}, "test": {"images": 1, "objects": 1}},
        "a": {"train": {"images": 2, "objects": 2}, "test": {"images": 1, "objects": 1}},
    }
    assert list(object_counts(table)) == ["b", "a"]
    assert holdings(table) == {"counts": object_counts(table)}


def test_objects_of_a_table_that_is_not_divided_are_counted_together():
    table = counted([("1", [3, 0], None), ("2", None, None)])
    assert object_counts(table) == {
        "b": {"all": {"images": 1, "objects": 3}},
        "a": {"all": {"images": 1, "objects": 0}},
    }
    nothing = counted([("1", None, "unlabelled")])
    assert object_counts(nothing)["a"] == {"all": {"images": 0, "objects": 0}}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_canvases_of_different_sizes_are_measured_pixel_by_pixel(dtype):
    rng = np.random.default_rng(0)
    full = np.iinfo(dtype).max
    stored = {n: rng.integers(0, full // (n + 1), (9 + n, 30 - 7 * n, 3), dtype) for n in range(3)}
    measured = measure_normalisation(InMemory(stored, np.dtype(dtype)), np.arange(3), seed=0)
    pixels = np.concatenate([canvas.reshape(-1, 3) for canvas in stored.values()]) / full
    assert np.allclose(measured.mean, pixels.mean(axis=0), atol=1e-6)
    assert np.allclose(measured.std, pixels.std(axis=0), atol=1e-6)


def test_pixels_of_masks_are_counted_by_class_and_part():
    rows = [(f"{n}.png", None, None, part, "s", None) for n, part in enumerate(["train", "train", "val", "unlabelled"])]
    frame = pl.DataFrame(rows, schema=COLUMNS, orient="row").with_columns(mask=pl.col("image"))
    pixels = pl.Series("pixels", [[5, 4, 0], [9, 0, 0], [1, 1, 7], None], dtype=pl.List(pl.Int64))
    table = Table(frame.with_columns(pixels), Path(), ("background", "a", "b"), "images and masks")
    assert holdings(table) == {
        "pixels": {
            "background": {"train": {"images": 2, "pixels": 14}, "val": {"images": 1, "pixels": 1}},
            "a": {"train": {"images": 1, "pixels": 4}, "val": {"images": 1, "pixels": 1}},
            "b": {"train": {"images": 0, "pixels": 0}, "val": {"images": 1, "pixels": 7}},
        }
    }
    open_ = table.with_frame(frame.with_columns(pixels, split=pl.lit(None, pl.String)))
    assert holdings(open_)["pixels"]["a"] == {"all": {"images": 2, "pixels": 5}}
    assert holdings(table.with_frame(frame)) == {"masks": 4}
