"""The training loop. Different things come in as arguments, not as subclasses."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from pydantic import Field

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.seeds import seed_for
from corpuscle.core.settings import Settings
from corpuscle.core.stopped import Stopped
from corpuscle.engine.average import kept_weights, move_average
from corpuscle.engine.log import Sums, add_to, epoch_row, epochs_since_best, say_row, total
from corpuscle.engine.schedule import Stage, learning_rate

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from corpuscle.core.progress import Progress
    from corpuscle.data.loader import Batch, Loader
    from corpuscle.engine.checkpoint import State
    from corpuscle.engine.device import Machine
    from corpuscle.tasks.task import Task


STAGE_STRIDE = 1_000_000  # epochs of all stages are numbered apart, so that no two see the same order


class FitPlan(Settings):
    """How a net is fitted."""

    batch_size: int = Field(32, ge=2, le=65_536, description="images an optimiser step, over all devices")
    accumulate: int = Field(1, ge=1, le=1024, description="pieces a batch is computed in, to save memory")
    label_smoothing: float = Field(0.1, ge=0.0, lt=1.0, description="share of the target spread over all classes")
    balance: Literal["none", "weights", "sampling"] = Field(
        "none", description="rare classes count more in the loss, or are drawn more often"
    )
    average: float = Field(
        0.99, ge=0.0, lt=1.0, description="decay a step of the moving average of the weights; 0 is none"
    )
    clip_norm: float = Field(5.0, ge=0.0, description="longest gradient that is followed in full; 0 is any")
    patience: int = Field(0, ge=0, description="epochs without improvement after which a stage ends early; 0 is never")
    keep: Literal["best", "last"] = Field("best", description="which epoch's weights are kept, by the validation part")
    save_every: float = Field(30.0, ge=0.0, description="seconds between checkpoints at the end of epochs, at least")


@dataclass(frozen=True)
class Work:
    """What a stage is fitted with.

    Attributes:
        net: module that is trained: the whole net, or its head on features.
        whole: the whole net; `prefix` names `net` within it.
        task: says the loss and the scores.
        train, val: batches; `val` is None where there is no validation part.
        optimizer: over the parameters that learn.
        scaler: of the loss, for fp16.
        name_of: from a batch to its files, for error messages.
        save: writes a checkpoint now.
        log: writes the rows of the finished epochs.
        stopping: whether someone asked to stop.
        progress: shows how far it is.
    """

    net: nn.Module
    whole: nn.Module
    prefix: str
    task: Task
    train: Loader
    val: Loader | None
    optimizer: Optimizer
    scaler: Any
    name_of: Callable[[Batch], str]
    save: Callable[[], None]
    log: Callable[[], None]
    stopping: Callable[[], int]
    progress: Progress


def fit_stage(work: Work, stage: Stage, plan: FitPlan, seed: int, state: State, machine: Machine) -> None:
    """Train one stage from where the state stands to its end, changing net and state.

    Raises:
        Stopped: after a checkpoint at the next step, once `work.stopping` says so.
        CorpuscleError: the loss is not finite.
    """
    shared = machine.shared(work.net)
    saved_at = time.monotonic()
    for epoch in range(state.place.epoch, stage.epochs):
        train_epoch(work, shared, stage, plan, seed, state, machine)
        row = finish_epoch(work, stage, plan, state, machine)
        state.history.append(row)
        say_row(work.progress, row)
        state.running = {}
        state.at(epoch=epoch + 1, step=0)
        work.log()
        if time.monotonic() - saved_at > plan.save_every:
            work.save()
            saved_at = time.monotonic()
        if plan.patience and epochs_since_best(state.history) >= plan.patience:
            work.progress.say(f"no improvement in {plan.patience} epochs: this stage ends early")
            break


def finish_epoch(work: Work, stage: Stage, plan: FitPlan, state: State, machine: Machine) -> dict[str, Any]:
    """Judge the epoch that has just ended, keep its weights if they are the best, and return its row of the log."""
    kept = machine.same(kept_weights(work.net, state))
    validated = None
    if work.val is not None:
        learning = {name: value.clone() for name, value in work.net.state_dict().items()}
        work.net.load_state_dict(kept)
        validated = validate(work.net, work.val, work.task, machine)
        work.net.load_state_dict(learning)
    row = epoch_row(work.task, stage, state, total(machine.gathered(state.running)), validated)
    watched = row.get(work.task.watch.column)
    improved = watched is not None and work.task.watch.better(watched, state.best)
    if improved:
        state.best = watched
    if improved or plan.keep == "last" or validated is None:
        whole = work.whole.state_dict() | {work.prefix + name: value for name, value in kept.items()}
        state.best_weights = {name: value.clone() for name, value in whole.items()}
    state.seconds += row["seconds"]
    return row | {"best": improved}


def train_epoch(
    work: Work, shared: nn.Module, stage: Stage, plan: FitPlan, seed: int, state: State, machine: Machine
) -> None:
    """Go on with the epoch the state stands in, to its end."""
    work.net.train()
    run, steps = state.running, len(work.train)
    batches = work.train.epoch(state.place.stage * STAGE_STRIDE + state.place.epoch, start=state.place.step)
    title = f"epoch {len(state.history) + 1}"
    size = work.train.order.batch_size
    waited_from = started = time.perf_counter()
    done = state.place.step * size
    for batch in work.progress.track(batches, title, steps * size, done=done, per_item=size):
        run["wait"] = run.get("wait", 0.0) + time.perf_counter() - waited_from
        step = state.place.epoch * steps + state.place.step
        for group in work.optimizer.param_groups:
            group["lr"] = learning_rate(stage, step, steps)
        run["learning_rate"] = work.optimizer.param_groups[0]["lr"]
        torch.manual_seed(seed_for(seed, "step", state.place.stage, step, machine.rank))
        train_step(work, shared, batch.to(machine.device), plan, run, machine)
        move_average(work.net, plan.average, step, state)
        state.at(step=state.place.step + 1)
        if signal := max(machine.gathered(work.stopping())):
            run["seconds"] = run.get("seconds", 0.0) + time.perf_counter() - started
            work.save()
            raise Stopped(signal)
        waited_from = time.perf_counter()
    run["seconds"] = run.get("seconds", 0.0) + time.perf_counter() - started


def train_step(
    work: Work, shared: nn.Module, batch: Batch, plan: FitPlan, run: dict[str, Any], machine: Machine
) -> None:
    """One optimiser step; sums go to `run`."""
    outputs, losses = [], []
    for piece in batch.split(-(-len(batch) // plan.accumulate)):
        with machine.autocast():
            output = shared(piece.image_NCHW)
        loss = work.task.loss(output, piece.target_N) * (len(piece) / len(batch))
        losses.append(check_finite(loss.item(), "loss", work, piece))
        outputs.append(output.detach())
        work.scaler.scale(loss).backward()
    work.scaler.unscale_(work.optimizer)
    norm = torch.nn.utils.clip_grad_norm_(work.net.parameters(), plan.clip_norm or math.inf).item()
    if not work.scaler.is_enabled():  # with fp16 the scaler skips the step and lowers its scale by itself
        check_finite(norm, "gradient", work, batch)
    work.scaler.step(work.optimizer)
    work.scaler.update()
    work.optimizer.zero_grad(set_to_none=True)
    decoded = work.task.decode(torch.cat(outputs))
    add_to(run, {"loss": sum(losses) * len(batch), **work.task.sums(decoded, batch.target_N.cpu().numpy())})


def check_finite(value: float, what: str, work: Work, batch: Batch) -> float:
    """The value, if it is a finite number.

    Raises:
        CorpuscleError: names the files of the batch; the state before this step has been saved.
    """
    if math.isfinite(value):
        return value
    work.optimizer.zero_grad(set_to_none=True)
    work.save()
    rate = work.optimizer.param_groups[0]["lr"]
    raise CorpuscleError(
        f"expected a finite {what}, got {value} at learning rate {rate:g}, {work.name_of(batch)}; the last good "
        "state is kept in checkpoints/; with another --out, lower --learning-rate or pass --set device.precision=fp32"
    )


def validate(net: nn.Module, loader: Loader, task: Task, machine: Machine) -> Sums:
    """The sums of a part, over all processes."""
    net.eval()
    sums: Sums = {}
    with torch.inference_mode():
        for batch in loader.epoch(0):
            batch = batch.to(machine.device)
            with machine.autocast():
                output = net(batch.image_NCHW)
            add_to(sums, task.sums(task.decode(output), batch.target_N.cpu().numpy()))
    return total(machine.gathered(sums))
