"""For a folder nobody has seen."""

from __future__ import annotations

from corpuscle.engine.experiment import Experiment


def default() -> Experiment:
    """ResNet-18 from nothing, every angle and mirroring, cosine after a short rise; see docs/why/defaults.md."""
    return Experiment()
