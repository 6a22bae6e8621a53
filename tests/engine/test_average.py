"""The moving average of the weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from corpuscle.engine.average import kept_weights, move_average
from corpuscle.engine.checkpoint import State


def test_the_average_follows_the_formula():
    net, state, decay = nn.Linear(2, 1), State(), 0.5
    drawn = [torch.full((1, 2), float(value)) for value in (1, 5, 2, 8, 3)]
    for step, weight in enumerate(drawn):
        net.load_state_dict({"weight": weight, "bias": torch.zeros(1)})
        move_average(net, decay, step, state)
    expected = 1.0
    for step, value in ((1, 5), (2, 2), (3, 8), (4, 3)):
        now = min(decay, (1 + step) / (10 + step))
        expected = now * expected + (1 - now) * value
    assert state.average["weight"].tolist() == [[pytest.approx(expected)] * 2]
    assert kept_weights(net, state) is state.average


def test_counts_are_copied_and_running_statistics_averaged():
    net, state = nn.BatchNorm1d(1), State()
    for step, mean in enumerate((0.0, 10.0)):
        net.num_batches_tracked.fill_(step + 7)
        net.running_mean.fill_(mean)
        move_average(net, 0.99, step, state)
    assert state.average["num_batches_tracked"] == 8
    assert state.average["running_mean"].item() == pytest.approx(10 * (1 - 2 / 11))


def test_the_average_is_a_copy():
    net, state = nn.Linear(1, 1), State()
    move_average(net, 0.9, 0, state)
    before = state.average["weight"].clone()
    net.weight.data += 1
    assert torch.equal(state.average["weight"], before)


def test_without_a_decay_the_weights_themselves_are_kept():
    net, state = nn.Linear(1, 1), State()
    move_average(net, 0.0, 0, state)
    assert state.average == {}
    assert torch.equal(kept_weights(net, state)["weight"], net.weight)
