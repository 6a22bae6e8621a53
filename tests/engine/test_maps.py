"""From the density of an image to its counts and dots, and a run that counts at work."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

from corpuscle.core.progress import SILENT
from corpuscle.data.cache import survey_few
from corpuscle.data.prepare import PreparePlan, shrunk
from corpuscle.data.readers.image import ReadPlan
from corpuscle.data.readers.windows import ArrayWindows
from corpuscle.data.table import Table
from corpuscle.engine.device import DevicePlan, choose_machine
from corpuscle.engine.experiment import Experiment
from corpuscle.engine.maps import DOT_COLUMNS, Eye, Looked, dots_table
from corpuscle.engine.predict import Predictor, write_points
from corpuscle.engine.rescore import rescore
from corpuscle.engine.stitch import Scale
from corpuscle.nets.card import Card
from corpuscle.nets.zoo import NetPlan, build
from corpuscle.tasks.peaks import Dots
from corpuscle.tasks.zoo import build_task

CPU, ZERO, ONE = torch.device("cpu"), np.zeros(3), np.ones(3)


class Lamps(nn.Module):
    """Two kinds: how bright red and green are, an object a white pixel; a density of stride 2."""

    stride, multiple, reach, gives_masks = 2, 4, 4, False

    def __init__(self, less: float = 0.0) -> None:
        super().__init__()
        self.less = less

    def forward(self, image_NCHW):
        return 4 * nn.functional.avg_pool2d(image_NCHW[:, :2], 2) - self.less


def night(*lamps, size_HW=(40, 60)):
    """A black image with squares of 4 pixels that shine in one colour each, 16 objects a square."""
    image = np.zeros((*size_HW, 3), np.uint8)
    for top, left, channel in lamps:
        image[top : top + 4, left : left + 4, channel] = 255
    return image


def scale(shrink=1, views=1):
    return Scale(shrink, ZERO, ONE, views)


def look(net, windows, scale, **how):
    return Eye(net, scale, CPU, num_classes=2).look(windows, **how)


def test_the_count_is_the_sum_of_the_density_and_dots_lie_where_it_is_dense():
    found = look(Lamps(), ArrayWindows(night((8, 12, 0), (24, 40, 0), (20, 4, 1))), scale())
    assert found.said_K.tolist() == pytest.approx([32, 16], abs=1e-4)
    assert found.map.shape == (2, 20, 30)
    assert found.map[0].sum() == pytest.approx(32, abs=1e-4)
    first, second = (sorted(zip(dots.x_M, dots.y_M, strict=True)) for dots in found.dots)
    assert np.allclose(first, [(13.5, 9.5), (41.5, 25.5)]) and np.allclose(second, [(5.5, 21.5)])


@pytest.mark.parametrize("views", [1, 4, 8])
@pytest.mark.parametrize("factor", [2, 4])
def test_an_image_that_is_shrunk_already_has_the_same_counts_and_dots(factor, views):
    image = night((8, 12, 0), (24, 40, 1), size_HW=(41, 63))
    as_it_is = look(Lamps(), ArrayWindows(image), scale(factor, views))
    before = look(Lamps(), ArrayWindows(shrunk(image, factor)), scale(factor, views), shrunk=True)
    assert np.array_equal(as_it_is.map, before.map)
    assert as_it_is.said_K.tolist() == pytest.approx([16 / factor**2] * 2, abs=1e-4)
    for one, other in zip(as_it_is.dots, before.dots, strict=True):
        assert np.array_equal(one.x_M, other.x_M) and np.array_equal(one.score_M, other.score_M)
    middle = {2: (13.5, 9.5), 4: (13.5, 9.5)}[factor]
    assert (as_it_is.dots[0].x_M[0], as_it_is.dots[0].y_M[0]) == pytest.approx(middle, abs=factor)


def test_a_density_below_zero_counts_nothing():
    found = look(Lamps(less=1.0), ArrayWindows(night((8, 12, 0))), scale())
    assert found.said_K.tolist() == [0, 0] and [len(dots) for dots in found.dots] == [0, 0]


def test_without_its_density_a_count_keeps_its_dots():
    found = look(Lamps(), ArrayWindows(night((8, 12, 0))), scale())
    light = found.without_map()
    assert light.map.size == 0 and light.said_K is found.said_K and light.dots is found.dots


def test_dots_are_a_row_each_by_image_and_kind():
    two, none = Dots(np.array([1.0, 3.0]), np.array([2.0, 4.0]), np.array([0.9, 0.5])), Dots(*[np.zeros(0)] * 3)
    one = Dots(np.array([7]), np.array([8]), np.array([1]))  # whole numbers
    looked = [Looked(np.zeros(2), dots, np.zeros((2, 0, 0))) for dots in ((two, none), (none, none), (none, one))]
    frame = dots_table(["a", "b", "bad", "c"], [*looked[:2], None, looked[2]], ("p", "q"))
    assert frame.schema == pl.Schema(DOT_COLUMNS)
    assert frame.rows() == [("a", "p", 1, 2, 0.9), ("a", "p", 3, 4, 0.5), ("c", "q", 7, 8, 1)]
    assert dots_table([], [], ("p",)).schema == frame.schema


# --- a run at work


@pytest.fixture(scope="module")
def predictor():
    """A tiny net with random weights, whose densities are above zero."""
    torch.manual_seed(0)
    net = build(NetPlan(model="unet", head="density", widths=(4, 6)), 2, 0).eval()
    with torch.no_grad():
        net.head[1].weight.abs_().mul_(30)
    card = Card(
        task="count",
        classes=("p", "q"),
        net=net.plan,
        num_outputs=2,
        size=0,
        prepare=PreparePlan(fit="keep", shrink=2).model_dump(mode="json"),
        read=ReadPlan().model_dump(mode="json"),
        mean=(0.5,) * 3,
        std=(0.2,) * 3,
        views=4,
        calibration={"level": 0.9, "quantiles": {"p": 1.5, "q": None}, "groups": 12},
    )
    return Predictor(net, card, choose_machine(DevicePlan(name="cpu")), build_task("count"))


@pytest.fixture
def pictures(tmp_path):
    """Three pictures of different sizes and a file that is none between them."""
    rng, paths = np.random.default_rng(0), []
    for number, size_HW in enumerate([(50, 40), (33, 71), (20, 20)]):
        paths.append(tmp_path / "in" / f"{number}.png")
        paths[-1].parent.mkdir(exist_ok=True)
        cv2.imwrite(str(paths[-1]), rng.integers(0, 255, (*size_HW, 3), np.uint8))
    (tmp_path / "in" / "bad.png").write_text("text")
    return [paths[0], tmp_path / "in" / "bad.png", *paths[1:]]


def held_table(paths):
    frame = pl.DataFrame({"image": [path.name for path in paths]}).with_columns(
        pl.Series("counts", [[1, 2]] * len(paths), pl.List(pl.Int64)),
        split=pl.lit("test"),
        group=pl.lit(None, pl.String),
        label=pl.lit(None, pl.String),
    )
    return Table(frame, paths[0].parent, ("p", "q"), "dots")


def test_bad_files_are_passed_over_and_the_order_is_kept(predictor, pictures):
    predicted = predictor.predict(pictures)
    names = [str(path) for path in pictures]
    assert predicted.table.columns == [
        "image",
        *("count_p", "low_p", "high_p", "count_q", "low_q", "high_q"),
        *("fault", "remedy"),
    ]
    assert predicted.table["image"].to_list() == names
    assert [fault.where for fault in predicted.faults] == [names[1]]
    for name in ("count_p", "low_p", "count_q"):
        assert predicted.table[name].is_null().to_list() == [False, True, False, False]
    assert predicted.table["low_q"].null_count() == 4
    assert np.isnan(predicted.said_NK).any(axis=1).tolist() == [False, True, False, False]
    assert predicted.table["count_p"][0] == round(predicted.said_NK[0, 0], 4) > 0
    assert predicted.seen.select("height", "width").rows() == [(50, 40), (None, None), (33, 71), (20, 20)]


def test_dots_are_as_many_as_the_count_says_at_most_and_inside_their_image(predictor, pictures):
    predicted = predictor.predict(pictures)
    assert set(predicted.found["image"]) <= {str(path) for path in pictures} - {str(pictures[1])}
    number = {(image, kind): n for image, kind, n in predicted.found.group_by("image", "kind").len().iter_rows()}
    assert number
    for (image, kind), dots in number.items():
        row = predicted.table.filter(pl.col("image") == image)
        assert dots <= np.floor(row[f"count_{kind}"][0] + 0.5)
    sizes = {
        str(path): size for path, size in zip(pictures, predicted.seen.select("height", "width").rows(), strict=True)
    }
    step = predictor.net.stride * 2
    for image, x, y in predicted.found.select("image", "x", "y").iter_rows():
        height, width = sizes[image]
        assert -0.5 <= x <= width + step and -0.5 <= y <= height + step


def test_prepared_images_are_counted_as_those_on_disk_are_and_shown_one_by_one(predictor, pictures):
    sound = [pictures[0], *pictures[2:]]
    canvases = survey_few(sound, ReadPlan(), PreparePlan(fit="keep", shrink=2)).canvases
    shown = {}
    held = predictor.held(held_table(sound), canvases, np.array([2, 0]), show=shown.__setitem__)
    fresh = predictor.predict([sound[2], sound[0]])
    np.testing.assert_allclose(held.said_NK, fresh.said_NK, rtol=1e-5)
    assert held.table.frame["image"].to_list() == ["2.png", "0.png"]
    assert list(shown) == [2, 0]
    assert shown[0].sum(axis=(1, 2)).tolist() == pytest.approx(held.said_NK[1].tolist(), rel=1e-4)
    assert [Path(image).name for image in fresh.found["image"]] == held.found["image"].to_list()
    np.testing.assert_allclose(fresh.found.select("x", "y"), held.found.select("x", "y"), atol=1e-3)


def test_no_files_or_only_bad_ones_give_all_columns(predictor, pictures):
    some, none, bad = (predictor.predict(paths) for paths in (pictures, [], pictures[1:2]))
    assert none.table.schema == bad.table.schema == some.table.schema
    assert none.found.schema == bad.found.schema == some.found.schema
    assert none.said_NK.shape == (0, 2) and len(bad.found) == 0


def test_dots_are_written_into_one_table_and_a_file_an_image(predictor, pictures, tmp_path):
    predicted = predictor.predict(pictures)
    write_points(predicted, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "points.csv",
        "0.geojson",
        "1.geojson",
        "2.geojson",
    }
    assert len(pl.read_csv(tmp_path / "out" / "points.csv")) == len(predicted.found)


def test_other_images_are_judged_and_images_without_a_digest_are_no_copies(predictor, pictures, tmp_path):
    sound = [pictures[0], *pictures[2:]]
    table = replace(held_table(sound), points=pl.DataFrame({"image": ["0.png"], "x": [5.0], "y": [9.0], "kind": ["p"]}))
    found = rescore(tmp_path / "run", table, tmp_path / "out", Experiment(), predictor, SILENT)
    assert found["parts"]["test"]["n"] == 3 and "dot_recall" in found["parts"]["test"]["scores"]
    facts = json.loads((tmp_path / "out" / "fingerprint.json").read_text())
    assert facts["copies"] == facts["disagreeing"] == []
    assert facts["counts"]["p"] == {"test": {"images": 3, "objects": 3}}
    points = pl.read_csv(tmp_path / "out" / "points.csv")
    assert set(points["image"]) <= {path.name for path in sound}
