"""What the net should say: points go through the same warp as pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from corpuscle.core.seeds import generator_for
from corpuscle.data.targets import Counts, Densities, MaskTargets, Numbers, Warp
from corpuscle.data.transforms import NO_AUGMENT, draw_warp, warp

HW = (46, 60)
DOTS = np.array([(5, 6, 0), (20, 5, 0), (55, 4, 0), (12, 22, 0), (30, 24, 0), (47, 20, 0), (6, 40, 0), (41, 39, 0)])


def bright(point_M3, canvas_HW):
    """A black canvas with a bright pixel at each dot."""
    canvas_HWC = np.zeros((*canvas_HW, 3), np.uint8)
    canvas_HWC[point_M3[:, 1], point_M3[:, 0]] = 255
    return canvas_HWC


def blobs(seen_HW, target_HW):
    """For each spot that lies wholly inside: its centre among the pixels, its centre in the density, and its mass."""
    spots_HW = cv2.dilate(((seen_HW > 0) | (target_HW > 0)).astype(np.uint8), np.ones((3, 3), np.uint8))
    num, label_HW, stats, _ = cv2.connectedComponentsWithStats(spots_HW)
    height, width = spots_HW.shape
    found = []
    for spot in range(1, num):
        left, top, wide, high, _ = stats[spot]
        if left and top and left + wide < width and top + high < height:
            y_P, x_P = np.nonzero(label_HW == spot)
            shares = [layer_HW[y_P, x_P] / max(layer_HW[y_P, x_P].sum(), 1e-9) for layer_HW in (seen_HW, target_HW)]
            found.append([(share_P @ x_P, share_P @ y_P) for share_P in shares] + [target_HW[y_P, x_P].sum()])
    return found


def compared(point_M3, canvas_HW, matrix_23, out_HW):
    seen_HWC = warp(bright(point_M3, canvas_HW), matrix_23, np.zeros((*out_HW, 3), np.uint8))
    densities = Densities({7: point_M3.astype(float)}, 1, stride=1, sigma=0)
    target = densities.batch([7], [Warp(matrix_23, canvas_HW, out_HW)])
    assert target.dtype == torch.float32 and target.shape == (1, 1, *out_HW)
    return blobs(seen_HWC[..., 0].astype(float), target[0, 0].double().numpy())


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    "plan",
    [{}, {"rotate": 180}, {"flip": "both"}, {"rotate": 180, "flip": "both", "zoom": 0.2}, {"quarter_turns": True}],
    ids=lambda plan: "-".join(plan) or "cut",
)
def test_mass_lies_on_the_bright_pixels_of_the_warped_image_beyond_its_border_too(plan, seed):
    whole = NO_AUGMENT.model_copy(update=plan | {"crop": 96})
    matrix_23 = draw_warp(whole, HW, generator_for(seed, "test"))
    found = compared(DOTS, HW, matrix_23, (96, 96))
    for seen, drawn, mass in found:
        assert mass == pytest.approx(1, abs=1e-5)
        assert drawn == pytest.approx(seen, abs=0.25)
    assert len(found) > len(DOTS), "those of the mirror image come with them"


def test_a_crop_holds_the_dots_that_are_seen_in_it_alone():
    numbers = []
    for seed in range(20):
        matrix_23 = draw_warp(NO_AUGMENT.model_copy(update={"crop": 24, "rotate": 180}), HW, generator_for(seed))
        found = compared(DOTS, HW, matrix_23, (24, 24))
        assert all(drawn == pytest.approx(seen, abs=0.25) for seen, drawn, _ in found)
        numbers.append(len(found))
    assert 0 < np.mean(numbers) < 4


def test_canvases_much_smaller_than_the_crop_are_mirrored_again_and_again():
    point_M3 = np.array([(5, 6, 0)])
    matrix_23 = draw_warp(NO_AUGMENT.model_copy(update={"crop": 80, "rotate": 30}), (14, 15), generator_for(1))
    found = compared(point_M3, (14, 15), matrix_23, (80, 80))
    assert len(found) > 20
    for seen, drawn, mass in found:
        assert drawn == pytest.approx(seen, abs=0.25) and mass == pytest.approx(1, abs=1e-5)


def test_the_reach_of_a_warp_is_how_far_it_looks_beyond_the_canvas():
    inside = Warp(np.array([[1.0, 0, -3], [0, 1, -4]]), (40, 50), (20, 20))
    assert inside.reach == 0
    right = Warp(np.array([[1.0, 0, -40], [0, 1, -4]]), (40, 50), (20, 20))
    assert right.reach == 59.5 - 49
    half = Warp(np.array([[0.5, 0, 5], [0, 0.5, 0]]), (40, 50), (20, 20))
    assert half.reach == 11


def test_a_whole_picture_continued_to_a_multiple_counts_what_is_seen_twice():
    densities = Densities({0: np.array([(3.0, 3, 0), (9, 12, 0)])}, 1, 2, 1.0)
    kept, longer = (densities.batch([0], [Warp(np.eye(2, 3), (14, 14), size)]).sum() for size in ((14, 14), (16, 16)))
    assert kept == pytest.approx(2, abs=1e-5)
    assert longer == pytest.approx(3, abs=1e-5)  # 12 is seen again at 14


def test_kinds_strides_and_images_are_kept_apart():
    densities = Densities({0: np.array([(3.0, 3, 1), (9, 12, 1)]), 4: np.zeros((0, 3))}, 3, 4, 2.0)
    target = densities.batch([4, 0], [Warp(np.eye(2, 3), (16, 24), (16, 24))] * 2)
    assert target.shape == (2, 3, 4, 6)
    assert target.sum(dim=(2, 3)).tolist() == [[0, 0, 0], pytest.approx([0, 2, 0], abs=1e-5)]


def test_drawing_leaves_the_points_alone():
    points = {0: DOTS.astype(float)}
    warped = Warp(draw_warp(NO_AUGMENT.model_copy(update={"rotate": 90}), HW, generator_for(3)), HW, HW)
    Densities(points, 1, 1, 1.0).batch([0], [warped])
    assert np.array_equal(points[0], DOTS)


def test_numbers_are_those_of_the_places_whatever_the_warp():
    numbers = Numbers(np.array([3, -1, 2]))
    target_N = numbers.batch([2, 0, 2], ())
    assert target_N.tolist() == [2, 3, 2] and target_N.dtype == torch.int64
    assert numbers.batch(np.array([1]), [Warp(np.eye(2, 3), HW, HW)]).tolist() == [-1]


def test_counts_are_those_of_the_places_a_column_a_kind():
    target_NK = Counts(np.array([[3, 0], [7, 1], [0, 0]])).batch(np.array([1, 1, 0]), ())
    assert target_NK.tolist() == [[7, 1], [7, 1], [3, 0]] and target_NK.dtype == torch.float32


# --- masks


def spread(mask_HW):
    """A mask as a picture, a channel a class."""
    return (mask_HW[..., None] == np.arange(3)).astype(np.uint8) * 255


@pytest.fixture
def blots():
    """A mask of two kinds of large blots."""
    y, x = np.mgrid[:46, :60]
    mask_HW = np.zeros((46, 60), np.uint8)
    mask_HW[(y - 12) ** 2 + (x - 15) ** 2 < 81] = 1
    mask_HW[(y - 40) ** 2 + (x - 50) ** 2 < 150] = 2
    return mask_HW


@pytest.mark.parametrize("out_HW", [(46, 60), (96, 96)])
@pytest.mark.parametrize("seed", range(4))
def test_a_mask_goes_through_the_same_warp_as_its_image_beyond_its_border_too(blots, seed, out_HW):
    plan = NO_AUGMENT.model_copy(update={"rotate": 180, "flip": "both", "zoom": 0.2, "crop": out_HW[0]})
    matrix_23 = draw_warp(plan, HW, generator_for(seed, "test"))
    shown_HWC = warp(spread(blots), matrix_23, np.zeros((*out_HW, 3), np.uint8))
    target = MaskTargets({7: blots}).batch([7], [Warp(matrix_23, HW, out_HW)])
    assert target.dtype == torch.int64 and target.shape == (1, *out_HW)
    sure_HW = shown_HWC.max(axis=2) > 250
    assert 0.5 < sure_HW.mean() < 1 and len(np.unique(shown_HWC.argmax(axis=2)[sure_HW])) == 3
    assert np.array_equal(target[0].numpy()[sure_HW], shown_HWC.argmax(axis=2)[sure_HW])


def test_a_warp_gives_no_class_that_lies_between_two_others():
    halves = np.repeat([[0, 2]], 20, axis=1).repeat(40, axis=0).astype(np.uint8)
    turn = np.array([[0.8, -0.6, 16.3], [0.6, 0.8, -7.7]])
    target = MaskTargets([halves]).batch([0], [Warp(turn, (40, 40), (40, 40))])
    assert target.unique().tolist() == [0, 2]


def test_without_a_warp_a_mask_is_itself_and_beyond_the_canvas_its_mirror_image(blots):
    identity = np.eye(2, 3)
    same = MaskTargets([blots, blots]).batch([0, 1], [Warp(identity, HW, HW)] * 2)
    assert np.array_equal(same.numpy(), [blots, blots])
    larger = MaskTargets([blots]).batch([0], [Warp(identity, HW, (64, 64))])[0].numpy()
    assert np.array_equal(larger, np.pad(blots, ((0, 18), (0, 4)), mode="reflect"))
