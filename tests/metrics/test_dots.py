from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from scipy import optimize

from corpuscle.core.errors import CorpuscleError
from corpuscle.metrics import dots
from corpuscle.metrics.dots import match_dots, match_images


def drawn(num: int, seed: int, size: float = 30.0) -> np.ndarray:
    return np.random.default_rng(seed).random((num, 2)) * size


def best_of_all(found_M2: np.ndarray, true_M2: np.ndarray, distance: float) -> tuple[int, float]:
    """The most pairs, and the least sum of their distances, by the Hungarian method on all pairs."""
    apart = np.linalg.norm(found_M2[:, None] - true_M2[None], axis=2)
    cost = np.where(apart <= distance, apart, 1e6)
    chosen = cost[optimize.linear_sum_assignment(cost)]
    return int((chosen < 1e6).sum()), float(chosen[chosen < 1e6].sum())


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("distance", [1.0, 3.0, 40.0])
def test_the_pairs_are_as_many_and_as_near_as_the_hungarian_method_finds(seed: int, distance: float) -> None:
    found_M2, true_M2 = drawn(40 + seed, seed), drawn(50, seed + 100)
    matched = match_dots(found_M2, true_M2, distance)
    apart_P = np.linalg.norm(found_M2[matched.pair_P2[:, 0]] - true_M2[matched.pair_P2[:, 1]], axis=1)
    assert (matched.tp, apart_P.sum()) == pytest.approx(best_of_all(found_M2, true_M2, distance))
    assert (apart_P <= distance).all()
    assert all(len(np.unique(side_P)) == matched.tp for side_P in matched.pair_P2.T)
    assert (matched.found, matched.true) == (40 + seed, 50)


@pytest.mark.parametrize("seed", range(8))
def test_in_a_large_clump_the_pairs_are_still_as_many_as_can_be(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dots, "MOST", 0)
    found_M2, true_M2 = drawn(60, seed), drawn(70, seed + 100)
    for distance in (1.0, 3.0, 6.0):
        pair_P2 = match_dots(found_M2, true_M2, distance).pair_P2
        assert len(pair_P2) == best_of_all(found_M2, true_M2, distance)[0]
        assert all(len(np.unique(side_P)) == len(pair_P2) for side_P in pair_P2.T)
        assert (np.linalg.norm(found_M2[pair_P2[:, 0]] - true_M2[pair_P2[:, 1]], axis=1) <= distance).all()


def test_more_pairs_go_before_nearer_ones() -> None:
    """The first found dot is on the second true one, yet leaves it to the other, which reaches no other."""
    found_M2, true_M2 = np.array([[2.0, 0], [4.0, 0]]), np.array([[0.0, 0], [2.0, 0]])
    assert match_dots(found_M2, true_M2, 2).pair_P2.tolist() == [[0, 0], [1, 1]]
    assert match_dots(found_M2[:1], true_M2, 2).pair_P2.tolist() == [[0, 1]]


def test_two_dots_on_one_cell_count_once_and_the_distance_itself_still_counts() -> None:
    assert match_dots(np.array([[0.0, 0], [0.0, 0]]), np.array([[0.0, 5]]), 5).tp == 1
    assert match_dots(np.array([[0.0, 0]]), np.array([[0.0, 5]]), 4.999).tp == 0


def test_without_dots_nothing_is_matched() -> None:
    for found, true in itertools.product(([], np.empty((0, 2))), ([], [[1.0, 2.0]])):
        matched = match_dots(np.array(found), np.array(true), 3)
        assert (matched.tp, matched.found, matched.true) == (0, 0, len(true))
    assert match_dots(np.array([[1.0, 2.0]]), np.array([]), 3).found == 1


def test_images_are_matched_kind_by_kind() -> None:
    here, there = np.array([[1.0, 1.0]]), np.array([[1.0, 2.0], [8.0, 8.0]])
    counts = match_images([[here, there], [here, []]], [[there, here], [[], here]], distance=1)
    assert counts.distance == 1
    assert counts.tp_NK.tolist() == [[1, 1], [0, 0]]
    assert counts.found_NK.tolist() == [[1, 2], [1, 0]]
    assert counts.true_NK.tolist() == [[2, 1], [0, 1]]


@pytest.mark.parametrize(
    ("found", "distance", "message"),
    [
        ([[0.0, np.nan], [1, 1]], 1, r"found dots must lie somewhere, got 1 of 2 \(first: dot 0\)"),
        ([[0.0, 1, 2]], 1, r"found dots need an x and a y each, got \(1, 3\)"),
        ([[0.0, 1]], 0, "the distance of a match must be above 0, got 0"),
        ([[0.0, 1]], np.nan, "above 0, got nan"),
    ],
)
def test_points_that_mean_nothing_are_refused(found: list[list[float]], distance: float, message: str) -> None:
    with pytest.raises(CorpuscleError, match=message):
        match_dots(np.array(found), np.array([[0.0, 0.0]]), distance)


def test_other_images_or_kinds_are_refused() -> None:
    with pytest.raises(CorpuscleError, match="the same images and kinds, got 1 and 2 images"):
        match_images([[[]]], [[[]], [[]]], 1)
    with pytest.raises(CorpuscleError, match="pass one array a kind"):
        match_images([[[]]], [[[], []]], 1)


@pytest.mark.slow
@pytest.mark.parametrize("distance", [6.0, 12.0])
def test_fifty_thousand_dots_take_seconds(distance: float) -> None:
    random = np.random.default_rng(0)
    true_M2 = drawn(50_000, 0, 2200.0)
    found_M2 = (true_M2 + random.normal(size=true_M2.shape) * 3)[random.random(50_000) < 0.9]
    started = time.process_time()
    assert match_dots(found_M2, true_M2, distance).tp > 40_000
    assert time.process_time() - started < 5
