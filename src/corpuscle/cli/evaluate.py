"""`corpuscle evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from corpuscle.cli import options


def evaluate(
    run: Annotated[Path, typer.Argument(help="Run folder.", show_default=False)],
    path: Annotated[
        Path | None, typer.Argument(help="Labelled images; the run's own held-out ones if left out.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for scores, predictions and report.")] = None,
    device: options.Device = "auto",
    image_column: options.ImageColumn = None,
    label_column: options.LabelColumn = None,
    group_column: options.GroupColumn = None,
    group_from: options.GroupFrom = None,
    root: options.Root = None,
) -> None:
    """Judge a finished run on labelled images; every score with its 95 % interval."""
    from corpuscle import api

    given = {
        "image_column": image_column,
        "label_column": label_column,
        "group_column": group_column,
        "group_from": group_from,
        "root": root,
    }
    source = options.source_plan(**given) if any(value is not None for value in given.values()) else None
    judged = api.evaluate(run, path, out=out, source=source, device=device, progress=options.progress())
    options.say_result(judged)
