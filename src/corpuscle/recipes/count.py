"""Counting cells, with the dots that explain the count."""

from __future__ import annotations

from corpuscle.data.prepare import PreparePlan
from corpuscle.data.transforms import AugmentPlan
from corpuscle.engine.experiment import Experiment, ScorePlan
from corpuscle.engine.optim import OptimPlan
from corpuscle.engine.schedule import FitPlan, Stage
from corpuscle.nets.zoo import NetPlan
from corpuscle.tasks.zoo import CountPlan


def count() -> Experiment:
    """A density of small blobs from a U-Net, learned from dots or boxes, or from numbers alone; images of any size."""
    return Experiment(
        task="count",
        prepare=PreparePlan(fit="keep"),
        augment=AugmentPlan(rotate=180, flip="both", zoom=0.1, shift=0, crop=192),
        net=NetPlan(model="unet", head="density"),
        stages=(Stage(epochs=300, learning_rate=0.002),),
        optim=OptimPlan(weight_decay=0.01),
        fit=FitPlan(batch_size=8, average=0.99, norm_batches=8, keep="last"),
        count=CountPlan(sigma=3.0),
        score=ScorePlan(views=8),
    )
