"""The weights of the epochs that were better than all before them, and how the training stands, to read by eye."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpuscle.core.files import disk_errors, write_bytes, write_json

if TYPE_CHECKING:
    from corpuscle.engine.checkpoint import State

STATE = "state.json"
PATTERN = "epoch-*.safetensors"


def keep_improved(folder: Path, state: State, newest: int, facts: Mapping[str, Any], watched: str) -> None:
    """Write the weights of an epoch that has just ended, if it was the best so far, and `state.json` in any case.

    Args:
        folder: for the files; of the weights only the newest are left in it.
        state: of the training, its last epoch finished.
        newest: how many weights are kept.
        facts: batch size, mean and deviation of the training images.
        watched: the column of the log that says which epoch is best.
    """
    from corpuscle.nets.tensors import pack

    row = state.history[-1]
    if row["best"]:
        write_bytes(folder / f"epoch-{row['epoch']:03d}.safetensors", pack(state.best_weights))
        with disk_errors(folder):
            for old in sorted(folder.glob(PATTERN), key=lambda path: (len(path.name), path.name))[:-newest]:
                old.unlink()
    shown = {"epoch": row["epoch"], "learning_rate": row["learning_rate"], **facts}
    write_json(folder / STATE, shown | {"best": {watched: state.best}, "history": state.history})
