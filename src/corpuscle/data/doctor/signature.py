"""What is kept of an image to know it again: small, and of the same length whatever the image.

The whole image in grey, squashed to a square, so that a flip or a quarter turn of the image is the same of the square,
and stretched to its own range.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SIDE = 48  # pixels of the square
BYTES = 5 + SIDE**2


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


def opened(signatures: Sequence[bytes]) -> Signatures:
    """Signatures as arrays, in their order."""
    bytes_NB = np.frombuffer(b"".join(signatures), np.uint8).reshape(-1, BYTES)
    range_N2 = np.ascontiguousarray(bytes_NB[:, 1:5]).view("<u2")
    levels_N = np.diff(range_N2.astype(int))[:, 0] // np.where(bytes_NB[:, 0], 1, 257)
    return Signatures(bytes_NB[:, 5:].reshape(-1, SIDE, SIDE), range_N2, levels_N)
