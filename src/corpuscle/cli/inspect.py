"""`corpuscle inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from corpuscle.cli import options


def inspect(
    path: options.Data,
    pixels: Annotated[bool, typer.Option(help="Open every image, or judge names and rows alone.")] = True,
    label_errors: Annotated[
        bool, typer.Option("--label-errors", help="Also look for labels that may be wrong.")
    ] = False,
    runs: Annotated[
        list[Path] | None,
        typer.Option(
            "--runs",
            metavar="RUN",
            help="The same by a trained run, or a folder of runs, each judging its own test part; may be repeated.",
        ),
    ] = None,
    overlaps: Annotated[
        bool, typer.Option("--overlaps", help="Also look for crops of one field that overlap.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
    html: Annotated[
        Path | None, typer.Option(metavar="PAGE", help="Write a page with the pictures of what was found.")
    ] = None,
    fix: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT.csv", help="Write a cleaned table, and beside it what was changed; the files stay as they are."
        ),
    ] = None,
    image_column: options.ImageColumn = None,
    label_column: options.LabelColumn = None,
    group_column: options.GroupColumn = None,
    group_from: options.GroupFrom = None,
    root: options.Root = None,
    valid: options.Valid = None,
    test: options.Test = None,
    assign: options.Assign = None,
) -> None:
    """Say what a data set holds and what is wrong with it.

    Exit code 0: nothing was found; 3: something a person should look at; 2: the data cannot be used as they are.
    """
    settings = ({"guard.overlaps": "together"} if overlaps else {}) | options.chosen(locals())
    import json as writer

    from corpuscle import api
    from corpuscle.core.errors import CorpuscleError

    if overlaps and not pixels:
        raise CorpuscleError("--overlaps expects images that are opened, got --no-pixels; leave out one of them")
    progress = options.progress(results=not json)
    found = api.inspect(
        path, pixels=pixels, label_errors=runs or label_errors, html=html, fix=fix, settings=settings, progress=progress
    )
    typer.echo(writer.dumps(found.as_dict(), indent=2, ensure_ascii=False) if json else "\n".join(found.lines()))
    if not found.clean:
        raise typer.Exit(3)
