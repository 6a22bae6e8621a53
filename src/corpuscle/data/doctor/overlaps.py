"""Overlapping images: crops of one field, or tiles laid closer than they are wide, that show some of it twice.

They are at one magnification, one shifted against the other. All images are shrunk by one factor, so that shifts stay
shifts. Where several points of two images are alike (`keypoints`) and say the same shift, the pixels that both would
show are compared: what is then left of the local contrast must be the same, all over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.progress import SILENT, Progress
from corpuscle.core.threads import in_threads
from corpuscle.data.doctor.finding import Finding
from corpuscle.data.doctor.keypoints import COARSE, STEPS, Keypoints, alike, keypoints_of
from corpuscle.data.readers.image import ReadPlan
from corpuscle.data.readers.read import read_pixels
from corpuscle.data.splits import units_of

if TYPE_CHECKING:
    from corpuscle.data.table import Table

SIDE = 256  # pixels to which the median image is shrunk
CELL, NEAR = 4, 2  # pixels of a shift within which points vote for the same, and then say the same
VOTES, EACH = 2, 8  # points that tell of a shift; pairs of an image that are looked at, those of most votes
KNOWN, POINTS, OF_ALL = 0.8, 4, 0.45  # how alike points are that confirm a shift; how many, and of all that could
SMALLEST, SLACK = 16, 3  # pixels a side that both must show; pixels by which a shift may still be wrong
WHOLE = 0.93  # share of the larger above which they are one picture: a near-copy, or but the same round frame
SURROUNDINGS, NOISE = 31, 2.0  # pixels that local contrast is measured over; grey levels that are no detail
SAME, SAME_WITHIN, SQUARE = 0.75, 0.6, 24  # correlation of the details; its median in squares of so many pixels a side
BATCH = 256  # pairs that are compared before the next are chosen
TOLD = 3  # pairs of a group that a line tells
TOGETHER = (
    "guard.overlaps=together keeps them in one part of a split; where fields are known, name them with --group-from or "
    "a column"
)


@dataclass(frozen=True)
class Overlap:
    """Two images that show some of the same.

    Attributes:
        first, second: their names, in name order.
        share: of the smaller image's pixels that the other shows too.
        likeness: correlation of their details there.
    """

    first: str
    second: str
    share: float
    likeness: float


@dataclass(frozen=True)
class Overlaps:
    """What was found among the images of a table.

    Attributes:
        pairs: in name order; of images that belong together by others no more are looked for.
        groups: images connected by such pairs, each in name order.
    """

    pairs: tuple[Overlap, ...] = ()
    groups: tuple[tuple[str, ...], ...] = ()


def overlaps(
    table: Table,
    seen: pl.DataFrame,
    read: ReadPlan = ReadPlan(),  # noqa: B008 (frozen)
    together: Iterable[Sequence[str]] = (),
    progress: Progress = SILENT,
) -> Overlaps:
    """Look for overlaps among images that do not belong together anyway; reads each image once more.

    Args:
        table: the rows that were surveyed, all of which can be read.
        seen: `Survey.frame`, a row for each of them.
        read: limits of the reader.
        together: sets of images that belong together beside the groups, such as near-copies.
        progress: says how far it is.
    """
    names, unit_N = table.frame["image"].to_list(), units_of(table.frame, list(together))
    if unit_N.max(initial=0) == 0:
        return Overlaps()
    paths = [table.path_of(image) for image in names]
    longer_N = seen.select(pl.max_horizontal("height", "width")).to_series().to_numpy()
    shrunk = partial(_shrunk, factor=max(1.0, float(np.median(longer_N)) / SIDE), read=read)
    looked = in_threads(lambda path: keypoints_of(shrunk(path)), paths)
    points = list(progress.track(looked, "looking for points of fields", len(paths)))
    likely = _shifts(points, unit_N)
    found = []
    for batch in progress.track(
        np.split(likely, range(BATCH, len(likely), BATCH)), "laying crops over one another", len(likely), per_item=BATCH
    ):
        apart = batch[unit_N[batch[:, 0]] != unit_N[batch[:, 1]]].tolist()
        both = in_threads(lambda at: _compared(shrunk(paths[at[0]]), shrunk(paths[at[1]]), at[2], at[3]), apart)
        for (one, other, *_), (share, same) in zip(apart, both, strict=True):
            if share:
                first, second = sorted((names[one], names[other]))
                found.append(Overlap(first, second, share, same))
                unit_N[unit_N == unit_N[other]] = unit_N[one]
    found.sort(key=lambda pair: (pair.first, pair.second))
    return Overlaps(tuple(found), _groups(found, names))


def overlap_findings(found: Overlaps) -> list[Finding]:
    """A finding a group."""
    place = {image: number for number, group in enumerate(found.groups) for image in group}
    pairs: list[list[Overlap]] = [[] for _ in found.groups]
    for pair in found.pairs:
        pairs[place[pair.first]].append(pair)
    return [_finding(group, links) for group, links in zip(found.groups, pairs, strict=True)]


def _finding(group: tuple[str, ...], links: Sequence[Overlap]) -> Finding:
    """How the images of a group overlap, as far as a line goes."""
    told = [f"{pair.first} and {pair.second} show the same on {pair.share:.0%}" for pair in links[:TOLD]]
    more = len(group) - len({image for pair in links[:TOLD] for image in (pair.first, pair.second)})
    what = "; ".join(told) + (f"; and {more} more" if more else "")
    return Finding("overlaps", what, TOGETHER, group, {"pairs": [vars(pair) for pair in links]})


def _groups(found: Sequence[Overlap], names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Images that such pairs connect, in name order."""
    alone = pl.DataFrame({"image": sorted(names)}, schema_overrides={"image": pl.String}).with_columns(group=None)
    unit_N = units_of(alone, [(pair.first, pair.second) for pair in found])
    rows = alone.with_columns(unit=unit_N).filter(pl.len().over("unit") > 1)
    grouped = rows.group_by("unit", maintain_order=True).agg("image")["image"]
    return tuple(sorted(tuple(images) for images in grouped))


