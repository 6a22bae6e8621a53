"""Counting cells, with the dots that explain the count."""

from __future__ import annotations

from corpuscle.data.prepare import PreparePlan
from corpuscle.data.transforms import AugmentPlan
from corpuscle.engine.experiment import Experiment, ScorePlan
from corpuscle.engine.schedule import FitPlan, Stage
from corpuscle.nets.zoo import NetPlan


def count() -> Experiment:
    """A density of small blobs from a U-Net, learned from dots or boxes, or from numbers alone; images of any size."""
    return Experiment(
        task="count",
        prepare=PreparePlan(fit="keep"),
        augment=AugmentPlan(quarter_turns=True, flip="both", zoom=0.1, shift=0, crop=256),
        net=NetPlan(model="unet", head="density"),
        stages=(Stage(learning_rate=0.002),),
        fit=FitPlan(batch_size=4, keep="last"),
        score=ScorePlan(views=8),
    )
