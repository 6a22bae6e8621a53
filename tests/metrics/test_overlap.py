from __future__ import annotations

import time

import cv2
import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.legend import IGNORED
from corpuscle.metrics.overlap import overlap_of


def discs(size_HW: tuple[int, int], num_classes: int, seed: int) -> np.ndarray:
    """A mask with discs of every class."""
    random = np.random.default_rng(seed)
    mask_HW = np.zeros(size_HW, dtype=np.uint8)
    for k in np.tile(np.arange(1, num_classes), 3).tolist():
        centre = [int(random.integers(side)) for side in reversed(size_HW)]
        cv2.circle(mask_HW, centre, int(random.integers(2, max(size_HW) // 6)), k, -1)
    return mask_HW


def edge_pixels(mask_HW: np.ndarray, k: int) -> np.ndarray:
    """Boundary pixels of a class, found one by one."""
    height, width = mask_HW.shape
    found = []
    for y, x in np.argwhere(mask_HW == k):
        near = [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
        near = [mask_HW[one] for one in near if 0 <= one[0] < height and 0 <= one[1] < width]
        if any(other not in (k, IGNORED) for other in near):
            found.append((y, x))
    return np.array(found, dtype=float).reshape(-1, 2)


def met(edge_P2: np.ndarray, other_P2: np.ndarray, tolerance: float) -> int:
    if len(other_P2) == 0:
        return 0
    apart_PP = np.hypot(*(edge_P2[:, None] - other_P2[None]).transpose(2, 0, 1))
    return int((apart_PP.min(axis=1, initial=np.inf) <= tolerance).sum())


@pytest.mark.parametrize("tolerance", [0.0, 1.0, 1.5, 2.0, 5.0])
@pytest.mark.parametrize("ignored", [False, True])
def test_everything_is_counted_as_a_slow_loop_counts_it(tolerance: float, ignored: bool) -> None:
    true_HW, said_HW = discs((40, 31), 4, seed=1), np.roll(discs((40, 31), 4, seed=1), 2, axis=1)
    said_HW[said_HW == 3] = 2
    if ignored:
        true_HW[5:20, 8:12] = IGNORED
    found = overlap_of(true_HW, said_HW, 4, tolerance)
    known_HW = true_HW != IGNORED
    expected_KK = confusion_matrix(true_HW[known_HW], said_HW[known_HW], labels=range(4))
    assert np.array_equal(found.pixels_KK, expected_KK)
    said_HW = np.where(known_HW, said_HW, IGNORED)
    for k in range(4):
        true_P2, said_P2 = edge_pixels(true_HW, k), edge_pixels(said_HW, k)
        assert (found.edge_true_K[k], found.edge_said_K[k]) == (len(true_P2), len(said_P2))
        assert found.edge_true_found_K[k] == met(true_P2, said_P2, tolerance)
        assert found.edge_said_right_K[k] == met(said_P2, true_P2, tolerance)
    assert found.edge_true_K.min() > 0
    assert 0 < found.edge_true_found_K.sum() < found.edge_true_K.sum()


def test_a_boundary_as_far_away_as_the_tolerance_is_met_and_one_farther_is_not() -> None:
    true_HW, said_HW = np.zeros((2, 9, 20), dtype=np.uint8)
    true_HW[:, 10:], said_HW[:, 13:] = 1, 1
    for tolerance, met_pixels in ((2.9, 0), (3.0, 9)):
        found = overlap_of(true_HW, said_HW, 2, tolerance)
        assert found.edge_true_K.tolist() == found.edge_said_K.tolist() == [9, 9]
        assert found.edge_true_found_K.tolist() == found.edge_said_right_K.tolist() == [met_pixels, met_pixels]


def test_the_frame_and_ignored_pixels_are_no_boundary() -> None:
    whole_HW = np.ones((6, 6), dtype=np.uint8)
    assert overlap_of(whole_HW, whole_HW, 2).edge_true_K.sum() == 0
    half_HW = whole_HW.copy()
    half_HW[:, 3:] = IGNORED
    said_HW = np.zeros_like(whole_HW)
    said_HW[:, :3] = 1
    found = overlap_of(half_HW, said_HW, 2)
    assert found.edge_true_K.sum() == found.edge_said_K.sum() == 0
    assert found.pixels_KK.tolist() == [[0, 0], [0, 18]]


def test_a_mask_that_is_all_ignored_counts_nothing() -> None:
    found = overlap_of(np.full((4, 5), IGNORED, dtype=np.uint8), np.zeros((4, 5), dtype=np.uint8), 3)
    assert found.pixels_KK.shape == (3, 3) and found.pixels_KK.sum() == 0
    assert found.edge_said_K.tolist() == [0, 0, 0]


MASK = np.zeros((4, 6), dtype=np.uint8)


@pytest.mark.parametrize(
    ("true_HW", "said_HW", "num_classes", "tolerance", "message"),
    [
        (MASK, MASK[:3], 2, 2, r"got \(4, 6\) and \(3, 6\); bring both"),
        (MASK[None], MASK[None], 2, 2, r"one height and width, got \(1, 4, 6\)"),
        (MASK[:0], MASK[:0], 2, 2, r"got \(0, 6\) and \(0, 6\)"),
        (MASK.astype(int), MASK, 2, 2, "masks need uint8, got int64 and uint8"),
        (MASK + 7, MASK, 2, 2, r"masks of 2 classes hold 0 to 1, got \[7\] in the true mask; check"),
        (MASK, MASK + IGNORED, 2, 2, r"got \[255\] in the said mask"),
        (MASK + 2, MASK + 3, 2, 2, r"got \[2\] in the true mask and \[3\] in the said mask"),
        (MASK + IGNORED, MASK + 3, 2, 2, r"got \[3\] in the said mask"),
        (MASK, MASK, 256, 2, "masks hold 1 to 255 classes, got 256"),
        (MASK, MASK, 2, -1.0, r"at least 0 pixels, got -1\.0"),
        (MASK, MASK, 2, float("nan"), "at least 0 pixels, got nan"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(
    true_HW: np.ndarray, said_HW: np.ndarray, num_classes: int, tolerance: float, message: str
) -> None:
    with pytest.raises(CorpuscleError, match=message) as caught:
        overlap_of(true_HW, said_HW, num_classes, tolerance)
    assert "\n" not in str(caught.value)


def test_an_image_takes_milliseconds() -> None:
    true_HW, said_HW = discs((224, 224), 10, seed=0), discs((224, 224), 10, seed=1)
    spent = []
    for _ in range(20):
        started = time.process_time()
        overlap_of(true_HW, said_HW, 10)
        spent.append(time.process_time() - started)
    assert min(spent) < 0.005  # measured: 0.0009 s
