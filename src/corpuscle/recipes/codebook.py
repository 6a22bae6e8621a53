"""Features from unlabelled pictures in seconds: how often each of some hundred small squares is seen, and where."""

from __future__ import annotations

from corpuscle.data.sources import SourcePlan
from corpuscle.engine.experiment import Experiment
from corpuscle.engine.schedule import FitPlan, Stage
from corpuscle.nets.zoo import NetPlan


def codebook() -> Experiment:
    """Visual words of 1, 3 and 5 pixels by k-means, counted in rings around the middle of the image.

    For few labels: a linear head on it (--recipe few --weights RUN) is fitted in seconds.
    """
    return Experiment(
        task="cluster",
        data=SourcePlan(labels="none"),
        net=NetPlan(model="codebook", head="none", pool="none"),
        stages=(Stage(train="words"),),
        fit=FitPlan(batch_size=64, keep="last"),
    )
