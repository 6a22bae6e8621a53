"""The low frequencies of the grey square (cosines): enough to tell at once which images cannot be copies."""

from __future__ import annotations

import numpy as np

from corpuscle.data.doctor.signature import SIDE

FREQUENCIES, LOWEST = 14, 8  # down and across: of the description, and of the tangents
FLATTER = 0.25  # power of its spread by which a frequency is divided for the tangents: else the lowest alone count
BLOCK = 1024  # images at a time


def low_frequencies(grey_NHW: np.ndarray) -> np.ndarray:
    """The lowest of each image, (N, F, F)."""
    cosine_FS = _cosines()
    frequency_NFF = np.empty((len(grey_NHW), FREQUENCIES, FREQUENCIES), np.float32)
    for start in range(0, len(grey_NHW), BLOCK):
        across_BHF = grey_NHW[start : start + BLOCK].astype(np.float32) @ cosine_FS.T
        frequency_NFF[start : start + BLOCK] = cosine_FS @ across_BHF
    return frequency_NFF


def turned_frequencies(frequency_NFF: np.ndarray, turn: int) -> np.ndarray:
    """What `turned` does, among cosines: a mirror changes the sign of every other, a quarter turn also their axes."""
    sign_F = np.where(np.arange(frequency_NFF.shape[1]) % 2, -1, 1).astype(np.float32)
    if turn >= 4:
        frequency_NFF = frequency_NFF * sign_F
    for _ in range(turn % 4):
        frequency_NFF = frequency_NFF.transpose(0, 2, 1) * sign_F[:, None]
    return frequency_NFF


def unit(frequency_NFF: np.ndarray) -> np.ndarray:
    """Without the mean of the image, and of length 1, so that brightness and contrast do not count."""
    vector_ND = frequency_NFF.reshape(len(frequency_NFF), -1)[:, 1:]
    return vector_ND / np.maximum(np.linalg.norm(vector_ND, axis=1, keepdims=True), 1e-6)


def tangent_likeness(
    grey_NHW: np.ndarray, frequency_NFF: np.ndarray, first_P: np.ndarray, second_P: np.ndarray, turn_P: np.ndarray
) -> np.ndarray:
    """How near the second image of each pair lies to what small changes make of the first: 1 where it is among them.

    All that an image becomes when it is stretched and shifted a little, down and across, and lit, is nearly a plane
    through it, which its derivatives and its square span: the cosine of the angle of the second to the first's plane.
    P. Simard, Y. LeCun and J. Denker, Efficient pattern recognition using a new transformation distance, NIPS 1993.

    Args:
        grey_NHW: the squares.
        frequency_NFF: their `low_frequencies`.
        first_P, second_P: numbers of images, the first in ascending order.
        turn_P: how the second is turned.
    """
    lowest_NLL = frequency_NFF[:, :LOWEST, :LOWEST]
    weight_LL = (lowest_NLL.std(0) + 1e-3) ** -FLATTER
    likeness_P = np.empty(len(first_P), np.float32)
    images, starts = np.unique(first_P, return_index=True)
    ends = np.append(starts[1:], len(first_P))
    for at in range(0, len(images), BLOCK):
        plane_BKD = _planes(grey_NHW[images[at : at + BLOCK]], weight_LL)
        start, end = starts[at], ends[min(at + BLOCK, len(images)) - 1]
        second_QLL = lowest_NLL[second_P[start:end]]
        for turn in np.unique(turn_P[start:end]):
            these = np.flatnonzero(turn_P[start:end] == turn)
            second_QLL[these] = turned_frequencies(second_QLL[these], int(turn))
        plane_QKD = plane_BKD[np.searchsorted(images[at : at + BLOCK], first_P[start:end])]
        along_QK = (plane_QKD @ unit(second_QLL * weight_LL)[..., None])[..., 0]
        likeness_P[start:end] = np.linalg.norm(along_QK, axis=1)
    return likeness_P


def _planes(grey_NHW: np.ndarray, weight_LL: np.ndarray) -> np.ndarray:
    """Each image and what changes it first, (N, 6, D), made orthogonal and of length 1."""
    cosine_LS = _cosines()[:LOWEST]
    slope_SS = np.gradient(np.eye(SIDE, dtype=np.float32), axis=0)
    from_middle_S1 = np.linspace(-1, 1, SIDE, dtype=np.float32)[:, None]
    ways = cosine_LS, cosine_LS @ slope_SS, cosine_LS @ (from_middle_S1 * slope_SS)  # as it is, shifted, stretched
    across_NHC = grey_NHW.astype(np.float32) @ np.concatenate(ways).T
    as_is, moves = across_NHC[..., :LOWEST], (across_NHC[..., LOWEST : 2 * LOWEST], across_NHC[..., 2 * LOWEST :])
    changes = [*(way_LS @ as_is for way_LS in ways), *(cosine_LS @ move_NHL for move_NHL in moves)]
    changes.append(cosine_LS @ np.square(grey_NHW.astype(np.float32) / 255) @ cosine_LS.T)  # another tone curve
    change_NKD = np.stack([unit(change_NLL * weight_LL) for change_NLL in changes], 1)
    overlap_NKK = change_NKD @ change_NKD.transpose(0, 2, 1) + 1e-4 * np.eye(len(changes), dtype=np.float32)
    plane_NKD: np.ndarray = np.linalg.solve(np.linalg.cholesky(overlap_NKK), change_NKD)
    return plane_NKD


def _cosines() -> np.ndarray:
    """Each frequency along a line of the square, (F, S), of length 1."""
    from scipy.fft import dct

    cosine_FS: np.ndarray = dct(np.eye(SIDE, dtype=np.float32), axis=0, norm="ortho")[:FREQUENCIES]
    return cosine_FS
