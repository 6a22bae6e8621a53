"""`corpuscle predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from corpuscle.cli import options


def predict(
    run: Annotated[Path, typer.Argument(help="Run folder.", show_default=False)],
    images: Annotated[list[str], typer.Argument(help="Files, folders, globs, or a CSV.", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="CSV or Parquet file; printed as CSV if left out.")] = None,
    device: options.Device = "auto",
) -> None:
    """Predict images; what cannot be read is reported and passed over."""
    from corpuscle import api

    progress = options.progress()
    predicted = api.predict(run, images, out=out, device=device, progress=progress)
    for fault in predicted.faults:
        progress.say(f"passed over: {fault}")
    if out is None:
        typer.echo(predicted.table.write_csv(), nl=False)
    else:
        typer.echo(f"{len(predicted.table) - len(predicted.faults)} images predicted: {out}")
    if len(predicted.faults) == len(predicted.table):
        raise typer.Exit(2)
