"""What every task in TASKS promises the engine."""

from __future__ import annotations

import inspect
import json

import numpy as np
import pytest
import torch

from corpuscle.engine.log import total
from corpuscle.tasks import TASKS
from corpuscle.tasks.task import Task, Watch

CLASSES = ("a", "b", "c")

every_task = pytest.mark.parametrize("name", TASKS)


@pytest.fixture
def batch(name):
    """A task, an output of twelve images and a target."""
    task = TASKS[name]()
    torch.manual_seed(0)
    return task, torch.randn(12, task.num_outputs(CLASSES), requires_grad=True), torch.arange(12) % 3


@every_task
def test_it_has_all_that_is_promised(name):
    promised = [word for word, _ in inspect.getmembers(Task, inspect.isfunction) if not word.startswith("_")]
    assert promised
    for word in promised:
        expected = list(inspect.signature(getattr(Task, word)).parameters)
        assert list(inspect.signature(getattr(TASKS[name], word)).parameters) == expected


@every_task
def test_the_loss_is_a_finite_scalar_with_a_gradient(name, batch):
    task, output, target = batch
    loss = task.loss(output, target)
    loss.backward()
    assert loss.shape == () and loss.isfinite() and loss > 0
    assert output.grad.isfinite().all() and output.grad.abs().sum() > 0


@every_task
def test_the_loss_is_an_average_over_the_batch(name, batch):
    task, output, target = batch
    parts = torch.stack([task.loss(output[:6], target[:6]), task.loss(output[6:], target[6:])])
    torch.testing.assert_close(task.loss(output, target), parts.mean())


@every_task
def test_a_step_along_the_gradient_lowers_the_loss(name, batch):
    task, output, target = batch
    before = task.loss(output, target)
    (gradient,) = torch.autograd.grad(before, output)
    assert task.loss(output - gradient, target) < before


@every_task
def test_sums_are_plain_add_up_and_survive_json(name, batch):
    task, output, target = batch
    decoded, target = task.decode(output.detach()), target.numpy()
    whole, first, second = (task.sums(decoded[part], target[part]) for part in (slice(12), slice(5), slice(5, 12)))
    assert json.loads(json.dumps(whole)) == whole
    assert whole["images"] == 12
    both = total([first, second])
    assert task.scores(both) == pytest.approx(task.scores(whole))


@every_task
def test_scores_are_finite_numbers_with_the_one_to_watch(name, batch):
    task, output, target = batch
    scores = task.scores(task.sums(task.decode(output.detach()), target.numpy()))
    assert all(isinstance(value, float) and np.isfinite(value) for value in scores.values())
    assert task.watch.column.removeprefix("val_") in scores


@every_task
def test_what_is_watched_is_better_for_a_better_output(name, batch):
    task, output, target = batch
    good = output.detach() + 9 * torch.nn.functional.one_hot(target, output.shape[1])
    column = task.watch.column.removeprefix("val_")
    worse, better = (
        task.scores(task.sums(task.decode(one), target.numpy()))[column] for one in (output.detach(), good)
    )
    assert task.watch.better(better, worse)


def test_anything_beats_nothing_but_not_a_number_beats_no_one():
    for direction in ("max", "min"):
        watch = Watch("val_recall", direction)
        assert watch.better(0.0, None)
        assert not watch.better(float("nan"), None)
        assert not watch.better(0.5, 0.5)
    assert Watch("a", "max").better(2, 1) and not Watch("a", "max").better(1, 2)
    assert Watch("a", "min").better(1, 2) and not Watch("a", "min").better(2, 1)
