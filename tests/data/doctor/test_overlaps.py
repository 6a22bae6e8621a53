"""Overlapping crops: found by what they show, kept together, and nothing found among fields that only look alike."""

from __future__ import annotations

import cv2
import numpy as np
import polars as pl
import pytest

from corpuscle.data.cache import survey
from corpuscle.data.doctor import kept
from corpuscle.data.doctor.audit import GuardPlan
from corpuscle.data.doctor.diagnosis import diagnose, leaks_of
from corpuscle.data.doctor.keypoints import STEPS, Keypoints, alike, keypoints_of
from corpuscle.data.doctor.leaks import Leak
from corpuscle.data.doctor.overlaps import Overlap, Overlaps, _compared, overlap_findings, overlaps
from corpuscle.data.readers.image import ReadPlan
from corpuscle.data.table import COLUMNS, Table

SIDE = 120


def field(number, side=300):
    """Cells of chance on a pale ground, with some grain."""
    random = np.random.default_rng(number)
    field_HWC = np.full((side, side, 3), 215, np.uint8)
    for _ in range(90):
        at, colour = random.integers(0, side, 2), random.integers(30, 190, 3)
        cv2.circle(field_HWC, at.tolist(), int(random.integers(4, 14)), colour.tolist(), -1)
    soft_HWC = cv2.GaussianBlur(field_HWC, (0, 0), 1.2)
    return np.clip(soft_HWC + random.normal(0, 3, soft_HWC.shape), 0, 255).astype(np.uint8)


def crop(field_HWC, top, left, side=SIDE):
    return field_HWC[top : top + side, left : left + side]


@pytest.mark.parametrize(("grain", "found"), [(30, True), (40, False)])
def test_details_must_be_the_same_and_not_merely_alike(grain, found):
    of_field, of_other = (
        cv2.GaussianBlur(np.random.default_rng(seed).normal(size=(160, 160)).astype(np.float32), (0, 0), 2)
        for seed in (0, 1)
    )
    field_HW = 128 + 40 * of_field / of_field.std()
    share, likeness = _compared(field_HW[:120], (field_HW + grain * of_other / of_other.std())[60:], 60, 0)
    assert bool(share) == found and 0.65 < likeness < 0.85


def written(folder, images, **columns):
    """A table of images written as JPEG, 10 % brighter one by one, and its survey as far as it is asked."""
    for number, (name, image_HWC) in enumerate(images.items()):
        lit_HWC = np.clip(image_HWC * (1 + 0.1 * (number % 2)), 0, 255).astype(np.uint8)
        assert cv2.imwrite(str(folder / name), lit_HWC, [cv2.IMWRITE_JPEG_QUALITY, 90 - 30 * (number % 2)])
    rows = [(name, None, None, None, "rows", None) for name in images]
    frame = pl.DataFrame(rows, schema=COLUMNS, orient="row")
    frame = frame.with_columns(**{name: pl.Series(values, dtype=pl.String) for name, values in columns.items()})
    height, width = ([image.shape[axis] for image in images.values()] for axis in (0, 1))
    content = [str(number) for number in range(len(images))]
    seen = {"content": content, "height": height, "width": width, "signature": [b""] * len(images)}
    seen = pl.DataFrame(seen).with_columns(fault=pl.lit(None, pl.String), remedy=pl.lit(None, pl.String))
    return Table(frame, folder, ("a", "b"), "rows"), seen


@pytest.fixture(scope="module")
def crops():
    """Two crops of each of four fields, shifted by more and more, and four of fields of their own."""
    moved = {0: (30, 0), 1: (0, -60), 2: (60, 30), 3: (90, 0)}
    images = {}
    for number, (down, across) in moved.items():
        images[f"{number}x.jpg"] = crop(field(number), 20, 100)
        images[f"{number}y.jpg"] = crop(field(number), 20 + down, 100 + across)
    return images | {f"{number}.jpg": crop(field(number), 50, 50) for number in range(10, 14)}


def test_crops_of_one_field_are_found_and_others_are_not(tmp_path, crops):
    found = overlaps(*written(tmp_path, crops))
    assert found.groups == tuple((f"{number}x.jpg", f"{number}y.jpg") for number in range(4))
    assert [(pair.first, pair.second) for pair in found.pairs] == list(found.groups)
    assert [pair.share for pair in found.pairs] == pytest.approx([0.75, 0.5, 0.375, 0.25], abs=0.02)
    assert all(0.75 <= pair.likeness <= 1 for pair in found.pairs)


def test_crops_of_several_sizes_and_a_whole_field_are_one_group(tmp_path):
    whole = field(0)
    images = {
        "a.jpg": whole,
        "b.jpg": crop(whole, 10, 20),
        "c.jpg": crop(whole, 150, 160, 100),
        "d.jpg": crop(field(1), 9, 9),
    }
    assert overlaps(*written(tmp_path, images)).groups == (("a.jpg", "b.jpg", "c.jpg"),)


def test_what_belongs_together_anyway_is_not_looked_for(tmp_path, crops):
    groups = ["s1", "s1"] + [None] * (len(crops) - 2)
    table, seen = written(tmp_path, crops, group=groups)
    found = overlaps(table, seen, ReadPlan(), [("1x.jpg", "1y.jpg", "2x.jpg"), ("3y.jpg", "10.jpg")])
    assert found.groups == (("2x.jpg", "2y.jpg"), ("3x.jpg", "3y.jpg"))
    one_slide = table.with_frame(table.frame.with_columns(group=pl.lit("s")))
    (tmp_path / "0x.jpg").unlink()
    assert overlaps(one_slide, seen) == Overlaps(), "nothing is to be found, and no image is opened"


