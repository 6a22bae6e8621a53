"""Near-copies: images that are one picture, re-encoded, resized, mirrored, turned, cut at the sides or brightened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from corpuscle.core.progress import SILENT, Progress
from corpuscle.core.threads import one_thread_each
from corpuscle.data.doctor.alignment import Alignment, aligned
from corpuscle.data.doctor.candidates import ALL_PAIRS, Pairs, candidates
from corpuscle.data.doctor.finding import Finding
from corpuscle.data.doctor.pictures import of_one_picture
from corpuscle.data.doctor.signature import Signatures, opened

if TYPE_CHECKING:
    import polars as pl

    from corpuscle.data.table import Table

PLAIN = 6  # grey levels: an image whose brightness varies less shows nothing to know it by
SMALL, SMALL_SURE = 24, 0.97  # pixels a side: what is smaller has little to tell it by, and must be more alike
TOLD = 3  # pairs of a group that a line tells
CUT, MOVED, SCALED = 0.012, 0.7, 0.03  # of a side; pixels of the signature; of the size
BRIGHTER, CONTRAST = 6.0, 0.1  # grey levels of 255; share
SAME = 0.95  # likeness of what is only written anew
QUARTER, MIRRORED = "turned by a quarter", "flipped and turned by a quarter"
TURNS = ("", QUARTER, "turned by half", QUARTER, "flipped", MIRRORED, "flipped upside down", MIRRORED)
TOGETHER = "they stay in one part of a split; see which of them are wanted"
DISAGREE = "at least one of the labels is wrong: mend it"


@dataclass(frozen=True)
class NearCopy:
    """Two images that show the same.

    Attributes:
        first, second: their names, in name order.
        likeness: of their details, at most 1.
        changes: what makes the second of the first, in words.
    """

    first: str
    second: str
    likeness: float
    changes: tuple[str, ...]


@dataclass(frozen=True)
class NearCopies:
    """What was found among the images of a table.

    Attributes:
        pairs: in name order; of images with identical pixels only the first by name is compared.
        groups: images connected by such pairs or by identical pixels, each in name order.
    """

    pairs: tuple[NearCopy, ...]
    groups: tuple[tuple[str, ...], ...]


def near_copies(
    table: Table, seen: pl.DataFrame, progress: Progress = SILENT, all_pairs: int = ALL_PAIRS
) -> NearCopies:
    """Look for near-copies among the images that can be read.

    Args:
        table: the rows that were surveyed.
        seen: `Survey.frame`, a row for each of them.
        progress: says how far it is.
        all_pairs: images up to which each is compared with each; beyond, only with those that lie near the same few
            others, which misses one pair in a hundred and takes minutes for a million images instead of hours.
    """
    import polars as pl

    columns = ["image", "content", "height", "width", "signature"]
    rows = pl.concat([table.frame.select("image"), seen.select(columns[1:])], how="horizontal").sort("image")
    rows = rows.drop_nulls()
    once = rows.unique("content", keep="first", maintain_order=True)
    signatures = opened(once["signature"])
    showing = np.flatnonzero(signatures.levels_N >= PLAIN)
    once, signatures = once[showing], signatures.take(showing)
    if len(once) > all_pairs:
        progress.say(f"{len(once)} images: near-copies are looked for among those that are roughly alike")
    with one_thread_each():
        pairs = candidates(signatures.grey_NHW, all_pairs, progress)
        fit = aligned(signatures.grey_NHW, pairs, progress)
    size_N2 = once.select("height", "width").to_numpy()
    small_P = np.minimum(size_N2[pairs.first_P].min(1), size_N2[pairs.second_P].min(1)) < SMALL
    copies = np.flatnonzero(fit.copies(len(once)) & (~small_P | (fit.likeness_P >= SMALL_SURE)))
    pairs, fit = pairs.take(copies), fit.take(copies)
    one = of_one_picture(signatures.grey_NHW, pairs, fit)
    pairs, fit = pairs.take(one), fit.take(one)
    names = once["image"].to_list()
    told = _changes(signatures, size_N2, pairs, fit)
    ends = zip(pairs.first_P.tolist(), pairs.second_P.tolist(), fit.likeness_P.tolist(), told, strict=True)
    found = [NearCopy(names[first], names[second], likeness, changes) for first, second, likeness, changes in ends]
    found.sort(key=lambda pair: (pair.first, pair.second))
    return NearCopies(tuple(found), _groups(found, rows))


def near_copy_findings(found: NearCopies, table: Table) -> list[Finding]:
    """A finding a group, of the one kind or, where their labels differ, of the other."""
    import polars as pl

    labels = dict(pl.DataFrame([table.frame["image"], table.truth]).iter_rows())
    place = {image: number for number, group in enumerate(found.groups) for image in group}
    pairs: list[list[NearCopy]] = [[] for _ in found.groups]
    for pair in found.pairs:
        pairs[place[pair.first]].append(pair)
    findings = []
    for group, links in zip(found.groups, pairs, strict=True):
        said = {image: labels.get(image) for image in group}
        at_odds = len(set(said.values()) - {None}) > 1
        values: dict[str, Any] = {"pairs": [vars(pair) | {"changes": list(pair.changes)} for pair in links]}
        values |= {"labels": said} if at_odds else {}
        what = _in_words(group, links, said if at_odds else {})
        kind, remedy = ("near-copies disagree", DISAGREE) if at_odds else ("near-copies", TOGETHER)
        findings.append(Finding(kind, what, remedy, group, values))
    return findings


def _in_words(group: Sequence[str], links: Iterable[NearCopy], labels: Mapping[str, Any]) -> str:
    """How each image of a group came of another, as far as a line goes."""
    best: dict[str, NearCopy] = {}
    for pair in links:
        if pair.second not in best or pair.likeness > best[pair.second].likeness:
            best[pair.second] = pair
    name = {image: f"{image} ({labels[image]})" if labels.get(image) is not None else image for image in group}
    told = [f"{name[pair.second]} is {name[pair.first]} {', '.join(pair.changes)}" for pair in best.values()]
    shown = {image for pair in list(best.values())[:TOLD] for image in (pair.first, pair.second)}
    more = len(group) - len(shown)
    return "; ".join(told[:TOLD]) + (f"; and {more} more" if more else "")


def _groups(found: Sequence[NearCopy], rows: pl.DataFrame) -> tuple[tuple[str, ...], ...]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    names = rows["image"].to_list()
    first_of: dict[str, int] = {}
    place = {name: number for number, name in enumerate(names)}
    ends = [(number, first_of.setdefault(content, number)) for number, content in enumerate(rows["content"])]
    ends += [(place[pair.first], place[pair.second]) for pair in found]
    ends_E2 = np.array(ends, int).reshape(-1, 2)
    links = coo_array((np.ones(len(ends_E2)), (ends_E2[:, 0], ends_E2[:, 1])), shape=(len(names), len(names)))
    group_N = connected_components(links, directed=False)[1]
    near = {group_N[place[pair.first]] for pair in found}
    groups: dict[int, list[str]] = {}
    for name, group in zip(names, group_N, strict=True):
        if group in near:
            groups.setdefault(group, []).append(name)
    return tuple(sorted(tuple(group) for group in groups.values()))


def _changes(signatures: Signatures, size_N2: np.ndarray, pairs: Pairs, fit: Alignment) -> Iterable[tuple[str, ...]]:
    """What was done to the first of each pair to make the second, in words."""
    light_N2 = _light(signatures)
    for at, (first, second, turn) in enumerate(zip(pairs.first_P, pairs.second_P, pairs.turn_P, strict=True)):
        stretch_2, shift_2 = fit.stretch_P2[at], fit.shift_P2[at]
        size_2 = size_N2[second][::-1] if turn % 2 else size_N2[second]
        words = [TURNS[turn]] if turn else []
        scale = float(np.sqrt(np.prod(size_N2[first] / (stretch_2 * size_2))))
        words += ["enlarged"] * (scale < 1 - SCALED) + ["shrunk"] * (scale > 1 + SCALED)
        less, more = bool((stretch_2 > 1 + CUT).any()), bool((stretch_2 < 1 - CUT).any())
        moved = bool((np.abs(shift_2) > MOVED).any())
        words += ["cropped"] * (less and not more) + ["with more around it"] * (more and not less)
        words += ["shifted"] * (less == more and (less or moved))
        words += _light_words(light_N2[first], light_N2[second])
        yield tuple(words or ["re-encoded" if fit.likeness_P[at] > SAME else "altered in detail"])


def _light(signatures: Signatures) -> np.ndarray:
    """Mean and spread of the grey of each image, 0 to 255."""
    import cv2

    low_N, high_N = signatures.range_N2.astype(np.float64).T / 257
    share_N2 = np.array([np.ravel(cv2.meanStdDev(grey_HW)) for grey_HW in signatures.grey_NHW]).reshape(-1, 2) / 255
    return np.stack([low_N, np.zeros_like(low_N)], 1) + (high_N - low_N)[:, None] * share_N2


def _light_words(first_2: np.ndarray, second_2: np.ndarray) -> list[str]:
    mean, contrast = second_2[0] - first_2[0], second_2[1] / max(first_2[1], 1e-6)
    if abs(mean) > BRIGHTER:
        return ["brightened" if mean > 0 else "darkened"]
    if abs(contrast - 1) > CONTRAST:
        return ["of more contrast" if contrast > 1 else "of less contrast"]
    return []
