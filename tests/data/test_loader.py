"""Batches: a function of seed, epoch and image, whoever makes them and wherever they begin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from corpuscle.data.cache import InMemory
from corpuscle.data.loader import Batch, Features, Images, Loader, Order
from corpuscle.data.targets import Densities, Numbers
from corpuscle.data.transforms import AugmentPlan

MEAN, STD = np.array([0.5, 0.4, 0.3]), np.array([0.2, 0.1, 0.3])
PLACES = np.array([1, 2, 3, 5, 8, 9, 10, 11, 14, 17, 18])


def images_of(dtype=np.uint8, augment=None, seed=0, mean=MEAN, std=STD):
    rng = np.random.default_rng(0)
    full = np.iinfo(dtype).max
    canvases = {place: rng.integers(0, full, (16, 16, 3), dtype, endpoint=True) for place in range(20)}
    return Images(InMemory(canvases, np.dtype(dtype)), Numbers(np.arange(20) % 5), mean, std, augment, seed)


def order_of(**choices):
    return Order(**{"places": PLACES, "batch_size": 4, "seed": 0} | choices)


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a._tensors(), b._tensors(), strict=True))


# --- what the net sees


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_what_the_net_sees_is_the_normalised_image(dtype):
    images = images_of(dtype)
    batch = images[0, [3, 7]]
    full = np.iinfo(dtype).max
    expected = np.stack([(images.canvases[place] / full - MEAN) / STD for place in (3, 7)]).transpose(0, 3, 1, 2)
    assert batch.image_NCHW.dtype == torch.float32
    assert batch.image_NCHW.is_contiguous(memory_format=torch.channels_last)
    assert np.abs(batch.image_NCHW.numpy() - expected).max() < 2e-5
    assert batch.target.tolist() == [3, 2] and batch.place_N.tolist() == [3, 7] and len(batch) == 2


def test_a_plan_that_varies_nothing_is_no_plan():
    none = AugmentPlan(rotate=0, flip="none", zoom=0, shift=0, brightness=0, contrast=0, saturation=0, hue=0)
    assert same(images_of(augment=none)[3, PLACES], images_of()[0, PLACES])


def test_variation_is_a_function_of_seed_epoch_and_image_alone():
    images = images_of(augment=AugmentPlan())
    alone = {place: images[7, [place]].image_NCHW[0] for place in PLACES}
    for row, place in enumerate(PLACES[::-1]):
        assert torch.equal(images[7, PLACES[::-1]].image_NCHW[row], alone[place])
    assert not torch.equal(images[8, [3]].image_NCHW[0], alone[3]), "another epoch"
    assert not torch.equal(images_of(augment=AugmentPlan(), seed=1)[7, [3]].image_NCHW[0], alone[3]), "another seed"


def test_variation_leaves_the_stored_canvases_alone():
    images = images_of(augment=AugmentPlan())
    before = [images.canvases[place].copy() for place in PLACES]
    images[0, PLACES]
    assert all(np.array_equal(images.canvases[place], old) for place, old in zip(PLACES, before, strict=True))


def test_a_batch_in_pieces_is_the_batch_and_no_piece_is_a_single_image():
    batch = images_of()[0, PLACES]
    for count, sizes in ((1, [11]), (3, [4, 4, 3]), (99, [3, 2, 2, 2, 2])):
        pieces = batch.pieces(count)
        assert [len(piece) for piece in pieces] == sizes
        assert torch.equal(torch.cat([piece.image_NCHW for piece in pieces]), batch.image_NCHW)
    assert [len(piece) for piece in images_of()[0, PLACES[:1]].pieces(4)] == [1]


def test_features_are_those_of_the_image_and_of_the_view_of_the_epoch():
    features = Features(torch.arange(2 * 3 * 4.0).view(2, 3, 4), {5: 0, 8: 1, 9: 2}, Numbers(np.arange(20) % 5))
    for epoch in range(4):
        batch = features[epoch, [9, 5]]
        assert torch.equal(batch.image_NCHW, features.features_VNC[epoch % 2][[2, 0]])
        assert batch.target.tolist() == [4, 0] and isinstance(batch, Batch)


def ragged(**choices):
    """Four canvases of different sizes with a dot or two each."""
    rng = np.random.default_rng(0)
    sizes = [(20, 30), (33, 17), (16, 16), (40, 41)]
    canvases = {place: rng.integers(0, 255, (*size_HW, 3), np.uint8) for place, size_HW in enumerate(sizes)}
    points = {place: rng.uniform((1, 1, 0), (15, 15, 0), (place + 1, 3)) for place in range(4)}
    return Images(InMemory(canvases, np.dtype(np.uint8)), Densities(points, 1, 2, 1.0), MEAN, STD, **choices)


def test_a_crop_is_cut_out_of_canvases_of_different_sizes_with_its_density():
    batch = ragged(augment=AugmentPlan(crop=16), multiple=8)[0, [0, 1, 2, 3]]
    assert batch.stored_NHWC.shape == (4, 16, 16, 3) and batch.image_NCHW.shape == (4, 3, 16, 16)
    assert batch.target.shape == (4, 1, 8, 8) and batch.target.dtype == torch.float32
    assert [piece.target.shape[0] for piece in batch.pieces(2)] == [2, 2]


def test_whole_canvases_are_continued_by_their_mirror_image_to_a_multiple():
    for place, size in ((0, (24, 32)), (1, (40, 24)), (2, (16, 16))):
        images = ragged(multiple=8)
        batch, (height, width) = images[0, [place]], images.canvases[place].shape[:2]
        stored = batch.stored_NHWC[0].numpy()
        assert stored.shape == (*size, 3) and batch.target.shape == (1, 1, size[0] // 2, size[1] // 2)
        assert np.array_equal(stored[:height, :width], images.canvases[place])
        assert np.array_equal(stored[height:, :width], images.canvases[place][-2 : -2 - (size[0] - height) : -1])


def test_two_views_of_each_image_stand_in_two_halves_and_each_is_varied_anew():
    images = images_of(augment=AugmentPlan())
    paired = replace(images, views=2)
    batch = paired[7, [3, 9, 5]]
    assert batch.place_N.tolist() == [3, 9, 5] * 2 and batch.target.tolist() == [3, 4, 0] * 2 and len(batch) == 6
    seen = batch.image_NCHW
    assert all(not torch.equal(seen[row], seen[row + 3]) for row in range(3))
    alone = paired[7, [5]].image_NCHW
    assert torch.equal(alone[0], seen[2]) and torch.equal(alone[1], seen[5])
    assert not torch.equal(paired[8, [5]].image_NCHW[0], seen[2]), "another epoch"
    plain = replace(paired, augment=None)[7, [3, 9]].image_NCHW
    assert torch.equal(plain[:2], plain[2:])


# --- which images, in which order


def test_an_unshuffled_order_keeps_every_image_once_in_its_place():
    order = order_of(seed=None)
    assert np.array_equal(np.concatenate(order.batches(0)), PLACES)
    assert [len(batch) for batch in order.batches(3)] == [4, 4, 3] and len(order) == 3


def test_a_shuffled_order_fills_its_batches_and_is_another_each_epoch():
    order = order_of()
    for epoch in range(20):
        batches = order.batches(epoch)
        seen = np.concatenate(batches)
        assert [len(batch) for batch in batches] == [4, 4] and len(order) == 2
        assert len(set(seen)) == 8 and set(seen) <= set(PLACES)
    assert not np.array_equal(order.batches(0), order.batches(1))
    assert np.array_equal(order.batches(1), order_of().batches(1))
    left_out = [set(PLACES) - set(np.concatenate(order.batches(epoch))) for epoch in range(30)]
    assert set().union(*left_out) == set(PLACES), "not the same images are left out for ever"


def test_fewer_images_than_a_batch_are_one_batch():
    for places in (PLACES[:1], PLACES[:3]):
        assert [sorted(batch) for batch in order_of(places=places).batches(0)] == [sorted(places)]


@pytest.mark.parametrize("seed", [None, 0])
@pytest.mark.parametrize("world", [2, 3])
def test_ranks_share_each_batch_without_overlap(world, seed):
    whole = order_of(seed=seed).batches(5)
    parts = [order_of(seed=seed, rank=rank, world=world).batches(5) for rank in range(world)]
    for number, batch in enumerate(whole):
        assert np.array_equal(np.concatenate([part[number] for part in parts]), batch)


def test_weights_draw_rare_images_as_often_as_they_say():
    weight_N = np.where(PLACES == 3, 10.0, 1.0)
    order = order_of(weight_N=weight_N, batch_size=11)
    drawn = np.concatenate([np.concatenate(order.batches(epoch)) for epoch in range(400)])
    assert abs((drawn == 3).mean() - 0.5) < 0.03
    assert np.array_equal(order.batches(3), order_of(weight_N=weight_N, batch_size=11).batches(3))


# --- the loader


@pytest.mark.slow
def test_workers_make_the_same_batches_and_any_start_gives_the_tail():
    images = images_of(augment=AugmentPlan())
    alone = list(Loader(images, order_of()).epoch(4))
    for workers, start in ((2, 0), (2, 1), (1, 1)):
        batches = list(Loader(images, order_of(), workers).epoch(4, start))
        assert len(batches) == len(alone) - start
        assert all(same(a, b) for a, b in zip(batches, alone[start:], strict=True))


def test_any_start_gives_the_tail_and_the_length_is_that_of_an_epoch():
    loader = Loader(images_of(augment=AugmentPlan()), order_of(batch_size=2))
    whole = list(loader.epoch(2))
    assert len(whole) == len(loader) == 5
    for start in range(6):
        assert all(same(a, b) for a, b in zip(loader.epoch(2, start), whole[start:], strict=True))


def test_loading_leaves_the_random_numbers_of_the_process_alone():
    loader = Loader(images_of(augment=AugmentPlan()), order_of())
    torch.manual_seed(0)
    np.random.seed(0)
    before = torch.rand(1), np.random.rand()
    torch.manual_seed(0)
    np.random.seed(0)
    list(loader.epoch(0))
    assert (torch.rand(1), np.random.rand()) == before
