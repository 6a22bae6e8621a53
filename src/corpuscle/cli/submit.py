"""`corpuscle submit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from corpuscle.cli import options


def submit(
    run: options.RunFolder,
    test_csv: Annotated[
        Path,
        typer.Argument(
            metavar="CSV", help="Names the images, or an HDF5 file of them; it stays as it is.", show_default=False
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="CSV to write.")] = Path("submission.csv"),
    device: options.Device = None,
    image_column: options.ImageColumn = None,
    label_column: options.LabelColumn = None,
    root: options.Root = None,
    assign: options.Assign = None,
) -> None:
    """Fill the labels or counts of a CSV, in its own order.

    If an image is missing or cannot be read, all such are named and nothing is written.
    """
    settings = options.chosen(locals())
    from corpuscle import api

    filled = api.submit(run, test_csv, out, settings=settings, progress=options.progress())
    typer.echo(f"{len(filled)} rows filled: {out}")
