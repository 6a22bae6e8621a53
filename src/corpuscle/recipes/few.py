"""Few labels, on an encoder that has learned from other images or without labels."""

from __future__ import annotations

from corpuscle.engine.experiment import Experiment, ScorePlan
from corpuscle.engine.schedule import FitPlan, Stage


def few() -> Experiment:
    """A frozen encoder (`--weights RUN`, or imagenet; `--model covariances` needs none) and a regularised linear head.

    The head is fitted in one go to eight views of each image.

    For the nearest neighbours in place of the linear head: `--set net.head=neighbours`.
    """
    return Experiment(
        stages=(Stage(train="probe", views=8),),
        fit=FitPlan(label_smoothing=0),
        score=ScorePlan(views=8),
    )
