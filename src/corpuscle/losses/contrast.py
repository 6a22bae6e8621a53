"""The contrastive loss of SimCLR: two views of an image lie near one another, and far from those of other images.

Chen et al., A simple framework for contrastive learning of visual representations, ICML 2020.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def nt_xent(projected_NC: Tensor, temperature: float) -> Tensor:
    """loss_N of each view: the normalised, temperature-scaled cross-entropy of finding its other view.

    Args:
        projected_NC: the first views of all images, then the second ones in the same order.
        temperature: of the softmax over the cosines.
    """
    cosine_NN = cosines(projected_NC)
    return F.cross_entropy(cosine_NN / temperature, others(projected_NC), reduction="none")


def cosines(projected_NC: Tensor) -> Tensor:
    """cosine_NN of each view with each other one, and minus infinity with itself."""
    unit_NC = F.normalize(projected_NC.float(), dim=1)
    return (unit_NC @ unit_NC.T).fill_diagonal_(-math.inf)


def others(projected_NC: Tensor) -> Tensor:
    """place_N of the other view of the same image."""
    count = len(projected_NC)
    return (torch.arange(count, device=projected_NC.device) + count // 2) % count
