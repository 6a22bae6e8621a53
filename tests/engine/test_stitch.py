"""Tiles give what one pass gives, whatever the image's size and the tiles'."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from corpuscle.data.readers.windows import ArrayWindows, open_windows
from corpuscle.engine.stitch import Scale, by_tiles, density_by_tiles, mask_by_tiles, read_canvas, spans
from corpuscle.nets.zoo import NetPlan, build
from corpuscle.synth.tiff import write_tiled

MEAN_3, STD_3 = np.array([0.5, 0.4, 0.6]), np.array([0.2, 0.25, 0.3])
CPU = torch.device("cpu")


class Encoder(nn.Module):
    """Down by four and half up again: two scales, zero padding, and a grid that matters."""

    stride, multiple, reach = 2, 4, 24

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Conv2d(3, 6, 3, 2, 1)
        self.coarse = nn.Sequential(nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 6, 3, 1, 1), nn.ReLU())
        self.up = nn.Upsample(scale_factor=2, mode="bilinear")

    def forward(self, image_NCHW):
        fine_NCHW = self.fine(image_NCHW)
        return fine_NCHW + self.up(self.coarse(fine_NCHW))


class Net(nn.Module):
    gives_masks = False
    stride, multiple = Encoder.stride, Encoder.multiple
    reach = property(lambda self: self.encoder.reach)

    def __init__(self, kinds: int = 2) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder = Encoder()
        self.head = nn.Sequential(nn.Conv2d(6, kinds, 3, 1, 1), nn.BatchNorm2d(kinds), nn.Softplus())

    def forward(self, image_NCHW):
        return self.head(self.encoder(image_NCHW))


def picture(height, width, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, (height, width, 3), dtype=dtype)


def density(array_HWC, tile, views=1, shrink=1, net=None):
    return density_of(net or Net(), ArrayWindows(array_HWC), tile, views, shrink)


def density_of(net, windows, tile, views=1, shrink=1):
    return density_by_tiles(net, windows, Scale(shrink, MEAN_3, STD_3, views), CPU, tile)


@pytest.mark.parametrize("views", [1, 4, 8])
@pytest.mark.parametrize(("size_HW", "shrink"), [((201, 137), 1), ((96, 300), 2), ((211, 123), 4)])
def test_tiles_equal_one_pass(size_HW, shrink, views):
    array_HWC = picture(*size_HW)
    whole_KHW = density(array_HWC, 4096, views, shrink)
    tiles_KHW = density(array_HWC, 32, views, shrink)
    assert whole_KHW.dtype == np.float32
    assert whole_KHW.shape == (2, *(math.ceil(math.ceil(side / shrink) / 2) for side in size_HW))
    np.testing.assert_allclose(tiles_KHW, whole_KHW, rtol=1e-4, atol=1e-6)
    assert tiles_KHW.sum() == pytest.approx(whole_KHW.sum(), rel=1e-5)


@pytest.mark.parametrize("plan", [{}, {"widths": (8, 16, 16, 32), "stride": 4}, {"widths": (8,), "stride": 1}])
def test_the_net_that_counts_gives_the_same_by_tiles(plan):
    torch.manual_seed(0)
    net = build(NetPlan(model="unet", head="density", **plan), num_outputs=2, size=0)
    array_HWC = picture(230, 300)
    whole_KHW, tiles_KHW = (density(array_HWC, tile, views=4, net=net) for tile in (4096, 64))
    np.testing.assert_allclose(tiles_KHW, whole_KHW, rtol=1e-4, atol=1e-5 * np.abs(whole_KHW).max())


@pytest.mark.parametrize(
    "plan", [{"widths": (8, 16, 16), "stride": 1}, {"widths": (8, 16), "stride": 2}, {"widths": (8,), "stride": 4}]
)
@pytest.mark.parametrize(("size_HW", "shrink", "views"), [((230, 301), 1, 8), ((311, 203), 2, 1)])
def test_the_net_that_segments_gives_the_same_by_tiles(plan, size_HW, shrink, views):
    torch.manual_seed(0)
    net = build(NetPlan(model="unet", head="mask", **plan), num_outputs=4, size=0)
    windows, scale = ArrayWindows(picture(*size_HW)), Scale(shrink, MEAN_3, STD_3, views)
    whole_HW, tiles_HW = (mask_by_tiles(net, windows, scale, CPU, tile) for tile in (4096, 48))
    assert whole_HW.dtype == np.uint8 and whole_HW.shape == tuple(-(-side // shrink) for side in size_HW)
    assert len(np.unique(whole_HW)) > 1, "one class alone would have no seam"
    assert (tiles_HW != whole_HW).mean() < 1e-4, "but for ties"
    (one,) = by_tiles(net, windows, scale, CPU, 4096)
    for seen in by_tiles(net, windows, scale, CPU, 48):
        np.testing.assert_allclose(seen.map_KHW, one.map_KHW[:, seen.rows, seen.columns], atol=1e-5)
        np.testing.assert_allclose(seen.map_KHW.sum(axis=0), 1, atol=1e-5)


def test_one_tile_is_the_net_on_the_normalised_image():
    array_HWC, net = picture(64, 48, np.uint16), Net().eval()
    image_HWC = (array_HWC.astype(np.float64) / 65535 - MEAN_3) / STD_3
    with torch.inference_mode():
        expected_KHW = net(torch.from_numpy(image_HWC.astype(np.float32)).permute(2, 0, 1)[None])[0].numpy()
    np.testing.assert_allclose(density(array_HWC, 4096), expected_KHW, rtol=1e-4, atol=1e-6)


def test_the_views_are_put_back_upright():
    array_HWC = picture(40, 64)
    seen_KHW = density(array_HWC, 4096, views=8)
    np.testing.assert_allclose(density(array_HWC[:, ::-1], 4096, views=8)[:, :, ::-1], seen_KHW, rtol=1e-4)
    turned_KHW = density(np.rot90(array_HWC), 4096, views=8)
    np.testing.assert_allclose(np.rot90(turned_KHW, -1, axes=(1, 2)), seen_KHW, rtol=1e-4)
    assert np.abs(density(array_HWC[:, ::-1], 4096)[:, :, ::-1] - seen_KHW).max() > 1e-3, "one view would do"


def test_a_margin_smaller_than_the_reach_would_be_seen(monkeypatch):
    array_HWC = picture(96, 96)
    whole_KHW = density(array_HWC, 4096)
    monkeypatch.setattr(Encoder, "reach", 0)
    assert np.abs(density(array_HWC, 32) - whole_KHW).max() > 1e-3


@pytest.mark.parametrize("size_HW", [(1, 1), (1, 9), (3, 2), (5, 40)])
def test_images_smaller_than_the_padding_have_a_density(size_HW):
    seen_KHW = density(picture(*size_HW), 32, views=8)
    assert seen_KHW.shape == (2, -(-size_HW[0] // 2), -(-size_HW[1] // 2))
    assert np.isfinite(seen_KHW).all()


def test_a_file_read_by_tiles_has_the_density_of_the_array(tmp_path):
    array_HWC = picture(190, 230)
    write_tiled(tmp_path / "a.tiff", (190, 230), [array_HWC], side=64)
    with open_windows(tmp_path / "a.tiff") as windows:
        seen_KHW = density_of(Net(), windows, 32, shrink=2)
    np.testing.assert_array_equal(seen_KHW, density(array_HWC, 32, shrink=2))


def test_the_net_computes_in_the_callers_precision():
    array_HWC = picture(64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        seen_KHW = density(array_HWC, 4096)
    expected_KHW = density(array_HWC, 4096)
    assert seen_KHW.dtype == np.float32 and not np.array_equal(seen_KHW, expected_KHW)
    assert seen_KHW.sum() == pytest.approx(expected_KHW.sum(), rel=0.02)


def test_the_canvas_is_mirrored_about_its_last_pixel():
    array_HWC = picture(5, 7)
    canvas_HWC = read_canvas(ArrayWindows(array_HWC), 1, (0, 8), (4, 12))
    np.testing.assert_array_equal(canvas_HWC, array_HWC[[0, 1, 2, 3, 4, 3, 2, 1]][:, [4, 5, 6, 5, 4, 3, 2, 1]])


@pytest.mark.parametrize("side", [1, 31, 32, 33, 1000, 20_011])
@pytest.mark.parametrize(("tile", "multiple", "reach"), [(64, 16, 20), (512, 32, 93), (8, 32, 1)])
def test_spans_cover_a_side_once_on_the_grid(side, tile, multiple, reach):
    cut = spans(side, tile, multiple, reach)
    assert [span.start for span in cut] == [0, *(span.stop for span in cut[:-1])]
    whole = cut[-1].stop
    assert side <= whole < side + multiple
    for span in cut:
        assert {value % multiple for value in (span.start, span.stop, span.low, span.high)} == {0}
        assert 0 < span.stop - span.start <= max(tile, multiple)
        assert span.low == 0 or span.start - span.low >= reach
        assert span.high == whole or span.high - span.stop >= reach
