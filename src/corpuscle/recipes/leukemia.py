"""Normal cells against leukemic blasts."""

from __future__ import annotations

from corpuscle.data.prepare import PreparePlan
from corpuscle.data.sources import SourcePlan
from corpuscle.data.transforms import AugmentPlan
from corpuscle.engine.experiment import Experiment
from corpuscle.engine.optim import OptimPlan
from corpuscle.engine.schedule import FitPlan, Stage


def leukemia() -> Experiment:
    """ResNet-18, 120 epochs, batch 32, SGD 0.001, momentum 0.9, weight decay 1e-5, on single cells cut out of smears.

    Cells of one subject stay together (`UID_<subject>_<image>_<cell>_<class>.bmp`, as C-NMC names them).
    """
    return Experiment(
        data=SourcePlan(group_from=r"UID_(?P<group>[^_]+)_"),
        prepare=PreparePlan(size=224, centre_crop=2 / 3),
        augment=AugmentPlan(rotate=20, flip="both", zoom=0, shift=0, brightness=0, contrast=0, saturation=0, hue=0),
        stages=(Stage(epochs=120, learning_rate=0.001, schedule="constant", warm_up=0),),
        optim=OptimPlan(optimiser="sgd", momentum=0.9, nesterov=False, weight_decay=1e-5),
        fit=FitPlan(batch_size=32, label_smoothing=0, average=0, clip_norm=0),
    )
