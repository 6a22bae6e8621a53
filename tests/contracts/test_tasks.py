"""What every task in TASKS promises the engine."""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.legend import Legend, colours_for
from corpuscle.data.prepare import PreparePlan
from corpuscle.data.table import Table
from corpuscle.data.targets import Warp
from corpuscle.engine.log import total
from corpuscle.metrics.overlap import overlap_of
from corpuscle.nets.zoo import NetPlan, build
from corpuscle.tasks.task import Held, Judging, Task, Watch
from corpuscle.tasks.zoo import TASKS, Choices, SegmentPlan, build_task

CLASSES = ("a", "b", "c")
NUM = 12
LEGEND = Legend(CLASSES, {0: 0, 1: 1, 2: 2}, colours_for(CLASSES))


@dataclass(frozen=True)
class Case:
    """A task, what a net may say of twelve images, what it should say, and what a better net says."""

    task: Task
    output: Tensor
    target: Tensor
    good: Tensor
    table: Table
    plan: NetPlan
    masks: dict[int, np.ndarray] | None = None


def table_of(**columns):
    frame = pl.DataFrame({"image": [f"{n:02d}.png" for n in range(NUM)]}).with_columns(
        pl.Series("group", [f"s{n % 10}" for n in range(NUM)]), split=pl.lit("val"), label=pl.lit(None, pl.String)
    )
    return Table(frame.with_columns(**columns), Path("data"), CLASSES, "rows")


def labelled():
    return table_of(label=pl.Series([CLASSES[n % 3] for n in range(NUM)]))


def counted():
    points = [(f"{n:02d}.png", 3.0 * k, 2.0 * n, CLASSES[k]) for n in range(NUM) for k in range(3) if (n + k) % 2]
    counts = pl.Series([[(n + k) % 2 for k in range(3)] for n in range(NUM)], dtype=pl.List(pl.Int64))
    table = table_of(counts=counts)
    return Table(
        table.frame, table.root, CLASSES, "dots", points=pl.DataFrame(points, ["image", "x", "y", "kind"], orient="row")
    )


def classify():
    output, target = torch.randn(NUM, 3), torch.arange(NUM) % 3
    better = output + 9 * F.one_hot(target, 3)
    return Case(build_task("classify"), output, target, better, labelled(), NetPlan(model="timm/test_resnet"))


def count():
    target = torch.tensor(counted().frame["counts"].to_list(), dtype=torch.float32)
    plan = NetPlan(model="timm/test_resnet")
    return Case(build_task("count"), 9 * torch.rand(NUM, 3) + 2, target, target + 0.1, counted(), plan)


def count_densities():
    target = torch.rand(NUM, 3, 4, 4) / 16
    plan = NetPlan(model="unet", head="density", widths=(4, 4))
    return Case(build_task("count"), torch.rand(NUM, 3, 4, 4), target, target * 1.1, counted(), plan)


def segmented():
    return replace(table_of(mask=pl.Series([f"{n:02d}_mask.png" for n in range(NUM)])), legend=LEGEND)


def segment():
    task = build_task("segment", Choices(segment=SegmentPlan(loss=("cross_entropy",), smallest=1)))
    output, target = torch.randn(NUM, 3, 8, 8), torch.randint(3, (NUM, 8, 8))
    better = output + 9 * F.one_hot(target, 3).permute(0, 3, 1, 2)
    plan = NetPlan(model="unet", head="mask", widths=(4, 4), stride=1)
    return Case(task, output, target, better, segmented(), plan, dict(enumerate(target.byte().numpy())))


def reconstruct():
    task = build_task("reconstruct", Choices(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25)))
    target = torch.randn(NUM, 3, 16, 16)
    plan = NetPlan(model="localiser", head="image", pool="none")
    table = Table(labelled().without_labels().frame, Path("data"), ("image",), "rows")
    return Case(task, torch.randn_like(target), target, target + 0.1 * torch.randn_like(target), table, plan)


