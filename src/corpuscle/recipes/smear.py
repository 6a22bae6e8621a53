"""A blood smear in ten classes, learned from scenes composed of cut-out cells."""

from __future__ import annotations

from corpuscle.data.prepare import PreparePlan
from corpuscle.data.transforms import AugmentPlan
from corpuscle.engine.experiment import Experiment
from corpuscle.engine.schedule import FitPlan, Stage
from corpuscle.nets.zoo import NetPlan
from corpuscle.synth.plan_compose import ComposePlan


def smear() -> Experiment:
    """A U-net of five levels on 65,350 composed scenes of 224 × 224, 15 epochs with learning rates by stages.

    The rates are those of the original's weak localiser: 0.001, from epoch 11 0.0003, from 12 0.00013, from 14 0.00003.
    """
    return Experiment(
        task="segment",
        prepare=PreparePlan(fit="keep", shrink=1),
        augment=AugmentPlan(quarter_turns=True, flip="both", zoom=0, shift=0),
        compose=ComposePlan(scenes=(65_350, 6_560, 6_560)),
        net=NetPlan(model="unet", head="mask", widths=(16, 32, 64, 128, 256), stride=1),
        stages=(
            Stage(
                epochs=15,
                learning_rate=0.001,
                schedule="table",
                warm_up=0,
                table=((1, 0.001), (11, 0.0003), (12, 0.00013), (14, 0.00003)),
            ),
        ),
        fit=FitPlan(batch_size=16, keep_improved=5),
    )
