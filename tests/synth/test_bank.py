"""A bank is read as it was written, and says what is wrong with it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from corpuscle.core.errors import CorpuscleError
from corpuscle.synth.bank import Bank, is_bank, read_bank, write_bank
from corpuscle.synth.contact import draw_sheet, write_sheet
from corpuscle.synth.cutouts import Cutout


def cutout(kind, source, part, group=None, size=9):
    random = np.random.default_rng(len(source))
    image = random.integers(0, 256, (size, size + 2, 3)).astype(np.uint8)
    alpha = random.integers(0, 256, (size, size + 2)).astype(np.uint8)
    return Cutout(image, alpha, kind, source, part, group, (1, 2, 22, 18), 0.5)


MADE = [
    cutout("neutrophil", "a/2.png", "train"),
    cutout("healthy RBC", "a/10.png", "val", "p1"),
    cutout("healthy RBC", "a/100.png", "test", size=30),
]


@pytest.fixture
def bank(tmp_path):
    write_bank(tmp_path, MADE, 0.2, 7, {"largest": 224})
    return tmp_path


def test_a_bank_is_read_as_it_was_written_in_order(bank):
    read = read_bank(bank)
    assert read.pixel_um == 0.2 and is_bank(bank)
    for got, given in zip(read.cutouts, [MADE[1], MADE[2], MADE[0]], strict=True):
        assert np.array_equal(got.image_HWC, given.image_HWC) and np.array_equal(got.alpha_HW, given.alpha_HW)
        assert (got.kind, got.source, got.part, got.group) == (given.kind, given.source, given.part, given.group)
        assert (got.box, got.scale, got.area) == (given.box, given.scale, int((given.alpha_HW >= 128).sum()))


def test_the_record_holds_seed_and_counts_and_the_list_a_row_a_cutout(bank):
    record = json.loads((bank / "bank.json").read_text())
    assert record["format"] == 1 and record["seed"] == 7 and record["largest"] == 224
    assert record["counts"]["healthy RBC"] == {"train": 0, "val": 1, "test": 1}
    lines = (bank / "cutouts.csv").read_text().splitlines()
    assert lines[0] == "file,kind,source,group,part,left,top,width,height,scale,area"
    assert lines[3].startswith("cutouts/neutrophil/00001.png,neutrophil,a/2.png,,train,1,2,22,18,0.5,")


def test_a_folder_without_a_record_is_no_bank(tmp_path):
    assert not is_bank(tmp_path)
    with pytest.raises(CorpuscleError, match=r"is no bank, bank.json was expected in it; make one with corpuscle"):
        read_bank(tmp_path)


def test_another_format_is_told(bank):
    (bank / "bank.json").write_text('{"format": 9, "pixel_um": 1}')
    with pytest.raises(CorpuscleError, match=r"is a bank of format 9, expected 1; make it anew"):
        read_bank(bank)


@pytest.mark.parametrize("content", [b"", b"no image"])
def test_a_damaged_cutout_is_named(bank, content):
    (bank / "cutouts" / "neutrophil" / "00001.png").write_bytes(content)
    with pytest.raises(CorpuscleError, match=r"damaged bank \(ValueError: cutouts/neutrophil/00001.png is no PNG"):
        read_bank(bank)


def test_a_lost_cutout_is_named(bank):
    (bank / "cutouts" / "neutrophil" / "00001.png").unlink()
    with pytest.raises(CorpuscleError, match=r"damaged bank \(FileNotFoundError: .*00001.png"):
        read_bank(bank)


def test_a_kind_that_cannot_name_a_folder_is_refused(tmp_path):
    with pytest.raises(CorpuscleError, match=r"kind 'a/b' cannot be a folder's name; rename it with --kind"):
        write_bank(tmp_path, [cutout("a/b", "x", "train")], 0.2)


def test_the_sheet_shows_each_kind_on_its_line(tmp_path):
    one = np.full((20, 20), 255, np.uint8)
    blue, red = (np.full((20, 20, 3), colour, np.uint8) for colour in ((0, 0, 255), (255, 0, 0)))
    shown = [Cutout(blue, one, "monocyte", f"{n}", "train") for n in range(30)]
    sheet = draw_sheet(Bank(0.2, (*shown, Cutout(red, one, "basophil", "x", "val"))), shown=5)
    blues, reds = (np.all(sheet == colour, axis=-1) for colour in ((0, 0, 255), (255, 0, 0)))
    assert blues.sum() == 5 * 400 and reds.sum() == 400
    assert np.flatnonzero(reds.any(1)).max() < np.flatnonzero(blues.any(1)).min()
    write_sheet(Bank(0.2, tuple(shown)), tmp_path)
    assert (tmp_path / "sheet.png").stat().st_size > 500
