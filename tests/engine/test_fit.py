"""The loop: what it stops for, what it keeps, how a batch is divided."""

from __future__ import annotations

import csv
import itertools
import math

import pytest
import torch

from corpuscle.core.errors import CorpuscleError
from corpuscle.engine import fit as module
from corpuscle.engine.checkpoint import load_state
from corpuscle.engine.run_folder import CHECKPOINT, LOG
from corpuscle.engine.train import Call
from corpuscle.nets.card import load
from corpuscle.tasks.classify import Classify


def log(run):
    with (run / LOG).open() as file:
        return list(csv.DictReader(file))


def weights(run):
    return load(run).net.state_dict()


def spoil_loss(monkeypatch, call, value):
    """Let the loss of one step be something else."""
    sound, number = Classify.loss, itertools.count(1)

    def loss(self, output, target):
        learns = output.requires_grad
        return sound(self, output, target) * (value if learns and next(number) == call else 1.0)

    monkeypatch.setattr(Classify, "loss", loss)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_with_the_step_and_the_files_named(fit, digest, tmp_path, monkeypatch, value):
    with monkeypatch.context() as spoilt:
        spoil_loss(spoilt, 6, value)
        with pytest.raises(CorpuscleError) as raised:
            fit(tmp_path / "run")
    message = str(raised.value)
    assert message.startswith(f"epoch 2, step 2, learning rate 0.00171429: expected a finite loss, got {value} on ")
    named = message.partition(" on ")[2].partition(";")[0].split(", ")
    assert len(named) == 8
    assert all((fit.cells / name).is_file() for name in named)
    assert "; the state before this step is kept in checkpoints/; with another --out, lower --learning-rate" in message

    loaded = load_state(tmp_path / "run" / CHECKPOINT)
    assert (loaded.state.place.epoch, loaded.state.place.step) == (1, 1)
    assert all(value.isfinite().all() for value in [*loaded.net.values(), *loaded.state.average.values()])
    fit(tmp_path / "run")  # the same command goes on from there, as if nothing had been
    assert digest(tmp_path / "run") == digest(fit(tmp_path / "whole"))


def test_running_statistics_that_a_bad_step_spoilt_are_not_saved(fit, tmp_path, monkeypatch):
    sound, number = torch.nn.BatchNorm2d.forward, itertools.count()

    def forward(self, image_NCHW):
        return sound(self, image_NCHW * (math.inf if self.training and next(number) > 30 else 1.0))

    monkeypatch.setattr(torch.nn.BatchNorm2d, "forward", forward)
    with pytest.raises(CorpuscleError, match="expected a finite loss, got nan"):
        fit(tmp_path / "run")
    loaded = load_state(tmp_path / "run" / CHECKPOINT)
    assert any("running_var" in name for name in loaded.net)
    assert all(value.isfinite().all() for value in loaded.net.values())


def test_a_gradient_that_is_not_finite_stops_too(fit, tmp_path, monkeypatch):
    class Spoil(torch.autograd.Function):
        @staticmethod
        def forward(ctx, loss):
            return loss.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient * math.nan

    sound = Classify.loss
    monkeypatch.setattr(Classify, "loss", lambda self, output, target: Spoil.apply(sound(self, output, target)))
    with pytest.raises(
        CorpuscleError, match=r"epoch 1, step 1, .* expected a finite gradient, got a length of nan on "
    ):
        fit(tmp_path / "run")


def test_a_far_too_high_learning_rate_ends_in_one_clear_line(fit, tmp_path):
    with pytest.raises(CorpuscleError, match=r"learning rate 100: expected a finite (loss|gradient), got"):
        fit(
            tmp_path / "run",
            stages=[{"epochs": 30, "learning_rate": 100, "schedule": "constant", "warm_up": 0}],
            optim__optimiser="sgd",
            optim__weight_decay=1.0,
            fit__clip_norm=0,
            fit__average=0,
            net__model="resnet18",
            net__norm="group",
        )


def test_pieces_of_a_batch_give_the_same_step_but_for_rounding(fit, tmp_path):
    # layer normalisation sees each image alone
    settings = {"net__model": "timm/test_convnext", "net__dropout": 0, "optim__optimiser": "sgd", "fit__clip_norm": 0}
    stages = [{"epochs": 1, "learning_rate": 0.1, "warm_up": 0}]
    start, whole, pieces = (
        weights(fit(tmp_path / name, stages=[stages[0] | more], fit__accumulate=count, fit__average=0, **settings))
        for name, count, more in (("start", 1, {"learning_rate": 1e-9}), ("whole", 1, {}), ("pieces", 3, {}))
    )
    for name in whole:
        torch.testing.assert_close(pieces[name], whole[name], rtol=0, atol=1e-4)
    assert max((whole[name] - start[name]).abs().max() for name in whole) > 0.1


