"""`corpuscle train`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from corpuscle.cli import options

RECIPES = sorted(path.stem for path in (Path(__file__).parents[1] / "recipes").glob("[!_]*.py"))  # a file a recipe


def train(
    path: options.Data,
    recipe: Annotated[
        str,
        typer.Option(metavar="NAME", help=f"Choices to start from: {', '.join(RECIPES[:-1])} or {RECIPES[-1]}."),
    ] = "default",
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Run folder to write; the same command goes on with a run that was stopped.  "
            "[default: runs/<data>-<recipe>]",
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TOML with settings, such as experiment.toml of a run.")
    ] = None,
    show: Annotated[
        bool, typer.Option("--show", help="Print every setting with where it came from and its meaning; train nothing.")
    ] = False,
    device: options.Device = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Seed of every random choice.")] = None,
    size: Annotated[int | None, typer.Option(metavar="PIXELS", help="Side of the images that the net sees.")] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", metavar="NAME", help="resnet18, 34, 50, 101, 152, any encoder of timm's, or unet."
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(metavar="FROM", help="Weights to start from: none, imagenet, a file, or another run."),
    ] = None,
    epochs: Annotated[
        str | None,
        typer.Option(
            "--epochs",
            "-e",
            metavar="N",
            help="Passes over the training images: 40, or 50,150 for a recipe of two stages.",
        ),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", "-b", metavar="N", help="Images in each optimiser step.")
    ] = None,
    optimiser: Annotated[
        str | None, typer.Option("--optimiser", "-o", metavar="NAME", help="sgd, adam or adamw.")
    ] = None,
    learning_rate: Annotated[
        str | None,
        typer.Option(
            "--learning-rate", "-r", metavar="RATE", help="Highest learning rate: 0.001, or one number for each stage."
        ),
    ] = None,
    momentum: Annotated[
        float | None, typer.Option("--momentum", "-mm", metavar="M", help="Of SGD; the first beta of Adam and AdamW.")
    ] = None,
    weight_decay: Annotated[
        float | None, typer.Option("--weight-decay", "-wd", metavar="D", help="Pull of the weights towards zero.")
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
    """Train a net, judge it on images held out, write the report.

    Settings that are not named come from the recipe; --show prints them all.
    """
    settings = options.chosen(locals())
    if show:
        _show(recipe, config, settings)
        return
    from corpuscle import api

    command, progress = options.typed(), options.progress()
    run = api.train(path, recipe=recipe, out=out, file=config, settings=settings, command=command, progress=progress)
    if os.environ.get("RANK", "0") == "0":  # of the processes that torchrun starts, one speaks
        options.say_result(run)


def _show(recipe: str, config: Path | None, settings: dict[str, Any]) -> None:
    import json

    from corpuscle.core.settings import descriptions, flatten
    from corpuscle.recipes import compose

    experiment, origins = compose(recipe, config, settings)
    meaning = dict(descriptions(experiment))
    for key, value in flatten(experiment.model_dump(mode="json")):
        shown = json.dumps(value, ensure_ascii=False)
        typer.echo(f"{key} = {shown}  # {origins.get(key, 'default')}: {meaning.get(key, '')}".rstrip(": "))
