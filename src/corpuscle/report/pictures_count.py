"""Which counted images to show, with their counts, the dots over them and the density beside them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

from corpuscle.core.seeds import generator_for
from corpuscle.report.figures_count import evenly_coloured
from corpuscle.report.pictures import Read, eight_bits, jpeg_uri
from corpuscle.report.run_data import RunData
from corpuscle.report.style import MARKS

SIDE = 400  # pixels of a picture's longer side
MOST_DOTS = 3000  # of one sort in a picture; the surest of more


@dataclass(frozen=True)
class Counted:
    """What was counted of one kind in one image; None stands for a truth or an interval that is not there."""

    kind: str
    true: float | None
    count: float
    low: float | None
    high: float | None

    @property
    def largest(self) -> float:
        """The largest of the numbers, whose digits all share."""
        return max(self.count, self.high or 0.0)

    @property
    def holds(self) -> bool | None:
        """Whether the interval holds the truth."""
        if self.true is None or self.low is None or self.high is None:
            return None
        return self.low <= self.true <= self.high


@dataclass(frozen=True)
class Marks:
    """The dots of one kind and sort in one image as one SVG path, in pixels of the original."""

    what: str
    kind: str
    colour: str
    number: int
    path: str


@dataclass(frozen=True)
class Field:
    """One counted image.

    Attributes:
        uri: the picture as a data URI, None where the image cannot be read.
        width, height: of the original in pixels; 0 where it cannot be read.
        counts: by kind.
        marks: the dots, where they are known.
        stroke: width of their lines, in pixels of the original.
    """

    image: str
    uri: str | None
    width: int
    height: int
    counts: tuple[Counted, ...]
    marks: tuple[Marks, ...]
    stroke: float

    @property
    def file(self) -> str:
        """The image's file name without its folders."""
        return self.image.replace("\\", "/").rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Density:
    """A picture and its density; the brightest colour stands for `most` objects in 100 × 100 pixels."""

    field: Field
    uri: str
    most: float


def sample_over_counts(predictions: pl.DataFrame, kinds: Sequence[str], limit: int, seed: int = 0) -> pl.DataFrame:
    """A random image of each of `limit` equal shares of the images in order of their true count, fewest first."""
    total = pl.sum_horizontal(pl.col(f"true_{kind}").fill_null(0.0) for kind in kinds)
    frame = predictions.with_columns(total.alias("_total")).sort("_total", maintain_order=True).drop("_total")
    edges = np.linspace(0, len(frame), min(limit, len(frame)) + 1).astype(int)
    generator = generator_for(seed, "report", "fields")
    return frame[[int(generator.integers(low, high)) for low, high in itertools.pairwise(edges)]]


def furthest_off(predictions: pl.DataFrame, kinds: Sequence[str], limit: int) -> pl.DataFrame:
    """The images with the largest error for the root of their count, over the kinds; exact ones are left out."""
    off = pl.max_horizontal(
        (pl.col(f"true_{kind}") - pl.col(f"count_{kind}")).abs() / (pl.col(f"true_{kind}") + 1).sqrt() for kind in kinds
    )
    return _largest(predictions, off, limit)


def least_sure(predictions: pl.DataFrame, kinds: Sequence[str], limit: int) -> pl.DataFrame:
    """The images with the widest interval of any kind."""
    return _largest(predictions, pl.max_horizontal(pl.col(f"high_{k}") - pl.col(f"low_{k}") for k in kinds), limit)