def test_a_stage_ends_early_once_nothing_improves(fit, tmp_path, monkeypatch, listener):
    recalls, sound = iter([0.5, 0.6, 0.6, 0.4, 0.9]), module.epoch_row
    monkeypatch.setattr(module, "epoch_row", lambda *args: sound(*args) | {"val_recall": next(recalls)})
    run = fit(tmp_path / "run", Call({}, progress=listener), stages=[{"epochs": 9}], fit__patience=2, fit__keep="best")
    assert [row["best"] for row in log(run)] == ["true", "true", "false", "false"]
    assert "no improvement in 2 epochs: this stage ends early" in listener.lines


def test_the_best_epoch_is_kept_and_the_last_where_asked(fit, tmp_path, monkeypatch):
    sound = module.epoch_row
    monkeypatch.setattr(
        module, "epoch_row", lambda epoch, *args: sound(epoch, *args) | {"val_recall": 1.0 / epoch.number}
    )
    stage = {"schedule": "constant", "warm_up": 0}
    one, best, last = (
        weights(fit(tmp_path / name, fit__keep=keep, stages=[stage | {"epochs": epochs}]))
        for name, keep, epochs in (("one", "last", 1), ("best", "best", 3), ("last", "last", 3))
    )
    assert all(torch.equal(one[name], best[name]) for name in one)
    assert any(not torch.equal(one[name], last[name]) for name in one)


def test_each_stage_is_logged_with_what_learned_and_at_which_rate(fit, tmp_path):
    table = [[1, 0.01], [2, 0.001]]
    stages = [{"train": "head", "epochs": 2, "schedule": "table", "table": table}, {"epochs": 1, "warm_up": 0}]
    rows = log(fit(tmp_path / "run", stages=stages))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [row["stage"] for row in rows] == ["1", "1", "2"]
    assert [row["train"] for row in rows] == ["head", "head", "all"]
    assert [float(row["learning_rate"]) for row in rows[:2]] == [0.01, 0.001]
    assert float(rows[2]["learning_rate"]) == pytest.approx(0.001 * (1 + math.cos(math.pi * 3 / 4)))
    assert all(0 <= float(row["data_wait"]) <= 1 and float(row["images_per_second"]) > 0 for row in rows)


def test_the_head_learns_on_a_frozen_encoder_and_all_parameters_after_it(fit, tmp_path):
    settings = {"fit__average": 0, "stages": [{"train": "head", "epochs": 1, "warm_up": 0}]}
    probed = weights(fit(tmp_path / "head", **settings))
    longer = weights(fit(tmp_path / "longer", **settings | {"stages": [settings["stages"][0] | {"epochs": 3}]}))
    for name, value in probed.items():  # running statistics of the encoder too
        assert torch.equal(value, longer[name]) == name.startswith("encoder."), name
    tuned = weights(fit(tmp_path / "all", **settings | {"stages": [*settings["stages"], {"epochs": 1}]}))
    changed = {name for name, value in probed.items() if not torch.equal(value, tuned[name])}
    assert {name for name in probed if name.endswith(("weight", "running_mean", "running_var"))} <= changed


def test_label_smoothing_and_class_weights_reach_the_loss(fit, tmp_path):
    plain, smooth, weighted = (
        weights(fit(tmp_path / name, **{"fit__label_smoothing": 0.0, "epochs": [1]} | changed))
        for name, changed in (
            ("plain", {}),
            ("smooth", {"fit__label_smoothing": 0.2}),
            ("balanced", {"fit__balance": "weights"}),
        )
    )
    head = "head.1.weight"
    assert not torch.equal(plain[head], smooth[head])
    torch.testing.assert_close(plain[head], weighted[head])  # the drawn classes are of one size: nothing to balance


def test_clipping_shortens_a_long_gradient(fit, tmp_path):
    settings = {"optim__optimiser": "sgd", "fit__average": 0, "optim__weight_decay": 0, "optim__momentum": 0}
    stage = {"epochs": 1, "schedule": "constant", "warm_up": 0}
    start, free, clipped = (
        weights(fit(tmp_path / name, stages=[stage | {"learning_rate": rate}], fit__clip_norm=norm, **settings))
        for name, rate, norm in (("start", 1e-9, 0), ("free", 0.1, 0), ("clipped", 0.1, 1e-4))
    )
    far, near = (
        max((after[name] - start[name]).abs().max() for name in start if name.endswith("weight"))
        for after in (free, clipped)
    )
    assert far > 1e-2
    assert 0 < near <= 4 * 0.1 * 1e-4 * 1.01  # four steps no longer than the rate times the norm


def test_an_epoch_that_is_not_validated_has_no_scores_and_is_not_kept(fit, tmp_path):
    run = fit(tmp_path / "run", **{"epochs": [5], "fit.validate_every": 2})
    rows = log(run)
    assert [bool(row["val_loss"]) for row in rows] == [False, True, False, True, True]  # the last one always
    assert not any(row["best"] == "true" for row in rows if not row["val_loss"])
    assert any(row["best"] == "true" for row in rows)


def test_patience_waits_for_a_validation(fit, tmp_path):
    run = fit(tmp_path / "run", **{"epochs": [9], "fit.validate_every": 3, "fit.patience": 1, "learning_rate": 1e-9})
    assert len(log(run)) in (6, 9) and bool(log(run)[-1]["val_loss"])
