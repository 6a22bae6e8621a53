from __future__ import annotations

import time

import numpy as np
import pytest

from corpuscle.core.errors import CorpuscleError
from corpuscle.tasks import peaks
from corpuscle.tasks.peaks import Dots, find_peaks


def blobs(size: tuple[int, int], at: list[tuple[float, float]], sigma: float = 1.5) -> np.ndarray:
    """A density with one object at each (x, y)."""
    y_HW, x_HW = np.mgrid[: size[0], : size[1]]
    one = [np.exp(-((x_HW - x) ** 2 + (y_HW - y) ** 2) / (2 * sigma**2)) for x, y in at]
    return np.sum([blob / blob.sum() for blob in one], axis=0)


def places(dots: Dots) -> np.ndarray:
    """x and y of each dot, in this order of importance."""
    at_M2 = np.stack([dots.x_M, dots.y_M], axis=1)
    return at_M2[np.lexsort(at_M2.T[::-1])]


def test_each_blob_gives_a_dot_near_its_centre_with_its_mass() -> None:
    at = [(12.3, 8.0), (30.0, 22.4), (50.6, 10.2), (5.0, 40.5)]
    dots = find_peaks(blobs((50, 60), at), count=4.2, disc=5)
    assert places(dots) == pytest.approx(np.array(sorted(at)), abs=0.15)
    assert dots.score_M == pytest.approx(np.ones(4), abs=0.05)


def test_the_strongest_come_first_and_as_many_as_the_rounded_count() -> None:
    density_HW = 3 * blobs((40, 60), [(10, 10)]) + blobs((40, 60), [(30, 10)]) + 2 * blobs((40, 60), [(45, 30)])
    for count, num in ((0.49, 0), (0.5, 1), (1.49, 1), (2.5, 3), (99, 3), (-4, 0)):
        dots = find_peaks(density_HW, count)
        assert len(dots) == num
        assert np.round(dots.x_M).tolist() == [10, 45, 30][:num]
        assert (np.diff(dots.score_M) < 0).all()


@pytest.mark.parametrize("value", [0.3, 1 / 3, 0.7, np.pi])
@pytest.mark.parametrize(("rows", "columns"), [(slice(5, 9), slice(11, 15)), (slice(0, 20), slice(7, 8))])
def test_a_plateau_gives_one_dot_in_its_middle(value: float, rows: slice, columns: slice) -> None:
    density_HW = np.zeros((20, 37), dtype=np.float32)
    density_HW[rows, columns] = value
    middle = ((columns.start + columns.stop - 1) / 2, (rows.start + rows.stop - 1) / 2)
    assert places(find_peaks(density_HW, count=10)) == pytest.approx(np.array([middle]))


def test_a_flat_density_gives_one_dot_and_an_empty_one_none() -> None:
    assert places(find_peaks(np.full((11, 21), 0.1), count=23)) == pytest.approx(np.array([[10, 5]]))
    assert len(find_peaks(np.zeros((11, 21)), count=3)) == 0


def test_a_shelf_beside_a_peak_is_no_peak() -> None:
    density_HW = np.zeros((20, 40), dtype=np.float32)
    density_HW[4:16, 4:30] = 0.5
    density_HW[10, 10] = 5
    assert places(find_peaks(density_HW, count=10)) == pytest.approx(np.array([[10, 10]]))


def test_at_the_border_dots_stay_at_the_border() -> None:
    at = [(0.0, 0.0), (29.0, 7.0), (12.0, 19.0)]
    assert places(find_peaks(blobs((20, 30), at), count=3)) == pytest.approx(np.array(sorted(at)), abs=0.05)
    assert places(find_peaks(np.ones((1, 1)), count=1)).tolist() == [[0, 0]]


def test_a_wider_radius_joins_what_is_near() -> None:
    density_HW = 2 * blobs((20, 40), [(10, 10)], 0.6) + blobs((20, 40), [(13, 10), (25, 10)], 0.6)
    assert len(find_peaks(density_HW, count=9)) == 3
    assert np.round(find_peaks(density_HW, count=9, radius=4).x_M).tolist() == [10, 25]


@pytest.mark.parametrize("radius", [1, 3])
@pytest.mark.parametrize("kind", ["noise", "steps", "snake", "flat"])
def test_bands_do_not_show(kind: str, radius: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps have many plateaus across the seams; the snake winds through every band and is one plateau."""
    random = np.random.default_rng(3)
    density_HW = random.random((60, 43)).astype(np.float32)
    if kind == "steps":
        density_HW = np.kron(random.integers(1, 4, size=(12, 9)), np.ones((5, 5))).astype(np.float32)
    elif kind == "snake":
        density_HW = np.zeros((60, 43), dtype=np.float32)
        density_HW[:, 2::20] = 1
        density_HW[0, 2:22], density_HW[-1, 22:42] = 1, 1
    elif kind == "flat":
        density_HW = np.ones((60, 43), dtype=np.float32)
    for count in (5, 1000):
        whole = find_peaks(density_HW, count, radius)
        for rows in (1, 2, 7):
            with monkeypatch.context() as patch:
                patch.setattr(peaks, "BAND", rows * 43)
                found = find_peaks(density_HW, count, radius)
            assert places(found) == pytest.approx(places(whole))
            assert found.score_M == pytest.approx(whole.score_M)
    assert len(whole) > 0


def test_dots_are_taken_to_the_pixels_of_the_image() -> None:
    """A pixel of the density stands for stride x shrink pixels of the image, and its centre for their middle."""
    dots = Dots(np.array([0.0, 3.0]), np.array([0.0, 1.5]), np.array([1.0, 0.5]))
    moved = dots.in_image(stride=4, shrink=2)
    assert moved.x_M.tolist() == [3.5, 27.5]
    assert moved.y_M.tolist() == [3.5, 15.5]
    assert moved.score_M.tolist() == [1.0, 0.5]
    assert np.array_equal(places(dots.in_image(stride=1)), places(dots))


def test_a_density_or_count_that_means_nothing_is_refused() -> None:
    with pytest.raises(CorpuscleError, match=r"a density \(height, width\), got \(2, 3, 4\)"):
        find_peaks(np.ones((2, 3, 4)), 1)
    with pytest.raises(CorpuscleError, match="a finite count, got nan"):
        find_peaks(np.ones((2, 3)), np.nan)


@pytest.mark.slow
def test_a_hundred_million_pixels_take_seconds() -> None:
    random = np.random.default_rng(0)
    tile_HW = random.random((1000, 1000), dtype=np.float32) * 1e-4
    tile_HW[5::10, 5::10] += 1
    density_HW = np.tile(tile_HW, (10, 10))
    started = time.process_time()
    dots = find_peaks(density_HW, 1_000_000)
    assert time.process_time() - started < 30
    assert len(dots) == 1_000_000
    assert dots.score_M.min() > 0.9
