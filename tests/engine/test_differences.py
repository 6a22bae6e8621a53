"""Paired differences between runs, from their saved predictions."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from corpuscle.core.errors import CorpuscleError
from corpuscle.engine.differences import differences


@pytest.fixture
def write(tmp_path):
    """Write the predictions of a run of two classes that is right on some images."""

    def run(name, right, images=None, classes=("a", "b"), labels=None):
        images = images or [f"{number:03d}" for number in range(len(right))]
        labels = labels or [classes[number % len(classes)] for number in range(len(right))]
        rows = []
        for image, label, hit in zip(images, labels, right, strict=True):
            said = label if hit else next(other for other in classes if other != label)
            probs = {f"p_{c}": 0.9 if c == said else 0.1 / (len(classes) - 1) for c in classes}
            rows.append({"image": image, "label": label, "split": "test", "group": None, "prediction": said, **probs})
        folder = tmp_path / name
        folder.mkdir()
        pl.DataFrame(rows, schema_overrides={"group": pl.String}).write_csv(folder / "predictions.csv")
        return folder

    return run


def test_a_difference_is_the_first_less_the_second_on_the_same_images(write):
    runs = {"good": write("good", [True] * 36 + [False] * 4), "poor": write("poor", [True] * 20 + [False] * 20)}
    accuracy, balanced = differences(runs, "test")
    assert (accuracy.name, accuracy.a, accuracy.b) == ("accuracy", "good", "poor")
    assert accuracy.score.value == pytest.approx(0.4)
    assert 0 < accuracy.score.low < 0.4 < accuracy.score.high
    assert (accuracy.score.n, accuracy.score.groups) == (40, 40)
    assert balanced.name == "balanced_accuracy"


def test_pairing_is_narrower_than_two_samples_and_exact_for_a_twin(write):
    right = [True, False] * 20
    twins = {"a": write("a", right), "b": write("b", right)}
    score = differences(twins, "test")[0].score
    assert (score.value, score.low, score.high) == (0, 0, 0)


def test_only_common_images_count_whatever_their_order(write):
    images = [f"{number:03d}" for number in range(40)]
    first = write("first", [True] * 40, images)
    second = write("second", [True] * 10 + [False] * 20, images[39:9:-1], labels=["b", "a"] * 15)
    found = differences({"first": first, "second": second}, "test")[0]
    assert found.score.n == 30
    assert found.score.value == pytest.approx(20 / 30)


def test_every_pair_is_compared_and_strangers_are_left_out(write):
    runs = {name: write(name, [True] * 8) for name in "abc"} | {"d": write("d", [True] * 4, list("wxyz"))}
    assert [(one.a, one.b) for one in differences(runs, "test")[::2]] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert differences(runs, "val") == []


def test_other_labels_for_the_same_images_are_refused(write):
    runs = {"a": write("a", [True] * 4), "b": write("b", [True] * 4, labels=list("bbbb"))}
    with pytest.raises(CorpuscleError, match="a and b have other labels for the same images; compare runs on the same"):
        differences(runs, "test")


@pytest.mark.parametrize("classes", [("a", "b", "c"), ("b", "a")])
def test_other_classes_are_refused(write, classes):
    labels = list("abab")
    runs = {"a": write("a", [True] * 4, labels=labels), "b": write("b", [True] * 4, classes=classes, labels=labels)}
    with pytest.raises(
        CorpuscleError, match=r"a and b know other classes \(a, b; .*\); compare runs on the same classes"
    ):
        differences(runs, "test")


def test_a_run_that_is_not_finished_is_named(tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(
        CorpuscleError, match=r"expected a finished run, .*run has no predictions\.csv; train it to the"
    ):
        differences({"a": tmp_path / "run", "b": tmp_path / "run"}, "test")


# --- counts


@pytest.fixture
def counted(tmp_path):
    """Write the predictions of a run that counts and is off by some number on each image."""

    def run(name, off, kinds=("p", "q"), true=None):
        true = true or [number % 7 for number in range(len(off))]
        columns = {"image": [f"{number:03d}" for number in range(len(off))], "split": ["test"] * len(off)}
        columns["group"] = [f"s{number // 2}" for number in range(len(off))]
        for kind in kinds:
            said = [number + error for number, error in zip(true, off, strict=True)]
            columns |= {f"true_{kind}": true, f"count_{kind}": said, f"low_{kind}": [None] * len(off)}
        (tmp_path / name).mkdir()
        pl.DataFrame(columns).write_csv(tmp_path / name / "predictions.csv")
        return tmp_path / name

    return run


def test_counters_are_compared_by_their_error_on_the_total(counted):
    near, far = counted("near", [0.5, -0.5] * 10), counted("far", [1.5, 1.0] * 10)
    (found,) = differences({"near": near, "far": far}, "test")
    assert (found.name, found.a, found.b) == ("mae", "near", "far")
    assert found.score.value == pytest.approx(1.0 - 2.5)
    assert found.score.high < 0 and (found.score.n, found.score.groups) == (20, 10)


def test_counters_of_other_kinds_or_counts_and_runs_of_other_tasks_are_refused(counted, write):
    one = counted("one", [0.0] * 4)
    for other, message in (
        (counted("kinds", [0.0] * 4, kinds=("p",)), r"know other classes \(p, q; p\)"),
        (counted("truth", [0.0] * 4, true=[9] * 4), "have other true counts of the same images; compare runs on the"),
        (write("named", [True] * 4), "a was trained to count, b to classify; compare runs of one task"),
    ):
        with pytest.raises(CorpuscleError, match=message):
            differences({"a": one, "b": other}, "test")


# --- masks


@pytest.fixture
def segmented(tmp_path):
    """Write the predictions of a run that segments, and takes some of 100 pixels of a cell for background."""

    def run(name, lost, classes=("background", "cell"), true=(300, 100)):
        both = [(true[0], true[1] - number) for number in lost]
        columns = {"image": [f"{number:03d}" for number in range(len(lost))], "split": ["test"] * len(lost)}
        columns["group"] = [f"s{number // 2}" for number in range(len(lost))]
        for k, kind in enumerate(classes):
            columns[f"true_{kind}"] = [true[k]] * len(lost)
            columns[f"said_{kind}"] = [true[k] + (number if k == 0 else -number) for number in lost]
            columns[f"both_{kind}"] = [row[k] for row in both]
            columns |= {f"area_{kind}": columns[f"said_{kind}"], f"count_{kind}": [1] * len(lost)}
        (tmp_path / name).mkdir()
        pl.DataFrame(columns).write_csv(tmp_path / name / "predictions.csv")
        return tmp_path / name

    return run


def dice_of(lost):
    """Mean Dice over both classes, pixels added up over the images."""
    mean = sum(lost) / len(lost)
    return (2 * 300 / (600 + mean) + 2 * (100 - mean) / (200 - mean)) / 2


def test_segmenters_are_compared_by_dice_and_iou_of_the_pixels(segmented):
    good, poor = [10, 20] * 10, [40, 30] * 10
    dice, iou = differences({"good": segmented("good", good), "poor": segmented("poor", poor)}, "test")
    assert (dice.name, iou.name) == ("mean_dice", "mean_iou") and (dice.a, dice.b) == ("good", "poor")
    assert dice.score.value == pytest.approx(dice_of(good) - dice_of(poor))
    assert 0 < dice.score.low <= dice.score.value <= dice.score.high and iou.score.low > 0
    assert (dice.score.n, dice.score.groups, dice.score.direction) == (20, 10, "max")


def test_segmenters_of_other_classes_or_masks_and_runs_of_other_tasks_are_refused(segmented, counted):
    one = segmented("one", [10] * 4)
    for other, message in (
        (
            segmented("named", [10] * 4, classes=("background", "nucleus")),
            r"other classes \(background, cell; .*nucleus\)",
        ),
        (segmented("truth", [10] * 4, true=(300, 90)), "both need the same true masks, got 4 of 4 .*; compare runs on"),
        (counted("counts", [0.0] * 4), "a was trained to segment, b to count; compare runs of one task"),
    ):
        with pytest.raises(CorpuscleError, match=message):
            differences({"a": one, "b": other}, "test")


# --- what was learned without labels


@pytest.mark.parametrize(("good", "bad"), [("ssim", "mae"), ("retrieval", "loss")])
def test_nets_that_learned_without_labels_are_compared_image_by_image(good, bad, tmp_path):
    rng = np.random.default_rng(0)
    runs = {}
    for name, shift in (("a", 0.1), ("b", 0.0)):
        values = rng.random(40) / 10
        table = {good: 0.5 + shift + values, bad: 0.5 - shift + values}
        columns = {"image": [f"{n}.png" for n in range(40)], "split": ["test"] * 40, "group": [None] * 40}
        (tmp_path / name).mkdir()
        pl.DataFrame(columns | table, schema_overrides={"group": pl.String}).write_csv(
            tmp_path / name / "predictions.csv"
        )
        runs[name] = tmp_path / name
    found = {one.name: one.score for one in differences(runs, "test")}
    assert found[good].low > 0 and found[good].value == pytest.approx(0.1, abs=0.02)
    assert found[bad].high < 0 and found[bad].direction == "min"
