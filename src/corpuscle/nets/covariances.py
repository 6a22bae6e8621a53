"""An encoder with nothing to learn: how colours, edges and spots vary together, ring by ring around the centre.

Covariances of a region: Tuzel, Porikli and Meer, Region covariance: a fast descriptor for detection and classification,
ECCV 2006. Their logarithms, between which distances are plain: Arsigny et al., Log-Euclidean metrics for fast and
simple calculus on diffusion tensors, Magnetic Resonance in Medicine 2006. Mean and covariance in one matrix: Lovrić,
Min-Oo and Ruh, Multivariate normal distributions parametrized as a Riemannian symmetric space, Journal of Multivariate
Analysis 2000.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from corpuscle.nets.rings import ring_of, shrunk

RINGS = (0.15, 0.3, 0.45, 0.7)  # radii, in half sides
SCALES = (1, 2)  # how far the shrunk image is shrunk further
MAPS = 7  # three colours, how steep each is, and what is brighter or darker than its neighbours
FLAT = 1e-4  # added to every variance, so that a flat ring has a logarithm
SLOPE = ((1.0, 0.0, -1.0), (2.0, 0.0, -2.0), (1.0, 0.0, -1.0))  # Sobel
SPOT = ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0))  # Laplace


class Covariances(nn.Module):
    """image_NCHW (three channels, normalised) to features_NC: logarithms of second moments; turns change nothing.

    The mean of z·zᵀ over a ring, where z is the maps of a pixel and a one, holds the mean and the covariance of the
    maps. Of its logarithm the upper triangle is kept, off the diagonal times √2, so that distances are the matrices'.

    Attributes:
        num_features: C of features_NC.
        alike: all are in one unit, so a probe scales them by one factor.
        turned_alike: see `Net`.

    >>> Covariances()(torch.rand(2, 3, 96, 96)).shape
    torch.Size([2, 360])
    """

    alike = turned_alike = True
    num_features = len(SCALES) * (len(RINGS) + 1) * (MAPS + 1) * (MAPS + 2) // 2

    def forward(self, image_NCHW: Tensor) -> Tensor:
        with torch.autocast(image_NCHW.device.type, enabled=False):
            small_NCHW = shrunk(image_NCHW)
            moments = [_moments(functional.avg_pool2d(small_NCHW, scale)) for scale in SCALES]
            return _logarithms(torch.cat(moments, dim=1))


def _moments(image_NCHW: Tensor) -> Tensor:
    """moment_NRZZ: the mean of z·zᵀ in each ring."""
    height, width = image_NCHW.shape[2:]
    ring_P = ring_of(height, width, RINGS).to(image_NCHW.device).flatten()
    share_RP = functional.one_hot(ring_P, len(RINGS) + 1).T.float()
    share_RP = share_RP / share_RP.sum(dim=1, keepdim=True).clamp(min=1)
    maps_NMP = _maps(image_NCHW).flatten(2)
    z_NZP = torch.cat([maps_NMP, torch.ones_like(maps_NMP[:, :1])], dim=1)
    weighted_NRZP = z_NZP[:, None] * share_RP[:, None]
    moment_NRZZ: Tensor = weighted_NRZP @ z_NZP[:, None].transpose(2, 3)
    return moment_NRZZ


def _maps(image_NCHW: Tensor) -> Tensor:
    """The colours, the steepness of each, and Laplace's operator on their mean; the rim is repeated outwards."""
    slope_33, spot_33 = (image_NCHW.new_tensor(kernel) for kernel in (SLOPE, SPOT))
    down_NCHW, across_NCHW = (_filtered(image_NCHW, kernel / 8) for kernel in (slope_33.T, slope_33))
    spots_N1HW = _filtered(image_NCHW.mean(dim=1, keepdim=True), spot_33 / 4)
    return torch.cat([image_NCHW, torch.hypot(down_NCHW, across_NCHW), spots_N1HW], dim=1)


def _filtered(image_NCHW: Tensor, kernel_33: Tensor) -> Tensor:
    """Each channel by itself."""
    padded_NCHW = functional.pad(image_NCHW, (1, 1, 1, 1), mode="replicate")
    return functional.conv2d(padded_NCHW.flatten(0, 1)[:, None], kernel_33[None, None]).view_as(image_NCHW)


def _logarithms(moment_NRZZ: Tensor) -> Tensor:
    """features_NC: the upper triangles of the logarithms, in the order of the matrices."""
    side = moment_NRZZ.shape[-1]
    lifted_NRZZ = moment_NRZZ + FLAT * torch.eye(side, device=moment_NRZZ.device)
    level_NRZ, axes_NRZZ = torch.linalg.eigh(lifted_NRZZ)
    log_NRZZ = (axes_NRZZ * level_NRZ.clamp(min=FLAT / 2).log()[..., None, :]) @ axes_NRZZ.mT
    row, column = torch.triu_indices(side, side, device=moment_NRZZ.device)
    weight_K = torch.where(row == column, 1.0, 2.0**0.5)
    return (log_NRZZ[..., row, column] * weight_K).flatten(1)
