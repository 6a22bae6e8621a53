"""Steps on the table: what they leave out, what they make, and that they never touch what judges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from corpuscle.core.errors import CorpuscleError, DataFault
from corpuscle.core.settings import validated
from corpuscle.data.steps import LEFT_OUT, MADE, StepsPlan, stepped
from corpuscle.data.table import Table

SCHEMA = {"image": pl.String, "label": pl.String, "group": pl.String, "split": pl.String}


def table_of(labels, group_of=lambda at: None, split_of=lambda at: "train"):
    rows = [(f"{at:03d}.png", label, group_of(at), split_of(at)) for at, label in enumerate(labels)]
    classes = tuple(sorted(set(labels)))
    return Table(pl.DataFrame(rows, schema=SCHEMA, orient="row"), Path("/data"), classes, "rows")


def taken(table, seed=0, masked=None, **plan):
    masked_N = np.ones(len(table), bool) if masked is None else np.array(masked)
    return stepped(table, StepsPlan(**plan), masked_N, seed)


@pytest.fixture
def cells():
    """40 cells of 3 classes, 20, 12 and 8, in groups of two; a fifth each to validate and to test."""
    labels = ["a"] * 20 + ["b"] * 12 + ["c"] * 8
    parts = ["train", "train", "train", "val", "test"]
    return table_of(labels, lambda at: f"g{at // 2}", lambda at: parts[at // 2 % 5])


def untouched(table):
    return table.frame.filter(pl.col("split").is_in(["val", "test"])).select(*SCHEMA)


ALL = {"subset": 0.6, "apply_mask": ("removed", "replaced", "swapped"), "balance": "augmented"}


def test_no_step_touches_the_validation_or_the_test_part_or_makes_anything_of_it(cells):
    after = taken(cells, **ALL)
    assert untouched(after).equals(untouched(cells))
    made = after.frame.drop_nulls("of")
    train = set(cells.frame.filter(pl.col("split") == "train")["image"])
    assert set(made["split"]) == {"train"}
    assert {*made["of"], *made["donor"].drop_nulls()} <= train


def test_rows_keep_their_places_and_made_ones_stand_behind_them(cells):
    after = taken(cells, **ALL)
    assert after.frame["image"][: len(cells)].to_list() == cells.frame["image"].to_list()
    assert after.frame["of"][: len(cells)].is_null().all() and after.frame["of"][len(cells) :].is_not_null().all()
    assert after.frame["image"].is_unique().all()
    assert after.frame.columns == [*SCHEMA, *MADE]


def test_the_same_seed_gives_the_same_rows_and_another_seed_others(cells):
    one, again, other = taken(cells, **ALL), taken(cells, **ALL), taken(cells, seed=1, **ALL)
    assert one.frame.equals(again.frame)
    assert one.frame["donor"].to_list() != other.frame["donor"].to_list()


def test_each_kind_of_background_gives_a_row_of_each_training_image_with_its_label_and_group(cells):
    after = taken(cells, apply_mask=("removed", "swapped")).frame
    train = after.filter((pl.col("split") == "train") & pl.col("of").is_null())
    for kind in ("removed", "swapped"):
        made = after.filter(pl.col("step") == f"background {kind}")
        assert made["of"].to_list() == train["image"].to_list()
        assert made.select("label", "group").equals(train.select("label", "group"))
    assert after["donor"].drop_nulls().len() == len(train)


def test_a_donor_is_of_another_class_and_group(cells):
    after = taken(cells, apply_mask=("swapped",), balance="augmented").frame
    known = {image: (label, group) for image, label, group in cells.frame.select("image", "label", "group").rows()}
    swapped = after.drop_nulls("donor")
    assert len(swapped) > 20
    for of, donor in swapped.select("of", "donor").rows():
        assert known[of][0] != known[donor][0] and known[of][1] != known[donor][1]


def test_rows_whose_mask_cannot_be_used_make_nothing_and_give_no_background(cells):
    masked = np.arange(len(cells)) % 3 > 0
    after = taken(cells, masked=masked, apply_mask=("removed", "swapped")).frame
    bad = set(cells.frame.filter(pl.Series(~masked))["image"])
    assert after["of"].drop_nulls().len() > 0
    assert not bad & {*after["of"].drop_nulls(), *after["donor"].drop_nulls()}


def test_balance_gives_each_class_as_many_as_the_largest_and_repeats_rows_in_turn(cells):
    after = taken(cells, balance="augmented")
    train = after.frame.filter(pl.col("split") == "train")
    assert dict(train["label"].value_counts().rows()) == {"a": 12, "b": 12, "c": 12}
    copies = train.filter(pl.col("step") == "copy")
    assert copies.filter(pl.col("label") == "a").is_empty()
    times = copies.filter(pl.col("label") == "c")["of"].value_counts()["count"]
    assert times.max() - times.min() <= 1 and times.sum() == 12 - 4
    assert copies["copy"].min() == 2 and "steps.balance: 12 copies, so that each class has 12" in after.notes[-1]


def test_a_repeated_row_gets_another_background_each_time():
    table = table_of(["a"] * 60 + ["b"])
    after = taken(table, apply_mask=("swapped",), balance="augmented").frame
    swapped = after.filter((pl.col("of") == "060.png") & (pl.col("step") == "background swapped"))
    assert swapped["copy"].n_unique() == len(swapped) > 40
    assert swapped["donor"].n_unique() > 20


def test_a_subset_keeps_groups_whole_and_the_mix_of_classes_and_says_what_it_left_out(cells):
    table = table_of(["a"] * 200 + ["b"] * 80, lambda at: f"g{at // 2}", lambda at: "test" if at % 20 > 17 else "train")
    after = taken(table, subset=0.25)
    rows = after.frame.filter(table.frame["split"] == "train")
    assert rows.group_by("group").agg(pl.col("step").n_unique())["step"].max() == 1
    left = dict(rows.filter(pl.col("step").is_null())["label"].value_counts().rows())
    assert left == {"a": pytest.approx(45, abs=2), "b": pytest.approx(18, abs=2)}
    out = rows.filter(pl.col("step") == LEFT_OUT)
    assert out["split"].is_null().all() and len(out) + sum(left.values()) == len(rows)
    used = sum(left.values())
    assert after.notes == (f"steps.subset: {used} of 252 training images; the validation and the test part are whole",)


def test_a_small_subset_lies_in_a_larger_one(cells):
    small, large = (set(taken(cells, subset=share).part("train").frame["image"]) for share in (0.3, 0.7))
    assert small < large < set(cells.part("train").frame["image"])


def test_copies_are_in_a_subset_together():
    table = table_of(["a", "b"] * 20)
    pairs = [(f"{at:03d}.png", f"{at + 2:03d}.png") for at in range(0, 40, 4)]
    after = stepped(table, StepsPlan(subset=0.4), np.zeros(40, bool), 0, pairs).frame
    step = dict(after.select("image", "step").rows())
    assert {step[one] for one, _ in pairs} == {None, LEFT_OUT}
    assert all(step[one] == step[other] for one, other in pairs)


def test_a_subset_without_an_image_of_each_class_names_the_class_and_the_smallest_that_works():
    table = table_of(["a"] * 10 + ["b"] * 10 + ["c"] * 10)
    with pytest.raises(DataFault) as error:
        taken(table, subset=0.05)
    assert "no image within 5 % of the 30 training images (2)" in str(error.value)
    assert "the smallest that works is steps.subset=0.1 (3 images)" in str(error.value)


def test_a_class_without_a_training_image_cannot_be_balanced():
    table = table_of(["a", "a", "b", "c"], split_of=lambda at: "train" if at < 2 else "test")
    with pytest.raises(DataFault) as error:
        taken(table, balance="augmented")
    what = "no training image, so none can be repeated; add some, or leave out steps.balance"
    assert str(error.value).splitlines() == [f"class b: {what}", f"class c: {what}"]


def test_masks_that_show_no_object_are_refused(cells):
    with pytest.raises(CorpuscleError, match=r"none of the 24 training images has one; mend the masks, name their"):
        taken(cells, masked=[False] * 40, apply_mask=("removed",))


def test_backgrounds_of_one_class_cannot_be_swapped():
    with pytest.raises(CorpuscleError, match=r"apply_mask=swapped expects a training image of another class and group"):
        taken(table_of(["a"] * 4), apply_mask=("removed", "swapped"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"apply_mask": ["blurred"]}, r"apply_mask\.0 should be 'removed', 'replaced' or 'swapped', got \"blurred\""),
        ({"apply_mask": ["swapped", "swapped"]}, r"should name each kind of background once; steps\.balance=augmented"),
        ({"subset": 0}, r"subset should be greater than 0, got 0"),
        ({"subset": 1.5}, r"subset should be less than or equal to 1, got 1\.5"),
        ({"balance": "weights"}, r"balance should be 'none' or 'augmented', got \"weights\""),
    ],
)
def test_settings_out_of_range_are_refused(values, message):
    with pytest.raises(CorpuscleError, match=message):
        validated(StepsPlan, values)


def test_several_words_may_be_written_with_commas():
    plan = validated(StepsPlan, {"apply_mask": "removed, swapped", "keep": "nucleus"})
    assert plan.apply_mask == ("removed", "swapped") and plan.keep == ("nucleus",)


def test_nothing_is_done_without_steps(cells):
    after = taken(cells)
    assert after.frame.select(*SCHEMA).equals(cells.frame) and after.notes == ()
    assert after.frame.select(*MADE).null_count().row(0) == (40,) * 4
