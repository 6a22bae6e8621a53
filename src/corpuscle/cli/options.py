"""Options that several verbs share, and the settings that options stand for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from corpuscle.api import Run
    from corpuscle.core.progress import Progress

SHOWN = (
    *("accuracy", "balanced_accuracy", "auroc"),
    *("mae", "r", "coverage", "dot_f1"),
    *("mean_dice", "mean_iou", "boundary_f1"),
    *("ssim", "retrieval", "distortion"),
)

SETTING_OF = {
    "image_column": "data.image_column",
    "label_column": "data.label_column",
    "group_column": "data.group_column",
    "group_from": "data.group_from",
    "root": "data.root",
    "valid": "data.valid",
    "test": "data.test",
    "seed": "seed",
    "device": "device.name",
    "size": "prepare.size",
    "model": "net.model",
    "weights": "net.weights",
    "epochs": "epochs",
    "batch_size": "fit.batch_size",
    "optimiser": "optim.optimiser",
    "learning_rate": "learning_rate",
    "momentum": "optim.momentum",
    "weight_decay": "optim.weight_decay",
    "val_share": "split.val",
    "test_share": "split.test",
    "folds": "split.folds",
    "fold": "split.fold",
    "rare": "split.rare",
}  # parameter of a verb to the setting it stands for; epochs and learning_rate hold a value for each stage

Data = Annotated[
    Path,
    typer.Argument(
        metavar="PATH",
        help="A folder of images for each class, a CSV, or images with counts, dots or boxes.",
        show_default=False,
    ),
]
RunFolder = Annotated[
    Path, typer.Argument(metavar="RUN", help="Run folder, as train wrote it (its --out).", show_default=False)
]
Device = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="What computes: auto (a GPU if there is one), cpu, cuda, cuda:1 or mps."),
]
Assign = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="SECTION.FIELD=VALUE",
        help="Any setting that this verb uses; may be repeated. corpuscle train PATH --show lists all.",
    ),
]
ImageColumn = Annotated[str | None, typer.Option(metavar="COLUMN", help="Column of a CSV that names the images.")]
LabelColumn = Annotated[str | None, typer.Option(metavar="COLUMN", help="Column of a CSV with the class.")]
GroupColumn = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="Column of a CSV with the patient or slide, whose images stay together."),
]
GroupFrom = Annotated[
    str | None,
    typer.Option(
        metavar="PATTERN",
        help=r"Patient or slide from the file's name: a regular expression such as 'UID_(?P<group>\d+)_'.",
    ),
]
Root = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Folder that the paths in a CSV start from; that of the CSV unless named."),
]
Valid = Annotated[Path | None, typer.Option(metavar="CSV", help="CSV of the validation part.")]
Test = Annotated[Path | None, typer.Option(metavar="CSV", help="CSV of the test part, with or without labels.")]


def chosen(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that were chosen by options, by dotted key; what `--set` says comes last.

    Args:
        parameters: the verb's own, by name.

    Raises:
        CorpuscleError: a `--set` without a value, or stages that are not numbers.
    """
    from corpuscle.core.settings import parse_assignment

    given = {name: value for name, value in parameters.items() if name in SETTING_OF and value is not None}
    for name, kind in (("epochs", int), ("learning_rate", float)):
        if name in given:
            given[name] = _numbers(given[name], kind, f"--{name.replace('_', '-')}")
    plain = {SETTING_OF[name]: str(value) if isinstance(value, Path) else value for name, value in given.items()}
    return plain | dict(parse_assignment(text) for text in parameters.get("assign") or ())


def progress(results: bool = False) -> Progress:
    """Progress on standard error; what is said goes to standard output where it is a result."""
    from corpuscle.core.progress import Progress

    return Progress(shown=True, results=results)


def typed() -> str:
    """The command as it was typed."""
    import shlex
    import sys

    return shlex.join(["corpuscle", *sys.argv[1:]])


def say_result(run: Run) -> None:
    """The scores that matter, and where the page is."""
    for part, content in run.metrics["parts"].items():
        images, groups = content["n"], content["groups"]
        of = f"{images} images" if groups == images else f"{images} images of {groups} groups"
        scores = content["scores"]
        words = [f"{name.replace('_', ' ')} {_with_interval(scores[name])}" for name in SHOWN if name in scores]
        typer.echo(f"{part} ({of}): {', '.join(words)}")
    typer.echo(f"report: {run.report}")


def _numbers(text: str, kind: type[int] | type[float], flag: str) -> list[Any]:
    from corpuscle.core.errors import CorpuscleError

    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        word = "whole numbers" if kind is int else "numbers"
        raise CorpuscleError(f"{flag} expects {word} with commas between them, one a stage, got '{text}'") from None


def _with_interval(score: dict[str, Any]) -> str:
    value, low, high = (score[name] for name in ("value", "low", "high"))
    if value is None:
        return "not defined"
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} ({low:.3f} to {high:.3f})"
