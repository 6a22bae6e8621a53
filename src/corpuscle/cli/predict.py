"""`corpuscle predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from corpuscle.cli import options


def predict(
    run: options.RunFolder,
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGES", help="Files, folders, patterns such as 'scans/*.png', or CSVs.", show_default=False
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="CSV or Parquet file; printed as CSV if left out.")
    ] = None,
    points: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="For the dots of a run that counts: a CSV, and GeoJSONs for QuPath."),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="For the masks of a run that segments, and the numbers of its objects."),
    ] = None,
    device: options.Device = None,
    image_column: options.ImageColumn = None,
    root: options.Root = None,
    assign: options.Assign = None,
) -> None:
    """Predict images; what cannot be read is named and passed over.

    Exit code 2 only if none could be read. --set score.views=8 averages eight mirrored and turned views.
    """
    settings = options.chosen(locals())
    from corpuscle import api

    progress = options.progress()
    predicted = api.predict(run, images, out=out, points=points, masks=masks, settings=settings, progress=progress)
    for fault in predicted.faults:
        progress.say(f"passed over: {fault}")
    if out is None:
        typer.echo(predicted.table.write_csv(), nl=False)
    else:
        typer.echo(f"{len(predicted.table) - len(predicted.faults)} images predicted: {out}")
    if len(predicted.faults) == len(predicted.table):
        raise typer.Exit(2)
