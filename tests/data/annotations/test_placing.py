"""Where images lie in a converted folder: plain names where they stay different, longer ones where not."""

from __future__ import annotations

import pytest

from corpuscle.data.annotations.placing import places_for
from corpuscle.data.annotations.record import Marked


def places(names, pattern, flat=False, parts=()):
    given = [Marked(name, 1, 1, (), part) for name, part in zip(names, parts or [None] * len(names), strict=True)]
    return places_for(given, pattern, flat)


@pytest.mark.parametrize(
    ("names", "parts", "pattern", "flat", "expected"),
    [
        (["images/a.png", "images/b.png"], (), "images/{name}", False, ["images/a.png", "images/b.png"]),
        (["p/x/a.png", "p/y/a.png"], (), "images/{name}", False, ["images/x/a.png", "images/y/a.png"]),
        (["p/x/a.png", "p/y/b.png"], (), "JPEGImages/{name}", True, ["JPEGImages/a.png", "JPEGImages/b.png"]),
        (["p/x/a.png", "p/y/a.png"], (), "JPEGImages/{name}", True, ["JPEGImages/x_a.png", "JPEGImages/y_a.png"]),
        (["a.png", "a.jpg", "b.png"], (), "{name}", True, ["a_png.png", "a_jpg.jpg", "b_png.png"]),
        (["A.png", "x/a.png"], (), "{name}", True, ["A.png", "x_a.png"]),
        (
            ["x_a.png", "x/a.png", "y/a.png"],
            (),
            "{name}",
            True,
            ["000000_x_a_png.png", "000001_x_a_png.png", "000002_y_a_png.png"],
        ),
        (
            ["images/train/a.png", "images/val/b.png"],
            ("train", "val"),
            "images/{name}",
            False,
            ["images/a.png", "images/b.png"],
        ),
        (
            ["train/a.png", "valid/a.png"],
            ("train", "val"),
            "images/{name}",
            False,
            ["images/train/a.png", "images/valid/a.png"],
        ),
        (
            ["train/a.png", "valid/a.png"],
            ("train", "val"),
            "images/{part}/{name}",
            False,
            ["images/train/a.png", "images/val/a.png"],
        ),
        (["train/a.png", "train/b.png"], (), "{part}/images/{name}", False, ["images/a.png", "images/b.png"]),
        (["/data/a.png", "b.png"], (), "images/{name}", False, ["images/data/a.png", "images/b.png"]),
        ([], (), "images/{name}", False, []),
    ],
)
def test_names_are_as_plain_as_they_can_be(names, parts, pattern, flat, expected):
    assert places(names, pattern, flat, parts) == expected