def _shrunk(path: Path, factor: float, read: ReadPlan) -> np.ndarray:
    """An image in grey, 0 to 255; one that cannot be read any more shows nothing."""
    import cv2

    try:
        grey_HW = cv2.cvtColor(read_pixels(path, read).array_HWC, cv2.COLOR_RGB2GRAY)
    except CorpuscleError:
        return np.zeros((1, 1), np.float32)
    if grey_HW.dtype == np.uint16:  # of which a camera may use the lowest ten bits
        low, high = int(grey_HW.min()), int(grey_HW.max())
        grey_HW = (grey_HW - np.float32(low)) * np.float32(255 / max(high - low, 1))
    size = [max(1, round(side / factor)) for side in grey_HW.shape[::-1]]
    shrunk_HW: np.ndarray = cv2.resize(grey_HW, size, interpolation=cv2.INTER_AREA) if factor > 1 else grey_HW
    return shrunk_HW.astype(np.float32)


def _shifts(points: Sequence[Keypoints], unit_N: np.ndarray) -> np.ndarray:
    """Pairs of images with a shift that points agree on, the surest first: one, other, down, across (P, 4)."""
    image_M = np.repeat(np.arange(len(points)), [len(each) for each in points])
    joined = Keypoints.joined(points)
    first_P, second_P = alike(joined, unit_N[image_M])
    shift_P2 = joined.at_M2[first_P].astype(np.int32) - joined.at_M2[second_P]
    said = pl.DataFrame(
        {"one": image_M[first_P], "other": image_M[second_P], "down": shift_P2[:, 0], "across": shift_P2[:, 1]}
    )
    said = said.filter(pl.len().over("one", "other") >= VOTES)
    votes = []
    for start_2 in np.ndindex(2, 2):  # cells of which some lie half a cell off: no shift is on the border of all
        cell = [
            (pl.col(axis) + start * CELL // 2) // CELL for axis, start in zip(("down", "across"), start_2, strict=True)
        ]
        at = said.with_columns(cell[0].alias("row"), cell[1].alias("column"))
        votes.append(at.group_by("one", "other", "row", "column").agg(pl.len(), pl.mean("down", "across").round()))
    best = pl.concat(votes).filter(pl.col("len") >= VOTES).sort("len", "one", "other", "row", "column", descending=True)
    best = best.unique(["one", "other"], keep="first", maintain_order=True)
    rank = pl.int_range(pl.len())
    best = best.filter((rank.over("one") < EACH) | (rank.over("other") < EACH))
    likely = best.select("one", "other", "down", "across").cast(pl.Int64).to_numpy()
    agreed = np.array([_agreed(points[one], points[other], np.array(shift)) for one, other, *shift in likely.tolist()])
    order = np.argsort(-agreed, kind="stable")
    return likely[order[agreed[order] > 0]]


def _agreed(one: Keypoints, other: Keypoints, shift_2: np.ndarray) -> int:
    """How many points of one image lie, shifted, where the other has one that looks the same; 0 where few do."""
    off_MN2 = one.at_M2[:, None] - other.at_M2 - shift_2.astype(np.int16)
    row, column = np.nonzero((np.abs(off_MN2) <= NEAR).all(2))
    alike_P = np.einsum("pd,pd->p", one.window_MD[row].astype(np.int32), other.window_MD[column])
    agreed = len(np.unique(row[alike_P >= KNOWN * STEPS**2]))
    could = min(_within(one.at_M2 - shift_2, other.at_M2), _within(other.at_M2 + shift_2, one.at_M2))
    return agreed if agreed >= max(POINTS, OF_ALL * could) else 0


def _within(at_M2: np.ndarray, other_M2: np.ndarray) -> int:
    """How many points lie in the rectangle that others span."""
    return int(((at_M2 >= other_M2.min(0)) & (at_M2 <= other_M2.max(0))).all(1).sum())


def _compared(one_HW: np.ndarray, other_HW: np.ndarray, down: int, across: int) -> tuple[float, float]:
    """Share of the smaller image that the other shows too, and the likeness there; a share of 0 where it does not."""
    import cv2

    parts = []
    for axis, shift in enumerate((down, across)):
        start, end = max(shift, 0), min(one_HW.shape[axis], other_HW.shape[axis] + shift)
        if end - start < SMALLEST:
            return 0.0, 0.0
        parts.append((slice(start, end), slice(start - shift, end - shift)))
    (rows, other_rows), (columns, other_columns) = parts
    smaller, larger = sorted((one_HW.size, other_HW.size))
    one_HW, whole_HW = one_HW[rows, columns], other_HW[other_rows, other_columns]
    if whole_HW.size > WHOLE * larger:
        return 0.0, 0.0
    one_HW, whole_HW = _detail(one_HW), _detail(whole_HW)
    one_HW = one_HW[SLACK:-SLACK, SLACK:-SLACK]
    same_YX = cv2.matchTemplate(whole_HW, one_HW, cv2.TM_CCOEFF_NORMED)
    top, left = np.unravel_index(same_YX.argmax(), same_YX.shape)
    same = float(same_YX[top, left])
    if same < SAME:
        return 0.0, same
    laid_HW = whole_HW[top : top + one_HW.shape[0], left : left + one_HW.shape[1]]
    if np.median(_in_squares(one_HW, laid_HW)) < SAME_WITHIN:
        return 0.0, same
    return whole_HW.size / smaller, same


def _detail(grey_HW: np.ndarray) -> np.ndarray:
    """Each pixel against its surroundings, by how much these vary; 0 where nothing shows."""
    import cv2

    soft_HW = cv2.GaussianBlur(grey_HW, (0, 0), 1.0)
    rest_HW = soft_HW - cv2.blur(soft_HW, (COARSE, COARSE))
    spread_HW = np.sqrt(np.maximum(cv2.blur(rest_HW**2, (SURROUNDINGS, SURROUNDINGS)), 0))
    detail_HW: np.ndarray = rest_HW / (spread_HW + NOISE)
    return detail_HW


def _in_squares(one_HW: np.ndarray, other_HW: np.ndarray) -> np.ndarray:
    """Correlation in each square; 0 where one shows nothing."""
    rows, columns = (np.linspace(0, side, max(1, side // SQUARE) + 1).astype(int) for side in one_HW.shape)
    told = []
    for (top, bottom), (left, right) in product(pairwise(rows.tolist()), pairwise(columns.tolist())):
        pair = [side_HW[top:bottom, left:right] for side_HW in (one_HW, other_HW)]
        one, other = (square_HW - square_HW.mean() for square_HW in pair)
        told.append(float((one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum() + 1e-3)))
    return np.array(told)
