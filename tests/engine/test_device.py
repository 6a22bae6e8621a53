"""Device, arithmetic and loader processes, chosen or asked for."""

from __future__ import annotations

import pytest
import torch

from corpuscle.core.errors import CorpuscleError
from corpuscle.engine.device import DevicePlan, choose_machine


def test_each_choice_has_its_reason():
    machine = choose_machine(DevicePlan())
    assert set(machine.why) == {"device", "precision", "workers"} and all(machine.why.values())
    assert (machine.rank, machine.world, machine.first) == (0, 1, True)


def test_what_is_asked_for_is_taken():
    machine = choose_machine(DevicePlan(name="cpu", precision="bf16", workers=3))
    assert (machine.device.type, machine.precision, machine.workers) == ("cpu", "bf16", 3)
    assert set(machine.why.values()) == {"asked for"}


def test_autocast_is_what_the_precision_says():
    linear, ones = torch.nn.Linear(2, 2), torch.ones(1, 2)
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        with choose_machine(DevicePlan(name="cpu", precision=precision)).autocast():
            assert linear(ones).dtype == dtype


@pytest.mark.parametrize("name", ["cuda", "cuda:1", "mps"])
def test_a_device_that_is_not_there_is_refused(name, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(CorpuscleError, match=rf"device {name} is not there \(0 .* devices found\); pass --device auto"):
        choose_machine(DevicePlan(name=name))


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cpuu"])
def test_a_word_that_is_no_device_is_refused_with_the_nearest(name):
    with pytest.raises(CorpuscleError, match=rf"'{name}' is not a device; (Known|Did you mean)"):
        choose_machine(DevicePlan(name=name))


@pytest.mark.parametrize(
    ("name", "meant"), [("gpu", "cuda"), ("GPU:1", "cuda"), ("nvidia", "cuda"), ("CUDA", "cuda"), ("metal", "mps")]
)
def test_what_people_call_a_device_is_answered_with_its_name(name, meant):
    with pytest.raises(CorpuscleError, match=rf"^'{name}' is not a device; Did you mean {meant}\?$"):
        choose_machine(DevicePlan(name=name))


def test_half_precision_needs_a_gpu():
    with pytest.raises(CorpuscleError, match="fp16 expects a CUDA GPU, this is cpu; pass bf16, fp32 or auto"):
        choose_machine(DevicePlan(name="cpu", precision="fp16"))


def test_the_processes_of_torchrun_are_seen(monkeypatch):
    for name, value in (("RANK", "1"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    machine = choose_machine(DevicePlan(name="cpu"))
    assert (machine.rank, machine.world, machine.first) == (1, 2, False)
