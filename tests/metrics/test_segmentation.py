from __future__ import annotations

import json
import time

import numpy as np
import pytest
from sklearn import metrics as reference

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.legend import IGNORED
from corpuscle.metrics.areas import Areas, AreaSums, areas_of
from corpuscle.metrics.overlap import Overlap, overlap_of
from corpuscle.metrics.segmentation import (
    CLASS_METRICS,
    MASK_METRICS,
    paired_mask_difference,
    score_masks,
)

CLASSES = ["background", "cytoplasm", "nucleus", "platelet"]
K = len(CLASSES)


def masks(num: int, seed: int = 0, wrong: float = 0.3, kinds: int = K) -> list[tuple[np.ndarray, np.ndarray]]:
    """True and said masks: blocks of classes, some of them shifted, some pixels of another class, some ignored."""
    random = np.random.default_rng(seed)
    drawn = []
    for _ in range(num):
        true_HW = np.kron(random.integers(kinds, size=(4, 5)), np.ones((4, 4))).astype(np.uint8)
        said_HW = np.roll(true_HW, random.integers(3), axis=1)
        other_HW = random.random(true_HW.shape) < wrong * random.random()
        said_HW = np.where(other_HW, random.integers(kinds, size=true_HW.shape), said_HW).astype(np.uint8)
        true_HW[random.random(true_HW.shape) < 0.05] = IGNORED
        drawn.append((true_HW, said_HW))
    return drawn


def overlaps_of(pairs: list[tuple[np.ndarray, np.ndarray]], kinds: int = K) -> list[Overlap]:
    return [overlap_of(*pair, kinds) for pair in pairs]


