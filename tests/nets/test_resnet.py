import pytest
import torch
import torchvision
from torch import nn

from corpuscle.nets.resnet import DEPTHS, ResNet, group_norm


def reference(depth: int, norm: str) -> nn.Module:
    """torchvision's net with statistics and gains that are not those of the start, so that each of them counts."""
    with torch.device("meta"):  # weights are drawn once, below
        net = torchvision.models.get_model(f"resnet{depth}", norm_layer=group_norm if norm == "group" else None)
    net.fc = nn.Identity()
    net.to_empty(device="cpu")
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.normal_(std=module.weight[0].numel() ** -0.5)
            elif isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
                module.weight.uniform_(0.5, 1.0)
                module.bias.uniform_(-0.1, 0.1)
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.uniform_(-0.1, 0.1)
                module.running_var.uniform_(1.0, 2.0)
                module.num_batches_tracked.zero_()
    return net


@pytest.mark.parametrize("norm", ["batch", "group"])
@pytest.mark.parametrize("depth", DEPTHS)
def test_a_resnet_equals_torchvisions_with_the_same_weights(depth, norm):
    torch.manual_seed(depth)
    theirs = reference(depth, norm).eval()
    with torch.device("meta"):
        ours = ResNet(depth, norm).eval()
    ours.load_state_dict({name: tensor.clone() for name, tensor in theirs.state_dict().items()}, assign=True)
    image_NCHW = torch.randn(2, 3, 65, 64)
    for training in (False, True):
        with torch.no_grad():
            expected, came = (net.train(training)(image_NCHW) for net in (theirs, ours))
        assert expected.std() > 1e-3
        torch.testing.assert_close(came, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("depth", [18, 50])
def test_a_resnet_starts_like_torchvisions(depth):
    torch.manual_seed(0)
    theirs = torchvision.models.get_model(f"resnet{depth}").state_dict()
    for name, tensor in ResNet(depth, zero_init_residual=False).state_dict().items():
        if tensor.ndim == 4:
            assert float(tensor.std()) == pytest.approx(float(theirs[name].std()), rel=0.05), name
            assert abs(tensor.mean()) < 0.1 * tensor.std(), name
        else:
            assert torch.equal(tensor, theirs[name]), name


@pytest.mark.parametrize("depth", [18, 50])
def test_each_block_starts_as_the_identity_unless_told_otherwise(depth):
    x_NCHW = torch.rand(1, 64 * DEPTHS[depth][0].expansion, 4, 4)
    second = ResNet(depth).eval().get_submodule("layer1.1")
    assert torch.equal(second(x_NCHW), x_NCHW)
    other = ResNet(depth, zero_init_residual=False).eval().get_submodule("layer1.1")
    assert not torch.equal(other(x_NCHW), x_NCHW)


def test_features_are_the_pooled_feature_maps():
    net = ResNet(18).eval()
    image_NCHW = torch.randn(1, 3, 64, 64)
    maps_NCHW = net.maps(image_NCHW)
    assert maps_NCHW.shape == (1, 512, 2, 2)
    torch.testing.assert_close(net(image_NCHW), maps_NCHW.mean((2, 3)))


@pytest.mark.parametrize(("channels", "groups"), [(64, 32), (2048, 32), (48, 16), (3, 1)])
def test_group_norm_takes_fewer_groups_where_the_channels_need_it(channels, groups):
    assert group_norm(channels).num_groups == groups
