"""Which one of K classes an image shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from corpuscle.tasks.task import Watch


class Classify:
    """Multiclass classification. Output: logits_NK; prediction: probs_NK.

    Args:
        label_smoothing: share of the target that is spread over all classes (Szegedy et al. 2016).
        weight_K: factor on the loss of each class; None weighs every image alike.
    """

    watch = Watch("val_recall", "max")

    def __init__(self, label_smoothing: float = 0.0, weight_K: Tensor | None = None) -> None:
        self.label_smoothing = label_smoothing
        self.weight_K = weight_K

    def num_outputs(self, classes: tuple[str, ...]) -> int:
        """One logit a class."""
        return len(classes)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy of logits_NK against target_N."""
        weight_K = None if self.weight_K is None else self.weight_K.to(output.device)
        return F.cross_entropy(output.float(), target, weight=weight_K, label_smoothing=self.label_smoothing)

    def decode(self, output: Tensor) -> np.ndarray:
        """probs_NK in double precision, so that rows sum to one."""
        return torch.softmax(output.double(), dim=1).cpu().numpy()

    def sums(self, decoded: np.ndarray, target_N: np.ndarray) -> dict[str, Any]:
        """Images, the confusion matrix as lists, and the summed negative log-likelihood."""
        K = decoded.shape[1]
        confusion_KK = np.bincount(target_N * K + decoded.argmax(axis=1), minlength=K * K).reshape(K, K)
        nll = -np.log(np.maximum(decoded[np.arange(len(target_N)), target_N], 1e-12)).sum()
        return {"images": len(target_N), "confusion": confusion_KK.tolist(), "nll": float(nll)}

    def scores(self, sums: dict[str, Any]) -> dict[str, float]:
        """Loss (negative log-likelihood), accuracy, and recall as the mean over the classes present."""
        confusion_KK = np.array(sums["confusion"])
        there = confusion_KK.sum(axis=1) > 0
        recall_K = np.diag(confusion_KK)[there] / confusion_KK.sum(axis=1)[there]
        accuracy = np.trace(confusion_KK) / confusion_KK.sum()
        return {"loss": sums["nll"] / sums["images"], "accuracy": float(accuracy), "recall": float(recall_K.mean())}
