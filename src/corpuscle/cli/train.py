"""`corpuscle train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from corpuscle.cli import options

FIT = "How the net is fitted"


def train(
    path: Annotated[Path, typer.Argument(help="Folder or CSV.", show_default=False)],
    recipe: Annotated[str, typer.Option(help="default, fundus, leukemia.")] = "default",
    out: Annotated[Path | None, typer.Option(help="Run folder; training again into it goes on.")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML with settings, as experiment.toml of a run.")] = None,
    assign: Annotated[
        list[str] | None, typer.Option("--set", metavar="SECTION.FIELD=VALUE", help="Any setting; may be repeated.")
    ] = None,
    show: Annotated[
        bool, typer.Option("--show", help="Print every setting and where it came from, and leave.")
    ] = False,
    seed: Annotated[int | None, typer.Option(help="Of every random choice.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = None,
    size: Annotated[int | None, typer.Option(help="Side of the net's images in pixels.")] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="resnet18, 34, 50, 101, 152 or any timm encoder.", rich_help_panel=FIT),
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="none, imagenet, a weights file or a run to start from.", rich_help_panel=FIT)
    ] = None,
    epochs: Annotated[
        str | None,
        typer.Option("--epochs", "-e", help="Passes over the data, one number a stage: 50,150.", rich_help_panel=FIT),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", "-b", help="Images a step.", rich_help_panel=FIT)
    ] = None,
    optimiser: Annotated[
        str | None, typer.Option("--optimiser", "-o", help="sgd, adam or adamw.", rich_help_panel=FIT)
    ] = None,
    learning_rate: Annotated[
        str | None, typer.Option("--learning-rate", "-r", help="Highest one, one number a stage.", rich_help_panel=FIT)
    ] = None,
    momentum: Annotated[
        float | None, typer.Option("--momentum", "-mm", help="Of the optimiser.", rich_help_panel=FIT)
    ] = None,
    weight_decay: Annotated[
        float | None, typer.Option("--weight-decay", "-wd", help="Of the optimiser.", rich_help_panel=FIT)
    ] = None,
    image_column: options.ImageColumn = None,
    label_column: options.LabelColumn = None,
    group_column: options.GroupColumn = None,
    group_from: options.GroupFrom = None,
    root: options.Root = None,
    valid: options.Valid = None,
    test: options.Test = None,
) -> None:
    """Train on a data set, judge the result on what was held out, and write the report."""
    from corpuscle.core.settings import parse_assignment

    named: dict[str, Any] = {
        "seed": seed,
        "device.name": device,
        "prepare.size": size,
        "net.model": model,
        "net.weights": weights,
        "epochs": options.numbers(epochs, int, "--epochs"),
        "fit.batch_size": batch_size,
        "optim.optimiser": optimiser,
        "learning_rate": options.numbers(learning_rate, float, "--learning-rate"),
        "optim.momentum": momentum,
        "optim.weight_decay": weight_decay,
    }
    settings = {key: value for key, value in named.items() if value is not None}
    settings |= options.source_values(
        image_column=image_column,
        label_column=label_column,
        group_column=group_column,
        group_from=group_from,
        root=root,
        valid=valid,
        test=test,
    )
    settings |= dict(parse_assignment(text) for text in assign or [])
    if show:
        _show(recipe, config, settings)
        return
    from corpuscle import api
    from corpuscle.core.stopped import Stopped

    try:
        run = api.train(
            path,
            recipe=recipe,
            out=out,
            file=config,
            settings=settings,
            command=options.typed(),
            progress=options.progress(),
        )
    except Stopped as stopped:
        typer.echo(f"stopped and saved; the same command goes on: {options.typed()}", err=True)
        raise typer.Exit(128 + stopped.signal) from None
    options.say_result(run)


def _show(recipe: str, config: Path | None, settings: dict[str, Any]) -> None:
    import json

    from corpuscle.core.settings import flatten
    from corpuscle.recipes import compose

    experiment, origins = compose(recipe, config, settings)
    for key, value in flatten(experiment.model_dump(mode="json")):
        typer.echo(f"{key} = {json.dumps(value, ensure_ascii=False)}  # {origins.get(key, 'default')}")
