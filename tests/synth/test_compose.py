"""Scenes agree with themselves, are the same for ever, and say what they cannot be made of."""

from __future__ import annotations

import itertools
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy import ndimage

from corpuscle.core.errors import CorpuscleError, DataFault
from corpuscle.core.legend import SMEAR
from corpuscle.core.settings import validated
from corpuscle.synth.canvas import KIND_BITS
from corpuscle.synth.compose import NUMBER, PARTS, Composer
from corpuscle.synth.drawn import drawn_cutouts
from corpuscle.synth.plan_compose import CLUMP, HEALTHY, INFECTED, PLATELET, WHITE_KINDS, ComposePlan

SMALL = ComposePlan(field_size=400, num_fields=6, red_cells=(20, 50), blocks=2, memory_mib=64)
WHITE = {NUMBER[kind] for kind in WHITE_KINDS}


@pytest.fixture(scope="module")
def cutouts():
    return drawn_cutouts(10, 0.1875, seed=1)


@pytest.fixture(scope="module")
def composer(cutouts):
    return Composer(cutouts, SMALL, seed=3)


@pytest.fixture(scope="module")
def scenes(composer):
    return [composer.scene(part, index) for part in PARTS for index in range(12)]


def same(one, other):
    return all((getattr(one, name) == getattr(other, name)).all() for name in one.__dataclass_fields__)


def test_drawn_cutouts_are_of_all_kinds_in_all_parts_and_well_formed(cutouts):
    numbers = {(kind, part): 0 for kind in SMEAR.classes[1:] for part in PARTS}
    for one in cutouts:
        numbers[one.kind, one.part] += 1
        assert one.image_HWC.dtype == one.alpha_HW.dtype == np.uint8 and one.image_HWC.shape[:2] == one.alpha_HW.shape
        assert one.area > 20 and not one.alpha_HW[[0, -1]][:, [0, -1]].any()
    assert all(count == {"train": 8, "val": 1, "test": 1}[part] for (_, part), count in numbers.items())
    again = drawn_cutouts(10, 0.1875, seed=1)
    assert all((a.image_HWC == b.image_HWC).all() and a.source == b.source for a, b in zip(cutouts, again, strict=True))


@pytest.mark.parametrize(("number", "pixel", "told"), [(9, 0.19, "at least 10 .* got 9"), (10, 0.5, "got 0.5")])
def test_too_few_drawn_cutouts_or_too_coarse_ones_are_refused(number, pixel, told):
    with pytest.raises(CorpuscleError, match=told):
        drawn_cutouts(number, pixel)


def test_mask_instances_boxes_and_counts_agree(scenes):
    for scene in scenes:
        assert scene.image_HWC.shape == (224, 224, 3) and scene.image_HWC.dtype == scene.mask_HW.dtype == np.uint8
        assert scene.instance_HW.dtype == np.uint16
        np.testing.assert_array_equal(scene.mask_HW == 0, scene.instance_HW == 0)
        count = len(scene.kind_M)
        assert sorted(np.unique(scene.instance_HW)) == list(range(count + 1))
        found = ndimage.find_objects(scene.instance_HW.astype(np.int32))
        for number, (kind, box, (rows, columns)) in enumerate(zip(scene.kind_M, scene.box_M4, found, strict=True), 1):
            assert set(np.unique(scene.mask_HW[scene.instance_HW == number])) == {kind}
            left, top, width, height = box.tolist()
            assert (left, top, left + width, top + height) == (columns.start, rows.start, columns.stop, rows.stop)
            assert (scene.instance_HW == number).sum() >= SMALL.least_pixels
        assert scene.counts() == {
            kind: int((scene.kind_M == number).sum()) for number, kind in enumerate(SMEAR.classes) if number
        }
    held = {kind for scene in scenes for kind in scene.kind_M.tolist()}
    assert held == set(range(1, len(SMEAR.classes)))


