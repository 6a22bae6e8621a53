"""`corpuscle compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SHOWN = (
    *("accuracy", "balanced_accuracy", "mae", "rmse", "r", "r2", "kappa", "dot_f1"),
    *("mean_dice", "mean_iou", "ssim", "retrieval", "distortion"),
)


def compare(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUNS", help="Run folders, or a folder of them.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for the page, tables and figures.")] = Path(
        "runs/comparison"
    ),
) -> None:
    """Set runs side by side: curves, scores and paired differences.

    Curves end at the last epoch that all runs have, so that none looks better because it was trained longer.
    """
    from corpuscle import api

    comparison = api.compare(runs, out=out)
    for name, scores in comparison.scores.items():
        shown = [f"{score.replace('_', ' ')} {scores[score]}" for score in SHOWN if score in scores]
        typer.echo(f"{name}: {', '.join(shown)}")
    for name in comparison.unfinished:
        typer.echo(f"left out: {name}, which has not finished")
    for score, spread in comparison.spreads.items():
        if score in SHOWN and spread.runs > 1:
            typer.echo(f"{score.replace('_', ' ')} over {spread.runs} runs: {spread.mean:.4f} ± {spread.spread:.4f}")
    for difference in comparison.differences:
        typer.echo(str(difference))
    if len(comparison.scores) > 1 and not comparison.differences:
        typer.echo("the runs judged no image in common, so no paired difference can be had")
    typer.echo(f"page: {out / 'comparison.html'}")
