"""Some of many."""

from __future__ import annotations

import numpy as np


def evenly(count: int, most: int) -> np.ndarray:
    """Which of `count` things are taken where at most `most` are wanted, from the first to the last.

    >>> evenly(9, 3).tolist(), evenly(2, 3).tolist(), evenly(0, 3).tolist()
    ([0, 4, 8], [0, 1], [])
    """
    return np.linspace(0, count - 1, min(count, most)).astype(int)
