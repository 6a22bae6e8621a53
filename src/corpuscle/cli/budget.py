"""`corpuscle budget`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from corpuscle.cli import options
from corpuscle.cli.train import RECIPES

if TYPE_CHECKING:
    from corpuscle.engine.budget_table import Budget


def budget(
    path: options.Data,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for the runs, the table and the page.")],
    budgets: Annotated[
        str, typer.Option(metavar="PERCENT,…", help="How many of the training labels are used.")
    ] = "100,50,10,1",
    starts: Annotated[
        str | None,
        typer.Option(
            metavar="START,…",
            help="scratch, covariances (a linear probe on an encoder with nothing to learn), a run (a linear probe on "
            "its frozen encoder), RUN:all (every parameter learns), joined (these runs' encoders beside one that "
            "learns), joined:probe.  [default: scratch, covariances and each of --pretrain]",
        ),
    ] = None,
    seeds: Annotated[str, typer.Option(metavar="N,…", help="Of weights, order and the labels drawn.")] = "0,1,2",
    reach: Annotated[
        str, typer.Option(metavar="PERCENT,…", help="Accuracies for which the labels needed are told.")
    ] = "80,90,95",
    pretrain: Annotated[
        str | None,
        typer.Option(metavar="RECIPE,…", help="Recipes that learn first, without labels: codebook, contrast, prcc."),
    ] = None,
    unlabelled: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Further images for --pretrain.")] = None,
    at_once: Annotated[
        int, typer.Option(metavar="N", help="Cells trained at the same time; 0: one a core, on a GPU one.")
    ] = 0,
    recipe: Annotated[
        str, typer.Option(metavar="NAME", help=f"Of every cell: {', '.join(RECIPES[:-1])} or {RECIPES[-1]}.")
    ] = "default",
    device: options.Device = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Seed of the split, the same for all cells.")] = None,
    size: Annotated[int | None, typer.Option(metavar="PIXELS", help="Side of the images that the net sees.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="NAME", help="Net of the cells that start from scratch.")
    ] = None,
    epochs: Annotated[
        str | None,
        typer.Option("--epochs", "-e", metavar="N", help="Passes over the labelled images; a probe has none."),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", "-b", metavar="N", help="Images in each optimiser step.")
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
    """How many labels are needed, and whether pretraining helps.

    Trains a net for each budget of labels, starting point and seed, and judges all on one test part. What was stopped
    goes on when the same command is given again; budgets, starts and seeds may be added later. What is set for one
    recipe of --pretrain begins with its name: --set contrast.epochs=[100].
    """
    settings = options.chosen(locals())
    how: dict[str, Any] = {"budgets": budgets, "seeds": seeds, "reach": reach, "at_once": at_once}
    how |= {name: given for name, given in (("starts", starts), ("pretrain", pretrain)) if given is not None}
    how |= {} if unlabelled is None else {"unlabelled": str(unlabelled)}
    from corpuscle import making

    command, progress = options.typed(), options.progress()
    found = making.budget(path, out, how=how, recipe=recipe, settings=settings, command=command, progress=progress)
    _say(found)


def _say(found: Budget) -> None:
    """The answer, and what could not be done."""
    from corpuscle.report.budget import answer, gains, levels, read_budget

    data = read_budget(found.folder)
    for line in (answer(data), *gains(data), *levels(data)):
        typer.echo(line)
    left_out = found.cells["fault"].is_not_null().sum()
    if left_out:
        typer.echo(f"left out: {left_out} of {len(found.cells)} trainings; budget.csv says why", err=True)
    typer.echo(f"report: {found.report}")
