"""Which pairs of images are worth a closer look: all are compared, in eight ways to turn them, by a short description.

The description is linear in the low frequencies of the grey square. The directions are those that tell the images of
this data set apart, as against what cropping and another brightness change (linear discriminant analysis): where all
images are a cell in the middle, or a disc, what they have in common does not count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from corpuscle.core.progress import SILENT, Progress
from corpuscle.core.seeds import generator_for
from corpuscle.data.doctor.signature import SIDE

FREQUENCIES, DIRECTIONS, TURNS = 14, 64, 8
ALIKE, EACH = 0.6, 5  # cosine of the descriptions; the most pairs an image is looked at in
LEARNED_FROM = 1500  # images that the directions are learned from
CUT, GAINS, OFFSETS = 0.055, (0.7, 1.4), (-25.0, 25.0)  # what must not count: share cut off a side, and brightness
ALL_PAIRS = 50_000  # images up to which all are compared; beyond, those that lie near the same few others
BLOCK, LIKENESSES = 1024, 8_000_000  # images, and likenesses of images, that are held at a time
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
    """The pairs that may be copies, at most `EACH` an image.

    Beyond `all_pairs` images the comparison of all would take minutes: each image is then put to the nearest of some
    images of the set, and compared with what was put to those that lie nearest to it.
    """
    if len(grey_NHW) < 2:
        return Pairs.joined([])
    description = _learned(grey_NHW)
    found = Pairs.joined([])
    compare = (_all if len(grey_NHW) <= all_pairs else _near)(description.of(0))
    for turn in progress.track(range(TURNS), "comparing images turned", TURNS):
        found = _best(Pairs.joined([found, *compare(description.of(turn), turn)]))
    return found


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
            frequency_BFF = _turned_frequency(self.frequency_NFF[start : start + BLOCK], turn)
            vector_NE[start : start + BLOCK] = (_unit(frequency_BFF) - self.mean_D) @ self.direction_DE
        vector_NE /= np.maximum(np.linalg.norm(vector_NE, axis=1, keepdims=True), 1e-6)
        return vector_NE


def _learned(grey_NHW: np.ndarray) -> _Description:
    from scipy.linalg import eigh

    random = generator_for(0, "near-copies")
    chosen = random.choice(len(grey_NHW), min(LEARNED_FROM, len(grey_NHW)), replace=False)
    sample_NHW = grey_NHW[chosen].astype(np.float32)
    frequency_NFF = np.concatenate([_frequencies(grey_NHW[at : at + BLOCK]) for at in range(0, len(grey_NHW), BLOCK)])
    told_ND = np.concatenate([_unit(_turned_frequency(frequency_NFF[chosen], turn)) for turn in range(TURNS)])
    changed_NFF = _frequencies(_changed(sample_NHW, random))
    change_ND = np.concatenate(
        [
            _unit(_turned_frequency(changed_NFF, turn)) - _unit(_turned_frequency(frequency_NFF[chosen], turn))
            for turn in range(TURNS)
        ]
    )
    within_DD = change_ND.T @ change_ND / len(change_ND)
    within_DD += np.eye(len(within_DD)) * max(1e-4 * np.trace(within_DD) / len(within_DD), 1e-9)
    between_DD = np.cov(told_ND.T)
    _, direction_DE = eigh(between_DD, within_DD, subset_by_index=[len(within_DD) - DIRECTIONS, len(within_DD) - 1])
    return _Description(frequency_NFF, told_ND.mean(0), direction_DE.astype(np.float32))


def _frequencies(grey_NHW: np.ndarray) -> np.ndarray:
    from scipy.fft import dctn

    frequency_NHW = dctn(grey_NHW.astype(np.float32), axes=(1, 2), norm="ortho")
    return np.ascontiguousarray(frequency_NHW[:, :FREQUENCIES, :FREQUENCIES])


def _turned_frequency(frequency_NFF: np.ndarray, turn: int) -> np.ndarray:
    """What `turned` does, among cosines: a mirror changes the sign of every other, a quarter turn also their axes."""
    sign_F = np.where(np.arange(FREQUENCIES) % 2, -1, 1).astype(np.float32)
    if turn >= 4:
        frequency_NFF = frequency_NFF * sign_F
    for _ in range(turn % 4):
        frequency_NFF = frequency_NFF.transpose(0, 2, 1) * sign_F[:, None]
    return frequency_NFF


def _unit(frequency_NFF: np.ndarray) -> np.ndarray:
    """Without the mean of the image, and of length 1, so that brightness and contrast do not count."""
    vector_ND = frequency_NFF.reshape(len(frequency_NFF), -1)[:, 1:]
    return vector_ND / np.maximum(np.linalg.norm(vector_ND, axis=1, keepdims=True), 1e-6)


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
        block = _block(len(upright_ND))
        for start in range(0, len(upright_ND), block):
            likeness_BN = upright_ND[start : start + block] @ turned_ND[start:].T
            yield _hits(likeness_BN, number_N[start : start + block], number_N[start:], turn)

    return compare


def _near(upright_ND: np.ndarray) -> _Compare:
    """Each image with those that were put to the places nearest to it."""
    places = int(PLACES * len(upright_ND) ** 0.5)
    chosen = generator_for(0, "near-copies", "places").choice(len(upright_ND), places, replace=False)
    place_PD = upright_ND[np.sort(chosen)]
    put = _nearest(upright_ND, place_PD, NEAR)

    def compare(turned_ND: np.ndarray, turn: int) -> Iterator[Pairs]:
        for place, asking in _nearest(turned_ND, place_PD, VISITED).items():
            here = put.get(place, np.zeros(0, int))
            block = _block(len(asking))
            for start in range(0, len(here), block):
                rows = here[start : start + block]
                yield _hits(upright_ND[rows] @ turned_ND[asking].T, rows, asking, turn)

    return compare


def _block(others: int) -> int:
    """How many images are held against so many others at a time: all of them may be alike."""
    return max(1, min(BLOCK, LIKENESSES // others))


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


def _hits(likeness_BN: np.ndarray, rows: np.ndarray, columns: np.ndarray, turn: int) -> Pairs:
    """Pairs above the limit; where these are too many to hold, the best."""
    row, column = np.nonzero(likeness_BN > ALIKE)
    likeness = likeness_BN[row, column]
    apart = rows[row] != columns[column]
    row, column, likeness = rows[row[apart]], columns[column[apart]], likeness[apart]
    most = HELD * len(likeness_BN)
    if len(likeness) > most:
        kept = np.argpartition(-likeness, most)[:most]
        row, column, likeness = row[kept], column[kept], likeness[kept]
    back = np.array([_inverse(turn) if turn < 4 else turn, turn], np.int8)
    forward = row < column  # the other way round it is the first that is turned
    first, second = np.minimum(row, column), np.maximum(row, column)
    return Pairs(first, second, back[forward.astype(int)], likeness.astype(np.float32))


def _inverse(turn: int) -> int:
    return -turn % 4


def _best(pairs: Pairs) -> Pairs:
    """Each pair once, as it fits best, and of each image the pairs that fit best."""
    order = np.lexsort([-pairs.likeness_P, pairs.second_P, pairs.first_P])
    pairs = pairs.take(order)
    new = (np.diff(pairs.first_P, prepend=-1) != 0) | (np.diff(pairs.second_P, prepend=-1) != 0)
    pairs = pairs.take(new)
    kept = np.zeros(len(pairs), bool)
    for end_P in (pairs.first_P, pairs.second_P):
        order = np.lexsort([-pairs.likeness_P, end_P])
        starts = np.flatnonzero(np.diff(end_P[order], prepend=-1) != 0)
        rank = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
        kept[order[rank < EACH]] = True
    return pairs.take(kept)
