"""Lesions of the retina."""

from __future__ import annotations

from corpuscle.data.prepare import PreparePlan
from corpuscle.data.sources import SourcePlan
from corpuscle.data.transforms import AugmentPlan
from corpuscle.engine.experiment import Experiment
from corpuscle.engine.schedule import Stage
from corpuscle.nets.zoo import NetPlan


def fundus() -> Experiment:
    """Linear probe, then every parameter: 50 + 150 epochs of a pretrained ResNet-50 on photographs of the retina.

    Both eyes of a patient stay together where the file name tells (`<patient>_left`, `<patient>_right`).
    """
    return Experiment(
        data=SourcePlan(group_from=r"^(?P<group>.+)_(left|right)\b"),
        prepare=PreparePlan(size=224, trim_border=True),
        augment=AugmentPlan(rotate=20, flip="horizontal", hue=4),
        net=NetPlan(model="resnet50", weights="imagenet"),
        stages=(
            Stage(train="head", epochs=50, learning_rate=0.002, warm_up=0),
            Stage(train="all", epochs=150, learning_rate=0.0003),
        ),
    )
