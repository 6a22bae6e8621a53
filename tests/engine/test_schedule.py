"""The learning rate at each step is a function of the stage and the step alone."""

from __future__ import annotations

import math

import pytest
import torch

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.settings import validated
from corpuscle.engine.schedule import Stage, learning_rate


def course(stage, steps_per_epoch=10):
    return [learning_rate(stage, step, steps_per_epoch) for step in range(stage.epochs * steps_per_epoch)]


def test_cosine_equals_torch():
    stage = Stage(epochs=5, learning_rate=0.3, warm_up=0)
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.3)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50)
    expected = []
    for _ in range(50):
        expected.append(reference.get_last_lr()[0])
        optimizer.step()
        reference.step()
    assert course(stage) == pytest.approx(expected, rel=1e-9)


def test_warm_up_is_a_straight_line_from_zero_to_the_top():
    rates = course(Stage(epochs=4, learning_rate=0.2, warm_up=1.5))
    assert rates[:15] == pytest.approx([0.2 * (step + 1) / 15 for step in range(15)])
    assert rates[15] == max(rates) == 0.2
    assert rates[16] == pytest.approx(0.1 * (1 + math.cos(math.pi / 25)))
    assert 0 < rates[-1] < 0.002


def test_constant_stays():
    assert set(course(Stage(epochs=2, learning_rate=0.1, schedule="constant", warm_up=0))) == {0.1}


def test_a_warm_up_longer_than_the_stage_ends_with_it():
    rates = course(Stage(epochs=1, learning_rate=0.1, warm_up=3))
    assert rates[-1] == 0.1 == max(rates)


def test_a_table_gives_the_rate_from_an_epoch_on():
    # the original recipe: 0.001 for ten epochs, 0.0003 for one, 0.00013 for two
    table = ((1, 0.001), (11, 0.0003), (12, 0.00013))
    stage = Stage(epochs=13, schedule="table", table=table)
    by_epoch = course(stage, steps_per_epoch=2)[::2]
    assert by_epoch == [0.001] * 10 + [0.0003] + [0.00013] * 2
    assert course(stage, steps_per_epoch=2)[1::2] == by_epoch


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"schedule": "table"}, "table should be given with schedule 'table', and with no other schedule, got []"),
        ({"table": [[1, 0.1]]}, "table should be given with schedule 'table', and with no other schedule, got"),
        ({"schedule": "table", "table": [[2, 0.1]]}, "table should start at epoch 1 and go up"),
        ({"schedule": "table", "table": [[1, 0.1], [1, 0.2]]}, "table should start at epoch 1 and go up"),
        ({"schedule": "table", "table": [[1, 0]]}, "table should have learning rates greater than 0"),
        (
            {"schedule": "cosin"},
            "schedule should be 'cosine', 'constant' or 'table', got \"cosin\"; Did you mean cosine?",
        ),
        ({"epochs": -1}, "epochs should be greater than or equal to 0, got -1"),
        ({"learning_rate": -1}, "learning_rate should be greater than 0, got -1"),
    ],
)
def test_a_stage_out_of_range_is_refused_in_words(values, message):
    with pytest.raises(CorpuscleError) as raised:
        validated(Stage, values)
    assert str(raised.value).startswith(message)