def test_a_scene_is_the_same_in_any_order_after_pickling_and_in_threads(cutouts, composer, scenes):
    other = pickle.loads(pickle.dumps(Composer(cutouts, SMALL.model_copy(update={"memory_mib": 16}), seed=3)))
    expected = dict(zip([(part, index) for part in PARTS for index in range(12)], scenes, strict=True))
    order = list(expected)
    np.random.default_rng(0).shuffle(order)
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda place: other.scene(place[0], int(place[1])), order))
    assert all(same(scene, expected[part, int(index)]) for scene, (part, index) in zip(found, order, strict=True))
    assert not same(scenes[0], scenes[1]) and not same(scenes[0], expected["val", 0])
    assert not same(scenes[0], Composer(cutouts, SMALL, seed=4).scene("train", 0))


def test_fields_are_infected_healthy_and_mixed_by_turns(composer):
    kinds = [set(composer.field("train", index).kind_M.tolist()) for index in range(6)]
    alone = [{NUMBER[INFECTED]}, {NUMBER[HEALTHY]}, {NUMBER[INFECTED], NUMBER[HEALTHY]}]
    assert kinds == alone * 2
    assert composer.field("train", 6) is composer.field("train", 0)


def test_the_image_differs_from_bare_plasma_only_near_objects(cutouts, composer):
    bare = Composer(cutouts, SMALL.model_copy(update={"red_cells": (0, 0)}), seed=3).field("train", 1)
    field = composer.field("train", 1)
    differs_HW = (field.image_HWC != bare.image_HWC).any(-1)
    near_HW = cv2.dilate(field.mask_HW, np.ones((9, 9), np.uint8)) > 0
    assert not bare.lain_HW.any() and not differs_HW[~near_HW].any()
    assert differs_HW[field.mask_HW > 0].mean() > 0.9


def test_edges_are_soft(composer):
    """Just outside of a white cell's edge the image is between cell and plasma, without a step."""
    grey_HW = composer.field("train", 1).image_HWC.mean(-1)
    mask_HW = composer.field("train", 1).mask_HW > 0
    rings = [cv2.dilate(mask_HW.astype(np.uint8), np.ones((k, k), np.uint8)) > 0 for k in (1, 3, 5, 7, 9)]
    around = [np.median(grey_HW[wide & ~slim]) for slim, wide in itertools.pairwise(rings)]
    assert around[0] < around[1] - 1 and around[1] <= around[3] + 1
    assert abs(around[2] - around[3]) < 2


def test_no_object_covers_more_than_the_overlap(cutouts):
    plan = SMALL.model_copy(update={"overlap": 0.0, "least_pixels": 1, "red_cells": (80, 80)})
    field = Composer(cutouts, plan, seed=0).field("train", 0)
    alone = [(field.lain_HW >> KIND_BITS) == number for number in range(1, len(field.kind_M) + 1)]
    assert [int(one.sum()) for one in alone] == field.seen_M.tolist()
    crowded = Composer(cutouts, plan.model_copy(update={"overlap": 1.0}), seed=0).field("train", 0)
    assert len(field.kind_M) < len(crowded.kind_M) == 80
    assert min(crowded.seen_M) < min(field.seen_M)


def test_what_is_hardly_seen_is_told_nowhere(cutouts):
    many = Composer(cutouts, SMALL.model_copy(update={"least_pixels": 1}), seed=3)
    few = Composer(cutouts, SMALL.model_copy(update={"least_pixels": 400}), seed=3)
    one, other = many.scene("train", 0), few.scene("train", 0)
    np.testing.assert_array_equal(one.image_HWC, other.image_HWC)
    assert len(other.kind_M) < len(one.kind_M)
    assert np.bincount(other.instance_HW.ravel())[1:].min() >= 400
    assert ((other.mask_HW == one.mask_HW) | (other.mask_HW == 0)).all()


