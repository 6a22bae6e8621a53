from __future__ import annotations

import json
import time
import warnings
from itertools import pairwise

import numpy as np
import pytest
from scipy import special, stats
from sklearn import metrics as reference

from corpuscle.core.errors import CorpuscleError
from corpuscle.metrics.classification import METRICS, quick, score
from corpuscle.metrics.counts import Counts
from corpuscle.metrics.inputs import checked

CLASSES = ("a", "b", "c", "d", "e")


def drawn(num: int = 300, present: int = 5, seed: int = 0, digits: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of five classes, rounded so that there are ties, and targets that hold the first few of them."""
    random = np.random.default_rng(seed)
    target_N = random.integers(present, size=num)
    logits_NK = random.normal(size=(num, 5)) + 1.5 * np.eye(5)[target_N]
    probs_NK = special.softmax(logits_NK, axis=1).round(digits)
    return probs_NK / probs_NK.sum(axis=1, keepdims=True), target_N


def expected(probs_NK: np.ndarray, target_N: np.ndarray, weight_N: np.ndarray | None = None) -> dict[str, float]:
    """The same scores from scikit-learn, means over classes taken over those that the targets hold."""
    said_N, here = probs_NK.argmax(axis=1), np.unique(target_N)
    told = {"labels": here, "sample_weight": weight_N}
    areas = [reference.roc_auc_score(target_N == k, probs_NK[:, k], sample_weight=weight_N) for k in here]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a predicted class that is never true
        balanced = reference.balanced_accuracy_score(target_N, said_N, sample_weight=weight_N)
    labels = range(probs_NK.shape[1])
    return {
        "accuracy": reference.accuracy_score(target_N, said_N, sample_weight=weight_N),
        "balanced_accuracy": balanced,
        "f1_macro": reference.f1_score(target_N, said_N, average="macro", **told),
        "f1_weighted": reference.f1_score(target_N, said_N, average="weighted", **told),
        "recall_macro": reference.recall_score(target_N, said_N, average="macro", **told),
        "auroc": float(np.mean(areas)),
        "kappa": reference.cohen_kappa_score(target_N, said_N, sample_weight=weight_N),
        "nll": reference.log_loss(target_N, np.maximum(probs_NK, 1e-37), labels=labels, sample_weight=weight_N),
        "ece": naive_ece(probs_NK, target_N, np.ones(len(target_N)) if weight_N is None else weight_N),
    }


def naive_ece(probs_NK: np.ndarray, target_N: np.ndarray, weight_N: np.ndarray) -> float:
    """Guo et al. 2017, equation 5, sample by sample."""
    error = 0.0
    for low, high in pairwise(np.arange(16) / 15):
        inside = [n for n, row in enumerate(probs_NK) if low < row.max() <= high]
        weight = sum(weight_N[n] for n in inside)
        if weight > 0:
            right = sum(weight_N[n] * (probs_NK[n].argmax() == target_N[n]) for n in inside) / weight
            confidence = sum(weight_N[n] * probs_NK[n].max() for n in inside) / weight
            error += weight / weight_N.sum() * abs(right - confidence)
    return error


@pytest.mark.parametrize("present", [5, 3])
def test_every_score_is_that_of_scikit_learn_with_and_without_absent_classes(present: int) -> None:
    probs_NK, target_N = drawn(present=present)
    probs_NK = np.where(np.arange(300)[:, None] < 295, probs_NK, np.full(5, 0.2))
    found = score(probs_NK, target_N, classes=CLASSES, resamples=2)
    for name, value in expected(probs_NK, target_N).items():
        assert found.scores[name].value == pytest.approx(value, abs=1e-9), name
    assert np.array_equal(
        found.confusion_KK, reference.confusion_matrix(target_N, probs_NK.argmax(axis=1), labels=range(5))
    )


@pytest.mark.parametrize("name", [name for name in METRICS if not METRICS[name].calibrated])
def test_weights_count_as_repeated_rows_do_and_as_in_scikit_learn(name: str) -> None:
    probs_NK, target_N = drawn(120)
    random = np.random.default_rng(7)
    code_N = random.integers(40, size=120)
    weight_GB = random.integers(4, size=(40, 3)).astype(float)
    value_B = METRICS[name].compute(Counts(checked(probs_NK, target_N), code_N, weight_GB))
    for weight_G, value in zip(weight_GB.T, value_B, strict=True):
        weight_N = weight_G[code_N]
        rows = np.repeat(np.arange(120), weight_N.astype(int))
        repeated = score(probs_NK[rows], target_N[rows], classes=CLASSES, resamples=1).scores[name].value
        assert value == pytest.approx(repeated, abs=1e-9)
        assert value == pytest.approx(expected(probs_NK, target_N, weight_N)[name], abs=1e-9)


def test_a_class_has_the_scores_of_scikit_learn_and_of_its_own_samples() -> None:
    probs_NK, target_N = drawn()
    said_N = probs_NK.argmax(axis=1)
    found = score(probs_NK, target_N, classes=CLASSES, resamples=100)
    precision_K, recall_K, f1_K, support_K = reference.precision_recall_fscore_support(target_N, said_N)
    for k, name in enumerate(CLASSES):
        one = found.per_class[name]
        assert [one.precision.value, one.recall.value, one.f1.value] == pytest.approx(
            [precision_K[k], recall_K[k], f1_K[k]]
        )
        assert one.auroc.value == pytest.approx(reference.roc_auc_score(target_N == k, probs_NK[:, k]))
        assert one.support == one.recall.n == support_K[k]
        assert one.precision.n == (said_N == k).sum()
        assert one.recall.low < one.recall.value < one.recall.high


def test_a_class_that_is_never_true_has_no_scores_and_one_of_a_single_patient_no_interval() -> None:
    probs_NK, target_N = drawn(present=3)
    group_N = [f"p{row}" if target_N[row] else "only" for row in range(300)]
    found = score(probs_NK, target_N, group_N, classes=CLASSES, resamples=50).per_class
    assert found["e"].support == 0
    assert np.isnan([found["e"].recall.value, found["e"].auroc.value, found["e"].recall.low]).all()
    assert found["a"].recall.value > 0
    assert found["a"].recall.groups == 1
    assert np.isnan([found["a"].recall.low, found["a"].recall.high]).all()


def test_of_two_classes_both_have_the_same_auroc() -> None:
    random = np.random.default_rng(0)
    p_N = random.random(80).round(1)
    target_N = (random.random(80) < p_N).astype(int)
    found = score(np.stack([1 - p_N, p_N], axis=1), target_N, classes=("no", "yes"), resamples=2)
    expected_area = reference.roc_auc_score(target_N, p_N)
    areas = [found.scores["auroc"].value, *(one.auroc.value for one in found.per_class.values())]
    assert areas == pytest.approx([expected_area] * 3)


def test_a_rare_class_without_error_leaves_balanced_accuracy_unsure() -> None:
    target_N = np.array([0] * 500 + [1] * 4)
    found = score(np.eye(2)[target_N], target_N, classes=("common", "rare"), resamples=200).scores
    assert found["accuracy"].low == pytest.approx(stats.binomtest(504, 504).proportion_ci().low)
    assert found["balanced_accuracy"].low == pytest.approx(stats.binomtest(8, 8).proportion_ci().low)
    assert found["balanced_accuracy"].high == 1


def test_one_patient_has_scores_but_no_interval() -> None:
    probs_NK, target_N = drawn(50)
    found = score(probs_NK, target_N, ["p"] * 50, classes=CLASSES)
    assert found.groups == 1
    assert found.scores["accuracy"].value > 0
    assert all(np.isnan([one.low, one.high]).all() for one in found.scores.values())


def test_without_resamples_there_are_scores_and_no_intervals() -> None:
    found = score(*drawn(50), classes=CLASSES, resamples=0)
    assert found.scores["accuracy"].value > 0
    assert all(np.isnan([one.low, one.high]).all() for one in found.scores.values())


def test_correlated_patients_widen_the_interval() -> None:
    probs_NK, target_N = drawn(60)
    copies = np.repeat(np.arange(60), 10)
    alone = score(probs_NK[copies], target_N[copies], classes=CLASSES, resamples=300).scores["accuracy"]
    grouped = score(probs_NK[copies], target_N[copies], copies, classes=CLASSES, resamples=300).scores["accuracy"]
    once = score(probs_NK, target_N, classes=CLASSES, resamples=300).scores["accuracy"]
    assert (grouped.low, grouped.high) == pytest.approx((once.low, once.high))
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)


def test_the_calibration_error_of_a_calibrated_net_has_zero_in_its_interval_and_of_a_spoiled_one_has_not() -> None:
    random = np.random.default_rng(4)
    holds_zero, holds_truth = [], []
    for _ in range(60):
        p_N = random.uniform(0.5, 1, size=300)
        target_N = (random.random(300) > p_N).astype(int)
        probs_NK = np.stack([p_N, 1 - p_N], axis=1)
        found = score(probs_NK, target_N, classes=("a", "b"), resamples=200).scores["ece"]
        holds_zero.append(found.low == 0)
        sure_N = np.minimum(p_N + 0.2, 1)  # the gap is 0.2, and less where it meets 1: 0.16 in the mean
        found = score(np.stack([sure_N, 1 - sure_N], axis=1), target_N, classes=("a", "b"), resamples=200).scores["ece"]
        assert found.low > 0
        holds_truth.append(found.low <= 0.16 <= found.high)
    assert np.mean(holds_zero) >= 0.92
    assert np.mean(holds_truth) >= 0.88


def test_the_part_is_written_as_plain_json() -> None:
    probs_NK, target_N = drawn(100)
    found = score(probs_NK, target_N, classes=CLASSES, calibrated_NK=probs_NK, resamples=20)
    part = json.loads(json.dumps(found.as_dict()))
    assert list(part) == ["n", "groups", "scores", "per_class", "confusion", "calibration"]
    assert list(part["scores"]) == list(METRICS)
    assert set(part["scores"]["nll"]) == {"value", "low", "high", "n", "groups", "direction"}
    assert set(part["per_class"]["a"]) == {"precision", "recall", "f1", "auroc", "support"}
    assert np.sum(part["confusion"]) == part["n"] == part["groups"] == 100
    assert set(part["calibration"]["before"][0]) == {"low", "high", "confidence", "accuracy", "n"}
    assert part["calibration"]["before"] == part["calibration"]["after"]
    assert part["scores"]["ece"] == part["scores"]["ece_calibrated"]


def test_without_scaled_probabilities_there_is_no_scaled_score() -> None:
    found = score(*drawn(20), classes=CLASSES, resamples=5)
    assert "ece_calibrated" not in found.scores
    assert found.calibration.after == ()


def test_names_that_do_not_fit_the_columns_are_refused() -> None:
    with pytest.raises(CorpuscleError, match="2 classes need as many columns of probabilities, got 5"):
        score(*drawn(20), classes=("a", "b"))


@pytest.mark.parametrize("present", [5, 3])
def test_quick_gives_the_same_numbers(present: int) -> None:
    probs_NK, target_N = drawn(present=present)
    found = score(probs_NK, target_N, classes=CLASSES, resamples=2).scores
    assert quick(probs_NK, target_N) == pytest.approx(
        {"accuracy": found["accuracy"].value, "recall_macro": found["recall_macro"].value, "loss": found["nll"].value}
    )


def test_quick_says_so_when_a_net_diverged() -> None:
    assert np.isnan(quick(np.full((3, 2), np.nan), np.array([0, 1, 1]))["loss"])


@pytest.mark.slow
def test_a_thousand_resamples_of_twenty_thousand_samples_take_seconds() -> None:
    probs_NK, target_N = drawn(20_000, digits=12)
    started = time.process_time()
    score(probs_NK, target_N, classes=CLASSES, calibrated_NK=probs_NK, resamples=1000)
    assert time.process_time() - started < 5
