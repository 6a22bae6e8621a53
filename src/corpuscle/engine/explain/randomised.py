"""Whether maps depend on what was learned: the same maps from nets whose weights are random.

Adebayo et al., Sanity checks for saliency maps, NeurIPS 2018.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from scipy import stats

from corpuscle.core.records import Score
from corpuscle.core.seeds import seed_for
from corpuscle.engine.explain.cam import Explainer, Looked
from corpuscle.metrics.bootstrap import resample
from corpuscle.metrics.classification import as_score
from corpuscle.nets.net import Net
from corpuscle.nets.zoo import build

MOST = 64  # images that are looked at with random nets
MEANING = "a map that does not change with the weights says nothing of the net"
WAYS = {"random_head": "a random head", "random_weights": "all weights random"}


@dataclass
class Check:
    """Compares the maps of a net with those of two random ones: its head drawn anew, and all of it.

    Attributes:
        head, all_weights: rank correlation of the maps of each image; NaN where a map is the same everywhere.
    """

    explainer: Explainer
    seed: int = 0
    images: list[str] = field(default_factory=list)
    head: list[float] = field(default_factory=list)
    all_weights: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        one = self.explainer
        self._others = [
            Explainer(net.to(one.device).eval(), one.card, one.method, one.at)
            for net in (
                with_random_head(one.net, self.seed),
                with_random_weights(one.net, one.card.num_outputs, self.seed),
            )
        ]

    def add(self, image: str, image_HWC: np.ndarray, looked: Looked, target: int) -> None:
        """Look at one image with the random nets too."""
        map_hw = self.explainer.map_of(looked, target)
        self.images.append(image)
        for other, values in zip(self._others, (self.head, self.all_weights), strict=True):
            values.append(rank_correlation(map_hw, other.map_of(other.look(image_HWC), target)))

    def as_dict(self) -> dict[str, Any]:
        """Means with intervals, and the values of each image."""
        rows = [
            {"image": image, "random_head": _plain(head), "random_weights": _plain(whole)}
            for image, head, whole in zip(self.images, self.head, self.all_weights, strict=True)
        ]
        return {
            "method": self.explainer.method,
            "what": "Spearman's rank correlation with the map of the same class from a random net",
            "meaning": MEANING,
            "random_head": mean_with_interval(self.head, self.seed).as_dict(),
            "random_weights": mean_with_interval(self.all_weights, self.seed).as_dict(),
            "images": rows,
        }


def told(check: Mapping[str, Any]) -> str:
    """The content of check.json in one line."""
    parts = [f"{with_interval(check[key])} with {what}" for key, what in WAYS.items()]
    return f"rank correlation with the maps of random nets: {', '.join(parts)}; {MEANING}"


def with_random_head(net: Net, seed: int) -> Net:
    """A copy of a net whose head starts anew."""
    other = copy.deepcopy(net)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_for(seed, "explain", "head"))
        fresh = [module for module in other.head.cpu().modules() if hasattr(module, "reset_parameters")]
        for module in fresh:
            module.reset_parameters()  # type: ignore[operator]
    return other


def with_random_weights(net: Net, num_outputs: int, seed: int) -> Net:
    """A net of the same build that has learned nothing."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_for(seed, "explain", "all"))
        return build(net.plan, num_outputs, net.size)


def rank_correlation(one_hw: np.ndarray, other_hw: np.ndarray) -> float:
    """Spearman's correlation of two maps; NaN where one of them is the same everywhere.

    >>> round(rank_correlation(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 2.0], [4.0, 3.0]])), 3)
    0.8
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.ConstantInputWarning)
        return float(stats.spearmanr(one_hw.ravel(), other_hw.ravel()).statistic)


def mean_with_interval(values: Sequence[float], seed: int = 0) -> Score:
    """The mean over images with a 95 % interval; those without a value are left out."""
    known_N = np.array([value for value in values if value == value])
    if not len(known_N):
        return Score(np.nan, np.nan, np.nan, 0, 0, "min")
    drawn = resample(lambda w_NB: (known_N @ w_NB / w_NB.sum(axis=0))[None], len(known_N), seed=seed, resamples=1000)
    found = drawn.interval(0, len(known_N), (-1.0, 1.0))
    return as_score(drawn.value_S[0], found, len(known_N), len(known_N), "min")


def with_interval(score: Mapping[str, Any]) -> str:
    """A score of a JSON file in words."""
    value, low, high = score["value"], score["low"], score["high"]
    if value is None:
        return "not defined"
    return f"{value:.2f}" if low is None or high is None else f"{value:.2f} ({low:.2f} to {high:.2f})"


def _plain(value: float) -> float | None:
    return None if value != value else value
