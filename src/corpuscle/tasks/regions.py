"""From a mask to its objects: islands of one class, and how large they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Regions:
    """The objects of a mask.

    Attributes:
        instance_HW: number of the object at each pixel, int32, 0 where there is none.
        kind_M: class number of each object, in the order of their numbers from 1.
        box_M4: left, top, width and height of each, in pixels.
        area_M: pixels of each.
    """

    instance_HW: np.ndarray
    kind_M: np.ndarray
    box_M4: np.ndarray
    area_M: np.ndarray


def regions_of(mask_HW: np.ndarray, num_classes: int, smallest: int = 1) -> Regions:
    """The connected islands (also over corners) of each class but the background.

    Objects of one class that touch are one island.

    Args:
        mask_HW: class numbers, uint8.
        num_classes: with the background.
        smallest: islands of fewer pixels are no objects.
    """
    import cv2

    instance_HW = np.zeros(mask_HW.shape, np.int32)
    kinds: list[int] = []
    found = []
    for kind in np.flatnonzero(np.bincount(mask_HW.ravel(), minlength=256)[:num_classes]):
        if kind == 0:
            continue
        number, label_HW, stats, _ = cv2.connectedComponentsWithStats((mask_HW == kind).astype(np.uint8))
        kept = np.flatnonzero(stats[1:, cv2.CC_STAT_AREA] >= smallest) + 1
        renamed = np.zeros(number, np.int32)
        renamed[kept] = len(kinds) + 1 + np.arange(len(kept))
        instance_HW += renamed[label_HW]
        kinds += [int(kind)] * len(kept)
        found.append(stats[kept])
    stats_M5 = np.concatenate(found) if found else np.zeros((0, 5), np.int64)
    return Regions(instance_HW, np.array(kinds, np.int64), stats_M5[:, :4], stats_M5[:, 4])


def measured(mask_HW: np.ndarray, num_classes: int, smallest: int = 1) -> np.ndarray:
    """Pixels of each class, and then the number of its objects; (2K,), the background has no objects."""
    areas_K = np.bincount(mask_HW.ravel(), minlength=256)[:num_classes]
    counts_K = np.bincount(regions_of(mask_HW, num_classes, smallest).kind_M, minlength=num_classes)
    return np.concatenate([areas_K, counts_K]).astype(np.float64)
