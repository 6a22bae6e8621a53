"""`corpuscle split`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from corpuscle.cli import options


def split(
    path: options.Data,
    out: Annotated[Path, typer.Option(metavar="OUT", help="CSV to write, or the new folder.")],
    how: Annotated[
        Literal["csv", "copy", "link"],
        typer.Option("--as", help="Write a CSV, or train, val and test folders of copies or of links."),
    ] = "csv",
    anew: Annotated[bool, typer.Option("--anew", help="Divide again what is divided already.")] = False,
    val_share: Annotated[
        float | None,
        typer.Option("--val", metavar="SHARE", help="Share of the validation part; 0 for none.  [default: 0.15]"),
    ] = None,
    test_share: Annotated[
        float | None,
        typer.Option("--test", metavar="SHARE", help="Share of the test part; 0 for none.  [default: 0.15]"),
    ] = None,
    folds: Annotated[
        int | None, typer.Option(metavar="K", help="Number of folds, in place of shares; each can be the test part.")
    ] = None,
    fold: Annotated[
        int | None, typer.Option(metavar="N", help="With --folds: which one is the test part, from 1.  [default: 1]")
    ] = None,
    rare: Annotated[
        Literal["refuse", "train"] | None,
        typer.Option(help="A class with fewer groups than parts: refuse it, or keep it in train.  [default: refuse]"),
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
    """Divide a data set into train, val and test, or into folds.

    Every part has the same mix of classes; a group, and images with identical pixels, stay together.
    """
    settings = options.chosen(locals())
    from corpuscle import api
    from corpuscle.data.fingerprint import class_counts, object_counts

    divided = api.split(path, out, how=how, anew=anew, settings=settings, progress=options.progress())
    for name, counts in class_counts(divided).items() if not (divided.counted or divided.segmented) else ():
        typer.echo(f"{name}: " + ", ".join(f"{part} {count}" for part, count in counts.items()))
    for kind, parts in object_counts(divided).items() if divided.counted else ():
        of = (f"{part} {held['objects']} in {held['images']} images" for part, held in parts.items())
        typer.echo(f"{kind}: {', '.join(of)}")
    typer.echo(f"written: {out}")
