import functools
import hashlib
import http.server
import pickle
import threading
from dataclasses import replace

import pytest
import safetensors.torch
import torch
import torchvision

from corpuscle.core.errors import CorpuscleError
from corpuscle.nets.card import Card, save
from corpuscle.nets.weights import IMAGENET_MEAN, load_weights
from corpuscle.nets.zoo import JoinedPlan, NetPlan, build

VIT = "timm/test_vit"  # timm's own net for tests: a third of a million parameters


def small(model: str = "resnet18", size: int = 32, **args):
    return build(NetPlan(model=model, **args), num_outputs=2, size=size)


def encoders_are_equal(net, tensors) -> bool:
    state = net.encoder.state_dict()
    return all(torch.equal(state[name], tensors[name]) for name in state if not name.endswith("num_batches_tracked"))


@functools.cache
def published() -> dict[str, torch.Tensor]:
    """Tensors as torchvision publishes them: with its classifier, without the counters that came later."""
    torch.manual_seed(1)
    state = torchvision.models.resnet18().state_dict()
    state["bn1.running_mean"] += 1
    return {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}


@pytest.fixture
def server(tmp_path):
    """The address of a folder served over HTTP, and the folder."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args) -> None:
            pass

    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}", folder
        served.shutdown()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty cache of fetched weights, and no proxy on the way to this machine."""
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.mark.parametrize("prefix", ["", "encoder.", "module.", "module.encoder."])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_fills_the_encoder_and_leaves_the_head(prefix, suffix, tmp_path):
    path = tmp_path / f"file{suffix}"
    tensors = {f"{prefix}{name}": tensor for name, tensor in published().items()}
    (torch.save if suffix == ".pth" else safetensors.torch.save_file)(tensors, path)
    net = small()
    head = net.head[1].weight.clone()
    loaded = load_weights(net, str(path))
    assert encoders_are_equal(net, published())
    assert torch.equal(net.head[1].weight, head)
    assert loaded.source == f"weights of {path}"
    assert loaded.num_tensors == len(list(net.encoder.parameters())) + 2 * 20
    assert loaded.mean == IMAGENET_MEAN


def test_a_checkpoint_with_its_weights_one_level_down_is_understood(tmp_path):
    torch.save({"epoch": 3, "state_dict": published()}, tmp_path / "file.pt")
    net = small()
    load_weights(net, str(tmp_path / "file.pt"))
    assert encoders_are_equal(net, published())


def test_the_digest_is_that_of_the_tensors_however_they_are_packed(tmp_path):
    torch.save(dict(reversed(published().items())), tmp_path / "a.pth")
    safetensors.torch.save_file(published(), tmp_path / "b.safetensors")
    other = published() | {"conv1.weight": published()["conv1.weight"] + 1}
    torch.save(other, tmp_path / "c.pth")
    a, b, c = (load_weights(small(), str(tmp_path / name)).digest for name in ("a.pth", "b.safetensors", "c.pth"))
    assert a == b != c


def joining(folder, model):
    """A run that joins the encoder of another."""
    one = JoinedPlan(run="runs/a", net=NetPlan(), size=32, mean=(0.1,) * 3, std=(0.9,) * 3, digest="0")
    net = small(model, joined=(one,))
    card = Card(
        task="classify", classes=("a", "b"), net=net.plan, num_outputs=2, size=32, mean=(0.1,) * 3, std=(0.9,) * 3
    )
    save(folder, net, card)
    return net


def test_a_run_that_joins_encoders_gives_its_own_and_says_so(tmp_path):
    first, net = joining(tmp_path, "resnet18"), small()
    loaded = load_weights(net, str(tmp_path))
    assert encoders_are_equal(net, first.encoder.state_dict())
    assert loaded.source.endswith(" (its own resnet18 alone; net.joined takes the others, of runs/a)")


def test_a_run_without_an_encoder_of_its_own_gives_none(tmp_path):
    joining(tmp_path, "none")
    with pytest.raises(
        CorpuscleError,
        match=r"expected a run with an encoder of its own, .* only joins those of runs/a; name these in net\.joined",
    ):
        load_weights(small(), str(tmp_path))


def test_a_run_starts_another_net_with_its_normalisation(tmp_path):
    first = small()
    card = Card(
        task="classify", classes=("a", "b"), net=first.plan, num_outputs=2, size=32, mean=(0.1,) * 3, std=(0.9,) * 3
    )
    save(tmp_path, first, card)
    for source in (tmp_path, tmp_path / "weights.safetensors"):
        net = build(NetPlan(), num_outputs=5, size=32)
        loaded = load_weights(net, str(source))
        assert encoders_are_equal(net, first.encoder.state_dict())
        assert (loaded.mean, loaded.std) == ((0.1,) * 3, (0.9,) * 3)
        assert loaded.source == f"weights of the run {tmp_path}"


