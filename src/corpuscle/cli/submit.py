"""`corpuscle submit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from corpuscle.cli import options


def submit(
    run: Annotated[Path, typer.Argument(help="Run folder.", show_default=False)],
    test_csv: Annotated[Path, typer.Argument(help="CSV of images without labels.", show_default=False)],
    out: Annotated[Path, typer.Option(help="CSV to write.")] = Path("submission.csv"),
    device: options.Device = "auto",
    image_column: options.ImageColumn = None,
    label_column: options.LabelColumn = None,
    root: options.Root = None,
) -> None:
    """Fill the labels of a CSV, its rows in their own order."""
    from corpuscle import api

    source = options.source_plan(image_column=image_column, label_column=label_column, root=root)
    filled = api.submit(run, test_csv, out, source=source, device=device, progress=options.progress())
    typer.echo(f"{len(filled)} rows filled: {out}")