def test_stain_and_lamp_are_varied_and_the_masks_are_not(cutouts, composer):
    plain = Composer(cutouts, SMALL.model_copy(update={"stain": 0.0, "illumination": 0.0}), seed=3)
    for index in range(3):
        one, other = plain.scene("train", index), composer.scene("train", index)
        np.testing.assert_array_equal(one.mask_HW, other.mask_HW)
        assert 0.5 < np.abs(one.image_HWC.astype(int) - other.image_HWC).mean() < 40


def test_clumps_and_parasites_are_made_where_that_is_chosen(cutouts):
    some = [one for one in cutouts if one.kind not in (CLUMP, INFECTED)]
    with pytest.raises(DataFault, match=r"train: there is no cut-out of infected RBC; .*compose\.make_infected=true"):
        Composer(some, SMALL).scene("train", 0)
    with pytest.raises(DataFault, match=r"there is no cut-out of platelet clump; .*compose\.clumps=\[0,0\]"):
        Composer(some, SMALL.model_copy(update={"make_clumps": False})).check(["val"])
    made = Composer(some, SMALL.model_copy(update={"make_infected": True}), seed=0)
    made.check()
    held = {kind for index in range(8) for kind in made.scene("train", index).kind_M.tolist()}
    assert {NUMBER[CLUMP], NUMBER[INFECTED]} <= held


@pytest.mark.parametrize(
    ("kind", "told"), [("monocyte", "white_kinds"), (HEALTHY, "makeups"), (PLATELET, "thrombocytes")]
)
def test_a_part_without_a_kind_names_both_and_the_remedy(cutouts, kind, told):
    some = [one for one in cutouts if one.kind != kind or one.part != "val"]
    composer = Composer(some, SMALL)
    composer.check(["train", "test"])
    with pytest.raises(DataFault, match=f"val: there is no cut-out of {kind}; add some to the bank; or .*{told}"):
        composer.check()


def test_cutouts_that_are_too_large_too_small_or_in_two_parts_are_refused(cutouts):
    white = next(one for one in cutouts if one.kind == "monocyte")
    large = replace(white, image_HWC=np.zeros((300, 90, 3), np.uint8), alpha_HW=np.zeros((300, 90), np.uint8))
    with pytest.raises(DataFault, match="a cut-out of monocyte of 90 x 300 pixels is larger than a scene of 224"):
        Composer([*cutouts, large], SMALL)
    tiny = replace(white, image_HWC=white.image_HWC[:4], alpha_HW=white.alpha_HW[:4])
    with pytest.raises(DataFault, match="x 4 pixels is below 5 pixels; make the bank at a finer magnification"):
        Composer([*cutouts, tiny], SMALL)
    with pytest.raises(DataFault, match=f"{white.source}: its cut-outs are in train and val"):
        Composer([*cutouts, replace(white, part="val")], SMALL)
    one, other = replace(white, source="x", group="slide 7"), replace(white, source="y", group="slide 7", part="val")
    with pytest.raises(DataFault, match="slide 7: its cut-outs are in train and val; put all of one group into one"):
        Composer([*cutouts, one, other], SMALL)
    with pytest.raises(CorpuscleError, match=r"expected a part, got 'tran'. Did you mean train"):
        Composer(cutouts, SMALL).scene("tran", 0)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"field_size": 200}, "field_size expects at least compose.size \\(224\\), got 200"),
        ({"clumps": (3, 1)}, "compose.clumps expects least and most from 0 to 300, got 3, 1"),
        ({"red_cells": (0, 5000)}, "compose.red_cells expects least and most from 0 to 3000, got 0, 5000"),
        ({"white_kinds": ("blast",)}, "compose.white_kinds expects some of eosinophil.* got 'blast'"),
        ({"scenes": (1, -1, 0)}, "compose.scenes expects no negative number, got \\(1, -1, 0\\)"),
        ({"angels": 8}, "angels is not a setting. Did you mean angles"),
    ],
)
def test_wrong_choices_are_named(values, told):
    with pytest.raises(CorpuscleError, match=told):
        validated(ComposePlan, ComposePlan().model_dump(mode="json") | values)
