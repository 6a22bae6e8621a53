"""A composed scene: pixels, classes, instances and boxes that agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from corpuscle.core.legend import SMEAR


@dataclass(frozen=True)
class Scene:
    """One composed image and all that is known of it.

    Attributes:
        image_HWC: uint8 RGB.
        mask_HW: uint8, the number in `SMEAR` of each pixel's class.
        instance_HW: uint16; 0 is the background, object m of the arrays below is m + 1.
        kind_M: uint8, the number in `SMEAR` of each object's class.
        box_M4: int32, left, top, width and height of what is seen of each object.
    """

    image_HWC: np.ndarray
    mask_HW: np.ndarray
    instance_HW: np.ndarray
    kind_M: np.ndarray
    box_M4: np.ndarray

    def counts(self) -> dict[str, int]:
        """Objects of each kind, those of which there are none among them."""
        count_K = np.bincount(self.kind_M, minlength=len(SMEAR.classes)).tolist()
        return dict(zip(SMEAR.classes[1:], count_K[1:], strict=True))
