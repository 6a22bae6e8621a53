"""Masks on disk hold what the net said, in the pixels of the image."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.legend import colours_for
from corpuscle.data.masks import read_mask
from corpuscle.data.prepare import PreparePlan
from corpuscle.data.sources.legends import legend_for
from corpuscle.engine.mask_files import mask_writer, png
from corpuscle.tasks.regions import measured
from corpuscle.tasks.segment import Segment
from corpuscle.tasks.zoo import SegmentPlan

CLASSES = ("background", "cell", "nucleus")


@dataclass(frozen=True)
class Written:
    """What was written of one image of 9 x 13."""

    folder: Path
    mask_HW: np.ndarray

    def pixels(self, kind: str) -> np.ndarray:
        return np.asarray(Image.open(self.folder / kind / "a.png"))


@pytest.fixture
def write(tmp_path):
    """Write a mask of the canvas of an image."""

    def write_one(mask_HW, shrink=1, size_HW=(9, 13), smallest=1, calibration=None):
        path = tmp_path / "a.png"
        Image.new("RGB", size_HW[::-1]).save(path)
        plan = PreparePlan(fit="keep", shrink=shrink).model_dump(mode="json")
        calibration = {"smallest": smallest} | (calibration or {})
        card = SimpleNamespace(classes=CLASSES, calibration=calibration, prepare=plan, read={})
        mask_writer(tmp_path / "out", [path], SimpleNamespace(card=card))(0, mask_HW)
        return Written(tmp_path / "out", mask_HW)

    return write_one


def drawn(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 3, (height, width), dtype=np.uint8)


def test_a_mask_is_read_back_as_the_classes_that_were_said(write):
    written = write(drawn(9, 13))
    path = written.folder / "masks" / "a.png"
    legend = legend_for([path], written.folder, {}).legend
    assert legend is not None and legend.classes == CLASSES
    np.testing.assert_array_equal(read_mask(path, legend), written.mask_HW)
    told = json.loads((written.folder / "legend.json").read_text())
    assert told == {"classes": list(CLASSES), "colours": [list(colour) for colour in colours_for(CLASSES)]}


def test_a_mask_is_indexed_and_drawn_in_the_colours_of_the_card(write):
    colours = [[1, 2, 3], [40, 50, 60], [70, 80, 90]]
    written = write(drawn(9, 13), calibration={"colours": colours})
    image = Image.open(written.folder / "masks" / "a.png")
    assert image.mode == "P"
    np.testing.assert_array_equal(np.asarray(image), written.mask_HW)
    np.testing.assert_array_equal(np.asarray(image.convert("RGB")), np.array(colours)[written.mask_HW])


@pytest.mark.parametrize("smallest", [1, 4])
def test_instances_are_16_bits_and_as_many_as_are_counted(write, smallest):
    written = write(drawn(9, 13), smallest=smallest)
    instance_HW = written.pixels("instances")
    assert Image.open(written.folder / "instances" / "a.png").mode == "I;16"
    said_NK = measured(written.mask_HW, 3, smallest)[None]
    counts = Segment(SegmentPlan()).columns(said_NK, CLASSES, {}).row(0, named=True)
    for number, kind in enumerate(CLASSES[1:], 1):
        ids = np.unique(instance_HW[(written.mask_HW == number) & (instance_HW > 0)])
        assert len(ids) == counts[f"count_{kind}"] > 0
    assert np.unique(instance_HW).tolist() == list(range(counts["count_cell"] + counts["count_nucleus"] + 1))


@pytest.mark.parametrize("shrink", [2, 4])
def test_a_shrunken_mask_has_the_size_of_its_image(write, shrink):
    canvas = drawn(-(-9 // shrink), -(-13 // shrink))
    written = write(canvas, shrink=shrink)
    for kind in ("masks", "instances"):
        assert written.pixels(kind).shape == (9, 13)
    np.testing.assert_array_equal(written.pixels("masks")[::shrink, ::shrink], canvas)
    blocks_HW = canvas.repeat(shrink, axis=0).repeat(shrink, axis=1)
    np.testing.assert_array_equal(written.pixels("masks"), blocks_HW[:9, :13])


def test_more_objects_than_16_bits_can_number_are_refused(write):
    mask_HW = np.zeros((520, 520), np.uint8)
    mask_HW[::2, ::2] = 1
    with pytest.raises(CorpuscleError, match=r"a\.png: expected at most 65535 objects, .* the mask has 67600; cut the"):
        write(mask_HW, size_HW=(520, 520))


def test_pixels_survive_their_encoding():
    for array in (drawn(5, 7), drawn(5, 7).astype(np.uint16) * 30_000, np.dstack([drawn(5, 7)] * 3)):
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png(array)))), array)
