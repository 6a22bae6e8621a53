"""The training loop. Different things come in as arguments, not as subclasses."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.seeds import seed_for
from corpuscle.core.stopped import Stopped
from corpuscle.engine.average import copied, kept_weights, move_average
from corpuscle.engine.log import Epoch, Sums, add_to, epoch_row, epochs_since_best, say_row, total
from corpuscle.engine.plan import choose_validation
from corpuscle.engine.schedule import FitPlan, Stage, learning_rate

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from corpuscle.core.progress import Progress
    from corpuscle.data.loader import Batch, Loader
    from corpuscle.engine.checkpoint import State
    from corpuscle.engine.device import Machine
    from corpuscle.tasks.task import Task


STAGE_STRIDE = 1_000_000  # epochs of all stages are numbered apart, so that no two see the same order


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
        names_of: from a batch to its files, for error messages.
        save: writes a checkpoint now.
        log: writes the rows of the finished epochs.
        stopping: whether someone asked to stop.
        progress: shows how far it is.
        spare: holds what learns while what is kept is judged.
    """

    net: nn.Module
    whole: nn.Module
    prefix: str
    task: Task
    train: Loader
    val: Loader | None
    optimizer: Optimizer
    scaler: Any
    names_of: Callable[[Batch], str]
    save: Callable[[], None]
    log: Callable[[], None]
    stopping: Callable[[], int]
    progress: Progress
    spare: dict[str, torch.Tensor] = field(default_factory=dict)


def fit_stage(work: Work, stage: Stage, plan: FitPlan, seed: int, state: State, machine: Machine) -> None:
    """Train one stage from where the state stands to its end, changing net and state.

    Raises:
        Stopped: after a checkpoint at the next step, once `work.stopping` says so.
        CorpuscleError: the loss is not finite.
    """
    shared = machine.shared(work.net)
    saved_at = time.monotonic()
    while state.place.epoch < stage.epochs:
        if _patience_ends(work, stage, plan, state):
            work.progress.say(f"no improvement in {plan.patience} epochs: this stage ends early")
            break
        train_epoch(work, shared, stage, plan, seed, state, machine)
        row = finish_epoch(work, stage, plan, state, machine)
        state.history.append(row)
        say_row(work.progress, row)
        state.running = {}
        state.at(epoch=state.place.epoch + 1, step=0)
        work.log()
        if time.monotonic() - saved_at > plan.save_every:
            work.save()
            saved_at = time.monotonic()


def _patience_ends(work: Work, stage: Stage, plan: FitPlan, state: State) -> bool:
    """Whether the epochs without improvement are more than are waited for, as the last validation shows."""
    judged_now = work.val is None or is_validated(work, stage, plan, state.place.epoch - 1)
    return (
        bool(plan.patience) and judged_now and epochs_since_best(state.history, state.place.stage + 1) >= plan.patience
    )


def is_validated(work: Work, stage: Stage, plan: FitPlan, epoch: int) -> bool:
    """Whether an epoch of the stage, from 0, is judged on the validation part."""
    if work.val is None:
        return False
    every = plan.validate_every or choose_validation(len(work.train.order.places), len(work.val.order.places))
    return (epoch + 1) % every == 0 or epoch + 1 == stage.epochs


def finish_epoch(work: Work, stage: Stage, plan: FitPlan, state: State, machine: Machine) -> dict[str, Any]:
    """Judge the epoch that has just ended, keep its weights if they are the best, and return its row of the log."""
    kept = machine.same(kept_weights(work.net, state))
    validated = None
    if is_validated(work, stage, plan, state.place.epoch):
        assert work.val is not None
        copied(work.spare, work.net.state_dict())
        work.net.load_state_dict(kept)
        validated = validate(work.net, work.val, work.task, machine)
        work.net.load_state_dict(work.spare)
    rate = learning_rate(stage, (state.place.epoch + 1) * len(work.train) - 1, len(work.train))
    epoch = Epoch(len(state.history) + 1, state.place.stage + 1, stage.train, rate, machine.world)
    row = epoch_row(epoch, work.task, total(machine.gathered(state.running)), validated)
    row = judged(row, work.task, state)
    if row["best"] or plan.keep == "last" or work.val is None:
        whole = work.whole.state_dict() | {work.prefix + name: value for name, value in kept.items()}
        copied(state.best_weights, whole)
    return row


def judged(row: dict[str, Any], task: Task, state: State) -> dict[str, Any]:
    """The row with whether it is the best so far, which the state then remembers."""
    watched = row.get(task.watch.column)
    improved = watched is not None and task.watch.better(watched, state.best)
    if improved:
        state.best = watched
    return row | {"best": improved}


