"""Augmentation: one warp and one colour matrix an image."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.ndimage import affine_transform

from corpuscle.core.seeds import generator_for
from corpuscle.data.transforms import (
    GREY,
    NO_AUGMENT,
    YIQ,
    AugmentPlan,
    draw_colour,
    draw_warp,
    mirrored,
    moved,
    normalised,
    warp,
)

SEEDS = range(40)


def noise(size=32, dtype=np.uint8, smooth=False):
    rng = np.random.default_rng(7)
    if smooth:
        at = np.linspace(0, 3, size)
        waves = [np.sin(at[:, None] * k + at[None] * (4 - k) + k) for k in (1, 2, 3)]
        return ((np.stack(waves, axis=2) + 1) / 2 * np.iinfo(dtype).max).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max, (size, size, 3), dtype=dtype)


def drawn(seed, size=32, **plan):
    return draw_warp(NO_AUGMENT.model_copy(update=plan), (size, size), generator_for(seed, "test"))


def coloured(seed, **plan):
    return draw_colour(NO_AUGMENT.model_copy(update=plan), generator_for(seed, "test"))


def test_nothing_varied_is_the_identity_exactly():
    assert np.array_equal(drawn(0), np.eye(2, 3))
    assert np.allclose(coloured(0), np.eye(3, 4), atol=1e-15)
    assert np.array_equal(warp(noise(), drawn(0)), noise())


@pytest.mark.parametrize("size", [32, 33])
@pytest.mark.parametrize(
    ("flip", "axes"), [("horizontal", {(), (1,)}), ("vertical", {(), (0,)}), ("both", {(), (0,), (1,), (0, 1)})]
)
def test_mirrorings_are_exact_and_all_of_them_come(flip, axes, size):
    canvas, seen = noise(size), set()
    for seed in SEEDS:
        out = warp(canvas, drawn(seed, size, flip=flip))
        same = [way for way in axes if np.array_equal(out, np.flip(canvas, way))]
        assert len(same) == 1
        seen.add(same[0])
    assert seen == axes


@pytest.mark.parametrize("size", [32, 33])
def test_the_centre_stays_where_it_is_under_every_turn_mirroring_and_zoom(size):
    centre = np.full(2, (size - 1) / 2)
    for seed in SEEDS:
        matrix_23 = drawn(seed, size, rotate=180, flip="both", zoom=0.5)
        assert np.allclose(matrix_23[:, :2] @ centre + matrix_23[:, 2], centre)


def test_turns_scales_and_shifts_keep_within_their_widths_and_use_them():
    angles, scales, shifts = [], [], []
    for seed in range(300):
        matrix_23 = drawn(seed, 100, rotate=30, zoom=0.25, shift=0.1)
        scale = np.sqrt(np.linalg.det(matrix_23[:, :2]))
        scales.append(scale)
        angles.append(np.rad2deg(np.arctan2(matrix_23[1, 0], matrix_23[0, 0])))
        centre = np.full(2, 49.5)
        shifts.append(matrix_23[:, :2] @ centre + matrix_23[:, 2] - centre)
    assert 28 < np.max(np.abs(angles)) <= 30
    assert 0.8 <= min(scales) < 0.82 and 1.23 < max(scales) <= 1.25
    assert abs(np.mean(np.log(scales))) < 0.03, "as often smaller as larger"
    assert 9 < np.max(np.abs(shifts)) <= 10


def test_the_parts_of_a_warp_come_in_random_order():
    """A turn after a mirroring is the opposite turn before it: both must come for the same mirroring."""
    signs = {
        np.sign(np.arctan2(m[1, 0], m[0, 0]))
        for m in (drawn(seed, rotate=20, flip="vertical") for seed in SEEDS)
        if np.linalg.det(m[:, :2]) < 0
    }
    assert signs == {-1.0, 1.0}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_warp_equals_its_definition_computed_by_scipy(dtype):
    canvas = noise(48, dtype, smooth=True)
    for seed in range(6):
        matrix_23 = drawn(seed, 48, rotate=180, flip="both", zoom=0.3, shift=0.1)
        back = np.linalg.inv(np.vstack([matrix_23, [0, 0, 1]]))[:2][::-1][:, [1, 0, 2]]  # x, y becomes row, column
        expected = np.stack(
            [
                affine_transform(canvas[..., c].astype(float), back[:, :2], back[:, 2], order=1, mode="mirror")
                for c in range(3)
            ],
            axis=2,
        )
        off = np.abs(warp(canvas, matrix_23).astype(float) - expected) / np.iinfo(dtype).max
        assert off.max() < 0.02 and off.mean() < 0.003  # OpenCV rounds to a 32nd of a pixel


def test_composing_two_turns_equals_turning_twice():
    canvas = noise(64, smooth=True)
    quarter = np.array([[0.0, -1.0, 63.0], [1.0, 0.0, 0.0]])
    assert np.array_equal(warp(canvas, quarter), np.rot90(canvas, -1))
    assert np.array_equal(warp(warp(canvas, quarter), quarter), np.rot90(canvas, 2))


def test_a_warp_goes_into_the_array_it_is_given():
    batch = np.zeros((2, 32, 32, 3), np.uint8)
    warp(noise(), drawn(3, rotate=90), batch[1])
    assert not batch[0].any() and np.array_equal(batch[1], warp(noise(), drawn(3, rotate=90)))


def test_what_comes_from_outside_is_mirrored_and_never_black():
    canvas = np.full((32, 32, 3), 200, np.uint8)
    for seed in SEEDS:
        assert (warp(canvas, drawn(seed, rotate=180, zoom=0.9, shift=0.5)) == 200).all()


def test_colours_change_as_they_are_defined_one_by_one():
    pixel = np.array([0.2, 0.5, 0.7])

    def changed(seed, **plan):
        matrix_34 = coloured(seed, **plan)
        return matrix_34[:, :3] @ pixel + matrix_34[:, 3]

    for seed in SEEDS:
        brighter = changed(seed, brightness=0.3) / pixel
        assert np.allclose(brighter, brighter[0]) and 0.7 <= brighter[0] <= 1.3
        contrast = (changed(seed, contrast=0.3) - 0.5) / np.where(pixel == 0.5, 1, pixel - 0.5)
        assert np.allclose(contrast[[0, 2]], contrast[0]) and 0.7 <= contrast[0] <= 1.3 and abs(contrast[1]) < 1e-12
        grey = GREY @ pixel
        saturation = (changed(seed, saturation=0.3) - grey) / (pixel - grey)
        assert np.allclose(saturation, saturation[0]) and 0.7 <= saturation[0] <= 1.3
        before, after = YIQ @ pixel, YIQ @ changed(seed, hue=30)
        assert np.isclose(before[0], after[0]), "a hue keeps the luma"
        assert np.isclose(np.hypot(*before[1:]), np.hypot(*after[1:])), "and the chroma"
        turned = np.rad2deg(np.arctan2(after[2], after[1]) - np.arctan2(before[2], before[1]))
        assert abs((turned + 180) % 360 - 180) <= 30


def test_grey_stays_grey_under_hue_and_saturation():
    for seed in SEEDS:
        matrix_34 = coloured(seed, hue=180, saturation=0.9)
        assert np.allclose(matrix_34[:, :3] @ np.full(3, 0.4) + matrix_34[:, 3], 0.4, atol=1e-3)


def test_changes_of_colour_compose_in_order():
    plan = {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 20}
    for seed in SEEDS:
        rng = generator_for(seed, "test")
        brightness, contrast, saturation = (1 + rng.uniform(-0.2, 0.2) for _ in range(3))
        angle = np.deg2rad(rng.uniform(-20, 20))
        pixel = np.array([0.9, 0.3, 0.1])
        luma, i, q = YIQ @ pixel
        turned = luma, i * np.cos(angle) - q * np.sin(angle), i * np.sin(angle) + q * np.cos(angle)
        pixel_1 = np.linalg.solve(YIQ, turned)
        pixel_2 = GREY @ pixel_1 + saturation * (pixel_1 - GREY @ pixel_1)
        pixel_3 = brightness * (0.5 + contrast * (pixel_2 - 0.5))
        matrix_34 = coloured(seed, **plan)
        assert np.allclose(matrix_34[:, :3] @ pixel + matrix_34[:, 3], pixel_3)


@pytest.mark.parametrize("full", [255, 65535])
def test_normalising_is_folded_into_the_matrix(full):
    mean, std = np.array([0.5, 0.4, 0.3]), np.array([0.2, 0.1, 0.3])
    stored = np.array([0.0, full // 3, full])
    matrix_34 = normalised(np.eye(3, 4), mean, std, full)
    assert matrix_34.dtype == np.float32
    assert np.allclose(matrix_34[:, :3] @ stored + matrix_34[:, 3], (stored / full - mean) / std, atol=1e-5)
    colour_34 = coloured(3, brightness=0.2, contrast=0.2, saturation=0.2, hue=8)
    both_34 = normalised(colour_34, mean, std, full)
    varied = colour_34[:, :3] @ (stored / full) + colour_34[:, 3]
    assert np.allclose(both_34[:, :3] @ stored + both_34[:, 3], (varied - mean) / std, atol=1e-4)


def test_the_default_plan_draws_the_same_for_the_same_seed_and_otherwise_not():
    plan = AugmentPlan()
    draws = [
        (draw_warp(plan, (32, 32), generator_for(*key)), draw_colour(plan, generator_for(*key))) for key in [(0, 1)] * 2
    ]
    assert np.array_equal(draws[0][0], draws[1][0]) and np.array_equal(draws[0][1], draws[1][1])
    assert not np.array_equal(draw_warp(plan, (32, 32), generator_for(0, 2)), draws[0][0])


# --- points, and warps that cut or keep them


def dots(seed, canvas_HW, count=9):
    """Points in the middle of different pixels, each with a number of its own."""
    places = np.random.default_rng(seed).permutation(canvas_HW[0] * canvas_HW[1])[:count]
    return np.column_stack([places % canvas_HW[1], places // canvas_HW[1], np.arange(count)]).astype(float)


@pytest.mark.parametrize("reach", [0, 3, 11, 60])
@pytest.mark.parametrize("canvas_HW", [(12, 20), (13, 7), (2, 3), (1, 9)])
def test_mirrored_points_are_where_opencv_reflects_them(canvas_HW, reach):
    point_M3 = dots(reach, canvas_HW, min(9, canvas_HW[0] * canvas_HW[1]))
    canvas_HW1 = np.zeros((*canvas_HW, 1), np.uint8)
    canvas_HW1[point_M3[:, 1].astype(int), point_M3[:, 0].astype(int), 0] = 1 + point_M3[:, 2]
    rows = 0 if canvas_HW[0] == 1 else reach
    shown_HW = cv2.copyMakeBorder(canvas_HW1, rows, rows, reach, reach, cv2.BORDER_REFLECT_101)
    y_P, x_P = np.nonzero(shown_HW)
    expected = {(x - reach, y - rows, int(shown_HW[y, x]) - 1) for x, y in zip(x_P, y_P, strict=True)}
    found_M3 = mirrored(point_M3, canvas_HW, reach)
    assert len(found_M3) == len(expected)
    assert {tuple(row) for row in found_M3.astype(int).tolist()} == expected


def test_points_move_as_pixels_do_and_keep_what_belongs_to_them():
    matrix_23 = np.array([[0.0, -1.0, 63.0], [1.0, 0.0, 0.0]])
    assert moved(np.array([[3.0, 5.0, 2.0]]), matrix_23).tolist() == [[58, 3, 2]]
    assert moved(np.zeros((0, 3)), matrix_23).shape == (0, 3)


@pytest.mark.parametrize(("canvas_HW", "ways"), [((16, 16), 8), ((17, 17), 8), ((16, 22), 4), ((9, 16), 4)])
def test_quarter_turns_and_mirrorings_lose_no_dot_and_all_of_them_come(canvas_HW, ways):
    plan = NO_AUGMENT.model_copy(update={"quarter_turns": True, "flip": "both"})
    canvas, point_M3, seen = noise(22)[: canvas_HW[0], : canvas_HW[1]], dots(0, canvas_HW), set()
    for seed in range(80):
        matrix_23 = draw_warp(plan, canvas_HW, generator_for(seed, "test"))
        there_M3 = moved(point_M3, matrix_23)
        assert np.allclose(there_M3, there_M3.round(), atol=1e-9)
        x_M, y_M, _ = there_M3.round().astype(int).T
        assert (x_M >= 0).all() and (x_M < canvas_HW[1]).all() and (y_M >= 0).all() and (y_M < canvas_HW[0]).all()
        out = warp(np.ascontiguousarray(canvas), matrix_23)
        before = canvas[point_M3[:, 1].astype(int), point_M3[:, 0].astype(int)]
        assert np.array_equal(out[y_M, x_M], before)
        assert np.array_equal(np.sort(out.reshape(-1, 3), axis=0), np.sort(canvas.reshape(-1, 3), axis=0))
        seen.add(tuple(matrix_23[:, :2].round().astype(int).ravel()))
    assert len(seen) == ways


@pytest.mark.parametrize("canvas_HW", [(24, 40), (16, 16), (17, 90)])
@pytest.mark.parametrize("plan", [{}, {"flip": "both", "quarter_turns": True}], ids=["as it is", "turned"])
def test_a_crop_stays_inside_the_canvas_and_may_lie_anywhere_in_it(canvas_HW, plan):
    whole = NO_AUGMENT.model_copy(update=plan | {"crop": 16})
    lows = []
    for seed in range(200):
        matrix_23 = draw_warp(whole, canvas_HW, generator_for(seed, "test"))
        corner_42 = np.array([(x, y) for x in (0, 15) for y in (0, 15)])
        back_42 = (corner_42 - matrix_23[:, 2]) @ matrix_23[:, :2]  # turns are undone by their transpose
        assert back_42.min() >= -1e-9 and (back_42 <= np.array(canvas_HW[::-1]) - 1 + 1e-9).all()
        lows.append(back_42.min(axis=0))
    room_2 = np.array(canvas_HW[::-1]) - 16
    assert (np.ptp(lows, axis=0) >= 0.9 * room_2).all()


def test_a_canvas_smaller_than_the_crop_lies_in_its_middle():
    matrix_23 = draw_warp(NO_AUGMENT.model_copy(update={"crop": 32}), (10, 20), generator_for(0))
    assert np.allclose(matrix_23, [[1, 0, 6], [0, 1, 11]])


def test_a_crop_is_shifted_by_a_share_of_its_own_side():
    plan = NO_AUGMENT.model_copy(update={"crop": 20, "shift": 0.1})
    shifts = [draw_warp(plan, (20, 20), generator_for(seed))[:, 2] for seed in range(200)]
    assert 1.8 < np.max(np.abs(shifts)) <= 2
