"""What is kept of an image to know it again: small, and of the same length whatever the image.

The whole image in grey, squashed to a square, so that a flip or a quarter turn of the image is the same of the square,
and stretched to its own range.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import polars as pl

SIDE = 48  # pixels of the square
HEAD = 5  # bytes before them: the type, and the range
BYTES = HEAD + SIDE**2
BLOCK = 1024  # signatures at a time


@dataclass(frozen=True)
class Signatures:
    """Signatures of some images, opened.

    Attributes:
        grey_NHW: each stretched to its own range, 0 to 255.
        range_N2: darkest and brightest of each before, 0 to 65535.
        levels_N: grey levels between the two that the image could have.
    """

    grey_NHW: np.ndarray
    range_N2: np.ndarray
    levels_N: np.ndarray

    def take(self, chosen: np.ndarray) -> Signatures:
        """Some of them."""
        return Signatures(self.grey_NHW[chosen], self.range_N2[chosen], self.levels_N[chosen])


def signature_of(grey_HW: np.ndarray) -> bytes:
    """Describe a grey image of 8 or 16 bits; about 0.15 ms for 360 × 363 pixels.

    >>> len(signature_of(np.zeros((363, 360), np.uint8))) == BYTES
    True
    """
    import cv2

    shrunk_HW = cv2.resize(grey_HW, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    wide = shrunk_HW.dtype == np.uint16
    low, high = int(shrunk_HW.min()), int(shrunk_HW.max())
    stretched_HW = (shrunk_HW - np.float32(low)) * np.float32(255 / max(high - low, 1))
    ends = np.array([low, high], np.uint16) * np.uint16(1 if wide else 257)
    return bytes([wide]) + ends.astype("<u2").tobytes() + np.rint(stretched_HW).astype(np.uint8).tobytes()


def opened(signatures: Sequence[bytes] | pl.Series) -> Signatures:
    """Signatures as arrays, in their order; few are held as Python's objects at a time."""
    grey_NHW = np.empty((len(signatures), SIDE, SIDE), np.uint8)
    head_N5 = np.empty((len(signatures), HEAD), np.uint8)
    for start in range(0, len(signatures), BLOCK):
        block = slice(start, start + BLOCK)
        bytes_BL = np.frombuffer(b"".join(signatures[block]), np.uint8).reshape(-1, BYTES)
        head_N5[block], grey_NHW[block] = bytes_BL[:, :HEAD], bytes_BL[:, HEAD:].reshape(-1, SIDE, SIDE)
    range_N2 = np.ascontiguousarray(head_N5[:, 1:]).view("<u2")
    levels_N = np.diff(range_N2.astype(int))[:, 0] // np.where(head_N5[:, 0], 1, 257)
    return Signatures(grey_NHW, range_N2, levels_N)
