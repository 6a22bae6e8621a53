"""An experiment is all choices of a run in one record; each section stands beside the code that reads it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from corpuscle.core.settings import Settings
from corpuscle.data.doctor.audit import GuardPlan
from corpuscle.data.prepare import PreparePlan
from corpuscle.data.readers.image import ReadPlan
from corpuscle.data.sources import SourcePlan
from corpuscle.data.splits import SplitPlan
from corpuscle.data.steps import StepsPlan
from corpuscle.data.transforms import AugmentPlan
from corpuscle.engine.device import DevicePlan
from corpuscle.engine.optim import OptimPlan
from corpuscle.engine.schedule import FitPlan, Stage
from corpuscle.nets.zoo import NetPlan
from corpuscle.synth.plan_compose import ComposePlan
from corpuscle.tasks.zoo import ContrastPlan, CountPlan, ReconstructPlan, SegmentPlan


class CachePlan(Settings):
    """Where prepared images are kept between runs."""

    keep: bool = Field(True, description="keep decoded images in the user's cache folder ($CORPUSCLE_CACHE)")


class ScorePlan(Settings):
    """How final scores are computed."""

    resamples: int = Field(1000, ge=100, le=100_000, description="bootstrap resamples behind each interval")
    views: Literal[1, 4, 8] = Field(
        1, description="mirrored and turned views of an image whose predictions are averaged"
    )


class Experiment(Settings):
    """Everything a training run was asked to do."""

    task: Literal["classify", "cluster", "contrast", "count", "reconstruct", "segment"] = Field(
        "classify", description="what is learned"
    )
    seed: int = Field(0, ge=0, description="of every random choice: split, weights, order, augmentation")
    data: SourcePlan = Field(SourcePlan(), description="how the data set is laid out")
    read: ReadPlan = Field(ReadPlan(), description="limits of the reader")
    guard: GuardPlan = Field(GuardPlan(), description="what is accepted of the data")
    split: SplitPlan = Field(SplitPlan(), description="parts, where the data set has none of its own")
    steps: StepsPlan = Field(StepsPlan(), description="what is done to the training part once it is divided")
    prepare: PreparePlan = Field(PreparePlan(), description="from an image to the net's canvas")
    augment: AugmentPlan = Field(AugmentPlan(), description="what is varied in training")
    cache: CachePlan = Field(CachePlan(), description="where prepared images are kept")
    net: NetPlan = Field(NetPlan(), description="the net")
    stages: tuple[Stage, ...] = Field((Stage(),), description="stages of training, in order")
    optim: OptimPlan = Field(OptimPlan(), description="the optimiser")
    fit: FitPlan = Field(FitPlan(), description="how the net is fitted")
    count: CountPlan = Field(CountPlan(), description="how objects are counted, with task=count")
    segment: SegmentPlan = Field(SegmentPlan(), description="how pixels are classified, with task=segment")
    reconstruct: ReconstructPlan = Field(
        ReconstructPlan(), description="how images are made again, with task=reconstruct"
    )
    contrast: ContrastPlan = Field(ContrastPlan(), description="how views are told apart, with task=contrast")
    compose: ComposePlan = Field(ComposePlan(), description="how scenes are composed, where the data are cut-outs")
    device: DevicePlan = Field(DevicePlan(), description="what computes")
    score: ScorePlan = Field(ScorePlan(), description="how final scores are computed")

    @field_validator("stages")
    @classmethod
    def _at_least_one(cls, stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
        if not stages:
            raise ValueError("should hold at least one stage")
        return stages
