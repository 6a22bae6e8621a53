"""Maps of images of any size: tile by tile, and equal to one pass over the whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from corpuscle.core.progress import SILENT, Progress
from corpuscle.data.loader import IDENTITY_34, Batch
from corpuscle.data.prepare import shrunk
from corpuscle.data.readers.windows import Windows
from corpuscle.data.transforms import normalised
from corpuscle.nets.net import Net

TILE = 768  # side of a tile's inner part in pixels of the canvas; larger ones need more memory and gain little
FLIPS: tuple[tuple[int, ...], ...] = ((), (3,), (2,), (2, 3))  # axes of N, C, H, W


@dataclass(frozen=True)
class Span:
    """One tile along one side of the canvas.

    Attributes:
        start, stop: the inner part, which is kept.
        low, high: with the margin, which the net sees besides.
    """

    start: int
    stop: int
    low: int
    high: int

    def at(self, stride: int) -> slice:
        """Where the inner part lies in the map."""
        return slice(self.start // stride, self.stop // stride)


@dataclass(frozen=True)
class Scale:
    """How an image becomes what the net sees.

    Attributes:
        shrink: pixels of the image to one of the canvas, along each side.
        mean_3, std_3: normalisation, on values from 0 to 1.
        views: 1, 4 or 8 mirrored and turned views, whose mean is taken.
    """

    shrink: int
    mean_3: np.ndarray
    std_3: np.ndarray
    views: int = 1


@dataclass(frozen=True)
class Seen:
    """What a net says of the inner part of one tile.

    Attributes:
        rows, columns: the inner part, in pixels of the map.
        map_KHW: of it, float32; the last tiles may reach beyond the image.
    """

    rows: slice
    columns: slice
    map_KHW: np.ndarray


def density_by_tiles(
    net: Net,
    windows: Windows,
    scale: Scale,
    device: torch.device,
    tile: int = TILE,
    progress: Progress = SILENT,
) -> np.ndarray:
    """Density of the objects in an image of any size; the sum of the map is the count.

    No object is counted twice or lost where tiles meet: see `by_tiles`.

    Returns:
        density_KHW, float32; one of its pixels is `shrink` times `net.stride` pixels of the image, and the last row and
        column may reach beyond it.

    Raises:
        UnreadableImage: a part of the image is damaged.
    """
    density_KHW: np.ndarray | None = None
    for seen in by_tiles(net, windows, scale, device, tile, progress):
        if density_KHW is None:
            map_HW = (-(-side // net.stride) for side in canvas_of(windows, scale.shrink))
            density_KHW = np.zeros((len(seen.map_KHW), *map_HW), np.float32)
        kept_KHW = density_KHW[:, seen.rows, seen.columns]
        kept_KHW[:] = seen.map_KHW[:, : kept_KHW.shape[1], : kept_KHW.shape[2]]
    assert density_KHW is not None  # an image has a pixel
    return density_KHW


def mask_by_tiles(
    net: Net,
    windows: Windows,
    scale: Scale,
    device: torch.device,
    tile: int = TILE,
    progress: Progress = SILENT,
) -> np.ndarray:
    """The most probable class of each pixel of the canvas, mask_HW, uint8; without seams: see `by_tiles`.

    Raises:
        UnreadableImage: a part of the image is damaged.
    """
    mask_HW = np.zeros(canvas_of(windows, scale.shrink), np.uint8)
    for seen in by_tiles(net, windows, scale, device, tile, progress):
        kept_HW = mask_HW[seen.rows, seen.columns]
        kept_HW[:] = seen.map_KHW.argmax(axis=0)[: kept_HW.shape[0], : kept_HW.shape[1]]
    return mask_HW


def canvas_of(windows: Windows, shrink: int) -> tuple[int, int]:
    """Height and width of an image's canvas."""
    return -(-windows.height // shrink), -(-windows.width // shrink)


def by_tiles(
    net: Net, windows: Windows, scale: Scale, device: torch.device, tile: int = TILE, progress: Progress = SILENT
) -> Iterator[Seen]:
    """What a net that gives maps says of an image of any size, tile by tile.

    The canvas is the image averaged over squares of `shrink` pixels, the border repeated up to a whole square; beyond
    the canvas lies its mirror image, up to a multiple of `net.multiple`. Tiles overlap by at least twice `net.reach`,
    start at multiples of `net.multiple`, and give only their inner part, so the maps are those of one pass over the
    whole canvas. The net computes in fp32, or in what the caller's autocast says; tiles then differ a little from one
    pass, as they do where the net sees further than its `reach` says.

    Args:
        net: image_NCHW to densities_NKhw, or to logits_NKHW, which become probabilities.
        windows: the image.
        scale: how it becomes what the net sees.
        device: where the net is.
        tile: side of the inner part of a tile at most, in pixels of the canvas.
        progress: told of each tile, where there are several.

    Raises:
        UnreadableImage: a part of the image is damaged.
    """
    net.eval()
    canvas_HW = canvas_of(windows, scale.shrink)
    rows, columns = (spans(side, tile, net.multiple, net.reach) for side in canvas_HW)
    pairs = [(row, column) for row in rows for column in columns]
    told = progress if len(pairs) > 1 else SILENT
    for row, column in told.track(pairs, "reading tiles", len(pairs)):
        tile_HWC = read_canvas(windows, scale.shrink, (row.low, row.high), (column.low, column.high))
        image_NCHW = _batch(tile_HWC, scale.mean_3, scale.std_3).to(device).image_NCHW
        with torch.inference_mode():
            seen_KHW = _mean_of_views(net, image_NCHW, scale.views)[0].cpu().numpy()
        top, left = ((span.start - span.low) // net.stride for span in (row, column))
        height, width = ((span.stop - span.start) // net.stride for span in (row, column))
        inner_KHW = seen_KHW[:, top : top + height, left : left + width]
        yield Seen(row.at(net.stride), column.at(net.stride), inner_KHW)


def spans(side: int, tile: int, multiple: int, reach: int) -> list[Span]:
    """Cut one side of a canvas into nearly equal tiles whose ends and margins are multiples of `multiple`.

    Args:
        side: of the canvas in pixels; the last tile ends at the next multiple.
        tile: most pixels of an inner part, but at least one multiple.
        multiple, reach: of the net.

    >>> spans(100, tile=64, multiple=16, reach=20)
    [Span(start=0, stop=64, low=0, high=96), Span(start=64, stop=112, low=32, high=112)]
    """
    blocks = -(-side // multiple)
    each = -(-blocks // -(-blocks // max(1, tile // multiple)))
    whole, step, margin = blocks * multiple, each * multiple, -(-reach // multiple) * multiple
    stops = ((start, min(start + step, whole)) for start in range(0, whole, step))
    return [Span(start, stop, max(0, start - margin), min(whole, stop + margin)) for start, stop in stops]


def read_canvas(windows: Windows, shrink: int, rows: tuple[int, int], columns: tuple[int, int]) -> np.ndarray:
    """A rectangle of the canvas; what lies beyond its last row and column is its mirror image.

    Args:
        windows: the image.
        shrink: pixels of the image to one of the canvas, along each side.
        rows, columns: first pixel and the one after the last.
    """
    height, width = windows.height, windows.width
    row_H = _mirrored(*rows, -(-height // shrink))
    column_W = _mirrored(*columns, -(-width // shrink))
    top, bottom = int(row_H.min()), int(row_H.max()) + 1
    left, right = int(column_W.min()), int(column_W.max()) + 1
    place = top * shrink, left * shrink
    array_HWC = windows.read(*place, min(bottom * shrink, height) - place[0], min(right * shrink, width) - place[1])
    canvas_HWC = shrunk(array_HWC, shrink)
    if (bottom - top, right - left) == (len(row_H), len(column_W)):
        return canvas_HWC
    return canvas_HWC[(row_H - top)[:, None], column_W - left]


def _mirrored(start: int, stop: int, side: int) -> np.ndarray:
    """Where in a side the pixels from start to stop lie, mirrored about its last pixel, and its first again."""
    period = max(2 * (side - 1), 1)
    place = np.arange(start, stop) % period
    return np.minimum(place, period - place) if side > 1 else np.zeros_like(place)


def _batch(tile_HWC: np.ndarray, mean_3: np.ndarray, std_3: np.ndarray) -> Batch:
    """One tile as the net's loader would give it."""
    full = float(np.iinfo(tile_HWC.dtype).max)
    colour_34 = normalised(IDENTITY_34, mean_3, std_3, full)
    stored_NHWC = torch.from_numpy(np.require(tile_HWC, requirements=["C", "W"])[None])
    nothing = torch.zeros(1, dtype=torch.int64)
    return Batch(stored_NHWC, torch.from_numpy(colour_34[None]), nothing, nothing)


def _mean_of_views(net: Net, image_NCHW: Tensor, views: int) -> Tensor:
    """Mean density, or probability, over the mirrored views, and the turned ones where there are eight, put upright."""
    total_NKHW: Tensor | None = None
    for view in range(views):
        flips, turned = FLIPS[view % 4], view >= 4
        seen_NCHW = image_NCHW.flip(flips) if flips else image_NCHW
        seen_NKHW = net(seen_NCHW.transpose(2, 3) if turned else seen_NCHW).float()
        seen_NKHW = seen_NKHW.softmax(dim=1) if net.gives_masks else seen_NKHW
        seen_NKHW = seen_NKHW.transpose(2, 3) if turned else seen_NKHW
        seen_NKHW = seen_NKHW.flip(flips) if flips else seen_NKHW
        total_NKHW = seen_NKHW if total_NKHW is None else total_NKHW + seen_NKHW
    assert total_NKHW is not None
    return total_NKHW / views
