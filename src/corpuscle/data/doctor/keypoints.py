"""Points by which a part of a field is known again in another image, and which points of the images are alike.

A point is where a grey image, without what is finer and coarser than a few pixels, is brightest or darkest within its
neighbourhood; its description is the window around it, without mean and contrast. Neither light, nor JPEG, nor where
the image ends has much say in either, so two crops of one field have most of their common points in common. They are
not known again when turned, or at another scale.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from corpuscle.core.seeds import generator_for

FINE, COARSE = 1.2, 15  # deviation and side in pixels between which the size of details lies
RADIUS = 5  # pixels around a point within which it is the brightest or darkest
LEAST = 2.0  # grey levels of 255 by which it stands out, and deviation of its window
EVERY, FEWEST = 400, 64  # pixels of an image to a point that is kept, the clearest first; points any image may keep
OFFSETS = np.arange(-7, 8, 2)  # rows and columns of the window that are taken, from its middle
RIM = 8  # pixels at the sides, where a window would not be whole
STEPS = 250  # in which a description is kept: the length of its vector
PLACES, PUT = 2.0, 2  # windows that all are put to, per root of their number; to how many of them each is
HELD, ALIKE = 3, 0.9  # neighbours that a point has at the most, and how alike they are (correlation)
BLOCK, LIKENESSES = 4096, 8_000_000  # points, and likenesses of points, that are held at a time


@dataclass(frozen=True)
class Keypoints:
    """Points of one image, or of several one after the other.

    Attributes:
        at_M2: row and column of each.
        window_MD: description of each, a vector of length `STEPS`.
    """

    at_M2: np.ndarray
    window_MD: np.ndarray

    def __len__(self) -> int:
        return len(self.at_M2)

    @classmethod
    def joined(cls, parts: Sequence[Keypoints]) -> Keypoints:
        """All of several images."""
        none = cls(np.zeros((0, 2), np.int16), np.zeros((0, len(OFFSETS) ** 2), np.int8))
        both = [none, *parts]
        return cls(np.concatenate([part.at_M2 for part in both]), np.concatenate([part.window_MD for part in both]))


def keypoints_of(grey_HW: np.ndarray) -> Keypoints:
    """The clearest points of a grey image, 0 to 255; about 0.5 ms for 256 × 256 pixels."""
    import cv2

    height, width = grey_HW.shape
    if min(height, width) <= 2 * RIM:
        return Keypoints.joined([])
    soft_HW = cv2.GaussianBlur(grey_HW.astype(np.float32), (0, 0), FINE)
    clear_HW = np.abs(soft_HW - cv2.blur(soft_HW, (COARSE, COARSE)))
    side = 2 * RADIUS + 1
    first_HW = (clear_HW >= LEAST) & (clear_HW >= cv2.dilate(clear_HW, np.ones((side, side), np.uint8)))
    row_M, column_M = np.nonzero(first_HW[RIM:-RIM, RIM:-RIM])
    at_M2 = np.stack([row_M, column_M], 1) + RIM
    order = np.argsort(-clear_HW[at_M2[:, 0], at_M2[:, 1]], kind="stable")
    at_M2 = at_M2[order[: max(FEWEST, height * width // EVERY)]]
    row_MO, column_MO = (at_M2[:, axis, None] + OFFSETS for axis in (0, 1))
    window_MD = soft_HW[row_MO[:, :, None], column_MO[:, None, :]].reshape(len(at_M2), len(OFFSETS) ** 2)
    window_MD = window_MD - window_MD.mean(1, keepdims=True)
    length_M1 = np.linalg.norm(window_MD, axis=1, keepdims=True)
    shows = length_M1[:, 0] >= LEAST * len(OFFSETS)
    steps_MD = np.rint(window_MD[shows] * (STEPS / length_M1[shows]))
    return Keypoints(at_M2[shows].astype(np.int16), np.clip(steps_MD, -127, 127).astype(np.int8))


def alike(points: Keypoints, unit_M: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of points of different units that look alike, the first of lower number: first_P, second_P.

    All are put to the nearest of some windows of the set, and compared with what was put to the same ones.
    """
    total = len(points)
    found = [np.zeros(0, np.int64)]
    for here in _places(points.window_MD):
        vector_LD = _unit(points.window_MD[here])
        block = max(1, LIKENESSES // len(here))
        for start in range(0, len(here), block):
            likeness_BL = vector_LD[start : start + block] @ vector_LD.T
            likeness_BL[unit_M[here[start : start + block], None] == unit_M[here]] = -1
            best_BK = _best(likeness_BL.copy(), min(HELD, len(here)))
            row_P, rank_P = np.nonzero(np.take_along_axis(likeness_BL, best_BK, 1) >= ALIKE)
            one_P, other_P = here[start + row_P], here[best_BK[row_P, rank_P]]
            found.append(np.minimum(one_P, other_P) * total + np.maximum(one_P, other_P))
    pair_P = np.unique(np.concatenate(found))
    return pair_P // max(total, 1), pair_P % max(total, 1)


def _places(window_MD: np.ndarray) -> Iterator[np.ndarray]:
    """Numbers of the points that were put to one place, for each place that has several."""
    total = len(window_MD)
    if total < 2:
        return
    places = min(total, max(PUT, int(PLACES * total**0.5)))
    chosen = generator_for(0, "overlaps", "places").choice(total, places, replace=False)
    place_DP = _unit(window_MD[np.sort(chosen)]).T
    nearest_MK = np.empty((total, PUT), np.int32)
    for start in range(0, total, BLOCK):
        likeness_BP = _unit(window_MD[start : start + BLOCK]) @ place_DP
        nearest_MK[start : start + BLOCK] = _best(likeness_BP, PUT)
    order = np.argsort(nearest_MK.ravel(), kind="stable")
    ends = np.flatnonzero(np.diff(nearest_MK.ravel()[order])) + 1
    yield from (here for here in np.split(order // PUT, ends) if len(here) > 1)


def _best(likeness_MN: np.ndarray, number: int) -> np.ndarray:
    """Columns of the greatest of each row, (M, number); they are struck out. Far faster than to sort, for a few."""
    best_MK = np.empty((len(likeness_MN), number), np.int64)
    for rank in range(number):
        best_MK[:, rank] = likeness_MN.argmax(axis=1)
        np.put_along_axis(likeness_MN, best_MK[:, rank : rank + 1], -2, axis=1)
    return best_MK


def _unit(window_MD: np.ndarray) -> np.ndarray:
    return window_MD.astype(np.float32) / np.float32(STEPS)
