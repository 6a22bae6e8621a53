"""Count, classify and segment what is in medical images: from a folder to a trained model with honest numbers.

The verbs of the command line, as functions:

    import corpuscle

    print("\\n".join(corpuscle.inspect("cells").lines()))
    run = corpuscle.train("cells", out="runs/cells", settings={"prepare.size": 64, "epochs": 3})
    print(run.scores)
    print(corpuscle.predict(run, "cells/monocyte/*.png").table)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from corpuscle.api import compare, evaluate, explain, inspect, predict, report, split, submit, train
    from corpuscle.making import budget, compose, convert, cutouts, demo
    from corpuscle.run import Run

__all__ = [
    "Run",
    "budget",
    "compare",
    "compose",
    "convert",
    "cutouts",
    "demo",
    "evaluate",
    "explain",
    "inspect",
    "predict",
    "report",
    "split",
    "submit",
    "train",
]
MAKING = ("budget", "compose", "convert", "cutouts", "demo")


importlib.import_module("corpuscle.report")  # the room takes this name when first imported: now,
del globals()["report"]  # so that from here on it is the verb's


def __getattr__(name: str) -> Any:
    """Import the verbs when they are first asked for: torch takes seconds."""
    if name in __all__:
        from corpuscle import api, making

        return getattr(making if name in MAKING else api, name)
    raise AttributeError(f"module 'corpuscle' has no attribute '{name}'")
