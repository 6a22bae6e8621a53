"""Five kinds of white blood cell, with masks."""

from __future__ import annotations

from corpuscle.data.prepare import PreparePlan
from corpuscle.data.sources import SourcePlan
from corpuscle.data.steps import StepsPlan
from corpuscle.engine.experiment import Experiment


def wbc() -> Experiment:
    """ResNet-18 at 96 pixels on cells with masks beside them; each training image also with other backgrounds."""
    return Experiment(
        data=SourcePlan(masks="beside"),
        prepare=PreparePlan(size=96),
        steps=StepsPlan(apply_mask=("removed", "swapped"), balance="augmented"),
    )
