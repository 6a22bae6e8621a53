"""Whatever preparation does to an image, a map of the canvas comes back to the place it belongs to."""

from __future__ import annotations

import numpy as np
import pytest

from corpuscle.data.prepare import PreparePlan
from corpuscle.engine.explain.placement import place

PLANS = {
    "pad": PreparePlan(size=64),
    "crop": PreparePlan(size=64, fit="crop"),
    "stretch": PreparePlan(size=64, fit="stretch"),
    "keep": PreparePlan(fit="keep", shrink=4),
    "centre": PreparePlan(size=64, centre_crop=0.7),
    "centre and crop": PreparePlan(size=64, centre_crop=0.6, fit="crop"),
    "border": PreparePlan(size=64, trim_border=True),
    "border, centre and stretch": PreparePlan(size=64, trim_border=True, centre_crop=0.8, fit="stretch"),
}


def picture(height, width, border=(0, 0)):
    """Two smooth channels that tell row and column, and a black surround."""
    row_HW, column_HW = np.mgrid[0:height, 0:width]
    image_HWC = np.stack([60 + 180 * row_HW / height, 60 + 180 * column_HW / width, row_HW * 0 + 200], axis=2)
    down, right = border
    image_HWC[:down] = image_HWC[height - down :] = 0
    image_HWC[:, :right] = image_HWC[:, width - right :] = 0
    return image_HWC.round().astype(np.uint8)


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("size", [(150, 101), (90, 200), (45, 60), (128, 128)])
def test_a_canvas_laid_back_is_its_image_wherever_the_net_saw_it(name, size):
    border = (8, 5) if "border" in name else (0, 0)
    image_HWC = picture(*size, border)
    placed = place(image_HWC, PLANS[name])
    top, left, height, width = placed.seen
    back_HWC = np.stack([placed.laid_back(placed.canvas_HWC[..., c]) for c in range(3)], axis=2)
    assert back_HWC.shape == image_HWC.shape
    inner = np.s_[top + 6 : min(top + height, size[0]) - 6, left + 6 : min(left + width, size[1]) - 6]
    assert image_HWC[inner].size
    np.testing.assert_allclose(back_HWC[inner], image_HWC[inner], atol=4)


def test_what_the_net_did_not_see_is_as_cold_as_the_coldest():
    placed = place(picture(60, 100), PreparePlan(size=32, fit="crop"))
    map_HW = placed.laid_back(np.array([[0.5, 1.0], [1.0, 2.0]]))
    assert placed.seen == (0, 20, 60, 60)
    assert (map_HW[:, :20] == 0.5).all() and (map_HW[:, 80:] == 0.5).all() and map_HW[:, 20:80].max() == 2.0


def test_at_its_own_size_an_image_is_only_filled_up():
    image_HWC = picture(70, 45)
    placed = place(image_HWC, PLANS["pad"], "native")
    assert placed.canvas_HWC.shape == (96, 64, 3)
    assert np.array_equal(placed.canvas_HWC[:70, :45], image_HWC)
    assert np.array_equal(placed.laid_back(placed.canvas_HWC[..., 0]), image_HWC[..., 0])
