"""Objects laid one after the other: what may lie on what."""

from __future__ import annotations

import numpy as np
import pytest

from corpuscle.synth.canvas import Canvas
from corpuscle.synth.sprites import Sprite


def square(side: int) -> Sprite:
    inside_HW = np.full((side, side), 0xFFFF, np.uint16)
    return Sprite(np.full((side, side, 3), 200, np.uint8), None, inside_HW, side * side, (0, 0, side, side))


@pytest.mark.parametrize("first, second", [(30, 6), (6, 30)])
def test_neither_of_two_objects_is_doubled_by_more_than_the_overlap(first, second):
    canvas = Canvas(np.full((40, 40, 3), 255, np.uint8), np.zeros((40, 40), np.uint16))
    assert canvas.lay(square(first), 1, 2, 2, overlap=0.3)
    before_HWC = canvas.image_HWC.copy()
    assert not canvas.lay(square(second), 2, 2, 2, overlap=0.3)
    assert np.array_equal(canvas.image_HWC, before_HWC) and set(canvas.seen_of) == {1}
    assert canvas.lay(square(second), 2, 2, 2, overlap=1.0)
    assert canvas.seen_of == {1: max(0, first**2 - second**2), 2: second**2}
