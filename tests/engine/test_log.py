"""The log: sums that add up over batches and processes, and the row they make."""

from __future__ import annotations

import pytest

from corpuscle.engine.log import Epoch, add_to, epoch_row, epochs_since_best, say_row, total
from corpuscle.tasks.classify import Classify

SUMS = {"images": 10, "loss": 5.0, "nll": 4.0, "confusion": [[4, 1], [2, 3]], "seconds": 4.0, "wait": 1.0}


def test_sums_of_processes_add_up_key_by_key():
    assert total([SUMS, SUMS, {}])["confusion"] == [[8, 2], [4, 6]]
    assert total([SUMS, SUMS])["images"] == 20
    sums = {}
    add_to(sums, SUMS)
    add_to(sums, SUMS)
    assert sums == total([SUMS, SUMS])
    assert SUMS["images"] == 10


def test_a_row_holds_what_the_sums_say():
    row = epoch_row(Epoch(3, 1, "all", 0.01, processes=2), Classify(), SUMS, {**SUMS, "confusion": [[5, 0], [0, 5]]})
    assert (row["epoch"], row["stage"]) == (3, 1)
    assert (row["train"], row["learning_rate"]) == ("all", 0.01)
    assert row["train_loss"] == 0.5  # what is minimised; val_loss is the negative log-likelihood
    assert row["train_accuracy"] == 0.7
    assert row["train_recall"] == pytest.approx(0.7)
    assert (row["val_loss"], row["val_accuracy"], row["val_recall"]) == (0.4, 1.0, 1.0)
    assert (row["seconds"], row["images_per_second"], row["data_wait"]) == (2.0, 5.0, 0.25)


def test_without_a_validation_part_a_row_has_no_columns_of_it():
    row = epoch_row(Epoch(1, 1, "all", 0.01, 1), Classify(), SUMS, None)
    assert not [name for name in row if name.startswith("val_")]


@pytest.mark.parametrize(
    ("best", "expected"), [([], 0), ([True], 0), ([True, False, False], 2), ([True, False, True, False], 1)]
)
def test_epochs_since_the_best(best, expected):
    history = [{"stage": 1, "best": True}] * 3 + [{"stage": 2, "best": one} for one in best]
    assert epochs_since_best(history, stage=2) == expected


def test_a_stage_that_never_improved_counts_all_its_epochs():
    assert epochs_since_best([{"stage": 1, "best": True}] + [{"stage": 2, "best": False}] * 4, stage=2) == 4


def test_a_line_an_epoch():
    said = []

    class Listener:
        def say(self, line):
            said.append(line)

    row = {"epoch": 7, "train_loss": 0.25, "val_recall": 0.9, "images_per_second": 99.6, "best": True}
    say_row(Listener(), row)
    assert said == ["epoch   7  loss 0.250  val recall 0.900  100 images/s  best so far"]
