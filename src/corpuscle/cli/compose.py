"""`corpuscle compose`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from corpuscle.cli import options


def compose(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for the scenes.")],
    bank: Annotated[
        Path | None,
        typer.Argument(metavar="[BANK]", help="Cut-outs, as corpuscle cutouts writes them; drawn cells if none."),
    ] = None,
    scenes: Annotated[
        str | None,
        typer.Option(metavar="N,N,N", help="Scenes of train, val and test.  [default: 65350,6560,6560]"),
    ] = None,
    how: Annotated[
        Literal["boxes", "coco"], typer.Option("--as", help="Boxes as one boxes.csv, or as a COCO file a part.")
    ] = "boxes",
    instances: Annotated[bool, typer.Option("--instances", help="Also write the objects' numbers, 16 bits.")] = False,
    workers: Annotated[int | None, typer.Option(metavar="N", help="Processes.  [default: one a core]")] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="The same seed gives the same scenes.  [default: 0]")
    ] = None,
    assign: options.Assign = None,
) -> None:
    """Compose smears of cut-out cells, with masks and boxes.

    What was stopped goes on where it was when the same command is given again.
    """
    settings = options.chosen(locals())
    if scenes is not None:
        settings["compose.scenes"] = numbers_of(scenes)
    from corpuscle import making

    written = making.compose(
        out, bank, how=how, instances=instances, workers=workers, settings=settings, progress=options.progress()
    )
    for part, number in written.scenes.items():
        held = ", ".join(f"{kind} {count}" for kind, count in written.objects[part].items() if count)
        typer.echo(f"{part}: {number} scenes" + (f" with {held}" if held else ""))
    typer.echo(f"written: {written.folder}")


def numbers_of(text: str) -> list[int]:
    """Scenes of train, val and test, from words with commas between them.

    Raises:
        CorpuscleError: these are not three whole numbers.
    """
    from corpuscle.core.errors import CorpuscleError

    try:
        train, val, test = (int(part) for part in text.split(","))
    except ValueError:
        raise CorpuscleError(
            f"--scenes expects three whole numbers, of train, val and test, got '{text}'; for example 1000,100,100"
        ) from None
    return [train, val, test]
