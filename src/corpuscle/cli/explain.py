"""`corpuscle explain`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from corpuscle.cli import options

if TYPE_CHECKING:
    from corpuscle.engine.explain.explain import Explained


def explain(
    run: options.RunFolder,
    images: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[IMAGES]",
            help="Files, folders, patterns such as 'scans/*.png', or CSVs; the run's own held-out images if left out.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for pictures and tables.")] = Path("explained"),
    method: Annotated[
        Literal["cam", "gradcam"],
        typer.Option(help="Class activation maps, or Grad-CAM, which sees through any head."),
    ] = "cam",
    of: Annotated[
        str,
        typer.Option(
            "--class",
            metavar="NAME",
            help="Class whose map is made: a name, predicted, or known (the label where the run has it).",
        ),
    ] = "predicted",
    at: Annotated[
        Literal["canvas", "native"],
        typer.Option(help="What the net sees: images as it was trained on them, or at their own size."),
    ] = "canvas",
    masks: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER", help="True masks of the run's held-out images: a folder, or beside.  [default: none]"
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            metavar="LEAST",
            help="Heat, 0 to 1, of the object's pixels.  [default: by masks, else 0.2]",
        ),
    ] = None,
    pseudo_masks: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Make masks of the maps, to train a net on.")
    ] = None,
    animation: Annotated[
        Literal["gif", "mp4", "none"], typer.Option(help="All images in one animation; mp4 needs ffmpeg.")
    ] = "gif",
    device: options.Device = None,
    image_column: options.ImageColumn = None,
    root: options.Root = None,
    assign: options.Assign = None,
) -> None:
    """Show where a classifier looks, and check its maps.

    Exit code 2 only if no image could be read.
    """
    settings = options.chosen(locals())
    how = {"method": method, "of": of, "at": at, "masks": masks, "threshold": threshold, "animation": animation}
    how["pseudo_masks"] = None if pseudo_masks is None else str(pseudo_masks)
    from corpuscle import api

    progress = options.progress()
    explained = api.explain(run, images or None, out=out, how=how, settings=settings, progress=progress)
    for fault in (*explained.faults, *explained.mask_faults):
        progress.say(f"passed over: {fault}")
    _say(explained, out)
    if len(explained.faults) == len(explained.table):
        raise typer.Exit(2)


def _say(explained: Explained, out: Path) -> None:
    from corpuscle.engine.explain.localise import summary
    from corpuscle.engine.explain.randomised import told

    typer.echo(f"{len(explained.table) - len(explained.faults)} images explained: {out}")
    if explained.check is not None:
        typer.echo(told(explained.check))
    if explained.localisation is not None:
        typer.echo(summary(explained.localisation))