def test_weights_of_another_model_are_refused_with_shapes_and_the_flag_that_helps(tmp_path):
    torch.save(published(), tmp_path / "file.pth")
    with pytest.raises(CorpuscleError) as error:
        load_weights(small("resnet34"), str(tmp_path / "file.pth"))
    assert str(error.value) == (
        f"weights of {tmp_path / 'file.pth'} are not for resnet34 with batch norm: "
        "layer1.2.conv1.weight expected (64, 64, 3, 3), is missing; layer1.2.bn1.weight expected (64,), is missing; "
        "layer1.2.bn1.bias expected (64,), is missing; and 77 more; "
        "they are of resnet18 with batch norm: pass --model resnet18"
    )


def saved(folder, model, size=32, **args):
    """A run of an encoder with random weights."""
    pool, head = ("none", "none") if model == "codebook" else ("avg", "linear")
    net = small(model, size, pool=pool, head=head, **args)
    card = Card(task="", classes=("a",), net=net.plan, num_outputs=2, size=size, mean=(0,) * 3, std=(1,) * 3)
    save(folder, net, card)
    return str(folder)


@pytest.mark.parametrize(
    ("of_run", "of_net", "told"),
    [
        ({"model": "codebook", "words": 4}, {}, "they are of codebook: pass --model codebook --set net.words=4"),
        ({"model": "codebook", "words": 4}, {"model": "codebook"}, "they are of codebook: pass --set net.words=4"),
        ({"model": VIT}, {"norm": "group"}, f"they are of {VIT}: pass --model {VIT} --set net.norm=batch"),
    ],
)
def test_weights_of_a_run_of_another_net_are_refused_with_the_flags_that_its_card_tells(tmp_path, of_run, of_net, told):
    run = saved(tmp_path, **of_run)
    with pytest.raises(CorpuscleError) as error:
        load_weights(small(**of_net), run)
    assert str(error.value).endswith(f"; {told}")


def test_the_size_of_the_images_that_a_run_learned_from_is_told_where_it_is_another(tmp_path):
    run = saved(tmp_path, "codebook", size=96, words=4)
    net = small("codebook", 64, words=4)
    told = f"weights of the run {run} (of images of 96 pixels, these have 64)"
    assert load_weights(net, run).source == told


def test_weights_of_batch_norm_are_refused_by_group_norm(tmp_path):
    torch.save(published(), tmp_path / "file.pth")
    with pytest.raises(CorpuscleError, match=r"bn1.running_mean not expected, got \(64,\).*pass --set net.norm=batch$"):
        load_weights(small(norm="group"), str(tmp_path / "file.pth"))
    with pytest.raises(
        CorpuscleError, match=r"^the published weights of resnet18 are for batch norm, net.norm is group"
    ):
        load_weights(small(norm="group"), "imagenet")


def test_weights_of_another_shape_are_refused_and_the_net_stays_as_it_was(tmp_path):
    torch.save(published() | {"conv1.weight": torch.zeros(64, 1, 7, 7)}, tmp_path / "file.pth")
    net = small()
    before = {name: tensor.clone() for name, tensor in net.encoder.state_dict().items()}
    with pytest.raises(
        CorpuscleError,
        match=r"conv1.weight expected \(64, 3, 7, 7\), got \(64, 1, 7, 7\); pass the --model they belong to",
    ):
        load_weights(net, str(tmp_path / "file.pth"))
    assert encoders_are_equal(net, before)


class Payload:
    def __reduce__(self):
        return (open, ("payload", "w"))


@pytest.mark.parametrize("kind", ["text", "cut", "code", "net", "cut.safetensors", "list"])
def test_a_file_that_cannot_be_read_as_weights_is_one_clear_line(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / ("file.safetensors" if kind == "cut.safetensors" else "file.pth")
    if kind == "text":
        path.write_text("no weights at all")
    elif kind == "cut":
        torch.save(published(), path)
        path.write_bytes(path.read_bytes()[:100_000])
    elif kind == "code":
        path.write_bytes(pickle.dumps(Payload(), protocol=2))
    elif kind == "net":
        torch.save(torch.nn.Linear(1, 1), path)
    elif kind == "list":
        torch.save([1, 2], path)
    else:
        path.write_bytes(safetensors.torch.save(published())[:100_000])
    with pytest.raises(CorpuscleError, match=r"^\S+file.(pth|safetensors) expected .*state_dict\(\).*; save") as error:
        load_weights(small(), str(path))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "payload").exists()


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (
            "imagnet",
            r"^--weights expected none, imagenet, a file or a run's folder, got 'imagnet'. Did you mean imagenet\?$",
        ),
        ("gone.pth", r"^no file of weights at gone.pth; pass an existing one with --weights$"),
    ],
)
def test_a_source_that_is_not_there_is_said(source, text):
    with pytest.raises(CorpuscleError, match=text):
        load_weights(small(), source)


