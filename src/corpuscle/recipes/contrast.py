"""An encoder from unlabelled pictures: two views of one picture lie near one another, and far from all others."""

from __future__ import annotations

from corpuscle.data.sources import SourcePlan
from corpuscle.data.transforms import AugmentPlan
from corpuscle.engine.experiment import Experiment
from corpuscle.engine.schedule import FitPlan, Stage
from corpuscle.nets.zoo import NetPlan


def contrast() -> Experiment:
    """SimCLR: two strongly varied views of each image, a projection of two layers, NT-Xent over the batch.

    Any later training starts from its encoder with --weights RUN.
    """
    return Experiment(
        task="contrast",
        data=SourcePlan(labels="none"),
        augment=AugmentPlan(zoom=0.5, shift=0.1, brightness=0.4, contrast=0.4, saturation=0.4, hue=30),
        net=NetPlan(head="mlp", hidden=(512,)),
        stages=(Stage(learning_rate=0.002),),
        fit=FitPlan(batch_size=128, keep="last"),
    )
