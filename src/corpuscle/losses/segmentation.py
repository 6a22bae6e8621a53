"""Losses of class scores against masks. Pixels whose truth is `IGNORED` are left out; all is computed in fp32."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from corpuscle.core.errors import CorpuscleError, nearest
from corpuscle.core.legend import IGNORED

SMALLEST = 1e-7  # in place of a denominator of zero


@dataclass(frozen=True, eq=False)
class Judged:
    """What a net says of pixels, beside what is true of them; computed once for all losses.

    Attributes:
        log_NKHW: logarithm of the probability of each class.
        known_NHW: which pixels are judged.
        true_NHW: their classes, 0 where a pixel is ignored.
        true_log_NHW: of log_NKHW that of the true class, 0 where a pixel is ignored.
        held_K: pixels of each class.
    """

    log_NKHW: Tensor
    known_NHW: Tensor
    true_NHW: Tensor
    true_log_NHW: Tensor
    held_K: Tensor

    @classmethod
    def of(cls, logits_NKHW: Tensor, target_NHW: Tensor) -> Judged:
        """Compare class scores with int64 class numbers 0 … K-1, or `IGNORED`."""
        log_NKHW = logits_NKHW.float().contiguous().log_softmax(dim=1)  # classes that lie apart are the faster ones
        known_NHW = target_NHW != IGNORED
        true_NHW = torch.where(known_NHW, target_NHW, 0)
        true_log_NHW = torch.where(known_NHW, log_NKHW.gather(1, true_NHW[:, None])[:, 0], 0.0)
        held_K = target_NHW.flatten().bincount(minlength=IGNORED + 1)[: logits_NKHW.shape[1]].float()
        return cls(log_NKHW, known_NHW, true_NHW, true_log_NHW, held_K)

    def weight_NHW(self, weight_K: Tensor | None) -> Tensor:
        """How much each pixel counts."""
        return self.known_NHW.float() if weight_K is None else weight_K.float()[self.true_NHW] * self.known_NHW


def cross_entropy(judged: Judged, weight_K: Tensor | None = None) -> Tensor:
    """Mean surprise (-log p) at the true class of each pixel, weighted by the class."""
    weight_NHW = judged.weight_NHW(weight_K)
    return -(weight_NHW * judged.true_log_NHW).sum() / weight_NHW.sum().clamp(min=SMALLEST)


def focal_loss(judged: Judged, weight_K: Tensor | None = None, gamma: float = 2.0) -> Tensor:
    """Cross entropy in which a pixel counts by (1 - p)^gamma, so that the many easy ones do not drown the hard ones.

    Source: Lin et al., Focal loss for dense object detection, 2017; here with a softmax over K classes, and divided by
    the (weighted) number of pixels, so that gamma 0 is the cross entropy.
    """
    weight_NHW = judged.weight_NHW(weight_K)
    hardness_NHW = (-torch.expm1(judged.true_log_NHW)).clamp(min=SMALLEST) ** gamma
    return -(weight_NHW * hardness_NHW * judged.true_log_NHW).sum() / weight_NHW.sum().clamp(min=SMALLEST)


def dice_loss(judged: Judged, weight_K: Tensor | None = None) -> Tensor:
    """1 - soft Dice, pixels added up over the batch, mean over the classes that the batch truly holds.

    Each class counts alike, however small, so class weights have no say.

    Source: Milletari et al., V-Net, 2016, with plain instead of squared sums below; for several classes Sudre et al.,
    Generalised Dice overlap as a deep learning loss function for highly unbalanced segmentations, 2017.
    """
    known_NHW, held_K = judged.known_NHW, judged.held_K
    true_prob_NHW = judged.true_log_NHW.exp() * known_NHW
    both_K = torch.zeros_like(held_K).index_add(0, judged.true_NHW.flatten(), true_prob_NHW.flatten())
    probs_NKHW = judged.log_NKHW.exp()
    said_K = (probs_NKHW if known_NHW.all() else probs_NKHW * known_NHW[:, None]).sum(dim=(0, 2, 3))
    dice_K = 2 * both_K / (held_K + said_K).clamp(min=SMALLEST)
    present_K = held_K > 0
    return ((1 - dice_K) * present_K).sum() / present_K.sum().clamp(min=1)


LOSSES: dict[str, Callable[[Judged, Tensor | None], Tensor]] = {
    "cross_entropy": cross_entropy,
    "dice": dice_loss,
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
    judged = Judged.of(logits_NKHW, target_NHW)
    return torch.stack([LOSSES[name](judged, weight_K) for name in names]).sum()
