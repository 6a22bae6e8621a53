"""`corpuscle evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from corpuscle.cli import options


def evaluate(
    run: options.RunFolder,
    path: Annotated[
        Path | None, typer.Argument(metavar="PATH", help="Labelled images; the run's own held-out ones if left out.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Folder for scores, predictions and report.  [default: runs/<run>-on-<data>]"
        ),
    ] = None,
    device: options.Device = None,
    image_column: options.ImageColumn = None,
    label_column: options.LabelColumn = None,
    group_column: options.GroupColumn = None,
    group_from: options.GroupFrom = None,
    root: options.Root = None,
    assign: options.Assign = None,
) -> None:
    """Judge a run on labelled images, with 95 % intervals.

    Columns and patterns are those that the run was trained with, unless named.
    """
    settings = options.chosen(locals())
    from corpuscle import api

    command, progress = options.typed(), options.progress()
    options.say_result(api.evaluate(run, path, out=out, settings=settings, command=command, progress=progress))
