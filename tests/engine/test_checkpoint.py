"""A checkpoint is whole or the old one, and gives back what was put in, bit by bit."""

from __future__ import annotations

import errno
import multiprocessing
import os
import time

import pytest
import torch
from torch import nn

from corpuscle.core.errors import CorpuscleError
from corpuscle.engine.checkpoint import Place, State, laid_as, load_state, restore_optimizer, save_state
from corpuscle.engine.optim import OptimPlan, build_optimizer


def make_net():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
    return net.to(memory_format=torch.channels_last)


def train(net, optimizer, steps):
    for step in steps:
        image_NCHW = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(step))
        net(image_NCHW.to(memory_format=torch.channels_last)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()


def test_everything_comes_back_as_it_was(tmp_path):
    net = make_net()
    state = State(
        place=Place(1, 2, 3),
        history=[{"epoch": 1, "val_loss": 0.1 + 0.2, "best": True}],
        running={"loss": 1 / 3, "confusion": [[1, 2], [3, 4]]},
        best=2 / 3,
        best_weights={name: value + 1 for name, value in net.state_dict().items()},
        average={"0.weight": net[0].weight.detach() * 2},
        seconds=4.5,
    )
    save_state(tmp_path / "last.safetensors", state, net)
    loaded = load_state(tmp_path / "last.safetensors")
    assert (loaded.state.place, loaded.state.history, loaded.state.running) == (
        state.place,
        state.history,
        state.running,
    )
    assert (loaded.state.best, loaded.state.seconds, loaded.scaler) == (state.best, state.seconds, {})
    for came, put in (
        (loaded.net, net.state_dict()),
        (loaded.state.best_weights, state.best_weights),
        (loaded.state.average, state.average),
    ):
        assert came.keys() == put.keys()
        assert all(torch.equal(came[name], put[name]) and came[name].dtype == put[name].dtype for name in put)


@pytest.mark.parametrize("optimiser", ["sgd", "adam", "adamw"])
def test_an_optimiser_goes_on_where_it_was(tmp_path, optimiser):
    plan = OptimPlan(optimiser=optimiser)
    whole = make_net()
    train(whole, build_optimizer(plan, whole), range(4))

    first = make_net()
    optimizer = build_optimizer(plan, first)
    train(first, optimizer, range(2))
    save_state(tmp_path / "last.safetensors", State(), first, optimizer)
    second = make_net()
    loaded = load_state(tmp_path / "last.safetensors")
    second.load_state_dict(loaded.net)
    optimizer = build_optimizer(plan, second)
    restore_optimizer(optimizer, loaded.optim)
    train(second, optimizer, range(2, 4))
    assert all(
        torch.equal(a, b) for a, b in zip(whole.state_dict().values(), second.state_dict().values(), strict=True)
    )


def test_a_tensor_is_laid_as_its_pattern():
    pattern = torch.zeros(2, 3, 4, 5).to(memory_format=torch.channels_last)
    value = torch.arange(120.0).view(2, 3, 4, 5)
    laid = laid_as(pattern, value)
    assert laid.stride() == pattern.stride() != value.stride()
    assert torch.equal(laid, value)


def test_no_pickle_is_read(tmp_path):
    torch.save({"net": 1}, tmp_path / "last.safetensors")
    with pytest.raises(CorpuscleError, match="is not a whole checkpoint"):
        load_state(tmp_path / "last.safetensors")


def test_weights_without_a_state_are_no_checkpoint(tmp_path):
    from safetensors.torch import save_file

    save_file({"net.weight": torch.ones(2)}, tmp_path / "last.safetensors")
    with pytest.raises(CorpuscleError, match="is not a whole checkpoint"):
        load_state(tmp_path / "last.safetensors")


def save_for_ever(path):
    net = make_net()
    for step in range(10**9):
        save_state(path, State(place=Place(step=step)), net)


def test_a_kill_while_it_is_written_leaves_a_whole_one(tmp_path):
    path = tmp_path / "last.safetensors"
    save_state(path, State(place=Place(step=7)), make_net())
    for number in range(6):
        process = multiprocessing.get_context("fork").Process(target=save_for_ever, args=(path,))
        process.start()
        while not (parts := list(tmp_path.glob(".*.part"))):
            time.sleep(0.0002 * number)
        process.kill()
        process.join()
        assert load_state(path).state.place.step >= 0
        for part in parts:
            part.unlink(missing_ok=True)


@pytest.mark.parametrize("where", ["fsync", "write"])
def test_a_full_disk_is_one_clear_line_and_the_old_checkpoint_stays(tmp_path, monkeypatch, where):
    path = tmp_path / "last.safetensors"
    save_state(path, State(place=Place(step=1)), make_net())
    old = path.read_bytes()
    if where == "fsync":

        def full(handle):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", full)
    else:
        from safetensors import SafetensorError

        def full(*args, **options):  # what safetensors raises on a disk of 2 MB
            raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

        monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(CorpuscleError) as raised:
        save_state(path, State(place=Place(step=2)), make_net())
    message = f"the disk is full: {path} could not be written; free some space and give the same command again"
    assert str(raised.value) == message
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]
