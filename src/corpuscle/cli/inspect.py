"""`corpuscle inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from corpuscle.cli import options


def inspect(
    path: Annotated[Path, typer.Argument(help="Folder or CSV.", show_default=False)],
    pixels: Annotated[bool, typer.Option(help="Open every image, or judge the rows alone.")] = True,
    json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    image_column: options.ImageColumn = None,
    label_column: options.LabelColumn = None,
    group_column: options.GroupColumn = None,
    group_from: options.GroupFrom = None,
    root: options.Root = None,
    valid: options.Valid = None,
    test: options.Test = None,
) -> None:
    """Say what a data set holds and what is wrong with it. Exit code 3 if anything was found."""
    import json as writer

    from corpuscle import api

    plan = options.source_plan(
        image_column=image_column,
        label_column=label_column,
        group_column=group_column,
        group_from=group_from,
        root=root,
        valid=valid,
        test=test,
    )
    found = api.inspect(path, source=plan, pixels=pixels, progress=options.progress())
    if json:
        typer.echo(writer.dumps(found.as_dict(), indent=2, ensure_ascii=False))
    else:
        typer.echo("\n".join(found.lines()))
    if not found.clean:
        raise typer.Exit(3)
