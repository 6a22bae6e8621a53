"""What every score in METRICS promises."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from corpuscle.metrics.classification import METRICS, Metric, score
from corpuscle.metrics.counts import Counts
from corpuscle.metrics.inputs import Scorable

every_metric = pytest.mark.parametrize("name", METRICS)


@pytest.fixture(scope="module")
def part() -> Scorable:
    random = np.random.default_rng(0)
    target_N = random.integers(4, size=200)
    logits_NK = random.normal(size=(200, 4)) + 1.5 * np.eye(4)[target_N]
    return Scorable(special.softmax(logits_NK, axis=1), target_N)


def compute(metric: Metric, part: Scorable, weight: float = 1) -> float:
    code_N = np.arange(len(part.target_N))
    return float(metric.compute(Counts(part, code_N, np.full((len(code_N), 1), weight)))[0])


def test_every_score_has_a_title_and_a_meaning_of_its_own() -> None:
    assert len({metric.title for metric in METRICS.values()}) == len(METRICS)
    assert all(metric.meaning for metric in METRICS.values())


@every_metric
def test_a_score_lies_in_its_bounds_and_in_its_interval(name: str, part: Scorable) -> None:
    scored = score(part.probs_NK, part.target_N, classes="abcd", calibrated_NK=part.probs_NK, resamples=200)
    found = scored.scores[name]
    least, greatest = METRICS[name].bounds
    assert least <= found.low <= found.value <= found.high <= greatest
    assert found.low < found.high
    assert found.direction == METRICS[name].direction
    assert (found.n, found.groups) == (200, 200)


@every_metric
def test_perfect_probabilities_have_the_best_score(name: str, part: Scorable) -> None:
    metric = METRICS[name]
    perfect = compute(metric, Scorable(np.eye(4)[part.target_N], part.target_N))
    assert perfect == pytest.approx(metric.bounds[1] if metric.direction == "max" else metric.bounds[0], abs=1e-12)


@every_metric
def test_wrong_and_sure_is_worse_than_a_fair_net(name: str, part: Scorable) -> None:
    wrong = compute(METRICS[name], Scorable(np.eye(4)[(part.target_N + 1) % 4], part.target_N))
    fair = compute(METRICS[name], part)
    assert wrong < fair if METRICS[name].direction == "max" else wrong > fair


@every_metric
def test_neither_the_order_of_samples_nor_of_classes_matters(name: str, part: Scorable) -> None:
    rows, columns = np.random.default_rng(1).permutation(200), np.array([2, 0, 3, 1])
    moved = Scorable(part.probs_NK[rows][:, columns], np.argsort(columns)[part.target_N[rows]])
    assert compute(METRICS[name], moved) == pytest.approx(compute(METRICS[name], part), abs=1e-12)


@every_metric
def test_all_samples_twice_give_the_same_score(name: str, part: Scorable) -> None:
    assert compute(METRICS[name], part, weight=2) == pytest.approx(compute(METRICS[name], part), abs=1e-12)
