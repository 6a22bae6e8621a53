"""Tumour or normal tissue, on tiles of slides on which pathologists have drawn."""

from __future__ import annotations

from corpuscle.data.prepare import PreparePlan
from corpuscle.data.sources import SourcePlan
from corpuscle.data.sources.plan import SlidePlan
from corpuscle.data.transforms import AugmentPlan
from corpuscle.engine.experiment import Experiment
from corpuscle.engine.schedule import FitPlan, Stage


def camelyon() -> Experiment:
    """ResNet-18 on tiles of 96 pixels of 1 micron, both classes drawn alike often; slides stay whole, 2,000 tiles each.

    A tile is tumour if half of it is annotated as such, as Camelyon16 ships it for ASAP, and normal if nothing is.
    """
    return Experiment(
        data=SourcePlan(slides=SlidePlan(mpp=1.0, tile=96, most=2000, bad="skip")),
        prepare=PreparePlan(size=96),
        augment=AugmentPlan(quarter_turns=True, rotate=0, flip="both", zoom=0.1, shift=0),
        stages=(Stage(epochs=20),),
        fit=FitPlan(batch_size=64, balance="sampling"),
    )
