from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from corpuscle.core.errors import CorpuscleError
from corpuscle.metrics.calibration import apply_temperature, bin_of, fit_temperature, reliability
from corpuscle.metrics.classification import score
from corpuscle.metrics.inputs import Scorable


def drawn(num: int, seed: int = 0, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Logits of a perfectly calibrated net and the classes drawn from their softmax."""
    random = np.random.default_rng(seed)
    logits_NK = 2 * random.normal(size=(num, classes))
    below_NK = special.softmax(logits_NK, axis=1).cumsum(axis=1)
    return logits_NK, np.minimum((random.random((num, 1)) > below_NK).sum(axis=1), classes - 1)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_the_temperature_that_spoiled_the_probabilities_is_found(temperature: float) -> None:
    logits_NK, target_N = drawn(20_000)
    spoiled_NK = special.softmax(logits_NK * temperature, axis=1)
    assert fit_temperature(spoiled_NK, target_N) == pytest.approx(temperature, rel=0.04)


def test_the_temperature_is_where_the_likelihood_is_greatest() -> None:
    logits_NK, target_N = drawn(3000, seed=1)
    probs_NK = special.softmax(3 * logits_NK, axis=1)
    best = fit_temperature(probs_NK, target_N)

    def loss(temperature: float) -> float:
        return float(-np.log(apply_temperature(probs_NK, temperature)[np.arange(3000), target_N]).mean())

    assert loss(best) < min(loss(0.9 * best), loss(1.1 * best), loss(1.0))


def test_scaling_takes_the_calibration_error_away() -> None:
    logits_NK, target_N = drawn(5000, seed=2)
    probs_NK = special.softmax(3 * logits_NK, axis=1)
    half = slice(0, 2500), slice(2500, None)
    temperature = fit_temperature(probs_NK[half[0]], target_N[half[0]])
    probs_NK, target_N = probs_NK[half[1]], target_N[half[1]]
    calibrated_NK = apply_temperature(probs_NK, temperature)
    scores = score(probs_NK, target_N, classes="abcd", calibrated_NK=calibrated_NK, resamples=50).scores
    assert scores["ece"].low > 0.05
    assert scores["ece_calibrated"].value < 0.03
    assert scores["ece_calibrated"].low == 0


def test_scaling_by_one_changes_nothing_and_by_any_other_no_order() -> None:
    probs_NK = special.softmax(drawn(50)[0], axis=1)
    assert np.allclose(apply_temperature(probs_NK, 1.0), probs_NK, atol=1e-12)
    hot_NK = apply_temperature(probs_NK, 5.0)
    assert np.array_equal(hot_NK.argsort(axis=1), probs_NK.argsort(axis=1))
    assert np.allclose(hot_NK.sum(axis=1), 1)
    assert (hot_NK.max(axis=1) < probs_NK.max(axis=1)).all()


def test_probabilities_of_zero_are_no_trouble() -> None:
    probs_NK = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    temperature = fit_temperature(probs_NK, np.array([0, 1, 0, 1]))  # the last one is surely wrong
    assert temperature > 10
    assert np.isfinite(apply_temperature(probs_NK, temperature)).all()


def test_a_part_without_error_does_not_ask_for_certainty() -> None:
    target_N = np.arange(40) % 4
    probs_NK = np.where(np.eye(4)[target_N] > 0, 0.97, 0.01)
    confidence = apply_temperature(probs_NK, fit_temperature(probs_NK, target_N)).max()
    assert 0.95 < confidence < 0.999


def test_probabilities_of_a_net_that_diverged_are_refused() -> None:
    with pytest.raises(CorpuscleError, match="must be finite"):
        fit_temperature(np.full((2, 2), np.nan), np.array([0, 1]))


def test_a_bin_holds_its_upper_edge() -> None:
    assert bin_of(np.array([0.0, 1 / 15, np.nextafter(1 / 15, 1), 14 / 15, 1.0])).tolist() == [0, 0, 1, 13, 14]


def test_reliability_bins_hold_every_sample_once() -> None:
    logits_NK, target_N = drawn(500)
    part = Scorable(special.softmax(logits_NK, axis=1), target_N)
    bins = reliability(part)
    assert sum(one.n for one in bins) == 500
    assert all(one.n > 0 and one.low < one.confidence <= one.high for one in bins)
    assert sum(one.n * one.accuracy for one in bins) == pytest.approx(part.right_N.sum())
    assert sum(one.n * one.confidence for one in bins) == pytest.approx(part.confidence_N.sum())
