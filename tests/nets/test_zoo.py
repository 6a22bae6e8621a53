import subprocess
import sys

import pytest
import torch

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.settings import validated
from corpuscle.nets.zoo import NetPlan, build, check_plan


def test_settings_and_card_are_imported_without_torch():
    code = (
        "import sys, corpuscle.nets.zoo, corpuscle.nets.card; sys.exit('torch' in sys.modules or 'timm' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_net_in_one_step_equals_encoder_then_head():
    net = build(NetPlan(head="mlp", hidden=(8,)), num_outputs=3, size=32).eval()
    image_NCHW = torch.randn(2, 3, 32, 32)
    features_NC = net.encoder(image_NCHW)
    assert features_NC.shape == (2, net.num_features)
    assert torch.equal(net(image_NCHW), net.head(features_NC))


def test_an_exported_net_is_a_plain_graph_of_operators():
    net = build(NetPlan(), num_outputs=3, size=32).eval()
    graph = torch.export.export(net, (torch.zeros(1, 3, 32, 32),)).graph
    calls = {str(node.target) for node in graph.nodes if node.op == "call_function"}
    assert "aten.linear.default" in calls
    assert all(call.startswith("aten.") for call in calls)


def test_the_same_seed_builds_the_same_net():
    nets = []
    for _ in range(2):
        torch.manual_seed(3)
        nets.append(build(NetPlan(model="timm/resnet10t"), num_outputs=3, size=64).state_dict())
    assert all(torch.equal(nets[0][name], nets[1][name]) for name in nets[0])


def test_a_bare_name_is_ours_and_the_prefix_is_timms():
    ours, theirs = (build(NetPlan(model=name), 2, 32).encoder for name in ("resnet18", "timm/resnet18"))
    assert type(ours).__module__.startswith("corpuscle.")
    assert type(theirs).__module__.startswith("timm.")


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ("resnet81", "'resnet81' is no model of Corpuscle's or timm's. Did you mean resnet18"),
        ("timm/convnext_atom", "'timm/convnext_atom' is no model of Corpuscle's or timm's. Did you mean convnext_atto"),
        ("resnet50.a1_in2k", "'resnet50.a1_in2k' is no model of Corpuscle's or timm's. Did you mean resnet50.a1_in1k"),
        (
            "hf-hub:someone/something",
            "'hf-hub:someone/something' is no model of Corpuscle's or timm's. Known: resnet18",
        ),
    ],
)
def test_an_unknown_model_is_refused_with_the_nearest_names(model, text):
    with pytest.raises(CorpuscleError) as error:
        check_plan(NetPlan(model=model))
    assert str(error.value).startswith(text)


def test_group_norm_is_refused_for_encoders_of_timm():
    with pytest.raises(
        CorpuscleError, match=r"net\.norm=group is for resnet18, .*, the model is timm/resnet10t; leave"
    ):
        build(NetPlan(model="timm/resnet10t", norm="group"), 2, 64)


def test_a_plan_out_of_range_is_refused():
    with pytest.raises(CorpuscleError, match=r"hidden.0 should be greater than or equal to 1, got 0"):
        validated(NetPlan, {"hidden": [0]})
    with pytest.raises(CorpuscleError, match=r"norm should be 'batch' or 'group', got \"layer\""):
        validated(NetPlan, {"norm": "layer"})


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"model": "unet"}, "got model unet with head linear; pass --set net.head=density, or another --model"),
        ({"head": "density"}, "got model resnet18 with head density; pass --set net.head=linear, or another --model"),
        (
            {"model": "timm/resnet10t", "head": "density"},
            "got model timm/resnet10t with head density; pass --set net.head=linear",
        ),
        (
            {"model": "unet", "head": "density", "weights": "imagenet"},
            "net.weights=imagenet expects a net with published weights, unet has none; pass none, a file, or",
        ),
        (
            {"model": "unet", "head": "density", "norm": "group"},
            "net.norm=group is for resnet18, resnet34, resnet50, resnet101, resnet152, the model is unet; leave",
        ),
    ],
)
def test_what_the_unet_cannot_have_and_others_cannot_share_is_refused(values, text):
    with pytest.raises(CorpuscleError) as error:
        check_plan(NetPlan(**values))
    assert text in str(error.value)
    assert "\n" not in str(error.value)


def test_a_unet_has_the_widths_and_the_stride_of_its_plan():
    net = build(NetPlan(model="unet", head="density", widths=(8, 12), stride=1), num_outputs=3, size=32)
    assert (net.num_features, net.encoder.stride, net.encoder.multiple) == (8, 1, 2)
    assert net(torch.zeros(1, 3, 32, 48)).shape == (1, 3, 32, 48)


@pytest.mark.parametrize("model", ["resnet18", "resnet50", "localiser", "timm/test_resnet", "timm/convnext_atto"])
def test_an_image_head_gives_an_image_of_the_size_of_what_it_saw_and_leaves_the_encoders_names(model):
    net = build(NetPlan(model=model, head="image", pool="none"), 3, 64).eval()
    with torch.no_grad():
        assert net(torch.rand(2, 3, 64, 64)).shape == (2, 3, 64, 64)
        side = net.multiple
        assert net(torch.rand(1, 3, 3 * side, side)).shape == (1, 3, 3 * side, side)
    assert not net.gives_maps
    classifier = build(NetPlan(model=model), 5, 64)
    assert net.encoder.state_dict().keys() == classifier.encoder.state_dict().keys()


@pytest.mark.parametrize(
    ("plan", "came"),
    [
        ({"head": "image"}, "got head image with pool avg;"),
        ({"pool": "none"}, "got head linear with pool none;"),
    ],
)
def test_an_image_head_and_unpooled_maps_need_each_other(plan, came):
    with pytest.raises(CorpuscleError, match=rf"net\.pool=none expect each other and one encoder, {came} leave both"):
        check_plan(NetPlan(**plan))


def test_an_encoder_without_maps_makes_no_image():
    with pytest.raises(CorpuscleError, match=r"^net\.pool=none expects an encoder that ends in maps .*, timm/vit_tiny"):
        build(NetPlan(model="timm/vit_tiny_patch16_224", head="image", pool="none"), 3, 224)
