"""The masks lie on their pixels, in their colours, and every wrong pixel is called what it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from corpuscle.core.legend import IGNORED
from corpuscle.report.pictures_segment import DIFFERENCES, SIDE, Example, examples, lowest, sample
from corpuscle.report.run_data import read_run

MakeRun = Callable[..., Path]
TRUE = np.array([[0, 0, 1, 1, 2, IGNORED]] * 4, np.uint8)
SAID = np.array([[0, 1, 1, 0, 1, 2]] * 4, np.uint8)
COLOURS = ((0, 0, 0), (255, 0, 0), (0, 0, 255))


def example(true_HW: np.ndarray = TRUE, said_HW: np.ndarray = SAID, dice: float | None = 0.5) -> Example:
    picture_HW3 = np.full((*true_HW.shape, 3), 200, np.uint8)
    return Example("a/b.png", dice, picture_HW3, true_HW, said_HW, ("background", "red", "blue"), COLOURS)


def test_every_wrong_pixel_is_missed_invented_or_of_another_class() -> None:
    one = example()
    assert one.wrong == pytest.approx({"missed": 0.2, "invented": 0.2, "of another class": 0.2})
    shown_HW3 = one._differing()
    found = [
        next((what for what, colour in DIFFERENCES.items() if tuple(pixel) == colour), "") for pixel in shown_HW3[0]
    ]
    assert found == ["", "invented", "", "missed", "of another class", ""]
    assert shown_HW3[0, 0].max() < 100


def test_an_object_has_its_colour_and_its_outline_and_what_is_ignored_is_veiled() -> None:
    true_HW = np.zeros((9, 9), np.uint8)
    true_HW[2:7, 2:7], true_HW[0, 8] = 1, IGNORED
    covered_HW3 = example(true_HW, true_HW)._covered(true_HW)
    assert tuple(covered_HW3[2, 2]) == (255, 0, 0) and tuple(covered_HW3[8, 0]) == (200, 200, 200)
    red, green, blue = (int(value) for value in covered_HW3[4, 4])
    assert 200 < red < 255 and 0 < green == blue < 200
    assert tuple(covered_HW3[0, 8]) == (164, 164, 164)


def test_the_pictures_are_told_in_words() -> None:
    alts = {what: alt for what, (_, alt) in example().views.items()}
    assert list(alts) == ["image", "true", "predicted", "differences"]
    assert alts["true"] == "true mask of b.png: red, blue" and "20.0 % missed, 20.0 % invented" in alts["differences"]
    empty = np.zeros_like(TRUE)
    assert example(empty, empty).views["true"][1].endswith("background alone")


def test_the_worst_have_the_lowest_dice_and_perfect_ones_are_left_out() -> None:
    kept = [example(dice=dice) for dice in (0.9, 0.2, None, 1.0, 0.5)]
    assert [one.dice for one in lowest(kept, 2)] == [0.2, 0.5] and len(lowest(kept, 9)) == 3


def test_the_sample_is_seeded_and_keeps_its_order() -> None:
    kept = [example(dice=place / 100) for place in range(30)]
    drawn = [one.dice for one in sample(kept, 8, seed=1)]
    assert drawn == sorted(drawn) == [one.dice for one in sample(kept, 8, seed=1)] and len(set(drawn)) == 8
    assert drawn != [one.dice for one in sample(kept, 8, seed=2)] and len(sample(kept, 99)) == 30


def test_a_large_mask_is_thinned_with_its_image_and_keeps_its_numbers(make_segment_run: MakeRun) -> None:
    run = read_run(make_segment_run(images=2, side=600))
    for one in examples(run):
        assert max(one.size_HW) == SIDE and one.picture_HW3.shape == (*one.size_HW, 3) == (*one.said_HW.shape, 3)
        assert set(np.unique(one.true_HW)) <= {*range(len(run.classes)), IGNORED}


def test_indexed_masks_are_read_by_their_numbers(make_segment_run: MakeRun) -> None:
    folder = make_segment_run(images=2)
    before = examples(read_run(folder))[0]
    for path in (folder / "examples").glob("*_*.png"):
        image = Image.open(path)
        image.putpalette([value for place in range(256) for value in (255 - place, 0, 0)])
        image.save(path)
    after = examples(read_run(folder))[0]
    assert Image.open(path).mode == "P" and (after.true_HW == before.true_HW).all()


def test_only_whole_examples_of_the_judged_part_are_shown(make_segment_run: MakeRun) -> None:
    folder = make_segment_run(images=4)
    assert [one.image.split("/")[0] for one in examples(read_run(folder))] == ["test"] * 4
    items = [
        item for item in json.loads((folder / "examples" / "index.json").read_text())["items"] if item["part"] == "test"
    ]
    (folder / "examples" / items[0]["true"]).unlink()
    (folder / "examples" / items[1]["said"]).write_bytes(b"no picture")
    Image.new("L", (3, 3)).save(folder / "examples" / items[2]["picture"])
    assert [one.image for one in examples(read_run(folder))] == [items[3]["image"]]
