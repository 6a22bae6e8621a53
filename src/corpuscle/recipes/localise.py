"""Weak localisation: where a thing lies, learned from the class of the image alone."""

from __future__ import annotations

from corpuscle.data.prepare import PreparePlan
from corpuscle.engine.experiment import Experiment
from corpuscle.engine.schedule import FitPlan, Stage
from corpuscle.nets.zoo import NetPlan

RATES = ((1, 0.001), (11, 0.0003), (12, 0.00013), (14, 0.00003))


def localise() -> Experiment:
    """The eight-layer net, global max pooling, dropout 0.5, 224 pixels; 15 epochs with a learning rate by stages.

    The optimiser of the original is not known; here it is AdamW, as everywhere. See the maps with `corpuscle explain`.
    """
    return Experiment(
        prepare=PreparePlan(size=224),
        net=NetPlan(model="localiser", pool="max", dropout=0.5),
        stages=(Stage(epochs=15, schedule="table", table=RATES),),
        fit=FitPlan(keep_improved=5),
    )
