"""Stages of a training, how a net is fitted in them, and the learning rate at each step. Settings, so without torch."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from corpuscle.core.settings import Settings

AT_ONCE = ("probe", "words")  # stages that are fitted in one go


class Stage(Settings):
    """A stretch of training in which the same parameters learn."""

    train: Literal["all", "head", "probe", "words"] = Field(
        "all",
        description="what learns: every parameter, the head on a frozen encoder, or the same head fitted in one go "
        "(logistic regression; with net.head neighbours the training images are remembered), or a codebook's words",
    )
    epochs: int = Field(
        0,
        ge=0,
        le=100_000,
        description="passes over the training part; 0 chooses by the number of images; what is fitted at once has none",
    )
    learning_rate: float = Field(0.002, gt=0.0, le=100.0, description="highest learning rate of the stage")
    schedule: Literal["cosine", "constant", "table"] = Field("cosine", description="course of the learning rate")
    warm_up: float = Field(
        2.0, ge=0.0, description="epochs in which the learning rate rises from zero in a straight line"
    )
    table: tuple[tuple[int, float], ...] = Field(
        (),
        validate_default=True,
        description="with schedule 'table': pairs of an epoch (from 1) and the learning rate from then on",
    )
    views: int = Field(
        4,
        ge=1,
        le=64,
        description="with train 'head': augmented views whose features are computed once; with 'probe': the image as "
        "it is and augmented views of it, fitted together; with 'all' and net.joined: the same views, in turn",
    )

    @field_validator("table")
    @classmethod
    def _in_order(cls, table: tuple[tuple[int, float], ...], info: ValidationInfo) -> tuple[tuple[int, float], ...]:
        if bool(table) != (info.data.get("schedule") == "table"):
            raise ValueError("should be given with schedule 'table', and with no other schedule")
        epochs = [epoch for epoch, _ in table]
        if epochs != sorted(set(epochs)) or (epochs and epochs[0] != 1):
            raise ValueError("should start at epoch 1 and go up, as in [[1, 0.001], [11, 0.0003]]")
        if any(rate <= 0 for _, rate in table):
            raise ValueError("should have learning rates greater than 0")
        return table


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
    images: int = Field(
        0,
        ge=0,
        description="images to see in a stage whose epochs are left open; 0 is 36,000, in no fewer than 30 epochs; "
        "never more than 100 epochs",
    )
    validate_every: int = Field(
        0,
        ge=0,
        description="epochs from one validation to the next, beside the last; 0 validates once as many images have "
        "learned as are validated",
    )
    patience: int = Field(0, ge=0, description="epochs without improvement after which a stage ends early; 0 is never")
    keep: Literal["best", "last"] = Field("best", description="which epoch's weights are kept, by the validation part")
    keep_improved: int = Field(
        0, ge=0, le=100, description="newest weights of epochs that improved, kept beside the best, with state.json"
    )
    save_every: float = Field(30.0, ge=0.0, description="seconds between checkpoints at the end of epochs, at least")


def learning_rate(stage: Stage, step: int, steps_per_epoch: int) -> float:
    """The learning rate of one optimiser step; no state, so a resumed run has the same.

    Args:
        stage: whose schedule it is.
        step: counted over the stage, from 0.
        steps_per_epoch: of the stage.

    Source: Loshchilov and Hutter 2017 (cosine), Goyal et al. 2017 (warm-up).
    """
    if stage.schedule == "table":
        epoch = step // steps_per_epoch + 1
        return next(rate for first, rate in reversed(stage.table) if first <= epoch)
    total = stage.epochs * steps_per_epoch
    rising = min(round(stage.warm_up * steps_per_epoch), total - 1)
    if step < rising:
        return stage.learning_rate * (step + 1) / rising
    if stage.schedule == "constant":
        return stage.learning_rate
    return stage.learning_rate * 0.5 * (1.0 + math.cos(math.pi * (step - rising) / (total - rising)))
