"""`corpuscle compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, or a folder of them.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for the page, tables and figures.")] = Path("runs/comparison"),
) -> None:
    """Set runs side by side: curves over their last common epochs, and the difference with its paired interval."""
    from corpuscle import api

    comparison = api.compare(runs, out=out)
    for name, scores in comparison.scores.items():
        typer.echo(f"{name}: accuracy {scores['accuracy']}, balanced accuracy {scores['balanced_accuracy']}")
    for difference in comparison.differences:
        typer.echo(str(difference))
    typer.echo(f"page: {out / 'comparison.html'}")
