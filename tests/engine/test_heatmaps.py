"""Densities of a few held-out images as pictures."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest

from corpuscle.data.table import Table
from corpuscle.engine.heatmaps import MOST, SIDE, Heatmaps


def heatmaps(folder, images, shrink=2):
    frame = pl.DataFrame({"image": images}, schema={"image": pl.String})
    return Heatmaps(folder, Table(frame, Path(), ("p", "q"), "dots"), shrink)


def shown(folder, images, places, density_of=lambda place: np.ones((2, 4, 6))):
    """Show every density of a part; gives the index."""
    maps = heatmaps(folder, images)
    show = maps.of(np.array(places))
    for place in places:
        show(place, density_of(place))
    maps.close()
    return json.loads((folder / "index.json").read_text())


def picture(folder, entry):
    return cv2.imread(str(folder / entry["file"]), cv2.IMREAD_UNCHANGED)


def test_the_picture_times_its_full_value_is_the_density_of_all_kinds(tmp_path):
    density_KHW = np.random.default_rng(0).random((2, 9, 14)).astype(np.float32)
    density_KHW[0, 0, 0] = -3
    index = shown(tmp_path / "heat", ["a.png"], [0], lambda place: density_KHW)
    entry = index["a.png"]
    expected_HW = np.maximum(density_KHW.sum(axis=0), 0)
    assert entry == {"file": "a.png.png", "full": pytest.approx(expected_HW.max()), "shrink": 2}
    grey_HW = picture(tmp_path / "heat", entry)
    assert grey_HW.dtype == np.uint8 and grey_HW.max() == 255
    assert np.abs(grey_HW / 255 * entry["full"] - expected_HW).max() <= entry["full"] / 255


def test_a_few_of_many_are_kept_spread_over_the_part(tmp_path):
    images = [f"{n}.png" for n in range(100)]
    index = shown(tmp_path / "heat", images, list(range(20, 100)))
    kept = sorted(int(name.removesuffix(".png")) for name in index)
    assert len(kept) == MOST and (kept[0], kept[-1]) == (20, 99)
    assert max(np.diff(kept)) <= 6
    assert len(list((tmp_path / "heat").glob("*.png"))) == MOST


def test_all_of_a_few_are_kept_and_parts_share_an_index(tmp_path):
    maps = heatmaps(tmp_path, ["a.png", "b.png", "c.png"])
    for places in ([0], [2, 1]):
        show = maps.of(np.array(places))
        for place in places:
            show(place, np.ones((1, 3, 3)))
    maps.close()
    assert set(json.loads((tmp_path / "index.json").read_text())) == {"a.png", "b.png", "c.png"}


def test_names_become_file_names_and_no_two_the_same(tmp_path):
    images = ["s/1.png", "s_1.png", "t.h5#12", "/far/é.png"]
    index = shown(tmp_path, images, [0, 1, 2, 3], lambda place: np.full((1, 3, 3), place + 1.0))
    files = [index[image]["file"] for image in images]
    assert files[0] == "s_1.png.png" and files[2] == "t.h5_12.png"
    assert len(set(files)) == 4 and all("/" not in name and "#" not in name for name in files)
    assert [index[image]["full"] for image in images] == [1, 2, 3, 4]
    assert all((tmp_path / name).is_file() for name in files)


def test_a_large_map_is_thinned_and_an_empty_one_is_black(tmp_path):
    sizes = {0: (1, 3 * SIDE, 50), 1: (1, 5, 7)}
    index = shown(tmp_path, ["a", "b"], [0, 1], lambda place: np.full(sizes[place], 1.0 - place))
    assert picture(tmp_path, index["a"]).shape == (SIDE, 17)
    assert not picture(tmp_path, index["b"]).any() and index["b"]["full"] == 1


def test_where_nothing_is_shown_nothing_is_written(tmp_path):
    maps = heatmaps(tmp_path / "heat", ["a"])
    maps.of(np.array([], dtype=np.int64))
    maps.close()
    assert not (tmp_path / "heat").exists()
