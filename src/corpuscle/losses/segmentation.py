"""Losses of class scores against masks. Pixels whose truth is `IGNORED` are left out; all is computed in fp32."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from corpuscle.core.errors import CorpuscleError, nearest
from corpuscle.core.legend import IGNORED

SMALLEST = 1e-7  # in place of a denominator of zero


def cross_entropy(log_NKHW: Tensor, target_NHW: Tensor, weight_K: Tensor | None = None) -> Tensor:
    """Mean surprise (-log p) at the true class of each pixel, weighted by the class."""
    weight_K = None if weight_K is None else weight_K.float()
    total = F.nll_loss(log_NKHW, target_NHW, weight_K, ignore_index=IGNORED, reduction="sum")
    held_K = _held(target_NHW, log_NKHW.shape[1])
    return total / (held_K if weight_K is None else held_K * weight_K).sum().clamp(min=SMALLEST)


def focal_loss(log_NKHW: Tensor, target_NHW: Tensor, weight_K: Tensor | None = None, gamma: float = 2.0) -> Tensor:
    """Cross entropy in which a pixel counts by (1 - p)^gamma, so that the many easy ones do not drown the hard ones.

    Source: Lin et al., Focal loss for dense object detection, 2017; here with a softmax over K classes, and divided by
    the (weighted) number of pixels, so that gamma 0 is the cross entropy.
    """
    known_NHW = target_NHW != IGNORED
    true_NHW = torch.where(known_NHW, target_NHW, 0)
    log_NHW = log_NKHW.gather(1, true_NHW[:, None])[:, 0]
    weight_NHW = known_NHW.float() if weight_K is None else weight_K.float()[true_NHW] * known_NHW
    hardness_NHW = (-torch.expm1(log_NHW)).clamp(min=SMALLEST) ** gamma
    return -(weight_NHW * hardness_NHW * log_NHW).sum() / weight_NHW.sum().clamp(min=SMALLEST)


def dice_loss(log_NKHW: Tensor, target_NHW: Tensor, weight_K: Tensor | None = None) -> Tensor:
    """1 - soft Dice, pixels added up over the batch, mean over the classes that the batch truly holds.

    Each class counts alike, however small, so class weights have no say.

    Source: Milletari et al., V-Net, 2016, with plain instead of squared sums below; for several classes Sudre et al.,
    Generalised Dice overlap as a deep learning loss function for highly unbalanced segmentations, 2017.
    """
    K = log_NKHW.shape[1]
    known_NHW = target_NHW != IGNORED
    true_NHW = torch.where(known_NHW, target_NHW, 0)
    true_prob_NHW = log_NKHW.gather(1, true_NHW[:, None])[:, 0].exp() * known_NHW
    both_K = log_NKHW.new_zeros(K).index_add(0, true_NHW.flatten(), true_prob_NHW.flatten())
    probs_NKHW = log_NKHW.exp()
    said_K = (probs_NKHW if known_NHW.all() else probs_NKHW * known_NHW[:, None]).sum(dim=(0, 2, 3))
    true_K = _held(target_NHW, K)
    dice_K = 2 * both_K / (true_K + said_K).clamp(min=SMALLEST)
    present_K = true_K > 0
    return ((1 - dice_K) * present_K).sum() / present_K.sum().clamp(min=1)


def _held(target_NHW: Tensor, num_classes: int) -> Tensor:
    """Pixels of each class."""
    return target_NHW[target_NHW != IGNORED].bincount(minlength=num_classes).float()


LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor | None], Tensor]] = {
    "cross_entropy": cross_entropy,
    "dice": dice_loss,
    "focal": focal_loss,
}
"""Each takes log_NKHW, the logarithm of the probability of each class; it is computed once for all."""


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
    log_NKHW = logits_NKHW.float().log_softmax(dim=1)
    return torch.stack([LOSSES[name](log_NKHW, target_NHW, weight_K) for name in names]).sum()
