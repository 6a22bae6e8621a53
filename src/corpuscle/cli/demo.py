"""`corpuscle demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from corpuscle.cli import options


def demo(
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Run folder; the cells are drawn into <FOLDER>-cells.")
    ] = Path("runs/demo"),
    per_class: Annotated[int, typer.Option(metavar="N", help="Cells of each of the five kinds.")] = 120,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the drawing and the training.")] = 0,
) -> None:
    """Draw cells, train on them, write the report: needs no data."""
    from corpuscle import making

    run = making.demo(out, per_class=per_class, seed=seed, command=options.typed(), progress=options.progress())
    options.say_result(run)
    typer.echo("now your own images, a folder a class:  corpuscle train FOLDER --out runs/mine")
