"""`corpuscle report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(run: Annotated[Path, typer.Argument(help="Run folder.", show_default=False)]) -> None:
    """Write the report of a run anew."""
    from corpuscle import api

    typer.echo(f"report: {api.report(run)}")