def cluster():
    output = 0.2 + 0.1 * torch.rand(NUM, 3)
    table = Table(labelled().without_labels().frame, Path("data"), ("image",), "rows")
    plan = NetPlan(model="codebook", head="none", pool="none", words=4)
    return Case(build_task("cluster"), output, torch.zeros(NUM, dtype=torch.long), output / 2, table, plan)


CASES = {
    "classify": classify,
    "cluster": cluster,
    "count": count,
    "count by densities": count_densities,
    "reconstruct": reconstruct,
    "segment": segment,
}
OF_BATCHES = {"contrast"}  # their output means nothing image by image; tests/tasks tries them

every_task = pytest.mark.parametrize("name", TASKS)


@pytest.fixture(params=CASES)
def case(request):
    torch.manual_seed(0)
    return CASES[request.param]()


def held_of(case, output=None):
    output = case.output if output is None else output
    overlaps = ()
    if case.masks:
        said_NHW = output.argmax(dim=1).byte().numpy()
        overlaps = [overlap_of(case.masks[n], said_HW, 3) for n, said_HW in enumerate(said_NHW)]
    return Held(case.table, case.task.decode(output, case.target), overlaps=overlaps)


def plain(value):
    """Whether a value comes back from JSON as it was, and holds no NaN."""
    return json.loads(json.dumps(value, allow_nan=False)) == value


@every_task
def test_it_has_all_that_is_promised_and_is_tried_here(name):
    task = type(build_task(name))
    promised = [word for word, _ in inspect.getmembers(Task, inspect.isfunction) if not word.startswith("_")]
    assert len(promised) > 10
    for word in promised:
        expected = list(inspect.signature(getattr(Task, word)).parameters)
        assert list(inspect.signature(getattr(task, word)).parameters) == expected
    assert name in OF_BATCHES or any(isinstance(make().task, task) for make in CASES.values())


def test_the_loss_is_a_finite_scalar_with_a_gradient(case):
    output = case.output.requires_grad_()
    loss = case.task.loss(output, case.target)
    loss.backward()
    assert loss.shape == () and loss.isfinite() and loss > 0
    assert output.grad.isfinite().all() and output.grad.abs().sum() > 0


def test_the_loss_is_an_average_over_the_batch(case):
    parts = [case.task.loss(case.output[part], case.target[part]) for part in (slice(6), slice(6, NUM))]
    torch.testing.assert_close(case.task.loss(case.output, case.target), torch.stack(parts).mean())


def test_a_step_along_the_gradient_lowers_the_loss(case):
    output = case.output.requires_grad_()
    before = case.task.loss(output, case.target)
    (gradient,) = torch.autograd.grad(before, output)
    assert case.task.loss(output - 1e-2 * gradient, case.target) < before


def test_what_is_said_is_a_row_an_image_and_a_number_a_class_in_double_precision(case):
    said_NK = case.task.decode(case.output, case.target)
    width = 6 if case.masks else 2 if case.task.learns_images else 3 if case.task.learns_labels else 1
    assert case.task.num_outputs(CLASSES) == 3 and said_NK.shape == (NUM, width)
    assert said_NK.dtype == np.float64 and np.isfinite(said_NK).all()
    assert case.task.learns_images or said_NK.min() >= 0


def test_sums_are_plain_add_up_and_survive_json(case):
    whole, first, second = (
        case.task.sums(case.output[part], case.target[part]) for part in (slice(NUM), slice(5), slice(5, NUM))
    )
    assert plain(whole)
    assert whole["images"] == NUM
    assert case.task.scores(total([first, second])) == pytest.approx(case.task.scores(whole), rel=1e-5)


def test_scores_are_finite_numbers_with_the_one_to_watch(case):
    scores = case.task.scores(case.task.sums(case.output, case.target))
    assert scores and all(isinstance(value, float) and np.isfinite(value) for value in scores.values())
    assert case.task.watch.column.removeprefix("val_") in {"loss", *scores}


