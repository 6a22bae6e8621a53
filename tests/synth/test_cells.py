"""Drawn cells look like what haematology says of their kinds."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from corpuscle.core.errors import CorpuscleError
from corpuscle.synth.cells import KINDS, Cell, draw_cell
from corpuscle.synth.stain import draw_slide


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[Cell]]:
    return {kind: [draw_cell(kind, 96, np.random.default_rng(seed)) for seed in range(30)] for kind in KINDS}


def num_lobes(cell: Cell) -> int:
    """Parts of the nucleus that are left where it is thicker than 0.6 of its thickest."""
    depth = cv2.distanceTransform((cell.mask_HW == 255).astype(np.uint8), cv2.DIST_L2, 5)
    return cv2.connectedComponents((depth > 0.6 * depth.max()).astype(np.uint8))[0] - 1


def share_of_nucleus(cell: Cell) -> float:
    return float((cell.mask_HW == 255).sum() / (cell.mask_HW > 0).sum())


def area(cell: Cell) -> int:
    return int((cell.mask_HW > 0).sum())


def median_of(measure, cells: list[Cell]) -> float:
    return float(np.median([measure(cell) for cell in cells]))


def test_the_kinds_are_the_five_white_cells_in_name_order():
    assert KINDS == ("basophil", "eosinophil", "lymphocyte", "monocyte", "neutrophil")


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_generator_state_draws_the_same_pixels(kind):
    one, other, third = (draw_cell(kind, 64, np.random.default_rng(seed)) for seed in (7, 7, 8))
    assert one.kind == kind
    assert one.image_HWC.dtype == one.mask_HW.dtype == np.uint8
    np.testing.assert_array_equal(one.image_HWC, other.image_HWC)
    np.testing.assert_array_equal(one.mask_HW, other.mask_HW)
    assert (one.image_HWC != third.image_HWC).any()


@pytest.mark.parametrize("kind", KINDS)
def test_a_cell_is_the_same_at_twice_the_size(kind):
    small, large = (draw_cell(kind, size, np.random.default_rng(1)) for size in (96, 192))
    shrunk = cv2.resize(large.image_HWC, (96, 96), interpolation=cv2.INTER_AREA)
    other = draw_cell(kind, 96, np.random.default_rng(2)).image_HWC
    difference = np.abs(small.image_HWC.astype(float) - shrunk).mean()
    assert difference < 5 < np.abs(other.astype(float) - shrunk).mean()
    assert (small.mask_HW == large.mask_HW[::2, ::2]).mean() > 0.97


@pytest.mark.parametrize("kind", KINDS)
def test_the_mask_agrees_with_the_image(kind, drawn):
    for cell in drawn[kind]:
        grey = cell.image_HWC.mean(axis=-1)
        nucleus, cytoplasm, around = (np.median(grey[cell.mask_HW == value]) for value in (255, 128, 0))
        assert nucleus < cytoplasm - 3
        assert nucleus < around - 40


@pytest.mark.parametrize("kind", KINDS)
def test_the_cell_lies_inside_the_frame_and_the_nucleus_inside_the_cell(kind, drawn):
    for cell in drawn[kind]:
        assert set(np.unique(cell.mask_HW)) == {0, 128, 255}
        edge = np.concatenate([cell.mask_HW[[0, -1]].ravel(), cell.mask_HW[:, [0, -1]].ravel()])
        assert not edge.any()
        beside_nucleus = cv2.dilate((cell.mask_HW == 255).astype(np.uint8), np.ones((2, 2), np.uint8)) > 0
        assert (cell.mask_HW[beside_nucleus] > 0).mean() > 0.93
        assert cv2.connectedComponents((cell.mask_HW > 0).astype(np.uint8))[0] == 2


def test_lobes_of_the_nucleus_are_ordered_as_in_haematology(drawn):
    lobes = {kind: float(np.mean([num_lobes(cell) for cell in cells])) for kind, cells in drawn.items()}
    assert lobes["lymphocyte"] == 1
    assert lobes["monocyte"] < 1.1
    assert lobes["monocyte"] < lobes["basophil"] < lobes["eosinophil"] < lobes["neutrophil"]
    assert 1.7 < lobes["eosinophil"] < 2.5


def test_the_lymphocyte_is_the_smallest_and_fullest_and_the_monocyte_the_largest(drawn):
    fill = {kind: median_of(share_of_nucleus, cells) for kind, cells in drawn.items()}
    size = {kind: median_of(area, cells) for kind, cells in drawn.items()}
    assert sorted(fill, key=fill.__getitem__)[-2:] == ["monocyte", "lymphocyte"]
    assert min(size, key=size.__getitem__) == "lymphocyte"
    assert max(size, key=size.__getitem__) == "monocyte"


def test_granules_colour_the_cytoplasm(drawn):
    """Red less blue is highest in the eosinophil; the basophil is darkest."""

    def warmth(cell: Cell) -> float:
        around = np.median(cell.image_HWC[cell.mask_HW == 0], axis=0)
        red, _, blue = cell.image_HWC[cell.mask_HW == 128].mean(axis=0) / around
        return float(red - blue)

    def light(cell: Cell) -> float:
        return float(cell.image_HWC[cell.mask_HW == 128].mean() / cell.image_HWC[cell.mask_HW == 0].mean())

    assert max(KINDS, key=lambda kind: median_of(warmth, drawn[kind])) == "eosinophil"
    assert min(KINDS, key=lambda kind: median_of(light, drawn[kind])) == "basophil"


def test_cells_of_one_slide_share_its_light():
    slide = draw_slide(np.random.default_rng(0))
    empty = [
        np.percentile(draw_cell(kind, 64, np.random.default_rng(seed), slide).image_HWC, 90, axis=(0, 1))
        for seed, kind in enumerate(KINDS)
    ]
    assert np.ptp(empty, axis=0).max() < 15


def test_an_unknown_kind_is_answered_with_the_nearest():
    with pytest.raises(CorpuscleError, match=r"'neutrophile' came\. Did you mean neutrophil"):
        draw_cell("neutrophile", 96, np.random.default_rng(0))


def test_too_small_a_cell_is_refused():
    with pytest.raises(CorpuscleError, match="at least 16 pixels a side, 8 came"):
        draw_cell("monocyte", 8, np.random.default_rng(0))
