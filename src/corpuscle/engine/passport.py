"""The card of a net that has been trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from corpuscle.data.fingerprint import sizes
from corpuscle.nets.card import Card

if TYPE_CHECKING:
    from corpuscle.engine.dataset import Ready
    from corpuscle.engine.plan import Derived


def card_of(data: Ready, derived: Derived, num_outputs: int, calibration: Mapping[str, Any]) -> Card:
    """Everything that a prediction needs to know of a net.

    Args:
        data: what it was trained on.
        derived: how its images are normalised.
        num_outputs: of its head.
        calibration: what makes its numbers honest.
    """
    experiment, normal = data.experiment, derived.normalisation
    return Card(
        task=experiment.task,
        classes=data.table.classes,
        net=experiment.net,
        num_outputs=num_outputs,
        size=experiment.prepare.size,
        prepare=experiment.prepare.model_dump(mode="json"),
        read=experiment.read.model_dump(mode="json"),
        mean=normal.mean,
        std=normal.std,
        views=experiment.score.views,
        calibration=dict(calibration),
        trained_on={
            "images": len(data.places("train")),
            "layout": data.table.layout,
            "sizes": sizes(data.seen),
        },
    )
