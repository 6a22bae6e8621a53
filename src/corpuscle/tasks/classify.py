"""Which one of K classes an image shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import torch
import torch.nn.functional as F
from torch import Tensor

from corpuscle.core.errors import CorpuscleError
from corpuscle.data.masks import Masks
from corpuscle.data.prepare import PreparePlan
from corpuscle.data.table import Table
from corpuscle.data.targets import Numbers
from corpuscle.metrics.calibration import apply_temperature, fit_temperature
from corpuscle.metrics.classification import score
from corpuscle.nets.net import Net
from corpuscle.tasks.task import Calibration, Held, Judging, Watch


class Classify:
    """Multiclass classification. Output: logits_NK; what is said: probs_NK.

    Args:
        label_smoothing: share of the target that is spread over all classes (Szegedy et al. 2016).
        weight_K: factor on the loss of each class; None weighs every image alike.
    """

    watch = Watch("val_recall", "max")
    counts_whole_images = False
    learns_masks = False
    learns_images = False
    learns_labels = True
    views = 1

    def __init__(self, label_smoothing: float = 0.0, weight_K: Tensor | None = None) -> None:
        self.label_smoothing = label_smoothing
        self.weight_K = weight_K

    def num_outputs(self, classes: Sequence[str]) -> int:
        """One logit a class."""
        return len(classes)

    def check(self, table: Table) -> None:
        """Refuse a table of counts."""
        if table.counted:
            raise CorpuscleError(
                f"{table.layout}: expected images with a class each, these come with numbers of objects; "
                "count them with --recipe count"
            )

    def targets(self, table: Table, plan: PreparePlan, net: Net, masks: Masks | None = None) -> Numbers:
        """Class numbers."""
        return Numbers(class_numbers(table))

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy of logits_NK against target_N."""
        weight_K = None if self.weight_K is None else self.weight_K.to(output.device)
        return F.cross_entropy(output.float(), target, weight=weight_K, label_smoothing=self.label_smoothing)

    def decode(self, output: Tensor, seen: Tensor | None = None) -> np.ndarray:
        """probs_NK in double precision, so that rows sum to one."""
        return torch.softmax(output.double(), dim=1).cpu().numpy()

    def sums(self, output: Tensor, target: Tensor) -> dict[str, Any]:
        """Images, the confusion matrix as lists, and the summed negative log-likelihood."""
        probs_NK, target_N = self.decode(output), target.cpu().numpy()
        K = probs_NK.shape[1]
        confusion_KK = np.bincount(target_N * K + probs_NK.argmax(axis=1), minlength=K * K).reshape(K, K)
        nll = -np.log(np.maximum(probs_NK[np.arange(len(target_N)), target_N], 1e-12)).sum()
        return {"images": len(target_N), "confusion": confusion_KK.tolist(), "nll": float(nll)}

    def scores(self, sums: dict[str, Any]) -> dict[str, float]:
        """Loss (negative log-likelihood), accuracy, and recall as the mean over the classes present."""
        confusion_KK = np.array(sums["confusion"])
        there = confusion_KK.sum(axis=1) > 0
        recall_K = np.diag(confusion_KK)[there] / confusion_KK.sum(axis=1)[there]
        accuracy = np.trace(confusion_KK) / confusion_KK.sum()
        return {"loss": sums["nll"] / sums["images"], "accuracy": float(accuracy), "recall": float(recall_K.mean())}

    def calibrate(self, held: Held | None) -> Calibration:
        """The temperature that fits the validation part; 1 where there is none."""
        if held is None:
            return {"temperature": 1.0}
        return {"temperature": fit_temperature(held.said_NK, class_numbers(held.table))}

    def columns(self, said_NK: np.ndarray, classes: Sequence[str], calibration: Calibration) -> pl.DataFrame:
        """Prediction, confidence, `p_<class>` after temperature scaling and `raw_<class>` before."""
        raw_NK = said_NK.reshape(-1, len(classes))
        scaled_NK = apply_temperature(raw_NK, calibration["temperature"])
        prediction = [classes[number] for number in scaled_NK.argmax(axis=1)]
        columns: dict[str, Any] = {
            "prediction": pl.Series(prediction, dtype=pl.String),
            "confidence": scaled_NK.max(axis=1),
        }
        columns |= {f"p_{name}": scaled_NK[:, k] for k, name in enumerate(classes)}
        columns |= {f"raw_{name}": raw_NK[:, k] for k, name in enumerate(classes)}
        return pl.DataFrame(columns)

    def predictions(self, held: Held, calibration: Calibration) -> pl.DataFrame:
        """Label, prediction, confidence, and the probability of every class, scaled and raw."""
        rows = held.table.frame.select("image", "label", "split", "group")
        return pl.concat([rows, self.columns(held.said_NK, held.table.classes, calibration)], how="horizontal")

    def judge(self, held: Held, calibration: Calibration, how: Judging) -> dict[str, Any]:
        """Every score of `metrics.classification`."""
        return score(
            held.said_NK,
            class_numbers(held.table),
            held.table.frame["group"].to_list(),
            classes=held.table.classes,
            calibrated_NK=apply_temperature(held.said_NK, calibration["temperature"]),
            seed=how.seed,
            resamples=how.resamples,
        ).as_dict()

    def headline(self, calibration: Calibration, classes: Sequence[str]) -> dict[str, Any]:
        """The temperature."""
        return dict(calibration)


def class_numbers(table: Table) -> np.ndarray:
    """target_N: the class number of every row, -1 where the label is unknown."""
    number = {name: k for k, name in enumerate(table.classes)}
    return np.array([number.get(label, -1) for label in table.frame["label"]], dtype=np.int64)
