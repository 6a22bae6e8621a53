"""What is told of masks: columns, scores by hand, colours, and data that have none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.legend import IGNORED, SMEAR, Legend, colours_for
from corpuscle.data.table import Table
from corpuscle.losses.segmentation import LOSSES
from corpuscle.metrics.overlap import overlap_of
from corpuscle.tasks.segment import Segment, colours_of
from corpuscle.tasks.task import Held
from corpuscle.tasks.zoo import SegmentPlan

CLASSES = ("background", "cell", "nucleus")
LEGEND = Legend(CLASSES, {0: 0, 1: 1, 2: 2}, ((0, 0, 0), (10, 20, 30), (40, 50, 60)))


@pytest.fixture
def task():
    return Segment(SegmentPlan(smallest=2))


def held_of(task, pairs):
    """What is held of true and said masks."""
    names = [f"{number}.png" for number in range(len(pairs))]
    frame = pl.DataFrame({"image": names, "split": ["test"] * len(names), "group": ["a"] * len(names)})
    table = Table(frame, Path(), CLASSES, "masks", legend=LEGEND)
    said_NHW = np.array([said for _, said in pairs], np.uint8)
    overlaps = [overlap_of(np.array(true, np.uint8), said, 3) for (true, _), said in zip(pairs, said_NHW, strict=True)]
    return Held(table, task.measure(said_NHW, 3), overlaps=overlaps)


def test_the_predictions_are_those_computed_by_hand(task):
    true_HW = [[0, 0, 1, 1], [0, 0, 1, IGNORED]]
    said_HW = [[0, 1, 1, 1], [0, 0, 1, 2]]
    row = task.predictions(held_of(task, [(true_HW, said_HW)]), {}).row(0, named=True)
    dice_K, iou_K = (2 * 3 / (4 + 3), 2 * 3 / (3 + 4)), (3 / 4, 3 / 4)  # no pixel is truly nucleus
    assert row["dice"] == pytest.approx(np.mean(dice_K), abs=1e-6)
    assert row["iou"] == pytest.approx(np.mean(iou_K), abs=1e-6)
    told = {word: [row[f"{word}_{name}"] for name in CLASSES] for word in ("true", "said", "both", "area")}
    assert told == {"true": [4, 3, 0], "said": [3, 4, 0], "both": [3, 3, 0], "area": [3, 4, 1]}
    assert (row["count_cell"], row["count_nucleus"]) == (1, 0), "one pixel of a nucleus is no object"
    assert "count_background" not in row


def test_an_image_that_nobody_has_judged_has_no_score(task):
    nothing_HW = np.full((2, 3), IGNORED)
    held = held_of(task, [(nothing_HW, np.zeros((2, 3))), (np.zeros((2, 3)), np.zeros((2, 3)))])
    scored = task.predictions(held, {}).select("dice", "iou", "true_background").rows()
    assert scored == [(None, None, 0), (1.0, 1.0, 6)]


def test_what_is_told_of_new_images_is_their_areas_and_objects(task):
    said_NHW = np.array([[[1, 1, 0], [0, 0, 0], [2, 2, 2]]], np.uint8)
    told = task.columns(task.measure(said_NHW, 3), CLASSES, {})
    assert told.columns == [f"area_{name}" for name in CLASSES] + ["count_cell", "count_nucleus"]
    assert told.row(0) == (4, 2, 3, 1, 1) and set(told.dtypes) == {pl.Int64}


def test_decoding_takes_the_likeliest_class_of_each_pixel(task):
    logits_NKHW = torch.zeros(1, 3, 2, 2)
    logits_NKHW[0, 1, 0], logits_NKHW[0, 2, 1, 0] = 1.0, 3.0
    assert task.decode(logits_NKHW).tolist() == [[1, 2, 1, 0, 1, 0]]


def test_the_scores_of_the_log_leave_out_absent_classes_and_ignored_pixels(task):
    target_NHW = torch.tensor([[[0, 0, 1, 1], [0, 0, 1, IGNORED]]])
    said_NHW = torch.tensor([[[0, 1, 1, 1], [0, 0, 1, 2]]])
    logits_NKHW = 9.0 * torch.nn.functional.one_hot(said_NHW, 3).permute(0, 3, 1, 2)
    scores = task.scores(task.sums(logits_NKHW, target_NHW))
    assert scores["pixel_accuracy"] == pytest.approx(6 / 7)
    assert scores["mean_dice"] == pytest.approx(6 / 7) and scores["mean_iou"] == pytest.approx(3 / 4)


def test_colours_are_those_of_the_legend_and_else_of_the_names(task):
    calibration = task.calibrate(held_of(task, [(np.zeros((2, 2)), np.zeros((2, 2)))]))
    assert colours_of(calibration, CLASSES) == LEGEND.colours
    assert calibration["smallest"] == 2 and calibration["tolerance"] == 2.0
    told = task.headline(calibration, CLASSES)["legend"]
    assert told == {"classes": list(CLASSES), "colours": [list(colour) for colour in LEGEND.colours]}
    assert colours_of(task.calibrate(None), CLASSES) == colours_for(CLASSES)
    assert colours_of({}, SMEAR.classes) == SMEAR.colours


def test_images_without_masks_are_refused(task):
    table = Table(pl.DataFrame({"image": ["a.png"]}), Path(), ("a",), "folder a class")
    told = r"^folder a class: expected images with masks, these come with none; put each mask into .*beside the images$"
    with pytest.raises(CorpuscleError, match=told):
        task.check(table)


def test_the_losses_that_can_be_chosen_are_those_there_are():
    chosen = SegmentPlan(loss=tuple(LOSSES))
    target_NHW, logits_NKHW = torch.randint(3, (2, 4, 4)), torch.randn(2, 3, 4, 4)
    alone = [Segment(SegmentPlan(loss=(name,))).loss(logits_NKHW, target_NHW) for name in LOSSES]
    torch.testing.assert_close(Segment(chosen).loss(logits_NKHW, target_NHW), torch.stack(alone).sum())


def test_a_weight_counts_in_the_loss_of_its_class():
    target_NHW, logits_NKHW = torch.tensor([[[0, 1]]]), torch.tensor([[[[2.0, 2.0]], [[0.0, 0.0]]]])
    plain, weighted = (
        Segment(SegmentPlan(loss=("cross_entropy",)), weight_K).loss(logits_NKHW, target_NHW)
        for weight_K in (None, torch.tensor([1.0, 3.0]))
    )
    right, wrong = np.log1p(np.exp(-2)), np.log1p(np.exp(2))
    assert plain.item() == pytest.approx((right + wrong) / 2)
    assert weighted.item() == pytest.approx((right + 3 * wrong) / 4)
