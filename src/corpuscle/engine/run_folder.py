"""The run folder: what training writes and everything else reads."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import tomli_w

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.files import disk_errors, write_json, write_text
from corpuscle.core.settings import flatten, origin_of, read_toml
from corpuscle.engine.experiment import Experiment

EXPERIMENT, CARD, WEIGHTS = "experiment.toml", "card.json", "weights.safetensors"
FINGERPRINT, PLAN, SAMPLES, LOG = "fingerprint.json", "plan.json", "samples.csv", "log.csv"
METRICS, PREDICTIONS, ENVIRONMENT = "metrics.json", "predictions.csv", "environment.json"
POINTS, HEATMAPS, EXAMPLES, MADE = "points.csv", "heatmaps", "examples", "made"
CHECKPOINT, IMPROVED = "checkpoints/last.safetensors", "improved"


def check(out: Path, experiment: Experiment) -> None:
    """See that a run may be written here: a new or empty folder, or a run that this experiment has begun.

    Raises:
        CorpuscleError: the folder holds something else, or a run with other settings.
    """
    if not (out / EXPERIMENT).is_file():
        if any(not path.name.startswith(".") for path in out.iterdir()):
            raise CorpuscleError(f"{out} is not empty and holds no run; name a new folder with --out")
        return
    old, new = (dict(flatten(values)) for values in (read_toml(out / EXPERIMENT), plain_settings(experiment)))
    changed = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    if changed:
        shown = ", ".join(f"{key} was {old.get(key)}, is {new.get(key)}" for key in changed[:3])
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise CorpuscleError(
            f"{out} holds a run with other settings ({shown}{more}); pass another --out, or the same settings to go on"
        )


def begin(out: Path, experiment: Experiment, samples: str) -> None:
    """Write the settings and the samples of a new run, or see that a begun one has the same samples.

    Raises:
        CorpuscleError: the data set has changed since the run was begun, or the folder cannot be written.
    """
    if not (out / EXPERIMENT).is_file():
        write_text(out / EXPERIMENT, tomli_w.dumps(plain_settings(experiment)))
    if not (out / SAMPLES).is_file():
        write_text(out / SAMPLES, samples)
    elif (out / SAMPLES).read_text(encoding="utf-8") != samples:
        raise CorpuscleError(
            f"the images or labels have changed since {out} was begun; pass another --out, or restore the data"
        )


@contextlib.contextmanager
def only_writer(out: Path, writes: bool = True) -> Iterator[None]:
    """Make the run folder and hold it for this process, if it writes at all; a folder without a run is left as it was.

    Raises:
        CorpuscleError: another training writes into it, or it cannot be written.
    """
    if not writes:
        yield
        return
    made = [path for path in (out, *out.parents) if not path.exists()]
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        handle = (out / ".lock").open("w")
    try:
        _hold(handle, out)
        _HELD.add(handle)
        yield
    finally:
        _HELD.discard(handle)
        handle.close()
        if not (out / EXPERIMENT).is_file():
            (out / ".lock").unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                for path in made:
                    path.rmdir()


_HELD: set[IO[str]] = set()  # locks of this process


def _let_go() -> None:
    """Close the locks that a forked process was born with: loaders outlive a killed training by seconds."""
    while _HELD:
        _HELD.pop().close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


def _hold(handle: IO[str], out: Path) -> None:
    if sys.platform == "win32":  # Windows has no such lock; the folder is then unguarded
        return
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CorpuscleError(
            f"another training writes into {out} right now; wait for it, or pass another --out"
        ) from None


def plain_settings(experiment: Experiment) -> dict[str, Any]:
    """The settings as TOML can hold them: what is unset is left out."""
    return _without_none(experiment.model_dump(mode="json"))


def write_log(out: Path, history: list[dict[str, Any]]) -> None:
    """A row an epoch."""
    if not history:
        return
    text = io.StringIO()
    columns = list(dict.fromkeys(name for row in history for name in row))
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, "best": str(row["best"]).lower()} for row in history)
    write_text(out / LOG, text.getvalue())


def write_plan(out: Path, experiment: Experiment, origins: Mapping[str, str], derived: Mapping[str, Any]) -> None:
    """Each setting with where it came from, and each derived value with its reason."""
    values = dict(flatten(experiment.model_dump(mode="json")))
    settings = {key: {"value": value, "from": origin_of(key, origins)} for key, value in values.items()}
    write_json(out / PLAN, {"settings": settings, "derived": derived})


def read_json(path: Path) -> Any:
    """A JSON file of a run.

    Raises:
        CorpuscleError: it is not there or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise CorpuscleError(
            f"expected a run folder with {path.name}, {path.parent} has none; name one that training wrote"
        ) from None
    except ValueError as error:
        raise CorpuscleError(f"{path} is not whole ({error}); train again or restore the file") from None


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list | tuple):
        return [_without_none(inner) for inner in value]
    return value
