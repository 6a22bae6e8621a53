"""Near-copies: found whatever was done to them, and nothing found among pictures that only look alike."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest

from corpuscle.core.progress import Progress
from corpuscle.data.cache import content_of
from corpuscle.data.doctor.alignment import Alignment, aligned, fields
from corpuscle.data.doctor.candidates import Pairs, candidates, turned
from corpuscle.data.doctor.copies import _light, near_copies, near_copy_findings
from corpuscle.data.doctor.leaks import Leak, find_leaks, leak_message
from corpuscle.data.doctor.signature import BYTES, SIDE, opened, signature_of
from corpuscle.data.table import COLUMNS, Table


def picture(number, side=200):
    """Cells of chance on a pale ground."""
    random = np.random.default_rng(number)
    picture_HWC = np.full((side, side + 10, 3), 215, np.uint8)
    for _ in range(12):
        at, colour = random.integers(0, side, 2), random.integers(30, 190, 3)
        cv2.circle(picture_HWC, at.tolist(), int(random.integers(8, 32)), colour.tolist(), -1)
    return cv2.GaussianBlur(picture_HWC, (0, 0), 1.5)


def grey(image_HWC):
    return cv2.cvtColor(np.ascontiguousarray(image_HWC), cv2.COLOR_RGB2GRAY)


def jpeg(image_HWC, quality=40):
    _, content = cv2.imencode(".jpg", image_HWC, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(content, cv2.IMREAD_COLOR)


def cut(image_HWC):
    return image_HWC[9:-4, 8:-9]


def lit(image_HWC, gain=1.25, offset=-20):
    return np.clip(image_HWC * gain + offset, 0, 255).astype(np.uint8)


CHANGES = {
    "re-encoded": jpeg,
    "enlarged": lambda image: cv2.resize(image, None, fx=1.8, fy=1.8),
    "shrunk": lambda image: cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "flipped": lambda image: image[:, ::-1],
    "flipped upside down": lambda image: image[::-1],
    "turned by a quarter": np.rot90,
    "turned by half": lambda image: np.rot90(image, 2),
    "flipped and turned by a quarter": lambda image: np.rot90(image[:, ::-1]),
    "cropped": cut,
    "darkened": lambda image: lit(image, 0.7, 0),
    "turned by a quarter, shrunk, darkened": lambda image: lit(np.rot90(image)[::2, ::2], 0.75, 0),
    "flipped, cropped": lambda image: jpeg(cut(image[:, ::-1])),
}


def looked(images, **columns):
    """A table and its survey, from image to pixels."""
    rows = [(name, None, None, None, "rows", None) for name in images]
    frame = pl.DataFrame(rows, schema=COLUMNS, orient="row")
    frame = frame.with_columns(**{name: pl.Series(values, dtype=pl.String) for name, values in columns.items()})
    pixels = [None if image is None else np.ascontiguousarray(image) for image in images.values()]
    seen = pl.DataFrame(
        {
            "content": [None if image is None else content_of(image) for image in pixels],
            "height": [None if image is None else image.shape[0] for image in pixels],
            "width": [None if image is None else image.shape[1] for image in pixels],
            "signature": [None if image is None else signature_of(grey(image)) for image in pixels],
        }
    )
    return Table(frame, Path("root"), ("a", "b"), "rows"), seen


def many(number=40):
    return {f"p{place:02}": picture(place) for place in range(number)}


@pytest.mark.parametrize(("words", "change"), CHANGES.items())
def test_a_changed_copy_is_found_alone_and_told_what_was_done(words, change):
    table, seen = looked(many() | {"z": change(picture(7))})
    found = near_copies(table, seen)
    assert [(pair.first, pair.second) for pair in found.pairs] == [("p07", "z")]
    assert found.groups == (("p07", "z"),) and 0.75 < found.pairs[0].likeness <= 1
    assert ", ".join(found.pairs[0].changes) == words


def test_a_copy_that_comes_first_is_told_the_other_way_round():
    table, seen = looked(many() | {"a": np.rot90(cut(picture(7)))})
    (pair,) = near_copies(table, seen).pairs
    assert (pair.first, pair.second) == ("a", "p07")
    assert pair.changes == ("turned by a quarter", "with more around it")


def test_pictures_that_only_look_alike_are_none():
    round_field = np.zeros((200, 210), np.uint8)
    cv2.circle(round_field, (105, 100), 90, 1, -1)
    table, seen = looked({name: image * round_field[..., None] for name, image in many(60).items()})
    assert near_copies(table, seen).pairs == ()
    cells = {f"c{n}": cv2.circle(picture(n) // 4 + 160, (105, 100), 40, (90, 40, 120), -1) for n in range(60)}
    assert near_copies(*looked(cells)).pairs == ()


def test_plain_and_unreadable_images_are_like_nothing():
    plain = {f"w{grey}": np.full((90, 90, 3), grey, np.uint8) for grey in (200, 201, 202)}
    found = near_copies(*looked({**plain, "cut short": None, "p": picture(1)}))
    assert found.pairs == () and found.groups == ()
    assert near_copies(*looked({})).groups == ()


def test_very_small_images_must_be_more_alike():
    small = {name: cv2.resize(image, (16, 16), interpolation=cv2.INTER_AREA) for name, image in many(30).items()}
    noise = np.random.default_rng(0).normal(0, 14, (16, 16, 3))
    noisy = np.clip(small["p03"] + noise, 0, 255).astype(np.uint8)
    pairs = near_copies(*looked(small | {"y": np.rot90(small["p02"]), "z": noisy})).pairs
    assert [(pair.first, pair.second) for pair in pairs] == [("p02", "y")]
    larger = {name: cv2.resize(image, (96, 96)) for name, image in (small | {"z": noisy}).items()}
    assert [(pair.first, pair.second) for pair in near_copies(*looked(larger)).pairs] == [("p03", "z")]


def test_copies_in_pixels_join_the_group_and_are_compared_once():
    table, seen = looked(many(20) | {"twin": picture(3), "z": picture(3)[::-1]})
    found = near_copies(table, seen)
    assert [(pair.first, pair.second) for pair in found.pairs] == [("p03", "z")]
    assert found.groups == (("p03", "twin", "z"),)


def test_beyond_so_many_images_only_some_are_compared_and_it_is_said(capsys):
    table, seen = looked(many(60) | {f"z{n}": jpeg(picture(n)[::-1]) for n in range(30)})
    found = near_copies(table, seen, Progress(shown=True), all_pairs=50)
    assert {(f"p{n:02}", f"z{n}") for n in range(30)} == {(pair.first, pair.second) for pair in found.pairs}
    assert "90 images: near-copies are looked for among those that are roughly alike" in capsys.readouterr().err
    assert near_copies(table, seen).pairs == found.pairs


def test_findings_say_which_image_is_what_and_which_labels_differ():
    images = {"a": picture(1), "b": picture(1)[:, ::-1], "c": picture(2), "d": np.rot90(picture(2), 2)} | many(20)
    del images["p01"], images["p02"]
    labels = ["x", "x", "x", "y", *["x"] * 18]
    table, seen = looked(images, label=labels)
    agree, differ = near_copy_findings(near_copies(table, seen), table)
    assert (agree.kind, agree.what, agree.images) == ("near-copies", "b is a flipped", ("a", "b"))
    assert (differ.kind, differ.what) == ("near-copies disagree", "d (y) is c (x) turned by half")
    assert differ.values["labels"] == {"c": "x", "d": "y"} and "mend" in differ.remedy
    assert differ.values["pairs"][0]["changes"] == ["turned by half"]


def test_a_large_group_is_told_in_one_line():
    images = many(20) | {
        f"z{turn}": turned(picture(4)[None, ..., 0], turn)[0][..., None].repeat(3, 2) for turn in range(1, 8)
    }
    table, seen = looked(images)
    (finding,) = near_copy_findings(near_copies(table, seen), table)
    assert finding.images == ("p04", *(f"z{turn}" for turn in range(1, 8)))
    assert finding.what.count(" is ") == 3 and finding.what.endswith("; and 4 more")


def test_near_copies_on_two_sides_are_a_leak():
    images = {"a": picture(1), "b": picture(1)[:, ::-1], "c": picture(2), "d": picture(2)[::-1], "e": picture(3)}
    table, _ = looked(images | many(20), split=["train", "test", "train", "train", "test", *["train"] * 20])
    frame = table.frame.filter(~pl.col("image").is_in(["p01", "p02", "p03"]))
    near = (("a", "b"), ("c", "d"), ("e", "unlabelled"))
    leaks = find_leaks(table.with_frame(frame), near=near)
    assert leaks == (Leak("near-copy", ("a", "b"), {"train": 1, "test": 1}),)
    assert str(leaks[0]) == "a and b are nearly the same in train (1 image) and test (1 image)"
    assert leak_message([*leaks, Leak("near-copy", ("f", "g"), {"train": 1, "val": 1})]) == (
        "split leaks: a and b are nearly the same in train (1 image) and test (1 image), "
        "and 1 more set of near-copies; divide it with corpuscle split --anew, or pass --set guard.allow_leaks=true"
    )


def test_a_signature_has_one_length_and_holds_8_and_16_bits_alike():
    image_HW = grey(picture(0))
    eight, sixteen = opened([signature_of(image_HW), signature_of(image_HW.astype(np.uint16) * 257)]).grey_NHW
    assert {len(signature_of(np.zeros(shape, np.uint8))) for shape in ((1, 1), (5, 700))} == {BYTES}
    assert np.abs(eight.astype(int) - sixteen).max() <= 2 and eight.min() == 0 and eight.max() == 255
    dim = opened([signature_of((image_HW // 16).astype(np.uint16))])  # 4 of 16 bits are used
    assert np.abs(dim.grey_NHW[0].astype(int) - eight).max() < 30
    assert dim.range_N2[0, 1] < 16


def test_signatures_are_opened_without_holding_them_twice():
    signatures = pl.Series([signature_of(grey(picture(n, side=60))) for n in range(4)] * 1000)
    tracemalloc.start()
    try:
        whole = opened(signatures)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * len(signatures) * BYTES
    few = opened(signatures[2:4].to_list())
    assert np.array_equal(whole.grey_NHW[2002:2004], few.grey_NHW) and whole.levels_N[3] == few.levels_N[1]


def test_levels_are_those_of_the_type():
    narrow = np.full((50, 60), 90, np.uint8)
    narrow[:, 30:] = 97
    wide = narrow.astype(np.uint16)
    assert opened([signature_of(narrow), signature_of(wide)]).levels_N.tolist() == [7, 7]
    assert opened([signature_of(narrow), signature_of(wide)]).range_N2.tolist() == [[90 * 257, 97 * 257], [90, 97]]


def test_copies_among_dim_images_of_16_bits_are_found():
    dim = {name: image.astype(np.uint16) * np.uint16(4) for name, image in many(30).items()}
    table, seen = looked(dim | {"z": np.rot90(dim["p07"])})
    assert [(pair.first, pair.second) for pair in near_copies(table, seen).pairs] == [("p07", "z")]


def test_two_images_are_compared():
    assert len(near_copies(*looked({"a": picture(1), "z": jpeg(picture(1))[:, ::-1]})).pairs) == 1
    assert near_copies(*looked({"a": picture(1), "z": picture(2)})).pairs == ()


def test_hundreds_of_copies_of_one_image_are_one_group_of_few_pairs(monkeypatch):
    for name, small in {"ROWS": 16, "COLUMNS": 64, "MOST": 2000}.items():
        monkeypatch.setattr(f"corpuscle.data.doctor.candidates.{name}", small)
    images = {f"c{n:03}": jpeg(picture(0, side=60), quality=20 + n % 80) for n in range(300)}
    images = {
        name: np.where(np.arange(image.size).reshape(image.shape) == n, 0, image)
        for n, (name, image) in enumerate(images.items())
    }
    table, seen = looked(images | many(10))
    found = near_copies(table, seen)
    assert [len(group) for group in found.groups] == [300] and len(found.pairs) <= 10 * 310


def test_a_round_field_is_held_against_itself_alone():
    square = np.zeros((3, SIDE, SIDE), np.uint8)
    cv2.circle(square[0], (24, 24), 20, 200, -1)
    square[1] = 255 - square[0]  # dark in the middle of white
    square[2, ::6] = 200  # lines are no field
    packed = fields(square, np.arange(3))
    assert packed.nbytes == square.nbytes / 8  # of a million images: a quarter of a gigabyte
    field = np.unpackbits(packed, axis=-1).astype(bool)
    assert 0.3 < field[0].mean() < 0.55 and not field[0, 0, 0] and field[0, 24, 24]
    assert np.array_equal(field[0], field[1]) and field[2].all()


def test_what_shows_little_must_be_clearer_of_chance_the_more_images_there_are():
    likeness_P, clear_P = np.array([0.95, 0.9, 0.95, 0.87, 0.8]), np.array([4.9, 5.1, 7.7, 9.4, 9.6])
    fit = Alignment(likeness_P, clear_P, np.zeros((5, 2)), np.zeros((5, 2)))
    assert fit.copies(100).tolist() == fit.copies(5000).tolist() == [False, True, True, False, True]
    assert fit.copies(65_000).tolist() == [False, False, True, False, True]
    assert fit.copies(10_000_000).tolist() == [False, False, False, False, True]


def test_how_light_an_image_is_takes_no_copy_of_all_in_floating_point():
    one = opened([signature_of(grey(picture(n, side=60))) for n in range(3)])
    many_of_them = one.take(np.arange(3).repeat(300))
    tracemalloc.start()
    try:
        light_N2 = _light(many_of_them)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < many_of_them.grey_NHW.nbytes
    low_N, high_N = one.range_N2.T / 257
    expected_N = low_N + (high_N - low_N) * one.grey_NHW.mean((1, 2)) / 255
    assert light_N2[::300, 0] == pytest.approx(expected_N)
    assert light_N2[::300, 1] == pytest.approx((high_N - low_N) * one.grey_NHW.std((1, 2)) / 255)


def test_a_shift_is_found_where_it_is():
    image_HWC = picture(5, side=480)
    whole, part = opened([signature_of(grey(image)) for image in (image_HWC, image_HWC[20:, :-24])]).grey_NHW
    pair = Pairs(np.array([0]), np.array([1]), np.zeros(1, np.int8), np.ones(1, np.float32))
    fit = aligned(np.stack([whole, part]), pair)
    assert fit.stretch_P2[0] == pytest.approx([480 / 460, 490 / 466], abs=0.008)
    assert fit.shift_P2[0] == pytest.approx([-10 / 460 * SIDE, 12 / 466 * SIDE], abs=0.25)
    assert fit.copies(2).all()


def test_the_turn_of_a_pair_is_that_of_the_second():
    square = [opened([signature_of(grey(picture(n)))]).grey_NHW for n in range(30)]
    for turn in range(8):
        found = candidates(np.concatenate([*square, turned(square[9], turn)]))
        best = int(np.argmax(found.likeness_P))
        assert (found.first_P[best], found.second_P[best]) == (9, 30)
        back = turned(turned(square[9], turn), int(found.turn_P[best]))
        assert np.array_equal(back, square[9])


@pytest.mark.slow
def test_the_sample_images_hold_the_near_copies_that_are_known(sample_data):
    from corpuscle.data.cache import survey
    from corpuscle.data.readers.image import ReadPlan
    from corpuscle.data.sources import SourcePlan, scan

    if not (sample_data / "wbc_masks").is_dir():
        pytest.skip(f"there is no wbc_masks in {sample_data}")
    table = scan(sample_data / "wbc_masks", SourcePlan())
    pairs = {(p.first, p.second) for p in near_copies(table, survey(table, ReadPlan(), None).frame).pairs}
    known = {("019", "075"), ("021", "082"), ("030", "086"), ("051", "073"), ("070", "072"), ("071", "084")}
    assert {(f"{first}.bmp", f"{second}.bmp") for first, second in known} <= pairs and len(pairs) <= 12
