"""How near points lie to one another, against a plain loop."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from corpuscle.data.points import near_neighbours


def points(rows):
    schema = {"image": pl.String, "x": pl.Float64, "y": pl.Float64, "kind": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def test_the_median_is_that_of_a_plain_loop():
    random = np.random.default_rng(0)
    rows = [(f"{n % 5}.png", *random.uniform(0, 100, 2), "ab"[n % 2]) for n in range(60)]
    nearest = [
        min(np.hypot(x - x2, y - y2) for m, (image2, x2, y2, _) in enumerate(rows) if m != n and image2 == image)
        for n, (image, x, y, _) in enumerate(rows)
    ]
    assert near_neighbours(points(rows)) == pytest.approx(np.median(nearest))


def test_points_of_other_images_are_no_neighbours_and_those_alone_say_nothing():
    rows = [("a", 0.0, 0.0, "x"), ("b", 1.0, 0.0, "x"), ("c", 0.0, 0.0, "x"), ("c", 30.0, 40.0, "y")]
    assert near_neighbours(points(rows)) == 50
    assert near_neighbours(points(rows[:3])) is None
    assert near_neighbours(points([])) is None


def test_points_in_one_place_are_no_distance_apart():
    assert near_neighbours(points([("a", 3.0, 4.0, "x")] * 2)) == 0