def train_epoch(
    work: Work, shared: nn.Module, stage: Stage, plan: FitPlan, seed: int, state: State, machine: Machine
) -> None:
    """Go on with the epoch the state stands in, to its end."""
    work.net.train()
    steps, size = len(work.train), work.train.order.batch_size
    batches = work.train.epoch(state.place.stage * STAGE_STRIDE + state.place.epoch, start=state.place.step)
    last = len(state.history) - state.place.epoch + stage.epochs
    title, done = f"epoch {len(state.history) + 1} of {last}", state.place.step * size
    clock = time.perf_counter()
    for batch in work.progress.track(batches, title, steps * size, done=done, per_item=size):
        waited = time.perf_counter() - clock
        step = state.place.epoch * steps + state.place.step
        for group in work.optimizer.param_groups:
            group["lr"] = learning_rate(stage, step, steps)
        torch.manual_seed(seed_for(seed, "step", state.place.stage, step, machine.rank))
        signal = train_step(work, shared, batch.to(machine.device), plan, state, machine)
        move_average(work.net, plan.average, step, state)
        state.at(step=state.place.step + 1)
        passed, clock = time.perf_counter() - clock, time.perf_counter()
        add_to(state.running, {"wait": waited, "seconds": passed})
        if signal:
            save_midway(work, state, machine)
            raise Stopped(signal)


def train_step(work: Work, shared: nn.Module, batch: Batch, plan: FitPlan, state: State, machine: Machine) -> int:
    """One optimiser step.

    Returns:
        The signal that asks to stop, 0 for none; the same in all processes.

    Raises:
        CorpuscleError: loss or gradient is not finite; the state before this step has been saved.
    """
    before = [buffer.clone() for buffer in work.net.buffers()]
    learned = gradients(work, shared, batch, plan, machine)
    came = machine.gathered((learned.fault, work.stopping()))
    if faults := [fault for fault, _ in came if fault]:
        for buffer, old in zip(work.net.buffers(), before, strict=True):
            buffer.copy_(old)  # running statistics have seen the bad step already
        save_midway(work, state, machine)
        rate = work.optimizer.param_groups[0]["lr"]
        raise CorpuscleError(
            f"epoch {len(state.history) + 1}, step {state.place.step + 1}, learning rate {rate:g}: expected a finite "
            f"{faults[0]}; the state before this step is kept in checkpoints/; with another --out, lower "
            "--learning-rate or pass --set device.precision=fp32"
        )
    work.scaler.step(work.optimizer)
    work.scaler.update()
    work.optimizer.zero_grad(set_to_none=True)
    add_to(state.running, learned.sums)
    return max(signal for _, signal in came)


@dataclass(frozen=True)
class Learned:
    """What came of a batch, beside its gradients: its sums, and what was not finite, in words."""

    sums: Sums
    fault: str


def gradients(work: Work, shared: nn.Module, batch: Batch, plan: FitPlan, machine: Machine) -> Learned:
    """Gather the gradients of a batch, piece by piece; processes share theirs with the last piece."""
    outputs: list[torch.Tensor] = []
    truths: list[torch.Tensor] = []
    size = work.train.order.batch_size * work.task.views
    loss_sum, fault = 0.0, ""
    pieces = batch.pieces(plan.accumulate)
    for piece in pieces:
        with contextlib.nullcontext() if piece is pieces[-1] else machine.apart(shared):
            image_NCHW = piece.image_NCHW
            with machine.autocast():
                output = shared(image_NCHW, *piece.beside)
            truths.append(image_NCHW if work.task.learns_images else piece.target)
            loss = work.task.loss(output, truths[-1])
            share = len(piece) * machine.world / size
            work.scaler.scale(loss * share).backward()
        value = loss.item()
        if not math.isfinite(value):
            fault = fault or f"loss, got {value} on {work.names_of(piece)}"
        loss_sum += value * len(piece)
        outputs.append(output.detach())
    work.scaler.unscale_(work.optimizer)
    norm = torch.nn.utils.clip_grad_norm_(work.net.parameters(), plan.clip_norm or math.inf).item()
    if not math.isfinite(norm) and not work.scaler.is_enabled():  # with fp16 the scaler skips the step by itself
        fault = fault or f"gradient, got a length of {norm} on {work.names_of(batch)}"
    sums = work.task.sums(torch.cat(outputs), torch.cat(truths))
    return Learned({"loss": loss_sum, **sums}, fault)


def save_midway(work: Work, state: State, machine: Machine) -> None:
    """Write a checkpoint within an epoch; the first process goes on with the sums of all."""
    state.running = total(machine.gathered(state.running))
    work.save()


def validate(net: nn.Module, loader: Loader, task: Task, machine: Machine) -> Sums:
    """The sums of a part, over all processes."""
    net.eval()
    sums: Sums = {}
    with torch.inference_mode():
        for batch in loader.epoch(0):
            batch = batch.to(machine.device)
            image_NCHW = batch.image_NCHW
            with machine.autocast():
                output = net(image_NCHW, *batch.beside)
            truth = image_NCHW if task.learns_images else batch.target
            loss = task.loss(output, truth).item() * len(batch)
            add_to(sums, {"loss": loss, **task.sums(output, truth)})
    return total(machine.gathered(sums))
