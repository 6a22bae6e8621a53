import json
import os
import stat

import pytest
import safetensors.torch
import torch

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.files import digest_of
from corpuscle.nets.card import CARD, WEIGHTS, Card, load, save
from corpuscle.nets.net import Net
from corpuscle.nets.zoo import NetPlan, build


@pytest.fixture(scope="module")
def net() -> Net:
    torch.manual_seed(0)
    return build(NetPlan(), num_outputs=3, size=32)


def card_of(net: Net) -> Card:
    return Card(
        task="classify",
        classes=("ä", "b", "c"),
        net=net.plan,
        num_outputs=3,
        size=32,
        prepare={"crop": 0.9, "steps": ["resize", {"to": 32}]},
        mean=(0.1, 0.2, 0.3),
        std=(0.4, 0.5, 0.6),
        calibration={"temperature": 1.7},
        trained_on={"images": 240},
    )


@pytest.fixture
def run(net, tmp_path):
    save(tmp_path, net, card_of(net))
    return tmp_path


def edit(run, **changes) -> None:
    values = json.loads((run / CARD).read_text())
    (run / CARD).write_text(json.dumps(values | changes))


def test_a_card_comes_back_as_it_was_with_the_digest_of_the_file(net, tmp_path):
    saved = save(tmp_path, net, card_of(net))
    assert load(tmp_path).card == saved
    assert saved.weights_digest == digest_of((tmp_path / WEIGHTS).read_bytes())
    assert saved == card_of(net).model_copy(
        update={"weights_digest": saved.weights_digest, "corpuscle": saved.corpuscle}
    )


def test_a_card_of_the_first_format_is_read_with_its_temperature(run):
    values = json.loads((run / CARD).read_text())
    del values["calibration"]
    (run / CARD).write_text(json.dumps(values | {"format": 1, "temperature": 1.3}))
    assert load(run).card.calibration == {"temperature": 1.3}
    (run / CARD).write_text(json.dumps(values | {"format": 1}))
    card = load(run).card
    assert (card.format, card.calibration) == (2, {"temperature": 1.0})


def test_weights_are_readable_by_all_plain_fp32_and_contiguous(net, tmp_path):
    half = build(NetPlan(), num_outputs=3, size=32).half().to(memory_format=torch.channels_last)
    save(tmp_path, half, card_of(net))
    tensors = safetensors.torch.load_file(tmp_path / WEIGHTS)
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32, torch.int64}
    assert torch.equal(tensors["encoder.conv1.weight"], half.encoder.conv1.weight.float().contiguous())
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((tmp_path / WEIGHTS).stat().st_mode) == 0o666 & ~mask


def test_loading_gives_a_net_in_evaluation_mode_and_leaves_the_random_generator_alone(run):
    before = torch.random.get_rng_state()
    loaded = load(run)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not any(module.training for module in loaded.net.modules())


def test_loading_never_fetches_the_weights_the_net_once_started_from(net, tmp_path):
    plan = net.plan.model_copy(update={"weights": "/nowhere/any.pth"})
    save(tmp_path, net, card_of(net).model_copy(update={"net": plan}))
    assert load(tmp_path).card.net.weights == "/nowhere/any.pth"


def test_a_save_that_fails_leaves_the_old_run(net, run, monkeypatch):
    other = build(NetPlan(), num_outputs=3, size=32)
    monkeypatch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(CorpuscleError, match=r"^the disk is full: .*weights.safetensors could not be written"):
        save(run, other, card_of(net))
    monkeypatch.undo()
    assert torch.equal(load(run).net.encoder.conv1.weight, net.encoder.conv1.weight)
    assert sorted(path.name for path in run.iterdir()) == [CARD, WEIGHTS]


def no_card(run, net):
    (run / CARD).unlink()
    why = "it has no card.json"
    return f"{run} is not the folder of a finished run ({why}); pass the folder that training named with --out"


def card_is_no_json(run, net):
    (run / CARD).write_text("{")
    return f"{run / CARD} cannot be read as a card ("


def card_is_a_list(run, net):
    (run / CARD).write_text("[]")
    return f"{run / CARD} cannot be read as a card ("


def newer_format(run, net):
    edit(run, format=3, colour="blue")
    return f"{run / CARD} has format 3, Corpuscle "


def card_with_an_unknown_key(run, net):
    edit(run, sise=3)
    return f"{run / CARD} is damaged: sise is not a setting. Did you mean size?; copy the run again"


def card_with_a_value_out_of_range(run, net):
    edit(run, std=[0.5, 0.5, 0])
    return f"{run / CARD} is damaged: std.2 should be greater than 0, got 0; copy the run again"


def weights_missing(run, net):
    (run / WEIGHTS).unlink()
    return f"{run} has a card.json but no weights.safetensors; copy the run again with all its files"


def weights_cut_short(run, net):
    (run / WEIGHTS).write_bytes((run / WEIGHTS).read_bytes()[:100_000])
    return f"{run / WEIGHTS} is cut short or not a safetensors file ("


def weights_empty(run, net):
    (run / WEIGHTS).write_bytes(b"")
    return f"{run / WEIGHTS} is cut short or not a safetensors file ("


def weights_of_another_run(run, net):
    expected = json.loads((run / CARD).read_text())["weights_digest"]
    content = safetensors.torch.save({name: tensor + 1 for name, tensor in net.state_dict().items()})
    (run / WEIGHTS).write_bytes(content)
    return (
        f"{run / WEIGHTS} does not match its card: expected digest {expected}, got {digest_of(content)}; "
        "one of the two is from another run: copy both again"
    )


def card_of_another_net(run, net):
    edit(run, num_outputs=4)
    return (
        f"{run / WEIGHTS} does not fit the net of its card (resnet18, 4 outputs): "
        "head.1.weight expected (4, 512), got (3, 512); head.1.bias expected (4,), got (3,); copy the run again"
    )


DAMAGES = [
    no_card,
    card_is_no_json,
    card_is_a_list,
    newer_format,
    card_with_an_unknown_key,
    card_with_a_value_out_of_range,
    weights_missing,
    weights_cut_short,
    weights_empty,
    weights_of_another_run,
    card_of_another_net,
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_run_is_refused_in_one_line(damage, run, net):
    text = damage(run, net)
    with pytest.raises(CorpuscleError) as error:
        load(run)
    assert str(error.value).startswith(text)
    assert "\n" not in str(error.value)
