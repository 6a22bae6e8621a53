"""`corpuscle cutouts`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from corpuscle.cli import options

SAID = 5  # reasons why something was passed over; all are in passed_over.csv


def cutouts(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...", help="Data sets of single cells, with masks, boxes or neither; and banks to join."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="BANK", help="The new folder of cut-outs.")],
    kind: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=KIND", help="What a class is in a smear, as in --kind 1=neutrophil; repeatable."),
    ] = None,
    drop_kind: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Leave a class out; may be repeated.")
    ] = None,
    pixel_um: Annotated[
        float | None,
        typer.Option(metavar="UM", help="Microns a pixel of the images; by default estimated from the size of cells."),
    ] = None,
    cell_um: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND=UM", help="Median diameter of a kind in microns to estimate it from; repeatable."),
    ] = None,
    bank_pixel_um: Annotated[
        float | None, typer.Option(metavar="UM", help="Microns a pixel of the bank.  [default: 0.1875]")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="The same seed gives the same division.  [default: 0]")
    ] = None,
    image_column: options.ImageColumn = None,
    label_column: options.LabelColumn = None,
    group_column: options.GroupColumn = None,
    group_from: options.GroupFrom = None,
    root: options.Root = None,
    assign: options.Assign = None,
) -> None:
    """Cut single cells out of images, to compose scenes of.

    What cannot be cut is named and passed over.

    All are brought to one magnification and divided 80/10/10; one image, or one group, is in one part. BANK/sheet.png
    shows some of each kind. Exit code 2 only if nothing is left.
    """
    settings = options.chosen(locals())
    plain = {"pixel_um": pixel_um, "bank_pixel_um": bank_pixel_um, "drop_kind": drop_kind}
    settings |= {name: value for name, value in plain.items() if value is not None}
    if kind:
        settings["kind"] = _pairs(kind, "--kind WBC=monocyte")
    if cell_um:
        settings["cell_um"] = _pairs(cell_um, "--cell-um neutrophil=13")
    from corpuscle import making

    progress = options.progress()
    made = making.cutouts(paths, out, settings=settings, progress=progress)
    for note in made.notes:
        progress.say(note)
    reasons = made.reasons()
    for what, (number, first) in list(reasons.items())[:SAID]:
        progress.say(f"passed over: {number} × {what} (first: {first})")
    if len(reasons) > SAID:
        progress.say(f"passed over for {len(reasons) - SAID} other reasons: see {out / 'passed_over.csv'}")
    for name, counts in made.bank.counts().items():
        typer.echo(f"{name}: " + ", ".join(f"{part} {count}" for part, count in counts.items()))
    typer.echo(f"written: {out}; look at {out / 'sheet.png'}")


def _pairs(texts: Sequence[str], example: str) -> dict[str, str]:
    from corpuscle.core.errors import CorpuscleError

    wrong = [text for text in texts if not text.partition("=")[0] or not text.partition("=")[2]]
    if wrong:
        flag = example.partition(" ")[0]
        raise CorpuscleError(f"{flag} expects NAME=VALUE, got '{wrong[0]}'; for example {example}")
    return {name: value for name, _, value in (text.partition("=") for text in texts)}
