"""The class of each pixel, from images with masks."""

from __future__ import annotations

from corpuscle.data.prepare import PreparePlan
from corpuscle.data.sources import SourcePlan
from corpuscle.data.transforms import AugmentPlan
from corpuscle.engine.experiment import Experiment, ScorePlan
from corpuscle.engine.schedule import FitPlan, Stage
from corpuscle.nets.zoo import NetPlan


def segment() -> Experiment:
    """A U-net on crops of 224 pixels, turned and mirrored, cross-entropy with Dice; see docs/why/segmentation.md."""
    return Experiment(
        task="segment",
        data=SourcePlan(masks="beside"),
        prepare=PreparePlan(fit="keep"),
        augment=AugmentPlan(quarter_turns=True, flip="both", zoom=0.1, shift=0, crop=224),
        net=NetPlan(model="unet", head="mask", widths=(16, 32, 64, 128), stride=1),
        stages=(Stage(learning_rate=0.002),),
        fit=FitPlan(batch_size=8, keep="last"),
        score=ScorePlan(views=8),
    )
