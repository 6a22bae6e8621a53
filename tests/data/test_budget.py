"""A budget of labels is nested, keeps groups and the mix of classes, and leaves no class without an image."""

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from corpuscle.core.errors import CorpuscleError, DataFault
from corpuscle.core.settings import validated
from corpuscle.data.budget import within_budget
from corpuscle.data.splits import SplitPlan
from corpuscle.data.table import Table

SCHEMA = {"image": pl.String, "label": pl.String, "group": pl.String, "split": pl.String}


def table_of(labels, groups=None, split="train"):
    groups = groups or [None] * len(labels)
    rows = [
        (f"{at:04d}.png", label, group, split) for at, (label, group) in enumerate(zip(labels, groups, strict=True))
    ]
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row").with_columns(source=pl.lit("rows"), row=pl.lit(1))
    return Table(frame, Path("/data"), tuple(sorted(set(labels))), "rows")


def used(table, seed=0, together=(), **plan):
    """The rows whose labels are used."""
    return within_budget(table, SplitPlan(**plan), seed, together).part("train").frame


def images(table, **how):
    return set(used(table, **how)["image"])


MIXED = ["a"] * 600 + ["b"] * 300 + ["c"] * 90 + ["d"] * 10


def test_a_smaller_budget_lies_in_a_larger_one_and_keeps_the_mix():
    table = table_of(MIXED)
    taken = {budget: used(table, budget=budget) for budget in (0.01, 0.1, 0.5, 1.0)}
    assert {budget: len(rows) for budget, rows in taken.items()} == {0.01: 10, 0.1: 100, 0.5: 500, 1.0: 1000}
    sets = [set(rows["image"]) for rows in taken.values()]
    assert all(small < large for small, large in itertools.pairwise(sets))
    assert Counter(taken[0.1]["label"]) == {"a": 60, "b": 30, "c": 9, "d": 1}
    assert set(taken[0.01]["label"]) == {"a", "b", "c", "d"}


def test_the_labels_depend_on_the_seed_and_not_on_the_order_of_the_rows():
    table = table_of(MIXED)
    turned = table.with_frame(table.frame.reverse())
    assert images(table, seed=3, budget=0.1) == images(turned, seed=3, budget=0.1)
    assert images(table, seed=3, budget=0.1) != images(table, seed=4, budget=0.1)
    assert turned.frame["image"].to_list() == within_budget(turned, SplitPlan(budget=0.1), 3).frame["image"].to_list()


def test_the_other_rows_of_train_are_unlabelled_and_no_other_part_is_touched():
    table = table_of(["a", "b"] * 50)
    split = pl.Series("split", ["train"] * 60 + ["val"] * 20 + ["test"] * 10 + ["unlabelled"] * 8 + [None] * 2)
    after = within_budget(table.with_frame(table.frame.with_columns(split)), SplitPlan(budget=0.5), 0).frame["split"]
    assert Counter(after[:60]) == {"train": 30, "unlabelled": 30}
    assert after[60:].to_list() == split[60:].to_list()


def test_a_whole_budget_changes_nothing():
    table = table_of(["a", "b"])
    assert within_budget(table, SplitPlan(), 0) is table


@pytest.mark.parametrize("seed", range(5))
def test_groups_and_copies_stay_whole(seed):
    random = np.random.default_rng(seed)
    labels = [str(label) for label in random.choice(["a", "b", "c"], 400, p=[0.6, 0.3, 0.1])]
    groups = [str(number) for number in random.integers(60, size=400)]
    copies = [("0003.png", "0004.png"), ("0005.png", "0390.png")]
    table = table_of(labels, groups)
    previous = set()
    for budget in (0.1, 0.3, 0.6):
        rows = used(table, seed=seed, together=copies, budget=budget)
        left = set(groups) - set(rows["group"])
        assert set(table.frame.filter(pl.col("group").is_in(left))["image"]).isdisjoint(rows["image"])
        assert len(table.frame.filter(pl.col("group").is_in(rows["group"].unique().implode()))) == len(rows)
        assert all(len({one, other} & set(rows["image"])) != 1 for one, other in copies)
        assert 0.4 * budget < len(rows) / 400 <= budget + 0.002
        assert previous <= set(rows["image"])
        previous = set(rows["image"])


def test_so_many_of_each_class():
    table = table_of(MIXED)
    assert Counter(used(table, per_class=21)["label"]) == {"a": 21, "b": 21, "c": 21, "d": 10}
    assert images(table, per_class=5) < images(table, per_class=21)


def test_a_budget_that_leaves_classes_without_an_image_names_them_all_and_the_smallest_that_works():
    table = table_of(MIXED)
    with pytest.raises(DataFault) as caught:
        used(table, budget=0.002)
    lines = str(caught.value).splitlines()
    assert len(lines) == 2 and all(line.startswith("class ") for line in lines)
    assert lines[0].endswith(
        ": no image within 0.2 % of the 1000 training images (2); the smallest that works is split.budget=0.004 "
        "(4 images)"
    )
    assert len(used(table, budget=0.004)) == 4


def test_a_group_larger_than_the_budget_is_named_with_the_smallest_that_works():
    table = table_of(["a", "b"] * 40, ["one"] * 40 + ["two"] * 40)
    with pytest.raises(DataFault) as caught:
        used(table, budget=0.1)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("group ") and "40 images that stay together, more than 10 % of the 80" in lines[0]
    assert [line.partition(":")[0] for line in lines[1:]] == ["class a", "class b"]
    assert all(line.endswith("the smallest that works is split.budget=0.5 (40 images)") for line in lines)
    assert len(used(table, budget=0.5)) == 40


def test_a_group_with_more_of_a_class_than_asked_is_named():
    table = table_of(["a"] * 6 + ["b"] * 6, ["one"] * 6 + ["two"] * 3 + ["six"] * 3)
    with pytest.raises(
        DataFault, match=r"group one: 6 images of class a, more than the 3 asked; the smallest that works"
    ):
        used(table, per_class=3)
    assert Counter(used(table, per_class=6)["label"]) == {"a": 6, "b": 6}


def test_labels_of_each_class_are_for_images_with_classes():
    table = table_of(["a"] * 4)
    counted = table.with_frame(table.frame.with_columns(counts=pl.lit([3], pl.List(pl.Int64))))
    with pytest.raises(CorpuscleError, match=r"split\.per_class=2 expects a class an image, these come with numbers"):
        within_budget(counted, SplitPlan(per_class=2), 0)
    assert len(within_budget(counted, SplitPlan(budget=0.5), 0).part("train")) == 2


@pytest.mark.parametrize("budget", [0, -0.1, 1.5, 50])
def test_a_budget_is_a_share(budget):
    with pytest.raises(CorpuscleError, match=rf"budget should be a share .* \(10 % is 0\.1\), got {budget}"):
        validated(SplitPlan, {"budget": budget})


def test_a_share_and_labels_of_each_class_exclude_one_another():
    with pytest.raises(CorpuscleError, match=r"per_class should be 0 beside split\.budget=0\.1.*, got 21"):
        validated(SplitPlan, {"budget": 0.1, "per_class": 21})
