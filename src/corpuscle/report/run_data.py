"""Read a run folder into one frozen record; whatever part of it is there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.legend import Colour, colours_for
from corpuscle.report.part import PARTS, JudgedPart


@dataclass(frozen=True)
class RunData:
    """What a run folder holds; a file that is not there is empty or None.

    Attributes:
        classes: the classes, or the kinds of object that are counted.
        parts: a `Part` each for a classifier, a `CountPart` for a counter, a `MaskPart` where pixels were classified.
        log: a row an epoch.
        predictions: a row an image that was scored.
        settings: dotted name to {"value", "from"}.
        derived: name to {"value", "why"}.
        task: what was learned, by name.
        calibration: of a counter's intervals, {"level", "quantiles", "groups"}.
        points: a row a dot of a held-out image, true or found, in pixels of the original.
        heatmaps: image name to {"file", "full", "shrink"} of its density, file in the folder `heatmaps`.
        colours: of the classes where masks are drawn.
        examples: {"tolerance", "items"}, an item {"image", "part", "dice", "picture", "true", "said"}, the last three
            files in the folder `examples`.
        made: {"items"} of images that steps made for training, an item {"image", "label", "step", "of", "donor",
            "picture", "original"}, the last two files in the folder `made`.
    """

    folder: Path
    classes: tuple[str, ...]
    temperature: float | None
    parts: Mapping[str, JudgedPart]
    log: pl.DataFrame | None
    predictions: pl.DataFrame | None
    samples: pl.DataFrame | None
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    derived: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    fingerprint: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    task: str = "classify"
    calibration: Mapping[str, Any] = field(default_factory=dict)
    points: pl.DataFrame | None = None
    heatmaps: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    colours: tuple[Colour, ...] = ()
    examples: Mapping[str, Any] = field(default_factory=dict)
    made: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.folder.resolve().name

    @property
    def main_part(self) -> JudgedPart | None:
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
        if self.parts and self.settings.get("fit.keep", {}).get("value") == "last":
            return int(self.log["epoch"][-1])
        best = self.log.filter(pl.col("best"))["epoch"]
        return int(best[-1]) if len(best) else None

    def at_best(self, column: str) -> float | None:
        """A number of the log in the epoch that was kept."""
        if self.log is None or self.best_epoch is None or column not in self.log.columns:
            return None
        value: float | None = self.log[column][self.log["epoch"].to_list().index(self.best_epoch)]
        return value

    def scored(self) -> pl.DataFrame | None:
        """The predictions of the part whose numbers count."""
        if self.predictions is None or self.main_part is None:
            return None
        if "split" not in self.predictions.columns:
            return self.predictions
        return self.predictions.filter(pl.col("split") == self.main_part.name)


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
        CorpuscleError: the folder is no run, one of its files is damaged, or its task has no report.
    """
    folder = Path(folder)
    if not is_run(folder):
        raise _no_run(folder)
    metrics, plan, fingerprint, environment, heatmaps, examples = (
        _read_json(folder / f"{name}.json")
        for name in ("metrics", "plan", "fingerprint", "environment", "heatmaps/index", "examples/index")
    )
    task = metrics.get("task") or fingerprint.get("task") or "classify"
    if task not in PARTS:
        raise CorpuscleError(
            f"{folder} should be a run of a task with a report ({', '.join(PARTS)}), but its task is {task}; "
            "install the version of Corpuscle that wrote it"
        )
    log, predictions, samples, points = (
        _read_csv(folder / f"{name}.csv") for name in ("log", "predictions", "samples", "points")
    )
    classes = _classes(metrics, fingerprint)
    try:
        colours = _colours(metrics.get("legend") or fingerprint.get("legend") or {}, classes)
        parts = {name: PARTS[task](name, content) for name, content in metrics.get("parts", {}).items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorpuscleError(
            f"{folder / 'metrics.json'} should hold the scores of a run, but {error!r} is out of place; "
            "write it again with: corpuscle evaluate"
        ) from None
    return RunData(
        folder=folder,
        classes=classes,
        temperature=metrics.get("temperature"),
        parts=parts,
        log=_typed_log(log),
        predictions=_with_numbers(predictions, _number_columns(predictions, task, classes)),
        samples=samples,
        settings=plan.get("settings", {}),
        derived=plan.get("derived", {}),
        fingerprint=fingerprint,
        environment=environment,
        task=task,
        calibration=metrics.get("calibration") or {},
        points=_with_numbers(points, ("x", "y", "score")),
        heatmaps=heatmaps,
        colours=colours,
        examples=examples,
        made=_read_json(folder / "made" / "index.json"),
    )


def _classes(metrics: Mapping[str, Any], fingerprint: Mapping[str, Any]) -> tuple[str, ...]:
    """The classes of the scores; before there are any, those of the data."""
    held = (fingerprint.get(name) for name in ("classes", "counts", "pixels"))
    return tuple(metrics.get("classes") or next((one for one in held if one), ()))


def _colours(legend: Mapping[str, Any], classes: Sequence[str]) -> tuple[Colour, ...]:
    """A colour for each class: of the legend where it has one for each, else one of its own."""
    told = [(int(red), int(green), int(blue)) for red, green, blue in legend.get("colours", ())]
    return tuple(told) if len(told) == len(classes) else colours_for(classes)


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
    """The table as text, so that a class called 1 or a patient 007 keeps its name."""
    if not path.is_file() or not path.stat().st_size:
        return None
    try:
        return pl.read_csv(path, infer_schema=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _damaged(path, "CSV", error) from None


def _with_numbers(frame: pl.DataFrame | None, numbers: Sequence[str]) -> pl.DataFrame | None:
    if frame is None:
        return None
    there = [name for name in numbers if name in frame.columns]
    return frame.with_columns(pl.col(there).cast(pl.Float64, strict=False))


def _number_columns(predictions: pl.DataFrame | None, task: str, classes: Sequence[str]) -> list[str]:
    """The columns of the predictions that hold numbers."""
    if task == "count":
        return [f"{what}_{kind}" for kind in classes for what in ("true", "count", "low", "high")]
    if task == "segment":
        return ["dice", "iou", *(f"{what}_{kind}" for kind in classes for what in ("true", "area", "count"))]
    names = predictions.columns if predictions is not None else ()
    return [name for name in names if name.startswith(("p_", "raw_")) or name == "confidence"]


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
