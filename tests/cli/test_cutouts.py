"""`corpuscle cutouts`: what it says, what it leaves, and how it ends."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from corpuscle.synth.bank import read_bank
from corpuscle.synth.cells import draw_cell


@pytest.fixture(scope="module")
def masked(tmp_path_factory):
    """Drawn cells of two kinds with their masks beside them."""
    folder, rows = tmp_path_factory.mktemp("data"), ["image,label"]
    for kind in ("lymphocyte", "neutrophil"):
        for index in range(10):
            cell = draw_cell(kind, 48, np.random.default_rng(index))
            Image.fromarray(cell.image_HWC).save(folder / f"{kind}{index}.bmp")
            Image.fromarray(cell.mask_HW).save(folder / f"{kind}{index}.png")
            rows.append(f"{kind}{index}.bmp,{'L' if kind == 'lymphocyte' else 'segs'}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


NAMED = ("--kind", "L=lymphocyte", "--kind", "segs=neutrophil")


def test_it_says_what_there_is_and_where(corpuscle, masked):
    done = corpuscle("cutouts", masked, "--out", "bank", *NAMED, "--cell-um", "neutrophil=12")
    assert done.code == 0 and done.out.splitlines() == [
        "lymphocyte: train 8, val 1, test 1",
        "neutrophil: train 8, val 1, test 1",
        "written: bank; look at bank/sheet.png",
    ]
    assert "20 cut-outs at 0." in done.err and "as given by the median of neutrophil 12 µm" in done.err


def test_what_is_passed_over_is_counted_with_its_reason(corpuscle, masked, tmp_path):
    out = tmp_path / "bank"
    done = corpuscle("cutouts", masked, "--out", out, *NAMED, "--pixel-um", "0.5", "--set", "largest=30")
    assert done.code == 2 and "neutrophil is above 30 pixels at the bank's magnification" in done.err
    assert not out.exists()
    bent = tmp_path / "bent"
    bent.mkdir()
    for path in masked.iterdir():
        (bent / path.name).write_bytes(path.read_bytes())
    Image.new("L", (9, 9), 255).save(bent / "neutrophil1.png")
    done = corpuscle("cutouts", bent, "--out", out, *NAMED)
    told = "passed over: 1 × neutrophil has a mask of another size (first: neutrophil1.bmp)"
    assert done.code == 0 and told in done.err and len(read_bank(out).cutouts) == 19


def test_a_kind_without_a_name_is_told_and_can_be_dropped(corpuscle, masked):
    done = corpuscle("cutouts", masked, "--out", "bank", "--kind", "L=lymphocyte")
    assert done.code == 2 and "kind segs is none of a smear's; name it with --kind 'segs=NAME'" in done.err
    done = corpuscle("cutouts", masked, "--out", "bank", "--kind", "L=lymphocyte", "--drop-kind", "segs")
    assert done.code == 0 and done.out.startswith("lymphocyte: train 8, val 1, test 1\nwritten")


@pytest.mark.parametrize(("flag", "value"), [("--kind", "neutrophil"), ("--cell-um", "=12")])
def test_half_a_pair_is_told(corpuscle, masked, flag, value):
    done = corpuscle("cutouts", masked, "--out", "bank", flag, value)
    assert done.code == 2 and f"{flag} expects NAME=VALUE, got '{value}'; for example {flag} " in done.err


def test_a_number_that_is_none_is_told(corpuscle, masked):
    done = corpuscle("cutouts", masked, "--out", "bank", "--cell-um", "neutrophil=wide")
    assert done.code == 2 and 'cell_um.neutrophil should be a valid number, got "wide"' in done.err


def test_a_folder_that_holds_something_is_not_touched(corpuscle, masked, tmp_path):
    (tmp_path / "bank").mkdir()
    (tmp_path / "bank" / "mine.txt").write_text("mine")
    done = corpuscle("cutouts", masked, "--out", tmp_path / "bank", *NAMED)
    assert done.code == 2 and "is not an empty folder; name a new one with --out" in done.err
    assert [path.name for path in (tmp_path / "bank").iterdir()] == ["mine.txt"]