def expected(pairs: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """The same scores from scikit-learn on the pixels in a row."""
    true_P, said_P = (np.concatenate([pair[side].ravel() for pair in pairs]) for side in (0, 1))
    true_P, said_P = true_P[true_P != IGNORED], said_P[true_P != IGNORED]
    present = np.unique(true_P)
    iou = reference.jaccard_score(true_P, said_P, labels=present, average=None)
    by_image = []
    for true_HW, said_HW in pairs:
        known_HW = true_HW != IGNORED
        here = np.unique(true_HW[known_HW])
        by_image.append(reference.f1_score(true_HW[known_HW], said_HW[known_HW], labels=here, average="macro"))
    return {
        "mean_iou": iou.mean(),
        "mean_iou_objects": iou[present > 0].mean(),
        "mean_dice": reference.f1_score(true_P, said_P, labels=present, average="macro"),
        "pixel_accuracy": (true_P == said_P).mean(),
        "boundary_f1": np.mean([boundary_of(overlaps_of(pairs), k) for k in present if k > 0]),
        "image_dice": np.mean(by_image),
    }


def boundary_of(overlaps: list[Overlap], k: int) -> float:
    right = sum(one.edge_said_right_K[k] for one in overlaps) / sum(one.edge_said_K[k] for one in overlaps)
    found = sum(one.edge_true_found_K[k] for one in overlaps) / sum(one.edge_true_K[k] for one in overlaps)
    return 2 * right * found / (right + found)


def test_every_score_is_that_of_scikit_learn() -> None:
    pairs = masks(12)
    found = score_masks(overlaps_of(pairs), classes=CLASSES, resamples=0)
    assert {name: one.value for name, one in found.scores.items()} == pytest.approx(expected(pairs), abs=1e-12)
    assert list(found.scores) == list(MASK_METRICS)
    true_P, said_P = (np.concatenate([pair[side].ravel() for pair in pairs]) for side in (0, 1))
    known_P = true_P != IGNORED
    true_P, said_P = true_P[known_P], said_P[known_P]
    assert np.array_equal(found.confusion_KK, reference.confusion_matrix(true_P, said_P))
    precision, recall, dice, pixels = reference.precision_recall_fscore_support(true_P, said_P)
    iou = reference.jaccard_score(true_P, said_P, average=None)
    for k, name in enumerate(CLASSES):
        one = found.per_class[name]
        values = {score: each.value for score, each in one.scores.items()}
        boundary = boundary_of(overlaps_of(pairs), k)
        by_sklearn = {"iou": iou[k], "dice": dice[k], "precision": precision[k], "recall": recall[k]}
        assert values == pytest.approx(by_sklearn | {"boundary_f1": boundary}, abs=1e-12)
        assert list(values) == list(CLASS_METRICS)
        assert (one.pixels, one.images) == (pixels[k], sum((pair[0] == k).any() for pair in pairs))


@pytest.mark.parametrize("name", MASK_METRICS)
def test_weights_count_as_repeated_images_do(name: str) -> None:
    pairs, random = masks(20, seed=3), np.random.default_rng(7)
    code_N = np.r_[np.arange(8), random.integers(8, size=12)]
    weight_GB = random.integers(4, size=(8, 3)).astype(float)
    weight_GB[0] = 1
    value_B = MASK_METRICS[name].compute(AreaSums(areas_of(overlaps_of(pairs)), code_N, weight_GB))
    for weight_G, value in zip(weight_GB.T, value_B, strict=True):
        repeated = [pairs[row] for row in np.repeat(np.arange(20), weight_G[code_N].astype(int))]
        assert value == pytest.approx(expected(repeated)[name], abs=1e-12)


def test_a_class_that_is_never_true_is_absent_and_leaves_the_means_alone() -> None:
    pairs = masks(8, kinds=3)
    for _, said_HW in pairs:
        said_HW[:2, :2] = 3
    found = score_masks(overlaps_of(pairs), classes=CLASSES, resamples=50)
    absent = found.per_class["platelet"].as_dict()
    assert absent["absent"] and (absent["pixels"], absent["images"]) == (0, 0)
    nothing = {"value": None, "low": None, "high": None, "n": 0, "groups": 0, "direction": "max"}
    assert absent["scores"] == dict.fromkeys(CLASS_METRICS, nothing)
    assert not found.per_class["nucleus"].as_dict()["absent"]
    assert found.confusion_KK[:, 3].sum() > 0
    assert {name: one.value for name, one in found.scores.items()} == pytest.approx(expected(pairs), abs=1e-12)
    assert np.isfinite([(one.low, one.high) for one in found.scores.values()]).all()


def test_a_class_that_is_never_said_has_no_precision_and_an_f1_of_zero() -> None:
    pairs = masks(8)
    for _, said_HW in pairs:
        said_HW[said_HW == 2] = 0
    scores = score_masks(overlaps_of(pairs), classes=CLASSES, resamples=50).per_class["nucleus"].scores
    assert np.isnan(scores["precision"].value) and scores["precision"].n == 0
    assert [scores[name].value for name in ("iou", "dice", "recall", "boundary_f1")] == [0, 0, 0, 0]


def test_without_objects_or_without_a_judged_pixel_there_is_no_such_score() -> None:
    plain_HW = np.zeros((6, 6), dtype=np.uint8)
    found = score_masks(overlaps_of([(plain_HW, plain_HW)] * 3), classes=CLASSES).scores
    assert [found[name].value for name in ("mean_iou", "mean_dice", "pixel_accuracy", "image_dice")] == [1, 1, 1, 1]
    assert np.isnan([found["mean_iou_objects"].value, found["boundary_f1"].value]).all()
    found = score_masks(overlaps_of([(plain_HW + IGNORED, plain_HW)] * 3), classes=CLASSES)
    assert np.isnan([one.value for one in found.scores.values()]).all()
    assert all(one.as_dict()["absent"] for one in found.per_class.values())


def test_an_image_without_a_judged_pixel_is_left_out_of_the_mean_over_images() -> None:
    pairs = masks(4)
    empty = (np.full_like(pairs[0][0], IGNORED), pairs[0][1])
    with_empty, without = (
        score_masks(overlaps_of(one), classes=CLASSES, resamples=0).scores for one in ([*pairs, empty], pairs)
    )
    assert [one.value for one in with_empty.values()] == pytest.approx([one.value for one in without.values()])


def test_images_of_one_slide_widen_the_interval() -> None:
    overlaps = overlaps_of(masks(30))
    rows = np.repeat(np.arange(30), 5)
    copies = [overlaps[row] for row in rows]
    alone, grouped = (score_masks(copies, group_N, classes=CLASSES, resamples=300) for group_N in (None, rows))
    once = score_masks(overlaps, classes=CLASSES, resamples=300)
    for name in MASK_METRICS:
        one = grouped.scores[name]
        assert (one.low, one.high) == pytest.approx((once.scores[name].low, once.scores[name].high))
        assert one.high - one.low > 1.8 * (alone.scores[name].high - alone.scores[name].low)
        assert (one.n, one.groups) == (150, 30)


def test_a_rare_class_makes_the_means_less_sure_and_too_rare_a_one_leaves_no_interval() -> None:
    pairs = masks(30, kinds=3)
    for true_HW, said_HW in pairs[:1]:
        true_HW[:3, :3] = said_HW[1:3, :3] = 3
    found = score_masks(overlaps_of(pairs), classes=CLASSES, resamples=200)
    assert np.isnan(found.per_class["platelet"].scores["iou"].low)
    assert found.per_class["platelet"].scores["recall"].n == 1
    assert np.isfinite([found.scores["mean_iou"].low, found.scores["pixel_accuracy"].low]).all()
    assert np.isnan(found.scores["mean_iou_objects"].low)  # three classes, one of them in one image


def test_the_part_is_written_as_plain_json() -> None:
    found = score_masks(overlaps_of(masks(6, kinds=3)), classes=CLASSES, resamples=20)
    part = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert list(part) == ["n", "groups", "scores", "per_class", "confusion"]
    assert set(part["scores"]["mean_iou"]) == {"value", "low", "high", "n", "groups", "direction"}
    assert list(part["per_class"]["nucleus"]) == ["scores", "pixels", "images", "absent"]
    assert np.shape(part["confusion"]) == (K, K)
    assert (part["n"], part["groups"]) == (6, 6)


@pytest.mark.parametrize(
    ("overlaps", "classes", "message"),
    [
        ([], CLASSES, "images of the same classes, got no image; pass"),
        ([*overlaps_of(masks(1)), *overlaps_of(masks(1), 5)], CLASSES, "got 4 classes and 5 classes; pass those"),
        (overlaps_of(masks(2)), CLASSES[:3], "3 classes were named, got overlaps of 4; pass"),
    ],
)
def test_what_cannot_be_scored_is_refused_in_one_line(
    overlaps: list[Overlap], classes: list[str], message: str
) -> None:
    with pytest.raises(CorpuscleError, match=message) as caught:
        score_masks(overlaps, classes=classes, resamples=2)
    assert "\n" not in str(caught.value)


def test_a_thousand_resamples_of_three_hundred_images_take_less_than_a_second() -> None:
    random = np.random.default_rng(0)
    overlaps = [
        Overlap(random.integers(9999, size=(10, 10)), *random.integers(50, 99, size=(4, 10))) for _ in range(300)
    ]
    started = time.process_time()
    score_masks(overlaps, classes=[f"class {k}" for k in range(10)])
    assert time.process_time() - started < 1  # measured: 0.2 s


# --- two runs


@pytest.fixture(scope="module")
def runs() -> tuple[Areas, Areas]:
    """Two runs that are wrong on the same images, the first a little less."""
    a, b = [], []
    for number, (true_HW, said_HW) in enumerate(masks(60, seed=5, wrong=0.8)):
        random = np.random.default_rng(number)
        mended_HW = np.where(random.random(true_HW.shape) < 0.06, true_HW, said_HW)
        a.append((true_HW, np.where(mended_HW == IGNORED, said_HW, mended_HW).astype(np.uint8)))
        b.append((true_HW, said_HW))
    return areas_of(overlaps_of(a)), areas_of(overlaps_of(b))


@pytest.mark.parametrize("name", MASK_METRICS)
def test_the_better_run_is_told_though_separate_intervals_overlap(name: str, runs: tuple[Areas, Areas]) -> None:
    a, b = runs
    found, back = paired_mask_difference(name, a, b), paired_mask_difference(name, b, a)
    alone = [AreaSums(part, np.arange(60), np.ones((60, 1))) for part in runs]
    values = [float(MASK_METRICS[name].compute(sums)[0]) for sums in alone]
    assert found.value == pytest.approx(values[0] - values[1])
    assert 0 < found.low < found.value < found.high
    assert back.value == -found.value
    same = paired_mask_difference(name, a, a)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_the_difference_is_resampled_by_group(runs: tuple[Areas, Areas]) -> None:
    alone = paired_mask_difference("mean_dice", *runs)
    grouped = paired_mask_difference("mean_dice", *runs, [f"s{n // 10}" for n in range(60)])
    assert (alone.groups, grouped.groups, grouped.n) == (60, 6, 60)
    assert (grouped.low, grouped.high) != (alone.low, alone.high)


def test_what_cannot_be_compared_is_refused(runs: tuple[Areas, Areas]) -> None:
    a, b = runs
    with pytest.raises(CorpuscleError, match=r"'mean_dise' is not a score of masks\. Did you mean mean_dice"):
        paired_mask_difference("mean_dise", a, b)
    fewer = Areas(b.true_NK[:9], b.said_NK[:9], b.both_NK[:9])
    with pytest.raises(CorpuscleError, match=r"got \(60, 4\) and \(9, 4\); compare"):
        paired_mask_difference("mean_dice", a, fewer)
    true_NK = b.true_NK.copy()
    true_NK[7] += 1
    with pytest.raises(CorpuscleError, match=r"got 1 of 60 with other true pixels \(first: image 7\)"):
        paired_mask_difference("mean_dice", a, Areas(true_NK, b.said_NK, b.both_NK))
    with pytest.raises(CorpuscleError, match="boundary_f1 needs boundary pixels, got areas without"):
        paired_mask_difference("boundary_f1", a, Areas(b.true_NK, b.said_NK, b.both_NK))


# --- what the intervals promise


def drawn_overlaps(random: np.random.Generator, num: int) -> list[Overlap]:
    """Images whose classes differ in size, and which are not equally hard; one class is in a third of them."""
    size_NK = np.stack(
        [np.full(num, 3000.0), *random.lognormal(6, 0.6, size=(2, num)), random.lognormal(5, 0.5, num)], 1
    )
    size_NK[random.random(num) < 0.67, 3] = 0
    right_NK = random.beta([60, 12, 20, 6], [2, 3, 3, 3], size=(num, K))
    share_NKK = (1 - right_NK)[:, :, None] * random.dirichlet(np.ones(K), size=(num, K))
    share_NKK[:, range(K), range(K)] += right_NK
    pixels_NKK = np.round(share_NKK * size_NK[:, :, None]).astype(int)
    edges = np.zeros((4, K), dtype=int)
    return [Overlap(pixels_KK, *edges) for pixels_KK in pixels_NKK]


@pytest.mark.slow
def test_the_intervals_of_sixty_images_cover_the_truth() -> None:
    random = np.random.default_rng(0)
    truth = score_masks(drawn_overlaps(random, 200_000), classes=CLASSES, resamples=0)
    repeats, held = 500, {}
    for _ in range(repeats):
        found = score_masks(drawn_overlaps(random, 60), classes=CLASSES, resamples=600)
        seen = {name: (found.scores[name], truth.scores[name]) for name in MASK_METRICS if name != "boundary_f1"}
        for name in ("cytoplasm", "platelet"):
            seen[name] = (found.per_class[name].scores["dice"], truth.per_class[name].scores["dice"])
        for name, (one, true) in seen.items():
            held[name] = held.get(name, 0) + (one.low <= true.value <= one.high)
    share = {name: round(count / repeats, 3) for name, count in held.items()}
    assert all(0.92 <= one <= 0.98 for one in share.values()), share
