"""Counting: densities or numbers, what is told of them, and how they are judged."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch

from corpuscle.core.errors import CorpuscleError
from corpuscle.data.prepare import PreparePlan, shrunk
from corpuscle.data.table import Table
from corpuscle.data.targets import Counts, Densities
from corpuscle.engine.log import total
from corpuscle.losses.density import count_loss, density_loss
from corpuscle.metrics.conformal import fit_quantile
from corpuscle.tasks.count import Count, counts_of, on_canvas
from corpuscle.tasks.task import Held, Judging
from corpuscle.tasks.zoo import CountPlan

TASK, KINDS = Count(CountPlan()), ("p", "q")
POINTS = {"image": pl.String, "x": pl.Float64, "y": pl.Float64, "kind": pl.String}
FOUND = {"image": pl.String, "kind": pl.String, "x": pl.Float64, "y": pl.Float64, "score": pl.Float64}


def table_of(counts, groups=None, points=None, kinds=KINDS):
    frame = pl.DataFrame({"image": [f"{n:02d}.png" for n in range(len(counts))]}).with_columns(
        pl.Series("group", groups or [None] * len(counts), pl.String),
        pl.Series("counts", counts, pl.List(pl.Int64)),
        split=pl.lit("val"),
        label=pl.lit(None, pl.String),
    )
    dots = None if points is None else pl.DataFrame(points, schema=POINTS, orient="row")
    return Table(frame, Path(), kinds, "dots", points=dots)


def held_of(count=20, groups=None, off=0.5, seed=0):
    """Images of two kinds whose counts are off by a little."""
    random = np.random.default_rng(seed)
    true_NK = random.poisson((9, 3), (count, 2))
    said_NK = np.maximum(true_NK + random.normal(0, off, (count, 2)), 0)
    return Held(table_of(true_NK.tolist(), groups), said_NK)


# --- training


def test_the_loss_is_that_of_densities_where_there_are_any_else_of_counts():
    torch.manual_seed(0)
    density_NKhw, target_NKhw = torch.rand(3, 2, 8, 8), torch.rand(3, 2, 8, 8)
    target_NK = torch.tensor([[3.0, 0], [9, 1], [0, 0]])
    assert TASK.loss(density_NKhw, target_NKhw) == density_loss(density_NKhw, target_NKhw)
    assert TASK.loss(density_NKhw, target_NK) == count_loss(density_NKhw.sum((2, 3)), target_NK)
    assert TASK.loss(target_NK + 1, target_NK) == count_loss(target_NK + 1, target_NK)


def test_a_density_trained_on_numbers_alone_has_a_gradient_everywhere():
    density_NKhw = torch.zeros(2, 1, 4, 4, requires_grad=True)
    TASK.loss(density_NKhw, torch.tensor([[3.0], [5.0]])).backward()
    assert (density_NKhw.grad < 0).all()


def test_the_loss_of_half_precision_is_computed_in_full():
    assert TASK.loss(torch.rand(2, 1, 4, 4).bfloat16(), torch.rand(2, 1, 4, 4)).dtype == torch.float32


def test_densities_are_summed_in_double_precision_and_counts_are_never_negative():
    density_NKhw = torch.rand(2, 3, 5, 4)
    said_NK = TASK.decode(density_NKhw)
    assert said_NK.dtype == np.float64
    np.testing.assert_allclose(said_NK, density_NKhw.double().sum((2, 3)), rtol=1e-6)
    assert TASK.decode(torch.tensor([[-1.0, 2.5]])).tolist() == [[0, 2.5]]


@pytest.mark.parametrize("maps", [True, False])
def test_sums_of_batches_add_up_to_the_scores_of_the_whole(maps):
    torch.manual_seed(0)
    output, target = (torch.rand(11, 2, 4, 4) if maps else 9 * torch.rand(11, 2) for _ in range(2))
    parts = total([TASK.sums(output[a:b], target[a:b]) for a, b in ((0, 4), (4, 5), (5, 11))])
    scores = TASK.scores(parts)
    error_N = (output - target).double().flatten(1).sum(1).numpy()
    assert scores["mae"] == pytest.approx(np.abs(error_N).mean(), rel=1e-5)
    assert scores["rmse"] == pytest.approx(np.sqrt((error_N**2).mean()), rel=1e-5)
    assert parts["images"] == 11 and json.loads(json.dumps(parts)) == parts


def test_the_error_that_is_watched_is_that_of_the_total_over_kinds():
    sums = TASK.sums(torch.tensor([[3.0, 5.0]]), torch.tensor([[5.0, 4.0]]))
    assert TASK.scores(sums)["mae"] == 1
    assert TASK.watch.column == "val_mae" and TASK.watch.better(1, 2)


# --- targets


def test_densities_are_drawn_where_points_are_known_and_the_net_gives_maps():
    maps, numbers = SimpleNamespace(gives_maps=True, stride=2), SimpleNamespace(gives_maps=False, stride=1)
    plan = PreparePlan(fit="keep", shrink=2)
    dotted = table_of([[1, 0]], points=[("00.png", 5.0, 7.0, "p")])
    targets = Count(CountPlan(sigma=2.5)).targets(dotted, plan, maps)
    assert isinstance(targets, Densities)
    assert (targets.num_kinds, targets.stride, targets.sigma) == (2, 2, 2.5)
    assert targets.point_M3[0].tolist() == [[2.25, 3.25, 0]]
    for table, net in ((dotted, numbers), (table_of([[1, 0]]), maps)):
        counts = TASK.targets(table, plan, net)
        assert isinstance(counts, Counts) and counts.count_NK.tolist() == [[1, 0]]


@pytest.mark.parametrize(("apart", "shrink", "sigma"), [(20.0, 1, 5.0), (20.0, 4, 1.25), (None, 2, 1.25)])
def test_a_blob_is_a_quarter_of_the_distance_of_near_neighbours_wide_unless_it_is_stated(apart, shrink, sigma):
    places = [5.0] if apart is None else [5.0, 5.0 + apart]
    table = table_of([[len(places), 0]], points=[("00.png", x, 7.0, "p") for x in places])
    net, plan = SimpleNamespace(gives_maps=True, stride=2), PreparePlan(fit="keep", shrink=shrink)
    assert TASK.targets(table, plan, net).sigma == sigma
    assert Count(CountPlan(sigma=3.0)).targets(table, plan, net).sigma == 3.0


@pytest.mark.parametrize("shrink", [1, 2, 4, 8])
def test_a_point_lies_on_the_pixel_of_the_canvas_that_shows_it(shrink):
    image = np.zeros((64, 96, 3), np.uint8)
    image[40 : 40 + shrink, 24 : 24 + shrink] = 200
    middle = (shrink - 1) / 2
    table = table_of([[0, 1]], points=[("00.png", 24 + middle, 40 + middle, "q")])
    ((x, y, kind),) = on_canvas(table, shrink)[0]
    assert (x, y, kind) == (24 / shrink, 40 / shrink, 1)
    assert shrunk(image, shrink)[int(y), int(x), 0] == 200
    assert np.count_nonzero(shrunk(image, shrink)[..., 0]) == 1


def test_every_row_has_its_points_and_the_table_keeps_its_own():
    table = table_of(
        [[2, 1], [0, 0], [0, 1]],
        points=[("00.png", 1.0, 2.0, "q"), ("02.png", 3.0, 4.0, "q"), ("00.png", 5.0, 6.0, "p")],
    )
    found = on_canvas(table, 1)
    assert {place: len(point_M3) for place, point_M3 in found.items()} == {0: 2, 1: 0, 2: 1}
    assert found[1].shape == (0, 3)
    assert sorted(found[0].tolist()) == [[1, 2, 1], [5, 6, 0]]
    on_canvas(table, 4)
    assert table.points["x"].to_list() == [1, 3, 5]


def test_counts_are_minus_one_where_they_are_unknown():
    assert counts_of(table_of([[3, 1], None])).tolist() == [[3, 1], [-1, -1]]
    assert counts_of(table_of([])).shape == (0, 2)


def test_a_table_of_labels_is_refused():
    table = table_of([[1, 0]])
    TASK.check(table)
    with pytest.raises(
        CorpuscleError, match=r"dots: expected images with numbers of objects, .* come with a class each"
    ):
        TASK.check(table.with_frame(table.frame.drop("counts")))


# --- intervals


def test_the_calibration_is_a_quantile_a_kind_of_the_held_out_images():
    held = held_of(30)
    calibration = TASK.calibrate(held)
    true_NK = counts_of(held.table)
    assert list(calibration) == ["level", "quantiles", "groups"]
    assert (calibration["level"], calibration["groups"]) == (0.9, 30)
    for k, kind in enumerate(KINDS):
        assert calibration["quantiles"][kind] == fit_quantile(true_NK[:, k], held.said_NK[:, k], None, 0.9)
    assert json.loads(json.dumps(calibration)) == calibration


@pytest.mark.parametrize(("count", "there"), [(8, False), (9, True)])
def test_under_nine_images_there_is_no_interval_and_none_is_invented(count, there):
    calibration = TASK.calibrate(held_of(count))
    assert [value is not None for value in calibration["quantiles"].values()] == [there, there]
    assert "NaN" not in json.dumps(calibration)


def test_it_is_groups_that_must_be_nine():
    assert TASK.calibrate(held_of(40, [f"s{n % 8}" for n in range(40)]))["quantiles"]["p"] is None
    nine = TASK.calibrate(held_of(40, [f"s{n % 9}" for n in range(40)]))
    assert nine["quantiles"]["p"] is not None and nine["groups"] == 9


def test_without_a_validation_part_there_is_no_interval():
    assert TASK.calibrate(None) == {"level": 0.9, "quantiles": {}, "groups": 0}
    assert Count(CountPlan(level=0.8)).calibrate(held_of(4))["quantiles"]["q"] is not None


# --- what is told


def test_the_columns_are_a_count_and_its_ends_for_each_kind():
    told = TASK.columns(np.array([[3.0, 0.2], [8.0, 1.0]]), KINDS, {"quantiles": {"p": 2.0, "q": None}})
    assert told.columns == ["count_p", "low_p", "high_p", "count_q", "low_q", "high_q"]
    assert told["low_p"].to_list() == [0, 2] and told["high_p"].to_list() == [7, 14]
    assert told["count_q"].to_list() == [0.2, 1.0] and told["low_q"].null_count() == told["high_q"].null_count() == 2
    assert set(told.dtypes) == {pl.Float64}
    assert TASK.columns(np.zeros((0, 2)), KINDS, {"quantiles": {}}).schema == told.schema


def test_predictions_stand_beside_what_is_true():
    held = held_of(12)
    frame = TASK.predictions(held, TASK.calibrate(held))
    names = ["image", "split", "group"]
    for kind in KINDS:
        names += [f"true_{kind}", f"count_{kind}", f"low_{kind}", f"high_{kind}"]
    assert frame.columns == names
    assert frame["true_q"].dtype == pl.Int64
    assert frame.select("true_p", "true_q").to_numpy().tolist() == counts_of(held.table).tolist()
    assert (frame["low_p"] <= frame["count_p"]).all() and (frame["count_p"] <= frame["high_p"]).all()
    text = TASK.predictions(held, TASK.calibrate(None)).write_csv()
    assert "NaN" not in text and ",," in text


# --- judging


def test_a_part_is_judged_on_the_total_and_on_each_kind():
    held = held_of(25)
    found = TASK.judge(held, TASK.calibrate(held), Judging(resamples=20))
    true_NK = counts_of(held.table)
    assert (found["n"], found["groups"]) == (25, 25)
    assert list(found["scores"])[:6] == ["mae", "rmse", "r", "r2", "bias", "kappa"]
    error_N = held.said_NK.sum(axis=1) - true_NK.sum(axis=1)
    assert found["scores"]["mae"]["value"] == pytest.approx(np.abs(error_N).mean())
    for k, kind in enumerate(KINDS):
        one = found["per_class"][kind]
        assert one["objects"] == true_NK[:, k].sum()
        assert one["scores"]["bias"]["value"] == pytest.approx((held.said_NK - true_NK)[:, k].mean())
        assert one["scores"]["coverage"]["value"] >= 0.9
    assert json.loads(json.dumps(found)) == found


def test_without_intervals_or_dots_their_scores_are_left_out():
    found = TASK.judge(held_of(5), TASK.calibrate(None), Judging(resamples=20))
    assert list(found["per_class"]["p"]["scores"]) == ["mae", "rmse", "r", "r2", "bias", "kappa"]


def dotted(plan, apart):
    """Four images with two dots each, `apart` pixels from one another, found 4 pixels beside; one is found too many."""
    names = [f"{n:02d}.png" for n in range(4)]
    true = [(name, x, 50.0, "p") for name in names for x in (20.0, 20.0 + apart)]
    found = [(name, "p", x, y + 4.0, 1.0) for name, x, y, _ in true] + [("01.png", "p", 90.0, 90.0, 0.4)]
    frame = pl.DataFrame(found, schema=FOUND, orient="row")
    table = table_of(
        [[2, 0]] * 4, points=[*true, ("elsewhere.png", 20.0, 21.0, "p"), ("elsewhere.png", 20.0, 20.0, "p")]
    )
    return Count(plan).judge(Held(table, np.full((4, 2), 2.0), frame), {"quantiles": {}}, Judging(resamples=20))


def test_dots_are_matched_within_half_the_distance_of_near_neighbours_of_the_part():
    near, far = dotted(CountPlan(), 7.0), dotted(CountPlan(), 30.0)
    assert (near["distance"], far["distance"]) == (3.5, 15)
    assert near["scores"]["dot_recall"]["value"] == 0
    assert far["scores"]["dot_recall"]["value"] == 1
    assert far["scores"]["dot_precision"]["value"] == pytest.approx(8 / 9)


def test_the_distance_may_be_stated():
    assert dotted(CountPlan(distance=3.9), 30.0)["scores"]["dot_recall"]["value"] == 0
    assert dotted(CountPlan(distance=4.0), 30.0)["distance"] == 4.0


def test_the_headline_is_the_calibration():
    assert TASK.headline({"level": 0.9}, ("cell",)) == {"calibration": {"level": 0.9}}
