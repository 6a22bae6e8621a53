"""Options that several verbs share, and how they become settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from corpuscle.api import Run
    from corpuscle.core.progress import Progress
    from corpuscle.data.sources import SourcePlan

SHOWN = ("accuracy", "balanced_accuracy", "auroc")
PANEL = "How the data are laid out"

ImageColumn = Annotated[str | None, typer.Option(help="Column of a CSV that names the images.", rich_help_panel=PANEL)]
LabelColumn = Annotated[str | None, typer.Option(help="Column of a CSV with the class.", rich_help_panel=PANEL)]
GroupColumn = Annotated[
    str | None, typer.Option(help="Column of a CSV with the patient or slide.", rich_help_panel=PANEL)
]
GroupFrom = Annotated[
    str | None,
    typer.Option(help=r"Pattern on the file name, as in 'UID_(?P<group>\d+)_'.", rich_help_panel=PANEL),
]
Root = Annotated[Path | None, typer.Option(help="Folder that the paths of a CSV start from.", rich_help_panel=PANEL)]
Valid = Annotated[Path | None, typer.Option(help="CSV of the validation part.", rich_help_panel=PANEL)]
Test = Annotated[Path | None, typer.Option(help="CSV of the test part, with or without labels.", rich_help_panel=PANEL)]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")]


def source_values(**options: Any) -> dict[str, Any]:
    """The options that were given, by the dotted key of their setting."""
    given = {name: value for name, value in options.items() if value is not None}
    return {f"data.{name}": str(value) if isinstance(value, Path) else value for name, value in given.items()}


def source_plan(**options: Any) -> SourcePlan:
    """The source's settings with the options that were given.

    Raises:
        CorpuscleError: a value that the source does not know.
    """
    from corpuscle.core.settings import validated
    from corpuscle.data.sources import SourcePlan

    values = {key.removeprefix("data."): value for key, value in source_values(**options).items()}
    return validated(SourcePlan, values)


def progress() -> Progress:
    """Progress on standard error."""
    from corpuscle.core.progress import Progress

    return Progress(shown=True)


def typed() -> str:
    """The command as it was typed."""
    import shlex
    import sys

    return shlex.join(["corpuscle", *sys.argv[1:]])


def numbers(text: str | None, kind: type[int] | type[float], flag: str) -> list[Any] | None:
    """Numbers with commas between them.

    Raises:
        CorpuscleError: something else.
    """
    from corpuscle.core.errors import CorpuscleError

    if text is None:
        return None
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        word = "whole numbers" if kind is int else "numbers"
        raise CorpuscleError(f"{flag} expects {word} with commas between them, one a stage, got '{text}'") from None


def say_result(run: Run) -> None:
    """The scores that matter, and where the page is."""
    for part, content in run.metrics["parts"].items():
        words = [f"{name.replace('_', ' ')} {_with_interval(content['scores'][name])}" for name in SHOWN]
        typer.echo(f"{part} ({content['n']} images, {content['groups']} groups): {', '.join(words)}")
    typer.echo(f"report: {run.report}")


def _with_interval(score: dict[str, Any]) -> str:
    return "{value:.3f} ({low:.3f} to {high:.3f})".format(**score)
