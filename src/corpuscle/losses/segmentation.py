"""Losses of class scores against masks. Pixels whose truth is `IGNORED` are left out; all is computed in fp32."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from corpuscle.core.errors import CorpuscleError, nearest
from corpuscle.core.legend import IGNORED

SMALLEST = 1e-7  # in place of a denominator of zero


def cross_entropy(logits_NKHW: Tensor, target_NHW: Tensor, weight_K: Tensor | None = None) -> Tensor:
    """Mean surprise (-log p) at the true class of each pixel, weighted by the class."""
    return focal_loss(logits_NKHW, target_NHW, weight_K, gamma=0.0)


def focal_loss(logits_NKHW: Tensor, target_NHW: Tensor, weight_K: Tensor | None = None, gamma: float = 2.0) -> Tensor:
    """Cross entropy in which a pixel counts by (1 - p)^gamma, so that the many easy ones do not drown the hard ones.

    Source: Lin et al., Focal loss for dense object detection, 2017; here with a softmax over K classes, and divided by
    the (weighted) number of pixels, so that gamma 0 is the cross entropy.
    """
    known_NHW = target_NHW != IGNORED
    true_NHW = torch.where(known_NHW, target_NHW, 0)
    log_NHW = logits_NKHW.float().log_softmax(dim=1).gather(1, true_NHW[:, None])[:, 0]
    weight_NHW = known_NHW.float() if weight_K is None else weight_K.float()[true_NHW] * known_NHW
    hardness_NHW = (-torch.expm1(log_NHW)).clamp(min=SMALLEST) ** gamma
    return -(weight_NHW * hardness_NHW * log_NHW).sum() / weight_NHW.sum().clamp(min=SMALLEST)


def dice_loss(logits_NKHW: Tensor, target_NHW: Tensor) -> Tensor:
    """1 - soft Dice, pixels added up over the batch, mean over the classes that the batch truly holds.

    Each class counts alike, however small, so there are no class weights.

    Source: Milletari et al., V-Net, 2016, with plain instead of squared sums below; for several classes Sudre et al.,
    Generalised Dice overlap as a deep learning loss function for highly unbalanced segmentations, 2017.
    """
    probs_NKHW = logits_NKHW.float().softmax(dim=1)
    class_K = torch.arange(logits_NKHW.shape[1], device=target_NHW.device)
    true_NKHW = target_NHW[:, None] == class_K[:, None, None]
    known_N1HW = target_NHW[:, None] != IGNORED
    true_K, both_K, said_K = (
        pixels_NKHW.sum(dim=(0, 2, 3)) for pixels_NKHW in (true_NKHW, probs_NKHW * true_NKHW, probs_NKHW * known_N1HW)
    )
    dice_K = 2 * both_K / (true_K + said_K).clamp(min=SMALLEST)
    present_K = true_K > 0
    return ((1 - dice_K) * present_K).sum() / present_K.sum().clamp(min=1)


def _dice(logits_NKHW: Tensor, target_NHW: Tensor, _: Tensor | None) -> Tensor:
    return dice_loss(logits_NKHW, target_NHW)


LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor | None], Tensor]] = {
    "cross_entropy": cross_entropy,
    "dice": _dice,
    "focal": focal_loss,
}


def mask_loss(logits_NKHW: Tensor, target_NHW: Tensor, names: Sequence[str], weight_K: Tensor | None = None) -> Tensor:
    """Sum of the named losses; 0, with a gradient of 0, where all pixels are ignored.

    Args:
        logits_NKHW: class scores.
        target_NHW: int64 class numbers 0 … K-1, or `IGNORED`.
        names: of `LOSSES`.
        weight_K: weight of each class in the cross entropy and the focal loss; None for equal ones.

    Raises:
        CorpuscleError: no loss, or one that is not known.
    """
    unknown = [name for name in names if name not in LOSSES]
    if unknown:
        raise CorpuscleError(f"'{unknown[0]}' is not a loss of masks. {nearest(unknown[0], LOSSES)}")
    if not names:
        raise CorpuscleError(f"masks need at least one loss, got none; name some of {', '.join(LOSSES)}")
    return torch.stack([LOSSES[name](logits_NKHW, target_NHW, weight_K) for name in names]).sum()
