"""An encoder from unlabelled pictures: each is made again from the few numbers that are left of it."""

from __future__ import annotations

from corpuscle.data.prepare import PreparePlan
from corpuscle.data.sources import SourcePlan
from corpuscle.data.transforms import AugmentPlan
from corpuscle.engine.experiment import Experiment
from corpuscle.engine.schedule import FitPlan, Stage
from corpuscle.nets.zoo import NetPlan


def prcc() -> Experiment:
    """A convolutional autoencoder on unlabelled tiles, half its loss of pixels and half of structure (SSIM).

    Any later training starts from its encoder with --weights RUN.
    """
    return Experiment(
        task="reconstruct",
        data=SourcePlan(labels="none"),
        prepare=PreparePlan(fit="crop"),
        net=NetPlan(head="image", pool="none"),
        augment=AugmentPlan(quarter_turns=True, zoom=0.1, shift=0.0),
        stages=(Stage(learning_rate=0.002),),
        fit=FitPlan(batch_size=64, keep="last"),
    )
