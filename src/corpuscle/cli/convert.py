"""`corpuscle convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from corpuscle.cli import options


def convert(
    path: Annotated[
        Path,
        typer.Argument(metavar="DATA", help="Images with boxes, outlines, points, dots or masks.", show_default=False),
    ],
    to: Annotated[
        Literal["voc", "coco", "yolo", "labelme", "cvat", "qupath", "masks", "points"],
        typer.Option(help="The format to write.", show_default=False),
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="A new or empty folder.", show_default=False)],
    images: Annotated[
        Literal["copy", "link", "none"],
        typer.Option(help="Copy the images, link them (one file under two names), or write annotations alone."),
    ] = "copy",
    root: options.Root = None,
    valid: options.Valid = None,
    test: options.Test = None,
    assign: options.Assign = None,
) -> None:
    """Write annotations in another format.

    The format that is read shows by itself. What the new one has no room for is said, with numbers; the folder is
    written whole or not at all.
    """
    settings = options.chosen(locals())
    from corpuscle import making

    progress = options.progress()
    written = making.convert(path, to, out, images=images, settings=settings, progress=progress)
    for note in written.notes:
        progress.say(f"note: {note}")
    typer.echo(written)
