"""Lymphocytes in patches of immunohistochemistry, as the LYSTO challenge gives them."""

from __future__ import annotations

from corpuscle.data.prepare import PreparePlan
from corpuscle.data.transforms import AugmentPlan
from corpuscle.engine.experiment import Experiment
from corpuscle.engine.schedule import FitPlan, Stage
from corpuscle.nets.zoo import NetPlan


def lysto() -> Experiment:
    """Pretrained ResNet-50, five hidden layers of twice its features' width, dropout 0.5, one number out; 20 epochs.

    Turned by quarters and mirrored alone: that leaves every cell in the patch, and its count true.
    """
    return Experiment(
        task="count",
        prepare=PreparePlan(size=299, fit="stretch"),
        augment=AugmentPlan(rotate=0, quarter_turns=True, flip="both", zoom=0, shift=0),
        net=NetPlan(model="resnet50", weights="imagenet", head="deep", dropout=0.5),
        stages=(Stage(epochs=20, learning_rate=0.0003),),
        fit=FitPlan(batch_size=32, label_smoothing=0),
    )
