"""Two views of each image: which are found, and what is told of an image by itself."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from corpuscle.core.errors import CorpuscleError
from corpuscle.data.prepare import PreparePlan
from corpuscle.data.table import Table
from corpuscle.nets.zoo import NetPlan, build
from corpuscle.tasks.task import Held, Judging
from corpuscle.tasks.zoo import Choices, ContrastPlan, build_task

TASK = build_task("contrast", Choices(contrast=ContrastPlan(temperature=0.1, width=8)))


def views(found: int, count: int = 6) -> torch.Tensor:
    """Projections of two views of each image; those of the first ones agree, the others' lie nearer to an image's."""
    first = torch.eye(count)
    second = first.clone()
    second[found:] = first[:1]
    return torch.cat([first, second])


def test_all_views_that_agree_are_found_and_the_loss_is_lower():
    sums = TASK.sums(views(6), torch.zeros(12))
    assert sums == {"images": 12, "found": 12} and TASK.scores(sums) == {"retrieval": 1.0}
    few = TASK.scores(TASK.sums(views(2), torch.zeros(12)))["retrieval"]
    assert 0 < few < 0.5
    assert TASK.loss(views(6), torch.zeros(12)) < TASK.loss(views(2), torch.zeros(12))


def test_what_is_said_of_an_image_is_the_mean_of_its_two_views():
    torch.manual_seed(0)
    output = torch.randn(10, 8)
    said_N2 = TASK.paired(output)
    assert said_N2.shape == (5, 2) and set(said_N2[:, 1]) <= {0, 0.5, 1}
    assert said_N2[:, 0].mean() == pytest.approx(TASK.loss(output, torch.zeros(10)).item(), rel=1e-5)
    assert said_N2[:, 1].mean() == pytest.approx(TASK.scores(TASK.sums(output, torch.zeros(10)))["retrieval"])


def test_a_part_is_judged_by_its_pairs_and_an_image_told_by_its_features():
    frame = pl.DataFrame({"image": [f"{n}.png" for n in range(6)], "split": ["val"] * 6, "group": list("aabbcc")})
    table = Table(frame, Path("data"), ("image",), "rows")
    held = Held(table, TASK.paired(views(3)))
    part = TASK.judge(held, TASK.calibrate(held), Judging(resamples=20))
    assert (part["n"], part["groups"], list(part["scores"])) == (6, 3, ["loss", "retrieval"])
    assert json.loads(json.dumps(part)) == part
    rows = TASK.predictions(held, {})
    assert rows.columns == ["image", "split", "group", "loss", "retrieval"] and rows["retrieval"].mean() < 1
    said = TASK.decode(torch.arange(6.0).view(2, 3))
    assert TASK.columns(said, ("image",), {}).rows() == [(0.0, 1.0, 2.0), (3.0, 4.0, 5.0)]
    empty = TASK.columns(np.zeros((0, 3)), ("image",), {})
    assert empty.columns == ["f_0", "f_1", "f_2"] and empty.is_empty()


def test_a_net_that_gives_maps_is_refused():
    net = build(NetPlan(model="unet", head="density", widths=(4, 4)), 3, 32)
    with pytest.raises(CorpuscleError, match=r"^task=contrast expects net\.head=mlp or linear, got density; pass"):
        TASK.targets(pl.DataFrame({"image": ["a.png"]}), PreparePlan(), net)