def test_published_weights_are_fetched_once_and_checked(server, hub, monkeypatch):
    address, folder = server
    torch.save(published(), folder / "plain.pth")
    file = f"resnet18-{hashlib.sha256((folder / 'plain.pth').read_bytes()).hexdigest()[:8]}.pth"
    (folder / "plain.pth").rename(folder / file)
    entry = torchvision.models.ResNet18_Weights.IMAGENET1K_V1
    monkeypatch.setattr(entry.value, "url", f"{address}/{file}")
    net = small()
    loaded = load_weights(net, "imagenet")
    assert encoders_are_equal(net, published())
    assert loaded.source == f"published weights of resnet18 ({address}/{file})"
    (folder / file).unlink()
    again = small()
    assert load_weights(again, "imagenet") == loaded
    assert encoders_are_equal(again, published())


def test_published_weights_that_come_damaged_are_refused(server, hub, monkeypatch):
    address, folder = server
    torch.save(published(), folder / "resnet18-00000000.pth")
    entry = torchvision.models.ResNet18_Weights.IMAGENET1K_V1
    monkeypatch.setattr(entry.value, "url", f"{address}/resnet18-00000000.pth")
    with pytest.raises(
        CorpuscleError, match=r"^http.*/resnet18-00000000.pth came damaged .*; give the same command again$"
    ):
        load_weights(small(), "imagenet")


def test_without_a_network_the_file_to_fetch_is_named(hub, monkeypatch):
    entry = torchvision.models.ResNet18_Weights.IMAGENET1K_V1
    monkeypatch.setattr(entry.value, "url", "http://127.0.0.1:9/resnet18-f37072fd.pth")
    with pytest.raises(CorpuscleError) as error:
        load_weights(small(), "imagenet")
    assert str(error.value) == (
        "the published weights of resnet18 expected the network, got '[Errno 111] Connection refused'; "
        "fetch http://127.0.0.1:9/resnet18-f37072fd.pth where there is one, and pass --weights FILE"
    )


@pytest.fixture
def timm_address(monkeypatch):
    """Give the published weights of timm's test net another address."""
    import timm
    from timm.models import _registry

    def at(url: str) -> None:
        name = f"test_vit.{timm.get_pretrained_cfg('test_vit').tag}"
        config = replace(timm.get_pretrained_cfg("test_vit"), hf_hub_id=None, url=url)
        for key in ("test_vit", name):
            monkeypatch.setitem(_registry._model_pretrained_cfgs, key, config)

    return at


@pytest.mark.parametrize("size", [160, 96])
def test_timms_published_weights_are_fetched_and_fitted_to_the_size(size, server, hub, timm_address):
    address, folder = server
    import timm

    state = timm.create_model("test_vit").state_dict()
    torch.save(state, folder / "test_vit.pth")
    timm_address(f"{address}/test_vit.pth")
    net = small(VIT, size)
    loaded = load_weights(net, "imagenet")
    came = net.encoder.state_dict()
    assert torch.equal(came["blocks.0.attn.qkv.weight"], state["blocks.0.attn.qkv.weight"])
    assert torch.equal(came["pos_embed"], state["pos_embed"]) == (size == 160)
    assert loaded.mean == (0.5, 0.5, 0.5)
    assert loaded.source == f"published weights of {VIT} ({address}/test_vit.pth)"


@pytest.mark.parametrize("size", [160, 96])
def test_a_file_of_timms_is_fitted_to_the_size(size, tmp_path):
    import timm

    state = timm.create_model("test_vit").state_dict()
    safetensors.torch.save_file(state, tmp_path / "model.safetensors")
    net = small(VIT, size)
    load_weights(net, str(tmp_path / "model.safetensors"))
    came = net.encoder.state_dict()
    assert torch.equal(came["blocks.0.attn.qkv.weight"], state["blocks.0.attn.qkv.weight"])
    assert torch.equal(came["pos_embed"], state["pos_embed"]) == (size == 160)


def test_without_a_network_timms_file_to_fetch_is_named_at_once(timm_address):
    timm_address("http://127.0.0.1:9/test_vit.pth")
    with pytest.raises(CorpuscleError) as error:
        load_weights(small(VIT, 160), "imagenet")
    assert str(error.value) == (
        "the published weights of timm/test_vit expected the network, got '[Errno 111] Connection refused'; "
        "fetch http://127.0.0.1:9/test_vit.pth where there is one, and pass --weights FILE"
    )


def test_a_timm_net_without_published_weights_says_so():
    with pytest.raises(CorpuscleError, match=r"^timm publishes no weights for mixer_s16_224; pass --weights FILE"):
        load_weights(small("mixer_s16_224", 64), "imagenet")


def test_weights_of_another_timm_net_are_refused(tmp_path):
    torch.save(published(), tmp_path / "file.pth")
    with pytest.raises(CorpuscleError, match=r"are not for timm/test_vit: cls_token expected .*pass --model resnet18$"):
        load_weights(small(VIT, 160), str(tmp_path / "file.pth"))
