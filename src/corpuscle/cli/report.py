"""`corpuscle report`."""

from __future__ import annotations

import typer

from corpuscle.cli import options


def report(run: options.RunFolder) -> None:
    """Write the report of a run or evaluation anew."""
    from corpuscle import api

    typer.echo(f"report: {api.report(run)}")
