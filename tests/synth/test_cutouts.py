"""Cut-outs: by a mask, by thresholds, and by a box; at another magnification with a soft edge."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from corpuscle.synth.cells import KINDS, draw_cell
from corpuscle.synth.cutouts import EDGE_PX, MARGIN, MARGIN_PX, Cut, by_mask, scaled, tight
from corpuscle.synth.extract import CUT_OFF, HOLLOW, PAPER, TOUCHES, by_box, by_threshold, stain_of

PAPER_3, RED_3 = (235, 225, 225), (200, 140, 145)


def disc(size, x, y, radius):
    rows, columns = np.mgrid[:size, :size]
    return np.hypot(rows - y, columns - x) <= radius


def slide(*discs, size=120):
    """Red cells on paper, a little blurred; and which pixels are of the first."""
    inside = [disc(size, *one) for one in discs]
    image = np.full((size, size, 3), PAPER_3, np.uint8)
    for one in inside:
        image[one] = RED_3
    return cv2.GaussianBlur(image, (0, 0), 0.8), inside[0]


def dice(cut, inside):
    found = np.zeros(inside.shape, bool)
    left, top, width, height = cut.box
    found[top : top + height, left : left + width] = cut.inside_HW
    return 2 * (found & inside).sum() / (found.sum() + inside.sum())


def test_a_mask_is_cut_tight_with_a_margin():
    image, inside = slide((50, 60, 20))
    cut = by_mask(image, inside)
    margin = MARGIN_PX + 40 // MARGIN
    assert margin == 6 and cut.box == (24, 34, 53, 53)
    assert cut.area == inside.sum() and dice(cut, inside) == 1
    assert np.array_equal(cut.image_HWC, image[34:87, 24:77])
    assert by_mask(image, np.zeros_like(inside)) is None


@pytest.mark.parametrize("scale", [0.4, 1.0, 2.5])
def test_the_area_goes_with_the_square_of_the_scale_and_the_edge_stays_as_soft(scale):
    image, inside = slide((60, 60, 30))
    image_HWC, alpha_HW = scaled(by_mask(image, inside), scale)
    assert image_HWC.shape[:2] == alpha_HW.shape
    assert (alpha_HW >= 128).sum() == pytest.approx(inside.sum() * scale**2, rel=0.04)
    row = alpha_HW[len(alpha_HW) // 2]
    soft = ((row > 0) & (row < 255)).sum() / 2
    assert 1 <= soft <= EDGE_PX + 1 and row[len(row) // 2] == 255 and row[0] == 0


def test_what_is_clear_all_around_is_cropped_away():
    image, alpha = np.zeros((9, 9, 3), np.uint8), np.zeros((9, 9), np.uint8)
    alpha[2:5, 3:8] = 7
    assert tight(image, alpha)[1].shape == (3, 5) and tight(image, alpha)[0].shape == (3, 5, 3)
    assert tight(image, 0 * alpha)[1].size == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_drawn_cell_is_found_by_thresholds(kind):
    scores = []
    for seed in range(6):
        cell = draw_cell(kind, 128, np.random.default_rng(seed))
        cut = by_threshold(cell.image_HWC)
        if isinstance(cut, Cut):
            scores.append(dice(cut, cell.mask_HW > 0))
    assert len(scores) >= 5 and np.median(scores) > 0.9


def test_thresholds_give_the_same_cut_twice():
    image = draw_cell("neutrophil", 96, np.random.default_rng(3)).image_HWC
    first, again = by_threshold(image), by_threshold(image)
    assert np.array_equal(first.inside_HW, again.inside_HW) and first.box == again.box


def test_an_empty_crop_holds_nothing():
    flat = np.full((64, 64, 3), 230, np.uint8)
    grain = np.random.default_rng(0).integers(-4, 5, (64, 64, 3))
    assert by_threshold(flat) == by_threshold((flat + grain).astype(np.uint8)) == PAPER
    assert not stain_of(flat).any()


def test_a_red_cell_is_cut_out_of_its_box():
    image, inside = slide((50, 60, 20), (100, 20, 15))
    cut = by_box(image, stain_of(image), (30, 40, 70, 80))
    assert dice(cut, inside) > 0.95


def test_a_pale_middle_is_of_the_red_cell():
    image, inside = slide((50, 60, 20))
    image[disc(120, 50, 60, 7)] = PAPER_3
    assert dice(by_box(image, stain_of(image), (30, 40, 70, 80)), inside) > 0.95


@pytest.mark.parametrize(
    ("others", "box", "why"),
    [
        ([(85, 60, 18)], (30, 40, 70, 80), TOUCHES),
        ([], (0, 40, 70, 80), CUT_OFF),
        ([], (20, 10, 100, 110), "does not fill its box"),
        ([], (85, 5, 110, 30), PAPER),
    ],
)
def test_what_is_not_alone_in_its_box_is_refused(others, box, why):
    image, _ = slide((50, 60, 20), *others)
    assert by_box(image, stain_of(image), box) == why


def test_what_is_no_compact_cell_is_refused():
    bent = np.full((120, 120, 3), PAPER_3, np.uint8)
    bent[30:90, 30:50] = bent[70:90, 30:90] = RED_3
    assert by_box(bent, stain_of(bent), (30, 30, 89, 89)) == HOLLOW


def test_thresholds_find_what_people_drew(sample_data):
    scores = []
    for path in sorted((sample_data / "wbc_masks").glob("*.bmp"))[::12]:
        inside = cv2.imread(str(path.with_suffix(".png")), cv2.IMREAD_GRAYSCALE) > 0
        cut = by_threshold(np.ascontiguousarray(cv2.imread(str(path))[..., ::-1]))
        scores.append(dice(cut, inside) if isinstance(cut, Cut) else 0)
    assert np.median(scores) > 0.96 and np.mean(scores) > 0.92
