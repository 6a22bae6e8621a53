"""Pictures of held-out images with their true and said masks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from corpuscle.core.legend import IGNORED
from corpuscle.data.table import Table
from corpuscle.engine.examples import SIDE, Examples
from corpuscle.engine.heatmaps import MOST


def examples(folder, canvases, masks):
    names = [f"{number}.png" for number in range(len(masks))]
    frame = pl.DataFrame({"image": names, "split": ["val"] * len(names)})
    return Examples(folder, Table(frame, Path(), ("background", "cell"), "masks"), canvases, masks, 2.0)


def shown(folder, canvases, masks, said):
    """Show the said mask of every image; gives the index."""
    kept = examples(folder, canvases, masks)
    show = kept.of(np.arange(len(masks)))
    for place, said_HW in enumerate(said):
        show(place, said_HW)
    kept.close()
    return json.loads((folder / "index.json").read_text())


def pixels(folder, name):
    return np.asarray(Image.open(folder / name))


def canvas(height, width, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (height, width, 3), dtype=dtype)


def test_picture_and_masks_are_those_of_the_image(tmp_path):
    true_HW, said_HW = np.array([[0, 1, 1], [0, IGNORED, 1]], np.uint8), np.array([[0, 1, 0], [0, 1, 1]], np.uint8)
    image_HWC = canvas(2, 3)
    index = shown(tmp_path / "kept", [image_HWC], [true_HW], [said_HW])
    (item,) = index["items"]
    assert index["tolerance"] == 2.0 and (item["image"], item["part"]) == ("0.png", "val")
    assert item["dice"] == pytest.approx((2 * 2 / (2 + 3) + 2 * 2 / (3 + 2)) / 2)
    for name, expected in (("picture", image_HWC), ("true", true_HW), ("said", said_HW)):
        np.testing.assert_array_equal(pixels(tmp_path / "kept", item[name]), expected)


def test_an_image_that_nobody_has_judged_has_no_dice(tmp_path):
    nothing_HW = np.full((4, 4), IGNORED, np.uint8)
    index = shown(tmp_path, [canvas(4, 4)], [nothing_HW], [np.zeros((4, 4), np.uint8)])
    assert index["items"][0]["dice"] is None


def test_sixteen_bits_are_shown_in_eight_and_large_images_thinned(tmp_path):
    image_HWC, mask_HW = canvas(8, 2 * SIDE + 1, np.uint16), np.zeros((8, 2 * SIDE + 1), np.uint8)
    mask_HW[:, ::3] = 1
    (item,) = shown(tmp_path, [image_HWC], [mask_HW], [mask_HW])["items"]
    np.testing.assert_array_equal(pixels(tmp_path, item["picture"]), image_HWC[::3, ::3] // 256)
    assert pixels(tmp_path, item["true"]).shape == pixels(tmp_path, item["said"]).shape == (3, 683)
    assert item["dice"] == 1.0, "what is judged is the whole mask"


def test_a_few_of_many_are_kept(tmp_path):
    masks = [np.zeros((4, 4), np.uint8)] * 50
    index = shown(tmp_path, [canvas(4, 4)] * 50, masks, masks)
    kept = [int(item["image"].removesuffix(".png")) for item in index["items"]]
    assert len(kept) == MOST and (kept[0], kept[-1]) == (0, 49)
    assert len(list(tmp_path.glob("*.png"))) == 3 * MOST


def test_nothing_is_written_where_nothing_was_shown(tmp_path):
    examples(tmp_path / "kept", [], []).close()
    assert not (tmp_path / "kept").exists()