def test_a_mark_that_all_images_bear_is_no_field_they_share(tmp_path):
    images = {}
    for number in range(6):
        image_HWC = np.full((SIDE, SIDE, 3), 12, np.uint8)
        random = np.random.default_rng(number)
        for _ in range(3):
            cv2.circle(image_HWC, random.integers(5, 75, 2).tolist(), int(random.integers(3, 9)), (200, 180, 90), -1)
        cv2.putText(image_HWC, "50 um", (50, 110), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 255, 255), 2)
        images[f"{number}.jpg"] = image_HWC
    assert overlaps(*written(tmp_path, images)) == Overlaps()


def test_one_picture_is_no_overlap_but_a_crop_within_it_is(tmp_path):
    whole = crop(field(0), 0, 0, 220)
    images = {"a.jpg": whole, "b.jpg": crop(field(0), 2, 1, 220), "c.jpg": whole[40:170, 50:180]}
    table, seen = written(tmp_path, images)
    two = table.with_frame(table.frame.head(2))
    assert overlaps(two, seen.head(2)) == Overlaps(), "a near-copy is told as such"
    (pair, *_) = overlaps(table, seen).pairs
    assert (pair.first, pair.second, pair.share) == ("a.jpg", "c.jpg", 1.0)


def test_images_that_show_nothing_or_are_tiny_or_gone_are_passed_over(tmp_path, crops):
    plain = np.full((SIDE, SIDE, 3), 200, np.uint8)
    few = {name: crops[name] for name in ("0x.jpg", "0y.jpg", "1x.jpg")}
    table, seen = written(tmp_path, few | {"plain.jpg": plain, "plain2.jpg": plain, "tiny.jpg": plain[:9, :9]})
    (tmp_path / "1x.jpg").unlink()
    assert overlaps(table, seen).groups == (("0x.jpg", "0y.jpg"),)


def test_points_are_known_again_by_their_surroundings_whatever_the_light():
    grey_HW = cv2.cvtColor(crop(field(5), 0, 0), cv2.COLOR_BGR2GRAY)
    one, lit, moved = keypoints_of(grey_HW), keypoints_of(grey_HW * 0.8 + 30), keypoints_of(grey_HW[:, 40:])
    assert len(one) >= 20 and one.at_M2.tolist() == lit.at_M2.tolist()
    assert np.linalg.norm(one.window_MD.astype(float), axis=1) == pytest.approx(STEPS, rel=0.05)
    both = Keypoints.joined([one, moved])
    first_P, second_P = alike(both, np.repeat([0, 1], [len(one), len(moved)]))
    shift_P2 = both.at_M2[first_P] - both.at_M2[second_P]
    assert (shift_P2 == (0, 40)).all(1).sum() >= 10
    assert not len(alike(both, np.zeros(len(both), int))[0]) and not len(alike(Keypoints.joined([]), np.zeros(0))[0])


def test_a_training_keeps_them_together_where_it_is_asked_to(tmp_path, crops, monkeypatch):
    monkeypatch.setenv("CORPUSCLE_CACHE", str(tmp_path / "cache"))
    parts = ["train", "test"] + ["train"] * (len(crops) - 2)
    table, _ = written(tmp_path, crops, split=parts, label=["a"] * len(crops))
    seen = survey(table, ReadPlan(), None).frame
    silent = diagnose(table, seen, GuardPlan(near_copies="ignore"), keep=False)
    assert silent.overlaps == () and silent.together == ()
    plan = GuardPlan(near_copies="ignore", overlaps="together")
    read = diagnose(table, seen, plan)
    assert read.overlaps[0] == ("0x.jpg", "0y.jpg") and read.together == read.overlaps
    assert [finding.kind for finding in read.found].count("overlaps") == 4
    (leak,) = [finding for finding in leaks_of(table, seen, read) if finding.kind == "overlap leak"]
    assert leak.what == "0x.jpg and 0y.jpg show some of the same field in train (1 image) and test (1 image)"
    looked = []
    monkeypatch.setattr(kept, "overlaps", lambda *given: looked.append(given) or Overlaps())
    assert diagnose(table, seen, plan).overlaps == read.overlaps and not looked, "found once, and kept"
    changed = seen.with_columns(signature=pl.Series([b"x"] * len(seen)))
    assert diagnose(table, changed, plan).overlaps == () and len(looked) == 1


def test_a_group_is_told_in_a_line():
    pairs = tuple(Overlap(f"{number}.png", f"{number + 1}.png", 0.25, 0.9) for number in range(5))
    (finding,) = overlap_findings(Overlaps(pairs, (tuple(f"{number}.png" for number in range(6)),)))
    told = "; ".join(f"{number}.png and {number + 1}.png show the same on 25%" for number in range(3))
    assert finding.what == f"{told}; and 2 more" and len(finding.images) == 6
    assert finding.values["pairs"][0] == {"first": "0.png", "second": "1.png", "share": 0.25, "likeness": 0.9}
    assert str(Leak("overlap", ("a", "b", "c"), {"train": 2, "val": 1})) == (
        "a and b and 1 more show some of the same field in train (2 images) and val (1 image)"
    )
