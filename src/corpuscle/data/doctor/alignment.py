"""Whether two images are one: the second is laid upon the first, and what is then alike in detail is measured.

A crop moves and stretches what is seen, by a few pixels of the signature: these four numbers are found by Gauss-Newton
steps, first on half the size. Then each pixel is held against its surroundings (local contrast), so that the round
field, the light and the one cell in the middle, which all images of a set may share, do not count; black or
white surroundings of a field are left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from corpuscle.core.progress import SILENT, Progress
from corpuscle.core.threads import in_threads
from corpuscle.data.doctor.candidates import Pairs, turned
from corpuscle.data.doctor.signature import SIDE

ROUGH = ((2, 0.4), (3, 0.6))  # steps on half the size, and the likeness under which a pair is not looked at further
FINE_STEPS = 2  # on the whole
STRETCH, SHIFT = (0.86, 1.16), 0.07  # the most that is looked for: of the side, and as a share of it
SURROUNDINGS, NOISE = 3.0, 2.0  # pixels of the signature; grey levels that are no detail
SURE, LIKELY = 0.88, 0.75  # likeness that tells a copy, and that does where there is much detail
CLEAR, LEAST_CLEAR = 9.5, 5.0  # standard errors from chance for the one, and for the other
FEW = 5000  # images up to which that is enough for the other
DARK, LIGHT, SURROUND = 14, 246, 0.05  # grey of what may surround a field; share that it has at least
FIELD, WHOLE = 0.4, 0.95  # share that the field has at least; of it in one piece
BATCH = 64  # pairs at a time, that they stay near the processor
NAMES = ("likeness_P", "clear_P", "stretch_P2", "shift_P2")


@dataclass(frozen=True)
class Alignment:
    """How the second image of each pair lies upon the first.

    Attributes:
        likeness_P: correlation of the details, 1 for the same picture.
        clear_P: standard errors of it from chance, at the number of details that are independent.
        stretch_P2, shift_P2: which part of the second the first shows, down and across: share of the side, and how far
            from the middle, in pixels of the signature.
    """

    likeness_P: np.ndarray
    clear_P: np.ndarray
    stretch_P2: np.ndarray
    shift_P2: np.ndarray

    def copies(self, images: int) -> np.ndarray:
        """Which pairs are copies, found among so many images."""
        sure = (self.likeness_P >= SURE) & (self.clear_P >= least_clear(images))
        return sure | ((self.likeness_P >= LIKELY) & (self.clear_P >= CLEAR))

    def take(self, chosen: np.ndarray) -> Alignment:
        """That of some pairs."""
        return Alignment(*(getattr(self, name)[chosen] for name in NAMES))


def least_clear(images: int) -> float:
    """Standard errors from chance that are asked of copies among so many images.

    The more there are, the more of those that show little are alike by chance: of single round cells on an even ground
    one pair in e less for each 0.75 standard errors more.
    """
    return min(CLEAR, LEAST_CLEAR + math.log(max(images / FEW, 1)))


def aligned(grey_NHW: np.ndarray, pairs: Pairs, progress: Progress = SILENT) -> Alignment:
    """Lay the second image of each pair upon the first."""
    field_NHB = fields(grey_NHW, np.unique(np.concatenate([pairs.first_P, pairs.second_P])))
    batches = (pairs.take(slice(at, at + BATCH)) for at in range(0, len(pairs), BATCH))
    none = Alignment(np.zeros(0), np.zeros(0), np.zeros((0, 2)), np.zeros((0, 2)))
    laid = in_threads(partial(_batch, grey_NHW, field_NHB), batches)
    parts = [none, *progress.track(laid, "comparing pairs of images", len(pairs), per_item=BATCH)]
    return Alignment(*(np.concatenate([getattr(part, name) for part in parts]) for name in NAMES))


def fields(grey_NHW: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Where each image is not the black or white surroundings of a round or framed field; 1 without such.

    A bit a pixel, as `numpy.packbits` has it, for there may be a million images.
    """
    field_NHB = np.packbits(np.ones((1, *grey_NHW.shape[1:]), bool), axis=-1).repeat(len(grey_NHW), axis=0)

    def mark(at: int) -> None:
        plain_HW = (grey_NHW[at] <= DARK) | (grey_NHW[at] >= LIGHT)
        if np.count_nonzero(plain_HW) >= SURROUND * plain_HW.size:
            field_NHB[at] = np.packbits(_field(plain_HW), axis=-1)

    for _ in in_threads(mark, chosen.tolist()):
        pass
    return field_NHB


