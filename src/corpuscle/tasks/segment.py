"""Which of K classes each pixel is of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from torch import Tensor

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.legend import IGNORED, Colour, colours_for
from corpuscle.data.masks import Masks
from corpuscle.data.prepare import PreparePlan
from corpuscle.data.table import Table
from corpuscle.data.targets import MaskTargets
from corpuscle.losses.segmentation import mask_loss
from corpuscle.metrics.segmentation import score_masks
from corpuscle.nets.net import Net
from corpuscle.tasks.regions import measured
from corpuscle.tasks.task import Calibration, Held, Judging, Watch
from corpuscle.tasks.zoo import SegmentPlan

DIGITS = 6


class Segment:
    """Segmentation. Output: logits_NKHW; what is said of an image: the pixels of each class, then its objects.

    Args:
        plan: losses, and what counts as an object.
        weight_K: factor on the loss of each class; None weighs every pixel alike.
    """

    watch = Watch("val_mean_dice", "max")
    counts_whole_images = False
    learns_masks = True
    learns_images = False
    learns_labels = True
    views = 1

    def __init__(self, plan: SegmentPlan, weight_K: Tensor | None = None) -> None:
        self.plan = plan
        self.weight_K = weight_K

    def num_outputs(self, classes: Sequence[str]) -> int:
        """One logit a class, the background's first."""
        return len(classes)

    def check(self, table: Table) -> None:
        """Refuse a table without masks."""
        if not table.segmented:
            raise CorpuscleError(
                f"{table.layout}: expected images with masks, these come with none; put each mask into a folder masks "
                "beside the folder images, or pass --set data.masks=beside where they lie beside the images"
            )

    def targets(self, table: Table, plan: PreparePlan, net: Net, masks: Masks | None = None) -> MaskTargets:
        """The class number of each pixel."""
        assert masks is not None
        return MaskTargets(masks)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """The sum of the chosen losses of logits_NKHW against mask_NHW."""
        weight_K = None if self.weight_K is None else self.weight_K.to(output.device)
        return mask_loss(output, target, self.plan.loss, weight_K)

    def decode(self, output: Tensor, seen: Tensor | None = None) -> np.ndarray:
        """said_NK: pixels of each class, and then its objects."""
        return self.measure(output.argmax(dim=1).byte().cpu().numpy(), output.shape[1])

    def measure(self, mask_NHW: np.ndarray, num_classes: int) -> np.ndarray:
        """said_NK of masks."""
        said = [measured(mask_HW, num_classes, self.plan.smallest) for mask_HW in mask_NHW]
        return np.array(said).reshape(-1, 2 * num_classes)

    def sums(self, output: Tensor, target: Tensor) -> dict[str, Any]:
        """Images, and the pixels of each true class by the class said."""
        K = output.shape[1]
        pairs = target * K + output.argmax(dim=1)  # those of ignored pixels come last, and are left out
        pixels_KK = pairs.flatten().bincount(minlength=(IGNORED + 1) * K).reshape(-1, K)[:K]
        return {"images": len(target), "pixels": pixels_KK.tolist()}

    def scores(self, sums: dict[str, Any]) -> dict[str, float]:
        """The share of the pixels that are right, and Dice and IoU as means over the classes present; none without."""
        pixels_KK = np.array(sums["pixels"], np.float64)
        both_K, true_K, said_K = np.diag(pixels_KK), pixels_KK.sum(axis=1), pixels_KK.sum(axis=0)
        there = true_K > 0
        if not there.any():
            return {}
        return {
            "pixel_accuracy": float(both_K.sum() / max(pixels_KK.sum(), 1)),
            "mean_iou": float((both_K / np.maximum(true_K + said_K - both_K, 1))[there].mean()),
            "mean_dice": float((2 * both_K / np.maximum(true_K + said_K, 1))[there].mean()),
        }

    def calibrate(self, held: Held | None) -> Calibration:
        """How masks are drawn, judged, and their objects counted; nothing of it is learned."""
        legend = None if held is None else held.table.legend
        return {
            "colours": [] if legend is None else [list(colour) for colour in legend.colours],
            "smallest": self.plan.smallest,
            "tolerance": self.plan.tolerance,
        }

    def columns(self, said_NK: np.ndarray, classes: Sequence[str], calibration: Calibration) -> pl.DataFrame:
        """`area_<class>` (pixels of the canvas) of every class, and `count_<class>` of all but the background."""
        K = len(classes)
        said_NK = said_NK.reshape(-1, 2 * K).astype(np.int64)
        areas = {f"area_{name}": said_NK[:, k] for k, name in enumerate(classes)}
        return pl.DataFrame(areas | {f"count_{name}": said_NK[:, K + k] for k, name in enumerate(classes) if k})

    def predictions(self, held: Held, calibration: Calibration) -> pl.DataFrame:
        """Dice and IoU as means over the classes an image shows; of each class the pixels that are true, said and both,
        where the truth is known; then areas and objects. No Dice and IoU where no pixel is judged."""
        classes = held.table.classes
        pixels_NKK = np.array([one.pixels_KK for one in held.overlaps], np.float64)
        pixels_NKK = pixels_NKK.reshape(-1, len(classes), len(classes))
        both_NK = np.diagonal(pixels_NKK, axis1=1, axis2=2)
        true_NK, said_NK = pixels_NKK.sum(axis=2), pixels_NKK.sum(axis=1)
        there_NK = true_NK > 0
        shown_N = there_NK.sum(axis=1)
        dice_NK = np.where(there_NK, 2 * both_NK / np.maximum(true_NK + said_NK, 1), 0)
        iou_NK = np.where(there_NK, both_NK / np.maximum(true_NK + said_NK - both_NK, 1), 0)
        scored = {"dice": _mean(dice_NK, shown_N), "iou": _mean(iou_NK, shown_N)}
        parts = {"true": true_NK, "said": said_NK, "both": both_NK}
        judged = {
            f"{word}_{name}": part_NK[:, k].astype(np.int64)
            for word, part_NK in parts.items()
            for k, name in enumerate(classes)
        }
        columns = [
            held.table.frame.select("image", "split", "group"),
            pl.DataFrame(scored).with_columns(pl.all().round(DIGITS)),
            pl.DataFrame(judged),
            self.columns(held.said_NK, classes, calibration),
        ]
        return pl.concat(columns, how="horizontal")

    def judge(self, held: Held, calibration: Calibration, how: Judging) -> dict[str, Any]:
        """Every score of `metrics.segmentation`."""
        group_N = held.table.frame["group"].to_list()
        overlaps, classes = held.overlaps, held.table.classes
        return score_masks(overlaps, group_N, classes=classes, seed=how.seed, resamples=how.resamples).as_dict()

    def headline(self, calibration: Calibration, classes: Sequence[str]) -> dict[str, Any]:
        """The colours of the classes."""
        return {"legend": {"classes": list(classes), "colours": [list(c) for c in colours_of(calibration, classes)]}}


def _mean(score_NK: np.ndarray, shown_N: np.ndarray) -> pl.Series:
    """Of the classes that each image shows; null where nothing of it is judged."""
    mean_N = score_NK.sum(axis=1) / np.maximum(shown_N, 1)
    return pl.Series(np.where(shown_N > 0, mean_N, np.nan), nan_to_null=True)


def colours_of(calibration: Calibration, classes: Sequence[str]) -> tuple[Colour, ...]:
    """The colour of each class where masks are drawn."""
    return tuple((red, green, blue) for red, green, blue in calibration.get("colours") or colours_for(classes))
