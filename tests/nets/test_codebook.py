"""Visual words: the nearest is chosen, shares add up to one a ring, and turning an image changes nothing."""

import pytest
import torch

from corpuscle.core.errors import CorpuscleError
from corpuscle.nets.codebook import RINGS, SIDES, Codebook, Words
from corpuscle.nets.rings import ring_of, shrunk
from corpuscle.nets.zoo import NetPlan, build, check_plan

RING_COUNT = len(RINGS) + 1


def filled(count=6, pool="avg"):
    generator = torch.Generator().manual_seed(0)
    book = Codebook(count, pool)
    for words in book.words:
        for tensor in words.state_dict().values():
            tensor.copy_(torch.randn(tensor.shape, generator=generator))
    return book


def images(count=2, size=48):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("side", SIDES)
def test_a_square_is_called_by_the_word_that_is_nearest_once_it_is_whitened(side):
    words = filled().words[SIDES.index(side)]
    square_NPC = words.squares(images())
    assert square_NPC.shape == (2, (48 - side + 1) ** 2, 3 * side**2)
    white_NPD = (square_NPC.double() - words.mean_C.double()) @ words.white_DC.double().T
    distance_NPK = torch.cdist(white_NPD, words.word_KD.double().expand(2, -1, -1))
    assert torch.equal(words.nearest(square_NPC), distance_NPK.argmin(dim=2))
    expected_N = distance_NPK.min(dim=2).values.square().mean(dim=1) / words.word_KD.shape[1]
    torch.testing.assert_close(words.distortion(images()), expected_N.float(), rtol=1e-4, atol=1e-5)


def test_the_squares_of_the_features_are_shares_of_each_ring():
    book = filled()
    features_NC = book(images())
    assert features_NC.shape == (2, book.num_features) == (2, len(SIDES) * RING_COUNT * 6)
    shares_NR = features_NC.square().unflatten(1, (len(SIDES) * RING_COUNT, 6)).sum(dim=2)
    torch.testing.assert_close(shares_NR, torch.ones_like(shares_NR))


def test_colours_are_counted_where_they_lie():
    words = Words(1, 2)
    words.word_KD.copy_(torch.tensor([[0.0, 0, 0], [1, 1, 1]]))
    book = Codebook(2)
    book.words[0] = words
    image_1CHW = torch.zeros(1, 3, 48, 48)
    image_1CHW[:, :, ring_of(48, 48, RINGS) == 0] = 1.0  # bright in the middle, dark around it
    assert book(image_1CHW)[0, : 2 * RING_COUNT].tolist() == [0, 1, 1, 0, 1, 0]


def test_turning_an_image_changes_nothing_that_a_pixel_says():
    book, turned = filled(), torch.rot90(images(), 1, dims=(2, 3))
    of_colours = RING_COUNT * 6
    torch.testing.assert_close(book(turned)[:, :of_colours], book(images())[:, :of_colours])
    assert not torch.allclose(book(turned), book(images()))


def test_larger_images_are_shrunk_to_the_same_squares():
    book = filled()
    doubled = images().repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    torch.testing.assert_close(book(doubled), book(images()))


def test_an_image_that_keeps_its_size_is_shrunk_by_its_shorter_side():
    wide = torch.rand(1, 3, 360, 700)
    assert shrunk(wide).shape == (1, 3, 45, 87)
    assert filled()(wide).isfinite().all()


def test_without_a_pool_it_tells_how_far_squares_lie_from_their_words():
    book = filled(pool="none")
    said_NS = book(images())
    assert said_NS.shape == (2, len(SIDES)) == (2, book.num_features)
    assert torch.equal(said_NS[:, 0], book.words[0].distortion(images()))


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        (
            {"model": "resnet18", "head": "none", "pool": "none"},
            r"net\.head=none expects net\.model=codebook, got resnet18",
        ),
        (
            {"model": "codebook", "head": "linear", "pool": "none"},
            "got pool none with head linear",
        ),
        ({"model": "codebook", "head": "linear", "pool": "max"}, r"got pool max with head linear"),
        ({"model": "codebook", "head": "none", "pool": "avg"}, r"got pool avg with head none"),
        ({"model": "codebook", "weights": "imagenet"}, r"published weights, codebook has none"),
    ],
)
def test_what_does_not_fit_a_codebook_is_refused(plan, told):
    with pytest.raises(CorpuscleError, match=told):
        check_plan(NetPlan(**plan))


def test_images_that_are_smaller_than_its_squares_are_refused():
    with pytest.raises(CorpuscleError, match=r"expects images of at least 5 pixels, got 4; pass --size 96, say"):
        build(NetPlan(model="codebook", words=2), 3, 4)
    assert build(NetPlan(model="codebook", words=2), 3, 5)(torch.rand(1, 3, 5, 5)).isfinite().all()


def test_features_that_are_alike_share_one_scale():
    net = build(NetPlan(model="codebook", words=2), 3, 48)
    std_C = torch.arange(1.0, net.num_features + 1).numpy()
    assert net.common_scale(std_C) == pytest.approx((std_C**2).mean() ** 0.5)
    plain = build(NetPlan(model="timm/test_resnet"), 3, 48)
    assert (plain.common_scale(std_C[: plain.num_features]) == std_C[: plain.num_features]).all()