def _field(plain_HW: np.ndarray) -> np.ndarray:
    """What is not the surroundings, where these leave one large piece; else all."""
    import cv2

    square = np.ones((3, 3), np.uint8)
    pieces, piece_HW = cv2.connectedComponents(plain_HW.astype(np.uint8), connectivity=4)
    inside_P = np.ones(pieces, np.uint8)
    for side in (piece_HW[0], piece_HW[-1], piece_HW[:, 0], piece_HW[:, -1]):
        inside_P[side] = 0
    inside_P[0] = 1  # what is not plain
    inside_HW = cv2.erode(inside_P[piece_HW], square, borderValue=1)
    sizes = np.sort(cv2.connectedComponentsWithStats(inside_HW, connectivity=4)[2][1:, cv2.CC_STAT_AREA])
    if len(sizes) and sizes[-1] >= max(FIELD * inside_HW.size, WHOLE * sizes.sum()):
        field_HW: np.ndarray = cv2.erode(inside_HW, square, borderValue=1).astype(bool)
        return field_HW
    return np.ones(plain_HW.shape, bool)


def _batch(grey_NHW: np.ndarray, field_NHB: np.ndarray, pairs: Pairs) -> Alignment:
    """Few pairs: those that are not alike on half the size are not looked at further."""
    first, second = (
        _Squares(grey_NHW[end].astype(np.float32), np.unpackbits(field_NHB[end], axis=-1).astype(bool))
        for end in (pairs.first_P, pairs.second_P)
    )
    for turn in np.unique(pairs.turn_P):
        these = np.flatnonzero(pairs.turn_P == turn)
        second.grey_PHW[these] = turned(second.grey_PHW[these], int(turn))
        second.field_PHW[these] = turned(second.field_PHW[these], int(turn))
    place_P4 = np.tile(np.array([1, 0, 1, 0], np.float32), (len(pairs), 1))
    likeness_P, clear_P = np.zeros(len(pairs)), np.zeros(len(pairs))
    near = np.arange(len(pairs))
    halves = first.halved(), second.halved()
    for steps, least in ROUGH:
        one, other = (half.take(near) for half in halves)
        place_P4[near] = _fitted(one, other, place_P4[near], steps)
        contrasts = _contrasts(one, other, place_P4[near])
        near = near[_correlation(*contrasts) >= least]
        if not len(near):
            break
    place_P4[:, 1::2] *= 2
    if len(near):
        first, second = first.take(near), second.take(near)
        place_P4[near] = _fitted(first.softened(), second.softened(), place_P4[near], FINE_STEPS)
        contrasts = _contrasts(first, second, place_P4[near])
        likeness_P[near] = _correlation(*contrasts)
        clear_P[near] = np.arctanh(np.clip(likeness_P[near], -0.9999, 0.9999)) * np.sqrt(_independent(*contrasts))
    return Alignment(likeness_P, clear_P, place_P4[:, ::2], place_P4[:, 1::2])


@dataclass(frozen=True)
class _Squares:
    """One image of each pair, and where it shows something."""

    grey_PHW: np.ndarray
    field_PHW: np.ndarray

    def take(self, chosen: np.ndarray) -> _Squares:
        return _Squares(self.grey_PHW[chosen], self.field_PHW[chosen])

    def halved(self) -> _Squares:
        rows_PHW = self.grey_PHW[:, ::2] + self.grey_PHW[:, 1::2]  # reductions over two axes take ten times as long
        shown_PHW = self.field_PHW[:, ::2] & self.field_PHW[:, 1::2]
        grey_PHW = (rows_PHW[..., ::2] + rows_PHW[..., 1::2]) / 4
        return _Squares(grey_PHW, shown_PHW[..., ::2] & shown_PHW[..., 1::2])

    def softened(self) -> _Squares:
        soft_SS = _blur(self.grey_PHW.shape[1], 1.0)
        return _Squares(soft_SS @ self.grey_PHW @ soft_SS.T, self.field_PHW)

    def even(self) -> np.ndarray:
        """The grey with mean 0 and spread 1."""
        flat_PD = self.grey_PHW.reshape(len(self.grey_PHW), -1)
        flat_PD = flat_PD - flat_PD.mean(1, keepdims=True)
        spread_P = np.sqrt(np.einsum("pd,pd->p", flat_PD, flat_PD) / flat_PD.shape[1])
        even_PHW: np.ndarray = (flat_PD / (spread_P[:, None] + 1e-3)).reshape(self.grey_PHW.shape)
        return even_PHW


