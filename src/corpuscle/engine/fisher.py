"""Fisher vectors: how the small squares of an image differ from those that the images of a set hold as a rule.

J. Sánchez, F. Perronnin, T. Mensink, J. Verbeek, Image classification with the Fisher vector, IJCV 105, 2013. The
squares are whitened as in A. Coates, A. Ng, H. Lee, An analysis of single-layer networks, AISTATS 2011.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

SHRUNK, SIDE, STRIDE = 64, 8, 2  # pixels a side of the shrunk image and of a square, and from square to square
AN_IMAGE = 100  # squares of an image that the mixture is learned from
DIMENSIONS, PARTS = 32, 64  # of a whitened square, and of the mixture
FLAT = 0.01  # L* over 100: a square that varies less is noise, and is not brought to the contrast of the others
LEAST_VARIANCE = 1e-3  # of a direction of the squares, as a share of the mean one
ROUNDS, LEAST_WIDTH = 15, 1e-2  # of the mixture's search, and of its parts


@dataclass(frozen=True, eq=False)
class Mixture:
    """What squares look like as a rule: Gaussian parts with a diagonal covariance.

    Attributes:
        mean_S, axis_SD: from a square, its mean taken off and of contrast 1, to numbers without correlation.
        colour_3, spread_3: mean and deviation of the squares' colours, which are told beside these.
        weight_G, centre_GD, variance_GD: of each part; D counts the colours too.
    """

    mean_S: np.ndarray
    axis_SD: np.ndarray
    colour_3: np.ndarray
    spread_3: np.ndarray
    weight_G: np.ndarray
    centre_GD: np.ndarray
    variance_GD: np.ndarray

    def vector(self, lab_HWC: np.ndarray) -> np.ndarray:
        """The Fisher vector of a shrunk image, its root taken and of length 1."""
        square_PS, colour_P3 = squares(lab_HWC)
        plain_PD = (square_PS - self.mean_S) @ self.axis_SD
        said_PD = np.hstack([plain_PD, (colour_P3 - self.colour_3) / self.spread_3]).astype(np.float32)
        sharp_GD = (1 / self.variance_GD).astype(np.float32)
        start_G = np.log(self.weight_G) - (np.log(self.variance_GD) + self.centre_GD**2 * sharp_GD).sum(axis=1) / 2
        log_PG = said_PD @ (self.centre_GD * sharp_GD).T.astype(np.float32) - said_PD**2 @ (sharp_GD.T / 2)
        log_PG += start_G.astype(np.float32)
        share_PG = np.exp(log_PG - log_PG.max(axis=1, keepdims=True))
        share_PG /= share_PG.sum(axis=1, keepdims=True)
        number_G1 = share_PG.sum(axis=0)[:, None]
        first_GD, second_GD = share_PG.T @ said_PD, share_PG.T @ said_PD**2
        moved_GD = first_GD - number_G1 * self.centre_GD
        widened_GD = second_GD - 2 * self.centre_GD * first_GD + number_G1 * (self.centre_GD**2 - self.variance_GD)
        root_G1 = np.sqrt(self.weight_G)[:, None]
        parts = moved_GD / (np.sqrt(self.variance_GD) * root_G1), widened_GD / (self.variance_GD * root_G1 * np.sqrt(2))
        vector_V = np.concatenate([part_GD.ravel() for part_GD in parts])
        vector_V = np.sign(vector_V) * np.sqrt(np.abs(vector_V))
        return (vector_V / max(float(np.linalg.norm(vector_V)), np.finfo(np.float32).tiny)).astype(np.float32)


def squares(lab_HWC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """square_PS, less its mean and of contrast 1, and its mean colour_P3; row by row.

    >>> [array.shape for array in squares(np.zeros((64, 64, 3), np.float32))]
    [(841, 192), (841, 3)]
    """
    window_hwCyx = np.lib.stride_tricks.sliding_window_view(lab_HWC, (SIDE, SIDE), axis=(0, 1))[::STRIDE, ::STRIDE]
    window_PCS = window_hwCyx.reshape(-1, lab_HWC.shape[2], SIDE**2)
    colour_PC = window_PCS.mean(axis=2)
    square_PS = (window_PCS - colour_PC[:, :, None]).reshape(len(window_PCS), -1)
    return square_PS / np.sqrt((square_PS**2).mean(axis=1, keepdims=True) + FLAT**2), colour_PC


def some_squares(lab_HWC: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Those of an image that the mixture is learned from, drawn by chance."""
    square_PS, colour_P3 = squares(lab_HWC)
    drawn = random.choice(len(square_PS), min(AN_IMAGE, len(square_PS)), replace=False)
    return square_PS[drawn], colour_P3[drawn]


def mixture_of(some: Iterable[tuple[np.ndarray, np.ndarray]], seed: int) -> Mixture:
    """Learn from `some_squares` of some images what squares look like."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    square_PS, colour_P3 = (np.concatenate(arrays) for arrays in zip(*some, strict=True))
    mean_S, colour_3 = square_PS.mean(axis=0), colour_P3.mean(axis=0)
    variance_S, axis_SS = np.linalg.eigh(np.cov((square_PS - mean_S).T))
    deviation_S = np.sqrt(variance_S.clip(0) + LEAST_VARIANCE * variance_S.mean())
    axis_SD = (axis_SS / np.where(deviation_S > LEAST_VARIANCE, deviation_S, 1))[:, : -DIMENSIONS - 1 : -1]
    spread_3 = np.where(colour_P3.std(axis=0) > LEAST_VARIANCE, colour_P3.std(axis=0), 1)
    said_PD = np.hstack([(square_PS - mean_S) @ axis_SD, (colour_P3 - colour_3) / spread_3]).astype(np.float32)
    parts = min(PARTS, len(said_PD))
    model = GaussianMixture(
        parts, covariance_type="diag", max_iter=ROUNDS, reg_covar=LEAST_WIDTH, random_state=seed % 2**32
    )
    with warnings.catch_warnings():  # a few rounds are enough, and images of one colour have fewer squares than parts
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(said_PD)
    return Mixture(mean_S, axis_SD, colour_3, spread_3, model.weights_, model.means_, model.covariances_)
