"""The sums that every score of masks is computed from, for many weightings of the images at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from corpuscle.core.errors import CorpuscleError
from corpuscle.metrics.bootstrap import weighted_total
from corpuscle.metrics.counts import ratio
from corpuscle.metrics.overlap import Overlap


@dataclass(frozen=True, eq=False)
class Edges:
    """Boundary pixels of N images and K classes: true ones, said ones, and how many of either the other meets."""

    true_NK: np.ndarray
    said_NK: np.ndarray
    found_NK: np.ndarray
    right_NK: np.ndarray


@dataclass(frozen=True, eq=False)
class Areas:
    """Pixels of N images and K classes; ignored ones are not among them.

    Attributes:
        true_NK, said_NK, both_NK: pixels that are of the class, that are said to be, and that are both.
        edges: boundary pixels; None where they were not kept.
    """

    true_NK: np.ndarray
    said_NK: np.ndarray
    both_NK: np.ndarray
    edges: Edges | None = None

    @property
    def present_K(self) -> np.ndarray:
        """Which classes occur in the truth of any image."""
        return self.true_NK.max(axis=0) > 0


def areas_of(overlaps: Sequence[Overlap]) -> Areas:
    """Stack the overlaps of N images.

    Raises:
        CorpuscleError: no overlap, or overlaps of other numbers of classes.
    """
    shapes = sorted({one.pixels_KK.shape for one in overlaps})
    if len(shapes) != 1:
        came = " and ".join(f"{shape[0]} classes" for shape in shapes) or "no image"
        raise CorpuscleError(f"masks are scored over images of the same classes, got {came}; pass those of one part")
    pixels_NKK = np.stack([one.pixels_KK for one in overlaps])
    names = ("edge_true_K", "edge_said_K", "edge_true_found_K", "edge_said_right_K")
    edges = Edges(*(np.stack([getattr(one, name) for one in overlaps]) for name in names))
    both_NK = np.einsum("nkk->nk", pixels_NKK)
    return Areas(pixels_NKK.sum(axis=2), pixels_NKK.sum(axis=1), both_NK, edges)


@dataclass(frozen=True, eq=False)
class AreaSums:
    """Sums over images, each counted as often as its group in each of B weightings.

    Attributes:
        part: the images.
        group_N: their groups 0 … G-1.
        weight_GB: how often each group counts.
    """

    part: Areas
    group_N: np.ndarray
    weight_GB: np.ndarray

    def total(self, value_NC: np.ndarray) -> np.ndarray:
        """Weighted sum (C, B) of a value over the images."""
        return weighted_total(value_NC, self.group_N, self.weight_GB)

    @cached_property
    def true_KB(self) -> np.ndarray:
        """Pixels of each class."""
        return self.total(self.part.true_NK)

    @cached_property
    def said_KB(self) -> np.ndarray:
        """Pixels given to each class."""
        return self.total(self.part.said_NK)

    @cached_property
    def both_KB(self) -> np.ndarray:
        """Pixels of each class that were given to it."""
        return self.total(self.part.both_NK)

    @cached_property
    def iou_KB(self) -> np.ndarray:
        """NaN for a class without a true pixel."""
        return ratio(self.both_KB, self._known(self.true_KB + self.said_KB - self.both_KB))

    @cached_property
    def dice_KB(self) -> np.ndarray:
        """NaN for a class without a true pixel."""
        return ratio(2 * self.both_KB, self._known(self.true_KB + self.said_KB))

    @cached_property
    def precision_KB(self) -> np.ndarray:
        """NaN for a class without a true pixel, or that no pixel was given to."""
        return ratio(self.both_KB, self._known(self.said_KB))

    @cached_property
    def recall_KB(self) -> np.ndarray:
        """NaN for a class without a true pixel."""
        return ratio(self.both_KB, self.true_KB)

    @cached_property
    def boundary_KB(self) -> np.ndarray:
        """F1 of the boundaries, NaN for a class without a true one.

        Precision is the share of the said boundary that is right, recall the share of the true one that is found.
        """
        assert self.part.edges is not None
        edges = self.part.edges
        true_KB = self.total(edges.true_NK)
        recall_KB = ratio(self.total(edges.found_NK), true_KB)
        precision_KB = np.nan_to_num(ratio(self.total(edges.right_NK), self.total(edges.said_NK)))
        f1_KB = np.nan_to_num(ratio(2 * precision_KB * recall_KB, precision_KB + recall_KB))
        return np.where(true_KB > 0, f1_KB, np.nan)

    @cached_property
    def image_dice_B(self) -> np.ndarray:
        """Mean over images of the mean Dice of the classes in the truth of the image."""
        part = self.part
        dice_NK = ratio(2 * part.both_NK, np.where(part.true_NK > 0, part.true_NK + part.said_NK, 0))
        classes_N = (part.true_NK > 0).sum(axis=1)
        mean_N = np.nansum(dice_NK, axis=1) / np.maximum(classes_N, 1)
        return ratio(self.total(mean_N[:, None])[0], self.total((classes_N > 0)[:, None])[0])

    def _known(self, whole_KB: np.ndarray) -> np.ndarray:
        return np.where(self.true_KB > 0, whole_KB, 0)
