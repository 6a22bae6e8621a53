"""The optimiser: what decays, what learns."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from corpuscle.engine.optim import OptimPlan, build_optimizer


@pytest.mark.parametrize("optimiser", ["sgd", "adam", "adamw"])
def test_gains_and_biases_do_not_decay_and_filters_and_matrices_do(optimiser):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    decays, not_decays = build_optimizer(OptimPlan(optimiser=optimiser, weight_decay=0.1), net).param_groups
    assert {id(p) for p in decays["params"]} == {id(net[0].weight), id(net[3].weight)}
    assert decays["weight_decay"] == 0.1
    assert {id(p) for p in not_decays["params"]} == {
        id(p) for p in (net[0].bias, net[1].weight, net[1].bias, net[3].bias)
    }
    assert not_decays["weight_decay"] == 0


def test_what_is_frozen_is_left_out():
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
    net[0].requires_grad_(False)
    held = [p for group in build_optimizer(OptimPlan(), net).param_groups for p in group["params"]]
    assert {id(p) for p in held} == {id(net[1].weight), id(net[1].bias)}


@pytest.mark.parametrize(
    ("plan", "kind", "expected"),
    [
        (OptimPlan(optimiser="sgd", momentum=0.8), torch.optim.SGD, {"momentum": 0.8, "nesterov": True}),
        (OptimPlan(optimiser="sgd", momentum=0), torch.optim.SGD, {"momentum": 0.0, "nesterov": False}),
        (OptimPlan(optimiser="adam", momentum=0.8), torch.optim.Adam, {"betas": (0.8, 0.999)}),
        (OptimPlan(optimiser="adamw", momentum=0.9), torch.optim.AdamW, {"betas": (0.9, 0.999)}),
    ],
)
def test_the_constants_reach_the_optimiser(plan, kind, expected):
    optimizer = build_optimizer(plan, nn.Linear(2, 2))
    assert type(optimizer) is kind
    assert {name: optimizer.param_groups[0][name] for name in expected} == expected
