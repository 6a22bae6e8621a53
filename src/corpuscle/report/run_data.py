"""Read a run folder into one frozen record; whatever part of it is there."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.records import Score
from corpuscle.metrics.calibration import Bin
from corpuscle.metrics.classification import ClassScores

PART_WORDS = {"val": "validation", "test": "test", "train": "training"}


@dataclass(frozen=True)
class Part:
    """The finished numbers of one part of the data; rows of `confusion` are true classes, columns predicted ones."""

    name: str
    n: int
    groups: int
    scores: Mapping[str, Score]
    per_class: Mapping[str, ClassScores]
    confusion: tuple[tuple[int, ...], ...]
    before: tuple[Bin, ...]
    after: tuple[Bin, ...]

    @property
    def words(self) -> str:
        """The part as a reader calls it: `validation` for `val`."""
        return PART_WORDS.get(self.name, self.name)


@dataclass(frozen=True)
class RunData:
    """What a run folder holds; a file that is not there is empty or None.

    Attributes:
        settings: dotted name to {"value", "from"}.
        derived: name to {"value", "why"}.
        log: a row an epoch.
        predictions: a row an image that was scored.
    """

    folder: Path
    classes: tuple[str, ...]
    temperature: float | None
    parts: Mapping[str, Part]
    log: pl.DataFrame | None
    predictions: pl.DataFrame | None
    samples: pl.DataFrame | None
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    derived: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    fingerprint: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.folder.resolve().name

    @property
    def main_part(self) -> Part | None:
        """The part whose numbers count: test where there is one, else what there is."""
        for name in ("test", "val", *self.parts):
            if name in self.parts:
                return self.parts[name]
        return None

    @property
    def best_epoch(self) -> int | None:
        """The epoch whose weights were kept."""
        if self.log is None or "best" not in self.log.columns:
            return None
        best = self.log.filter(pl.col("best"))["epoch"]
        return int(best[-1]) if len(best) else None


def is_run(folder: Path) -> bool:
    """Whether a folder holds a run, finished or not, or an evaluation."""
    return (folder / "metrics.json").is_file() or (folder / "log.csv").is_file()


def find_runs(path: Path) -> tuple[Path, ...]:
    """The run itself, or the runs right inside a folder of them, in name order.

    Raises:
        CorpuscleError: neither a run nor a folder of runs.
    """
    if is_run(path):
        return (path,)
    runs = tuple(inner for inner in sorted(path.iterdir()) if is_run(inner)) if path.is_dir() else ()
    if not runs:
        raise _no_run(path)
    return runs


def read_run(folder: Path) -> RunData:
    """Read a run folder, or the folder of an evaluation.

    Raises:
        CorpuscleError: the folder is no run, or one of its files is damaged.
    """
    folder = Path(folder)
    if not is_run(folder):
        raise _no_run(folder)
    metrics, plan, fingerprint, environment = (
        _read_json(folder / f"{name}.json") for name in ("metrics", "plan", "fingerprint", "environment")
    )
    log, predictions, samples = (_read_csv(folder / f"{name}.csv") for name in ("log", "predictions", "samples"))
    try:
        parts = {name: _part(name, content) for name, content in metrics.get("parts", {}).items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorpuscleError(
            f"{folder / 'metrics.json'} should hold the scores of a run, but {error!r} is out of place; "
            "write it again with: corpuscle evaluate"
        ) from None
    return RunData(
        folder=folder,
        classes=tuple(metrics.get("classes") or fingerprint.get("classes", {})),
        temperature=metrics.get("temperature"),
        parts=parts,
        log=_typed_log(log),
        predictions=predictions,
        samples=samples,
        settings=plan.get("settings", {}),
        derived=plan.get("derived", {}),
        fingerprint=fingerprint,
        environment=environment,
    )


def _no_run(path: Path) -> CorpuscleError:
    came = (
        "has neither log.csv nor metrics.json" if path.is_dir() else "is a file" if path.exists() else "does not exist"
    )
    inner = [run.name for run in sorted(path.iterdir()) if is_run(run)] if path.is_dir() else []
    remedy = f"did you mean {path / inner[0]}?" if inner else "name the folder that corpuscle train wrote (its --out)"
    return CorpuscleError(f"expected a run folder, but {path} {came}; {remedy}")


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(path, "JSON", error) from None
    if not isinstance(content, dict):
        raise _damaged(path, "a JSON object", f"it holds a {type(content).__name__}")
    return content


def _read_csv(path: Path) -> pl.DataFrame | None:
    """The table as text, so that a class called 1 or a patient 007 keeps its name; numbers are cast where known."""
    if not path.is_file() or not path.stat().st_size:
        return None
    try:
        frame = pl.read_csv(path, infer_schema=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _damaged(path, "CSV", error) from None
    numbers = [name for name in frame.columns if name.startswith(("p_", "raw_")) or name == "confidence"]
    return frame.with_columns(pl.col(numbers).cast(pl.Float64, strict=False))


def _typed_log(log: pl.DataFrame | None) -> pl.DataFrame | None:
    if log is None or log.is_empty() or "epoch" not in log.columns:
        return None
    words, whole = {"train", "best"}, {"epoch", "stage"}
    return log.with_columns(
        pl.col([name for name in log.columns if name not in words | whole]).cast(pl.Float64, strict=False),
        pl.col([name for name in log.columns if name in whole]).cast(pl.Int64, strict=False),
        *([pl.col("best").str.to_lowercase().eq("true").fill_null(False)] if "best" in log.columns else []),
    )


def _damaged(path: Path, expected: str, error: object) -> CorpuscleError:
    reason = str(error).splitlines()[0]
    return CorpuscleError(f"{path} should be {expected}, but cannot be read ({reason}); restore it or train again")


def _part(name: str, content: Mapping[str, Any]) -> Part:
    return Part(
        name=name,
        n=content["n"],
        groups=content["groups"],
        scores={key: _score(score) for key, score in content["scores"].items()},
        per_class={
            key: ClassScores(
                **{score: _score(scores[score]) for score in ("precision", "recall", "f1", "auroc")},
                support=scores["support"],
            )
            for key, scores in content["per_class"].items()
        },
        confusion=tuple(tuple(row) for row in content["confusion"]),
        before=_bins(content.get("calibration", {}).get("before", ())),
        after=_bins(content.get("calibration", {}).get("after", ())),
    )


def _score(content: Mapping[str, Any]) -> Score:
    value, low, high = (_number(content[key]) for key in ("value", "low", "high"))
    return Score(value, low, high, content["n"], content["groups"], content["direction"])


def _bins(contents: Any) -> tuple[Bin, ...]:
    """The bins that hold anything."""
    return tuple(
        Bin(_number(b["low"]), _number(b["high"]), _number(b["confidence"]), _number(b["accuracy"]), b["n"])
        for b in contents
        if b["n"]
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