def _fitted(first: _Squares, second: _Squares, place_P4: np.ndarray, steps: int) -> np.ndarray:
    """Stretch and shift, down and across, by which the second is sampled to be the first but for gain and offset."""
    first_PHW, second_PHW = first.even(), second.even()
    total, side = first_PHW.shape[:2]
    from_middle = (np.arange(side, dtype=np.float32) - (side - 1) / 2) / ((side - 1) / 2)
    place_P4 = place_P4.copy()
    slope = np.eye(6, dtype=np.float32) * 1e-3 * side**2
    for _ in range(steps):
        laid_PHW, weight_PHW = _laid(second_PHW, place_P4)
        column_P6HW = np.zeros((total, 6, side, side), np.float32)
        column_P6HW[:, 1, 1:-1] = (laid_PHW[:, 2:] - laid_PHW[:, :-2]) / 2
        column_P6HW[:, 3, :, 1:-1] = (laid_PHW[:, :, 2:] - laid_PHW[:, :, :-2]) / 2
        column_P6HW[:, 0] = column_P6HW[:, 1] * from_middle[:, None]
        column_P6HW[:, 2] = column_P6HW[:, 3] * from_middle
        column_P6HW[:, 4], column_P6HW[:, 5] = laid_PHW, 1
        column_P6HW *= weight_PHW[:, None]
        column_P6D = column_P6HW.reshape(total, 6, -1)
        normal_P66 = column_P6D @ column_P6D.transpose(0, 2, 1) + slope
        step_P6 = np.linalg.solve(normal_P66, column_P6D @ first_PHW.reshape(total, -1, 1))[..., 0]
        gain_P1 = np.where(np.abs(step_P6[:, 4:5]) < 0.1, np.inf, step_P6[:, 4:5])
        step_P4 = np.clip(step_P6[:, :4] / gain_P1, -1, 1)
        step_P4[:, ::2] /= (side - 1) / 2
        place_P4 += step_P4
        place_P4[:, ::2] = np.clip(place_P4[:, ::2], *STRETCH)
        place_P4[:, 1::2] = np.clip(place_P4[:, 1::2], -SHIFT * side, SHIFT * side)
    return place_P4


def _laid(square_PHW: np.ndarray, place_P4: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Images sampled where they are laid, and where there is something of them (1, else 0)."""
    side = square_PHW.shape[1]
    middle = (side - 1) / 2
    pixel = np.arange(side, dtype=np.float32)
    at_P2S = middle + place_P4[:, ::2, None] * (pixel - middle) + place_P4[:, 1::2, None]
    take_P2SS = np.maximum(0, 1 - np.abs(at_P2S[..., None] - pixel))
    inside_P2S = ((at_P2S >= -0.25) & (at_P2S <= side - 0.75)).astype(np.float32)
    laid_PHW = take_P2SS[:, 0] @ square_PHW @ take_P2SS[:, 1].transpose(0, 2, 1)
    return laid_PHW, inside_P2S[:, 0, :, None] * inside_P2S[:, 1, None]


def _contrasts(first: _Squares, second: _Squares, place_P4: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each pixel of both against its surroundings, the second laid upon the first; 0 where one shows nothing."""
    side = first.grey_PHW.shape[1]
    laid_PHW, inside_PHW = _laid(second.grey_PHW, place_P4)
    shown_PHW, _ = _laid(second.field_PHW.astype(np.float32), place_P4)
    weight_PHW = inside_PHW * (shown_PHW > 0.99) * first.field_PHW
    near_SS = _blur(side, SURROUNDINGS * side / SIDE)
    share_PHW = near_SS @ weight_PHW @ near_SS.T + 1e-3
    contrasts = []
    for square_PHW in (first.grey_PHW, laid_PHW):
        rest_PHW = (square_PHW - near_SS @ (square_PHW * weight_PHW) @ near_SS.T / share_PHW) * weight_PHW
        local_PHW = rest_PHW / (np.sqrt(np.maximum(near_SS @ rest_PHW**2 @ near_SS.T / share_PHW, 0)) + NOISE)
        mean_P = np.einsum("phw->p", local_PHW) / np.maximum(np.einsum("phw->p", weight_PHW), 1)
        contrasts.append((local_PHW - mean_P[:, None, None]) * weight_PHW)
    return contrasts[0], contrasts[1]


def _correlation(first_PHW: np.ndarray, second_PHW: np.ndarray) -> np.ndarray:
    pairs = (first_PHW, second_PHW), (first_PHW, first_PHW), (second_PHW, second_PHW)
    both_P, one_P, other_P = (np.einsum("phw,phw->p", *pair) for pair in pairs)
    correlation_P: np.ndarray = both_P / np.sqrt(one_P * other_P + 1e-6)
    return correlation_P


def _independent(first_PHW: np.ndarray, second_PHW: np.ndarray) -> np.ndarray:
    """How many pixels are independent: neighbours are alike, so as many as both have frequencies in common."""
    one_PHW, other_PHW = (np.abs(np.fft.rfft2(contrast_PHW)) ** 2 for contrast_PHW in (first_PHW, second_PHW))
    common_P = np.maximum(np.einsum("phw,phw->p", one_PHW, other_PHW), 1e-6)
    shown_P = (first_PHW != 0).mean((1, 2))
    independent_P: np.ndarray = one_PHW.sum((1, 2)) * other_PHW.sum((1, 2)) / common_P * shown_P
    return independent_P


def _blur(side: int, width: float) -> np.ndarray:
    """A Gaussian of this width, as the matrix that blurs a column; the rim is mirrored."""
    from scipy.ndimage import gaussian_filter1d

    matrix: np.ndarray = gaussian_filter1d(np.eye(side, dtype=np.float32), width, axis=0)
    return matrix