class Album:
    """Makes pictures of a run's images, each image read once."""

    def __init__(self, run: RunData, read: Read) -> None:
        self.run = run
        self.read = read
        self.root = Path(run.fingerprint.get("root", "."))
        self.seen: dict[str, tuple[str | None, int, int]] = {}

    def fields(self, predictions: pl.DataFrame) -> list[Field]:
        """The rows as pictures, in their order."""
        return [self._field(row) for row in predictions.iter_rows(named=True)]

    def densities(self, predictions: pl.DataFrame, limit: int) -> list[Density]:
        """The images of which a density was kept, with it."""
        there = predictions.filter(pl.col("image").is_in(list(self.run.heatmaps))).unique("image", maintain_order=True)
        made = []
        for field in self.fields(there.head(limit)):
            density = self._density(field)
            made += [density] if density else []
        return made

    def _field(self, row: Mapping[str, object]) -> Field:
        image = str(row["image"])
        if image not in self.seen:
            array_HWC = eight_bits(self.root / image, self.read)
            self.seen[image] = (
                (None, 0, 0)
                if array_HWC is None
                else (jpeg_uri(array_HWC, SIDE), array_HWC.shape[1], array_HWC.shape[0])
            )
        uri, width, height = self.seen[image]
        counts = tuple(
            Counted(kind, *(_known(row.get(f"{what}_{kind}")) for what in ("true", "count", "low", "high")))  # type: ignore[arg-type]
            for kind in self.run.classes
            if _known(row.get(f"count_{kind}")) is not None
        )
        pixel = max(width, height) / SIDE
        return Field(image, uri, width, height, counts, self._marks(image, width * height, pixel), 1.3 * pixel)

    def _dots(self, image: str) -> dict[tuple[object, ...], pl.DataFrame]:
        """The dots of an image by what they are, true or found, and their kind."""
        points = self.run.points
        if points is None or not {"image", "what", "kind", "x", "y"} <= set(points.columns):
            return {}
        dots = points.filter(pl.col("image") == image, pl.col("x").is_finite(), pl.col("y").is_finite())
        return dots.partition_by("what", "kind", as_dict=True)

    def _marks(self, image: str, area: int, pixel: float) -> tuple[Marks, ...]:
        if not area:
            return ()
        by_sort = self._dots(image)
        found = [
            (what, kind, place, by_sort[what, kind])
            for what in ("true", "found")
            for place, kind in enumerate(self.run.classes)
            if (what, kind) in by_sort
        ]
        crowd = max((len(dots) for *_, dots in found), default=1)
        radius = pixel * min(7.0, max(2.6, 0.22 * math.sqrt(area / crowd) / pixel))
        return tuple(
            Marks(what, kind, MARKS[place % len(MARKS)], len(dots), _path(what, dots, radius))
            for what, kind, place, dots in found
        )

    def _density(self, field: Field) -> Density | None:
        entry = self.run.heatmaps[field.image]
        path = self.run.folder / "heatmaps" / Path(str(entry.get("file", ""))).name
        if field.uri is None or not path.is_file():
            return None
        try:
            with Image.open(path) as image:
                share_hw = np.asarray(image.convert("L"), np.float32) / 255
        except OSError:
            return None
        step = _pixels_a_cell(share_hw.shape, (field.height, field.width), float(entry.get("shrink") or 1))
        whole = Image.fromarray(share_hw).resize(
            (round(share_hw.shape[1] * step), round(share_hw.shape[0] * step)), Image.Resampling.BILINEAR
        )
        share_HW = np.asarray(whole.crop((0, 0, field.width, field.height)))
        most = float(entry.get("full") or 0) * 1e4 / step**2
        return Density(field, jpeg_uri(evenly_coloured(share_HW), SIDE), most)


def _pixels_a_cell(map_hw: Sequence[int], image_HW: Sequence[int], shrink: float) -> float:
    """Original pixels along a side of a cell of the map: the shrink times the net's stride, a power of two.

    The map may cover a margin that was added on the right and below.
    """
    ratio = max(image / (cells * shrink) for image, cells in zip(image_HW, map_hw, strict=True))
    return float(shrink * 2 ** max(0, round(math.log2(ratio))))


def _largest(predictions: pl.DataFrame, size: pl.Expr, limit: int) -> pl.DataFrame:
    frame = predictions.with_columns(size.alias("_size")).filter(pl.col("_size") > 0)
    return frame.sort("_size", descending=True, maintain_order=True).head(limit).drop("_size")


def _path(what: str, dots: pl.DataFrame, radius: float) -> str:
    """A ring a found dot, a cross a true one; the centre of the top-left pixel, (0, 0), lies half a pixel inside."""
    if len(dots) > MOST_DOTS and "score" in dots.columns:
        dots = dots.sort("score", descending=True, nulls_last=True)
    r = f"{radius:.3g}"
    d = f"{2 * radius:.3g}"
    if what == "found":
        return "".join(
            f"M{x + 0.5 - radius:.1f} {y + 0.5:.1f}a{r} {r} 0 1 0 {d} 0a{r} {r} 0 1 0-{d} 0"
            for x, y in dots.head(MOST_DOTS).select("x", "y").iter_rows()
        )
    arm = 0.52 * radius
    long = f"{2 * arm:.3g}"
    return "".join(
        f"M{x + 0.5 - arm:.1f} {y + 0.5 - arm:.1f}l{long} {long}m0-{long}l-{long} {long}"
        for x, y in dots.head(MOST_DOTS).select("x", "y").iter_rows()
    )


def _known(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
