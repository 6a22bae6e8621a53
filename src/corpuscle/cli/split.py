"""`corpuscle split`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from corpuscle.cli import options


def split(
    path: Annotated[Path, typer.Argument(help="Folder or CSV.", show_default=False)],
    out: Annotated[Path, typer.Option(help="CSV to write, or the folder of a divided copy or of links.")],
    how: Annotated[
        Literal["csv", "copy", "link"],
        typer.Option("--as", help="A CSV, or train/val/test folders of copies or links."),
    ] = "csv",
    val: Annotated[float, typer.Option(help="Share of the validation part; 0 for none.")] = 0.15,
    test_share: Annotated[float, typer.Option("--test-share", help="Share of the test part; 0 for none.")] = 0.15,
    folds: Annotated[int, typer.Option(help="Number of folds, in place of shares.")] = 0,
    fold: Annotated[int, typer.Option(help="With folds: the one that is the test part.")] = 1,
    rare: Annotated[
        Literal["refuse", "train"], typer.Option(help="A class with fewer groups than parts: refuse, or keep in train.")
    ] = "refuse",
    seed: Annotated[int, typer.Option(help="The same seed gives the same division.")] = 0,
    image_column: options.ImageColumn = None,
    label_column: options.LabelColumn = None,
    group_column: options.GroupColumn = None,
    group_from: options.GroupFrom = None,
    root: options.Root = None,
) -> None:
    """Divide a data set by class and by group; identical images stay together."""
    from corpuscle import api
    from corpuscle.core.settings import validated
    from corpuscle.data.fingerprint import class_counts
    from corpuscle.data.splits import SplitPlan

    source = options.source_plan(
        image_column=image_column,
        label_column=label_column,
        group_column=group_column,
        group_from=group_from,
        root=root,
    )
    plan = validated(SplitPlan, {"val": val, "test": test_share, "folds": folds, "fold": fold, "rare": rare})
    divided = api.split(path, out, how=how, source=source, plan=plan, seed=seed, progress=options.progress())
    for name, counts in class_counts(divided).items():
        typer.echo(f"{name}: " + ", ".join(f"{part} {count}" for part, count in counts.items()))
    typer.echo(f"written: {out}")
