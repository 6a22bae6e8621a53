import pytest
import torch

from corpuscle.core.errors import CorpuscleError
from corpuscle.nets import unet
from corpuscle.nets.unet import SteadyNorm, UNet


def net_of(widths: tuple[int, ...], stride: int) -> UNet:
    """A net in evaluation mode whose weights are positive, so that a brighter pixel shows wherever it is seen."""
    torch.manual_seed(0)
    net = UNet(widths, stride).double().eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.abs_().add_(1e-3)
    return net


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("widths", [(2,), (2, 3), (2, 3, 4), (2, 2, 2, 2)])
def test_a_pixel_further_away_than_reach_changes_nothing_and_one_at_reach_does(widths, stride):
    net = net_of(widths, stride)
    margin = net.reach + -net.reach % net.multiple + net.multiple
    image_NCHW = torch.rand(1, 3, net.multiple, 2 * margin + net.multiple, dtype=torch.float64)
    inside = slice(margin, margin + net.multiple)
    reached = []
    with torch.no_grad():
        for first in range(inside.start, inside.stop, stride):
            cell = first // stride
            for reach in (net.reach, net.reach - 1):
                changed_NCHW = image_NCHW + 9
                seen = slice(first - reach, first + stride + reach)
                changed_NCHW[..., seen] = image_NCHW[..., seen]
                reached.append((reach, not torch.equal(net(changed_NCHW)[..., cell], net(image_NCHW)[..., cell])))
    assert set(reached) >= {(net.reach, False), (net.reach - 1, True)}
    assert (net.reach, True) not in reached


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_features_are_as_fine_as_stride_says(stride):
    net = UNet((4, 6, 8), stride)
    height, width = 3 * net.multiple, 2 * net.multiple
    assert net.multiple == 4 * stride
    assert net(torch.zeros(2, 3, height, width)).shape == (2, net.num_features, height // stride, width // stride)


def test_a_tile_with_reach_around_it_gives_the_same_features_as_the_whole():
    net = net_of((4, 6, 8), 2)
    margin = net.reach + -net.reach % net.multiple
    image_NCHW = torch.rand(1, 3, 64, 2 * margin + 96, dtype=torch.float64)
    with torch.no_grad():
        whole = net(image_NCHW)
        tile = net(image_NCHW[..., 32 : 32 + 2 * margin + 32])
    a, b = margin // 2, (margin + 32) // 2
    torch.testing.assert_close(tile[..., a:b], whole[..., 16 + a : 16 + b], rtol=0, atol=1e-12)


def test_sides_that_are_no_multiple_are_refused_in_one_line():
    with pytest.raises(CorpuscleError) as error:
        UNet((4, 6, 8), 2)(torch.zeros(1, 3, 16, 20))
    assert str(error.value) == (
        "the net expects images whose sides are a multiple of 8, got 16 x 20; pad them, or choose another crop"
    )


def test_a_steady_norm_learns_its_statistics_first_and_then_trains_as_it_is_used(monkeypatch):
    monkeypatch.setattr(unet, "LEARNING", 3)
    norm, reference = SteadyNorm(2), torch.nn.BatchNorm2d(2)
    batches = torch.randn(5, 4, 2, 6, 6, generator=torch.Generator().manual_seed(0)) * 3 + 1
    for batch_NCHW in batches[:3]:
        assert torch.equal(norm(batch_NCHW), reference(batch_NCHW))
    for batch_NCHW in batches[3:]:
        output_NCHW = norm.train()(batch_NCHW)
        torch.testing.assert_close(output_NCHW, reference.eval()(batch_NCHW))
        torch.testing.assert_close(output_NCHW, norm.eval()(batch_NCHW))
    assert torch.equal(norm.running_mean, reference.running_mean)
    output_NCHW.sum().backward()
    assert norm.weight.grad is not None
