"""Intervals from a bootstrap over groups.

Images of one patient or slide resemble each other, so patients are drawn again, not images (Field & Welsh 2007,
"Bootstrapping clustered data"). A resample is a weight for each group, so a score that is computed from weighted
counts is computed for all resamples in a few matrix products.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse, special

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.seeds import generator_for

TAIL = 0.025  # either side of a 95 % interval
FEWEST = 4  # of fewer groups the resamples are too few and too alike to tell anything
BLOCKS = 200  # leave-outs: enough to know a skewness, cheap for any number of groups
CHUNK = 4_000_000  # weights held at once, 32 MB
SAME = 1e-12  # scores nearer than this are one score, computed in another order


@dataclass(frozen=True)
class Interval:
    """The ends of a 95 % interval; NaN where it cannot be had."""

    low: float
    high: float


UNKNOWN = Interval(np.nan, np.nan)


@dataclass(frozen=True, eq=False)
class Resamples:
    """S statistics on all groups, on B resamples of the groups, and with each of J blocks of groups left out."""

    value_S: np.ndarray
    draws_SB: np.ndarray
    left_out_SJ: np.ndarray

    def interval(self, row: int, groups: int, bounds: tuple[float, float]) -> Interval:
        """The interval of one statistic: bias-corrected and accelerated.

        BCa (Efron & Tibshirani 1993, chapter 14), because scores near their bound are skewed and plain percentiles
        then promise too much; the acceleration comes from leaving out blocks of groups. A few groups show too
        little spread, so the normal quantile gives way to Student's, widened (Hesterberg 2015, "What teachers should
        know about the bootstrap"). Resamples in which the statistic is undefined are left out; where these are more
        than half, or there are fewer than four groups, there is no interval.

        A score at its bound in every resample (all right, or all wrong) shows no spread at all; its interval is that
        of Clopper & Pearson (1934) for as many groups: exact for a share of groups, a guide for other scores.

        Args:
            row: which of the S statistics.
            groups: number of groups it rests on.
            bounds: least and greatest value it can take.
        """
        value, known_B = self._known(row)
        if groups < FEWEST or len(known_B) == 0:
            return UNKNOWN
        same_B = np.abs(known_B - value) < SAME
        if same_B.all():
            return _without_spread(value, groups, bounds)
        below = np.mean(np.where(same_B, 0.5, known_B < value))
        bias = special.ndtri(np.clip(below, 0.5 / len(known_B), 1 - 0.5 / len(known_B)))
        reach = bias + np.array([-1, 1]) * _reach(groups)
        level = special.ndtr(bias + reach / np.maximum(1 - _acceleration(self.left_out_SJ[row]) * reach, SAME))
        low, high = np.quantile(known_B, level)
        return Interval(float(min(low, value)), float(max(high, value)))

    def interval_of_size(self, row: int, noise_row: int, groups: int, bounds: tuple[float, float]) -> Interval:
        """The interval of a statistic that is the size of something, which chance can only raise.

        The calibration error of a perfectly calibrated net is above zero on any sample, and further above in a
        resample, so percentiles and BCa both leave the truth out. Here the low end is the value less as much as
        chance alone may have added (the noise), and the high end is reflected, which takes the bias off.

        Args:
            row: which of the S statistics.
            noise_row: the statistic that bounds how far chance moved it in each resample (triangle inequality).
            groups: number of groups it rests on.
            bounds: least and greatest value it can take.
        """
        value, known_B = self._known(row)
        if groups < FEWEST or len(known_B) == 0:
            return UNKNOWN
        noise = np.nanquantile(self.draws_SB[noise_row], 1 - TAIL)
        if noise < SAME:
            return _without_spread(value, groups, bounds)
        widened = _reach(groups) / special.ndtri(1 - TAIL)
        low = value - widened * noise
        high = value + widened * max(0.0, value - np.quantile(known_B, TAIL))
        return Interval(float(max(low, bounds[0])), float(min(high, bounds[1])))

    def _known(self, row: int) -> tuple[float, np.ndarray]:
        """The value and its defined draws; none of them if they are less than half or the value is undefined."""
        value, draws_B = float(self.value_S[row]), self.draws_SB[row]
        known_B = draws_B[np.isfinite(draws_B)]
        enough = np.isfinite(value) and 2 * len(known_B) >= len(draws_B)
        return value, known_B if enough else known_B[:0]


def group_codes(group_N: Sequence[object] | np.ndarray | None, num_samples: int) -> np.ndarray:
    """Number the groups 0 … G-1 in order of appearance; a sample without a group is a group of its own.

    >>> group_codes(["anna", None, "anna", None], 4).tolist()
    [0, 1, 0, 2]

    Raises:
        CorpuscleError: not a group a sample.
    """
    if group_N is None:
        return np.arange(num_samples)
    if len(group_N) != num_samples:
        raise CorpuscleError(f"{num_samples} samples need as many groups, got {len(group_N)}; use None for no group")
    place: dict[object, int] = {}
    alone = [group is None or group != group for group in group_N]  # NaN differs from itself
    keys = [(row,) if alone[row] else group for row, group in enumerate(group_N)]
    return np.array([place.setdefault(key, len(place)) for key in keys], dtype=np.intp)


def resample(statistic: Callable[[np.ndarray], np.ndarray], num_groups: int, *, seed: int, resamples: int) -> Resamples:
    """Compute S statistics on the data and on resamples of its groups, drawn with replacement.

    Args:
        statistic: from weight_GB (how often each group counts in each of B weightings) to values_SB; NaN where a
            weighting leaves a statistic undefined.
        num_groups: number of groups G.
        seed: the same seed gives the same resamples.
        resamples: number of resamples; none are drawn from a single group; without any there are no intervals.
    """
    plain_S = statistic(np.ones((num_groups, 1)))[:, 0]
    nothing = np.empty((len(plain_S), 0))
    if num_groups == 1:
        return Resamples(plain_S, nothing, nothing)
    random = generator_for(seed, "bootstrap")
    left_out = [statistic(weight_GB) for weight_GB in _leave_outs(num_groups, random)]
    draws = [statistic(weight_GB) for weight_GB in _draws(num_groups, resamples, random)]
    return Resamples(plain_S, np.concatenate([nothing, *draws], axis=1), np.concatenate(left_out, axis=1))


def _leave_outs(num_groups: int, random: np.random.Generator) -> Iterator[np.ndarray]:
    blocks, width = min(num_groups, BLOCKS), max(1, CHUNK // num_groups)
    block_G1 = random.permutation(num_groups)[:, None] % blocks
    for start in range(0, blocks, width):
        yield (block_G1 != np.arange(start, min(start + width, blocks))).astype(float)


def _draws(num_groups: int, resamples: int, random: np.random.Generator) -> Iterator[np.ndarray]:
    width = max(1, CHUNK // num_groups)
    for start in range(0, resamples, width):
        columns = min(width, resamples - start)
        drawn_BG = random.integers(num_groups, size=(columns, num_groups))
        cell_BG = drawn_BG * columns + np.arange(columns)[:, None]
        counted = np.bincount(cell_BG.ravel(), minlength=num_groups * columns)
        yield counted.reshape(num_groups, columns).astype(float)


def _reach(groups: int) -> float:
    return float(np.sqrt(groups / (groups - 1)) * special.stdtrit(groups - 1, 1 - TAIL))


def _without_spread(value: float, groups: int, bounds: tuple[float, float]) -> Interval:
    least, greatest = bounds
    surely = TAIL ** (1 / groups)  # were fewer groups faultless, so many faultless ones would be a chance below TAIL
    if np.isfinite(bounds).all() and abs(value - greatest) < SAME:
        return Interval(min(value, greatest - 1 + surely), value)
    if np.isfinite(bounds).all() and abs(value - least) < SAME:
        return Interval(value, max(value, least + 1 - surely))
    return Interval(value, value)


def _acceleration(left_out_J: np.ndarray) -> float:
    known_J = left_out_J[np.isfinite(left_out_J)]
    if len(known_J) < 2:
        return 0.0
    pull_J = known_J.mean() - known_J
    spread = np.sum(pull_J**2) ** 1.5
    return float(np.sum(pull_J**3) / (6 * spread)) if spread > SAME**3 else 0.0


def weighted_total(value_NC: np.ndarray, group_N: np.ndarray, weight_GB: np.ndarray) -> np.ndarray:
    """Sum (C, B) of the values of N images, each counted as often as its group in each of B weightings.

    >>> weighted_total(np.array([[1], [2], [4]]), np.array([0, 0, 1]), np.array([[1, 0], [1, 3]])).tolist()
    [[7.0, 12.0]]
    """
    shape = (len(weight_GB), len(group_N))
    member_GN = sparse.csr_array((np.ones(shape[1]), (group_N, np.arange(shape[1]))), shape=shape)
    total_CB: np.ndarray = (member_GN @ value_NC.astype(float)).T @ weight_GB
    return total_CB
