"""The command `corpuscle`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, NoReturn

import typer

from corpuscle.cli import compare, demo, evaluate, inspect, predict, report, split, submit, train
from corpuscle.core.errors import CorpuscleError

app = typer.Typer(
    help="Count, classify and segment what is in medical images: from a folder to a trained model with honest numbers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich would double the time of --help
    context_settings={"help_option_names": ["-h", "--help"]},
)

VERBS: dict[str, Callable[..., None]] = {
    "inspect": inspect.inspect,
    "split": split.split,
    "train": train.train,
    "evaluate": evaluate.evaluate,
    "predict": predict.predict,
    "compare": compare.compare,
    "submit": submit.submit,
    "report": report.report,
    "demo": demo.demo,
}
for name, verb in VERBS.items():
    app.command(name)(verb)


def _version(shown: bool) -> None:
    if shown:
        from importlib.metadata import version

        typer.echo(f"corpuscle {version('corpuscle')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version and leave.")
    ] = False,
) -> None:
    """Count, classify and segment what is in medical images: from a folder to a trained model with honest numbers."""


def main() -> NoReturn:
    """Run the command; what a person can mend is one clear line and exit code 2, never a traceback."""
    try:
        app()
        sys.exit(0)
    except CorpuscleError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        sys.exit(130)