def test_what_is_watched_is_better_for_a_better_output(case):
    column = case.task.watch.column.removeprefix("val_")
    worse, better = (
        {"loss": case.task.loss(one, case.target).item()} | case.task.scores(case.task.sums(one, case.target))
        for one in (case.output, case.good)
    )
    worse, better = worse[column], better[column]
    assert case.task.watch.better(better, worse)


def test_sums_of_half_precision_are_those_of_full(case):
    half = case.task.scores(case.task.sums(case.output.bfloat16(), case.target))
    full = case.task.scores(case.task.sums(case.output.bfloat16().float(), case.target))
    assert half == pytest.approx(full, rel=1e-2)


def test_targets_fit_what_the_net_gives(case):
    net = build(case.plan, case.task.num_outputs(CLASSES), 32).eval()
    targets = case.task.targets(case.table, PreparePlan(fit="keep", shrink=1), net, case.masks)
    target = targets.batch([3, 0, 5], [Warp(np.eye(2, 3), (32, 32), (32, 32))] * 3)
    image_NCHW = torch.rand(3, 3, 32, 32)
    truth = image_NCHW if case.task.learns_images else target
    with torch.no_grad():
        loss = case.task.loss(net(image_NCHW), truth)
    assert len(target) == 3 and truth.ndim == case.target.ndim and loss.isfinite()


def test_a_data_set_for_another_task_is_refused_with_what_came_and_what_to_do(case):
    case.task.check(case.table)
    if not case.task.learns_labels:
        case.task.check(counted())  # takes any images
        return
    other = labelled() if case.table.counted or case.table.segmented else counted()
    with pytest.raises(CorpuscleError, match=rf"^{other.layout}: expected images with .*, these come with .*; "):
        case.task.check(other)


def test_the_calibration_is_plain_with_and_without_a_validation_part(case):
    for held in (None, held_of(case)):
        calibration = case.task.calibrate(held)
        assert plain(calibration) and plain(case.task.headline(calibration, CLASSES))


def test_no_images_have_no_rows_but_all_columns(case):
    calibration = case.task.calibrate(held_of(case))
    said_NK = held_of(case).said_NK
    full = case.task.columns(said_NK, CLASSES, calibration)
    empty = case.task.columns(said_NK[:0], CLASSES, calibration)
    assert full.schema == empty.schema and (len(full), len(empty)) == (NUM, 0)


@pytest.mark.parametrize("calibrated", [True, False])
def test_predictions_hold_what_is_told_of_each_image_in_the_order_of_the_table(case, calibrated):
    held = held_of(case)
    calibration = case.task.calibrate(held if calibrated else None)
    frame = case.task.predictions(held, calibration)
    assert frame["image"].to_list() == case.table.frame["image"].to_list()
    assert {"image", "split", "group"} <= set(frame.columns)
    told = case.task.columns(held.said_NK, CLASSES, calibration)
    assert frame.select(told.columns).equals(told)


@pytest.mark.parametrize("calibrated", [True, False])
def test_a_part_is_judged_with_an_interval_of_each_score_overall_and_by_class(case, calibrated):
    held = held_of(case, case.good)
    calibration = case.task.calibrate(held if calibrated else None)
    found = case.task.judge(held, calibration, Judging(seed=1, resamples=20))
    assert (found["n"], found["groups"]) == (NUM, 10)
    assert json.loads(json.dumps(found)) == found
    assert list(found["per_class"]) == (list(CLASSES) if case.task.learns_labels else [])
    for score in found["scores"].values():
        assert {"value", "low", "high", "n", "groups", "direction"} <= set(score)
    assert case.task.judge(held, calibration, Judging(seed=1, resamples=20)) == found


def test_anything_beats_nothing_but_not_a_number_beats_no_one():
    for direction in ("max", "min"):
        watch = Watch("val_recall", direction)
        assert watch.better(0.0, None)
        assert not watch.better(float("nan"), None)
        assert not watch.better(0.5, 0.5)
    assert Watch("a", "max").better(2, 1) and not Watch("a", "max").better(1, 2)
    assert Watch("a", "min").better(1, 2) and not Watch("a", "min").better(2, 1)
