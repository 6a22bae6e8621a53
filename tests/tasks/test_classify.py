"""Classification against scikit-learn and torch's own loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn import metrics as sk

from corpuscle.engine.log import total
from corpuscle.tasks.classify import Classify


@pytest.fixture
def outputs():
    """Logits of 40 images and 4 classes, and their targets; the last class has no image."""
    torch.manual_seed(0)
    return 3 * torch.randn(40, 4), torch.randint(3, (40,))


def test_the_loss_is_cross_entropy_smoothed_and_weighed_by_class(outputs):
    logits_NK, target_N = outputs
    weight_K = torch.tensor([1.0, 2.0, 0.5, 1.0])
    assert Classify().loss(logits_NK, target_N) == F.cross_entropy(logits_NK, target_N)
    log_NK = F.log_softmax(logits_NK, dim=1)
    spread_NK = F.one_hot(target_N, 4) * 0.8 + 0.2 / 4
    assert Classify(0.2).loss(logits_NK, target_N) == pytest.approx(
        -(spread_NK * log_NK).sum(1).mean().item(), rel=1e-5
    )
    own_N = -log_NK[torch.arange(40), target_N]
    expected = (own_N * weight_K[target_N]).sum() / weight_K[target_N].sum()
    assert Classify(0.0, weight_K).loss(logits_NK, target_N) == pytest.approx(expected.item(), rel=1e-5)


def test_the_loss_of_half_precision_is_computed_in_full(outputs):
    logits_NK, target_N = outputs
    loss = Classify().loss(logits_NK.bfloat16(), target_N)
    assert loss.dtype == torch.float32
    assert loss == F.cross_entropy(logits_NK.bfloat16().float(), target_N)


def test_a_decoded_row_is_the_softmax_and_sums_to_one(outputs):
    probs_NK = Classify().decode(outputs[0])
    assert probs_NK.dtype == np.float64
    np.testing.assert_allclose(probs_NK.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(probs_NK, outputs[0].softmax(dim=1), atol=1e-6)


def test_the_scores_are_those_of_scikit_learn(outputs):
    task, target_N = Classify(), outputs[1].numpy()
    probs_NK = task.decode(outputs[0])
    scores = task.scores(task.sums(*outputs))
    said_N = probs_NK.argmax(axis=1)
    assert scores["accuracy"] == pytest.approx(sk.accuracy_score(target_N, said_N))
    assert scores["recall"] == pytest.approx(sk.recall_score(target_N, said_N, average="macro", labels=[0, 1, 2]))
    assert scores["loss"] == pytest.approx(sk.log_loss(target_N, probs_NK, labels=range(4)))


def test_sums_of_batches_add_up_to_those_of_the_whole(outputs):
    task, (logits_NK, target_N) = Classify(), outputs
    parts = total([task.sums(logits_NK[a:b], target_N[a:b]) for a, b in ((0, 7), (7, 8), (8, 40))])
    whole = task.sums(logits_NK, target_N)
    assert parts["confusion"] == whole["confusion"] and parts["images"] == 40
    assert parts["nll"] == pytest.approx(whole["nll"])


def test_certainty_that_is_wrong_costs_much_but_not_everything():
    sums = Classify().sums(torch.tensor([[999.0, 0.0]]), torch.tensor([1]))
    assert np.isfinite(sums["nll"]) and sums["nll"] > 20
