"""Which pairs of images are worth a closer look: all are compared, in eight ways to turn them, by a short description.

The description is linear in the low frequencies of the grey square. The directions are those that tell the images of
this data set apart, as against what cropping and another brightness change (linear discriminant analysis): where all
images are a cell in the middle, or a disc, what they have in common does not count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from corpuscle.core.progress import SILENT, Progress
from corpuscle.core.seeds import generator_for
from corpuscle.core.threads import in_threads
from corpuscle.data.doctor.frequencies import low_frequencies, tangent_likeness, turned_frequencies, unit
from corpuscle.data.doctor.signature import SIDE

DIRECTIONS, TURNS = 64, 8
ALIKE, EACH = 0.6, 5  # cosine of the descriptions; the most pairs an image is looked at in
SURE, TANGENT = 0.8, 0.92  # from which a pair is looked at in any case, and likeness by the tangents of the others
LEARNED_FROM = 1500  # images that the directions are learned from
CUT, GAINS, OFFSETS = 0.055, (0.7, 1.4), (-25.0, 25.0)  # what must not count: share cut off a side, and brightness
ALL_PAIRS = 50_000  # images up to which all are compared; beyond, those that lie near the same few others
BLOCK = 1024  # images at a time
MOST = 1_000_000  # pairs that are held until the best of each image are chosen
ROWS, COLUMNS = 256, 1024  # images whose likenesses are held at a time, near the processor
HELD, NEAR, VISITED = 64, 2, 3  # pairs an image in memory; places an image is put to, and is looked for
PLACES = 4.0  # per root of the number of images


@dataclass(frozen=True)
class Pairs:
    """Pairs of images, the first of lower number, and how the second is turned to be like the first.

    Attributes:
        first_P, second_P: their numbers.
        turn_P: 0 to 7, see `turned`.
        likeness_P: cosine of their descriptions.
    """

    first_P: np.ndarray
    second_P: np.ndarray
    turn_P: np.ndarray
    likeness_P: np.ndarray

    def __len__(self) -> int:
        return len(self.first_P)

    def take(self, chosen: np.ndarray | slice) -> Pairs:
        """Some of them."""
        return Pairs(*(getattr(self, name)[chosen] for name in ("first_P", "second_P", "turn_P", "likeness_P")))

    @classmethod
    def joined(cls, parts: list[Pairs]) -> Pairs:
        """All of several."""
        none = cls(np.zeros(0, int), np.zeros(0, int), np.zeros(0, np.int8), np.zeros(0, np.float32))
        names = ("first_P", "second_P", "turn_P", "likeness_P")
        return cls(*(np.concatenate([getattr(part, name) for part in (none, *parts)]) for name in names))


_Compare = Callable[[np.ndarray, int], Iterator[Pairs]]


def turned(square_NHW: np.ndarray, turn: int) -> np.ndarray:
    """Images mirrored (from 4 on), then turned by so many quarters."""
    mirrored = square_NHW[:, :, ::-1] if turn >= 4 else square_NHW
    return np.rot90(mirrored, turn % 4, (1, 2))


def candidates(grey_NHW: np.ndarray, all_pairs: int = ALL_PAIRS, progress: Progress = SILENT) -> Pairs:
    """The pairs that may be copies, at most `EACH` an image; of those that are not `SURE`, what the tangents leave.

    Beyond `all_pairs` images the comparison of all would take minutes: each image is then put to the nearest of some
    images of the set, and compared with what was put to those that lie nearest to it.
    """
    if len(grey_NHW) < 2:
        return Pairs.joined([])
    description = _learned(grey_NHW)
    found, held, most = [Pairs.joined([])], 0, MOST
    compare = (_all if len(grey_NHW) <= all_pairs else _near)(description.of(0))
    for turn in progress.track(range(TURNS), "comparing images turned", TURNS):
        for pairs in compare(description.of(turn), turn):
            found.append(pairs)
            held += len(pairs)
            if held > most:
                found = [_best(Pairs.joined(found))]
                held, most = len(found[0]), max(MOST, 2 * len(found[0]))
    best = _best(Pairs.joined(found))
    ends = best.first_P, best.second_P, best.turn_P
    near = tangent_likeness(grey_NHW, description.frequency_NFF, *ends) >= TANGENT
    return best.take(near | (best.likeness_P >= SURE))


@dataclass(frozen=True)
class _Description:
    """Low frequencies of each image (N, F, F), and the directions that they are looked at along."""

    frequency_NFF: np.ndarray
    mean_D: np.ndarray
    direction_DE: np.ndarray

    def of(self, turn: int) -> np.ndarray:
        """Unit vectors of the images, turned."""
        vector_NE = np.empty((len(self.frequency_NFF), self.direction_DE.shape[1]), np.float32)
        for start in range(0, len(vector_NE), BLOCK):
            frequency_BFF = turned_frequencies(self.frequency_NFF[start : start + BLOCK], turn)
            vector_NE[start : start + BLOCK] = (unit(frequency_BFF) - self.mean_D) @ self.direction_DE
        vector_NE /= np.maximum(np.linalg.norm(vector_NE, axis=1, keepdims=True), 1e-6)
        return vector_NE


def _learned(grey_NHW: np.ndarray) -> _Description:
    from scipy.linalg import eigh

    random = generator_for(0, "near-copies")
    chosen = random.choice(len(grey_NHW), min(LEARNED_FROM, len(grey_NHW)), replace=False)
    sample_NHW = grey_NHW[chosen].astype(np.float32)
    frequency_NFF = low_frequencies(grey_NHW)
    told_ND = np.concatenate([unit(turned_frequencies(frequency_NFF[chosen], turn)) for turn in range(TURNS)])
    changed_NFF = low_frequencies(_changed(sample_NHW, random))
    change_ND = np.concatenate(
        [
            unit(turned_frequencies(changed_NFF, turn)) - unit(turned_frequencies(frequency_NFF[chosen], turn))
            for turn in range(TURNS)
        ]
    )
    within_DD = change_ND.T @ change_ND / len(change_ND)
    within_DD += np.eye(len(within_DD)) * max(1e-4 * np.trace(within_DD) / len(within_DD), 1e-9)
    between_DD = np.cov(told_ND.T)
    _, direction_DE = eigh(between_DD, within_DD, subset_by_index=[len(within_DD) - DIRECTIONS, len(within_DD) - 1])
    return _Description(frequency_NFF, told_ND.mean(0), direction_DE.astype(np.float32))


def _changed(grey_NHW: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Each cut at all sides, brightened or darkened, as a near-copy may be."""
    import cv2

    changed_NHW = np.empty_like(grey_NHW)
    for grey_HW, out_HW in zip(grey_NHW, changed_NHW, strict=True):
        top, bottom, left, right = random.uniform(0, CUT, 4) * SIDE
        scale_2 = np.array([SIDE - left - right, SIDE - top - bottom]) / SIDE
        shift_2 = np.array([left, top]) + scale_2 / 2 - 0.5
        matrix = np.array([[scale_2[0], 0, shift_2[0]], [0, scale_2[1], shift_2[1]]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        cut_HW = cv2.warpAffine(grey_HW, matrix, (SIDE, SIDE), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        out_HW[:] = np.clip(cut_HW * random.uniform(*GAINS) + random.uniform(*OFFSETS), 0, 255)
    return changed_NHW


def _all(upright_ND: np.ndarray) -> _Compare:
    """Each image with all that come after it."""
    number_N = np.arange(len(upright_ND))

    def compare(turned_ND: np.ndarray, turn: int) -> Iterator[Pairs]:
        blocks = (
            _Block(upright_ND[at : at + ROWS], turned_ND[at:], number_N[at : at + ROWS], number_N[at:])
            for at in range(0, len(upright_ND), ROWS)
        )
        return in_threads(partial(_hits, turn), blocks)

    return compare


def _near(upright_ND: np.ndarray) -> _Compare:
    """Each image with those that were put to the places nearest to it."""
    places = int(PLACES * len(upright_ND) ** 0.5)
    chosen = generator_for(0, "near-copies", "places").choice(len(upright_ND), places, replace=False)
    place_PD = upright_ND[np.sort(chosen)]
    put = _nearest(upright_ND, place_PD, NEAR)

    def blocks(turned_ND: np.ndarray) -> Iterator[_Block]:
        for place, asking in _nearest(turned_ND, place_PD, VISITED).items():
            here, there_CD = put.get(place, np.zeros(0, int)), turned_ND[asking]
            for at in range(0, len(here), ROWS):
                rows = here[at : at + ROWS]
                yield _Block(upright_ND[rows], there_CD, rows, asking)

    return lambda turned_ND, turn: in_threads(partial(_hits, turn), blocks(turned_ND))


def _nearest(vector_ND: np.ndarray, place_PD: np.ndarray, number: int) -> dict[int, np.ndarray]:
    """Place to the images that have it among their nearest."""
    number = min(number, len(place_PD))
    nearest_NK = np.concatenate(
        [
            np.argpartition(-(vector_ND[start : start + BLOCK] @ place_PD.T), number - 1)[:, :number]
            for start in range(0, len(vector_ND), BLOCK)
        ]
    )
    order = np.argsort(nearest_NK.ravel(), kind="stable")
    places, starts = np.unique(nearest_NK.ravel()[order], return_index=True)
    return dict(zip(places.tolist(), np.split(order // number, starts[1:]), strict=True))


@dataclass(frozen=True)
class _Block:
    """Some images, upright, that are held against others, turned; and the numbers of both."""

    upright_RD: np.ndarray
    turned_CD: np.ndarray
    rows: np.ndarray
    columns: np.ndarray


def _hits(turn: int, block: _Block) -> Pairs:
    """Pairs above the limit; where these are too many to hold, the best."""
    place, likeness = np.zeros(0, int), np.zeros(0, np.float32)
    total = len(block.columns)
    for at in range(0, total, COLUMNS):
        likeness_RC = block.upright_RD @ block.turned_CD[at : at + COLUMNS].T
        here = np.flatnonzero(likeness_RC > ALIKE)
        likeness = np.append(likeness, likeness_RC.ravel()[here])
        place = np.append(place, here // likeness_RC.shape[1] * total + at + here % likeness_RC.shape[1])
        most = HELD * len(likeness_RC)
        if len(place) > most:
            best = np.argpartition(-likeness, most)[:most]
            place, likeness = place[best], likeness[best]
    row, column = block.rows[place // total], block.columns[place % total]
    apart = row != column
    row, column, likeness = row[apart], column[apart], likeness[apart]
    back = np.array([_inverse(turn) if turn < 4 else turn, turn], np.int8)
    forward = row < column  # the other way round it is the first that is turned
    first, second = np.minimum(row, column), np.maximum(row, column)
    return Pairs(first, second, back[forward.astype(int)], likeness)


def _inverse(turn: int) -> int:
    return -turn % 4


def _best(pairs: Pairs) -> Pairs:
    """Each pair once, as it fits best, and of each image the pairs that fit best; in the order of their numbers."""
    by_likeness = np.argsort(-pairs.likeness_P, kind="stable")
    place_P = np.empty(len(pairs), int)  # of each in that order
    place_P[by_likeness] = np.arange(len(pairs))
    pair_P = pairs.first_P * (pairs.second_P.max(initial=0) + 1) + pairs.second_P
    order = np.argsort(pair_P)
    starts = np.flatnonzero(np.diff(pair_P[order], prepend=-1) != 0)
    place_P = np.minimum.reduceat(place_P[order], starts) if len(order) else place_P
    pairs, total = pairs.take(by_likeness[place_P]), len(order)
    kept = np.zeros(len(pairs), bool)
    for end_P in (pairs.first_P, pairs.second_P):
        order = np.argsort(end_P * total + place_P)
        starts = np.flatnonzero(np.diff(end_P[order], prepend=-1) != 0)
        rank = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
        kept[order[rank < EACH]] = True
    return pairs.take(kept)
