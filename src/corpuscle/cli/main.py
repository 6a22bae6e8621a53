"""The command `corpuscle`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, NoReturn

import typer

from corpuscle.cli import (
    budget,
    compare,
    compose,
    convert,
    cutouts,
    demo,
    evaluate,
    explain,
    inspect,
    options,
    predict,
    report,
    split,
    submit,
    train,
)
from corpuscle.core.errors import CorpuscleError
from corpuscle.core.stopped import Stopped

UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # typer does not name it, and took it from another package

INTERRUPTED = 130  # as shells count it: 128 and the number of SIGINT

app = typer.Typer(
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
    "explain": explain.explain,
    "compare": compare.compare,
    "budget": budget.budget,
    "submit": submit.submit,
    "cutouts": cutouts.cutouts,
    "compose": compose.compose,
    "convert": convert.convert,
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
    """Classify medical images, count and segment what is in them: from a folder to a trained model with honest numbers.

    Begin with: corpuscle inspect FOLDER, then corpuscle train FOLDER; FOLDER holds a folder of images for each class.
    To count: corpuscle train FOLDER --recipe count; FOLDER holds images and their dots, boxes, points or numbers.
    To segment: corpuscle train FOLDER --recipe segment; FOLDER holds images and masks.
    """


def main() -> NoReturn:
    """Run the command; what a person can mend is one clear line and exit code 2, never a traceback."""
    try:
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False) or 0
        if code == INTERRUPTED:  # Ctrl-C, which typer turns into this
            sys.stderr.write("stopped\n")
        sys.exit(code)
    except CorpuscleError as error:
        _fail(str(error))
    except UsageError as error:
        _fail(_usage(error))
    except Stopped as stopped:
        sys.stderr.write(f"stopped and saved; the same command goes on: {options.typed()}\n")
        sys.exit(128 + stopped.signal)
    except OSError as error:
        if error.filename is None:
            raise
        _fail(f"{error.filename}: {error.strerror}; see that the name is right and that you may use it")
    except (MemoryError, RuntimeError) as error:
        if not _fills_memory(error):
            raise
        said = str(error).partition("\n")[0]
        _fail(f"the memory is full ({said}); lower --batch-size or --size, or pass --set fit.accumulate=4")


def _fills_memory(error: Exception) -> bool:
    """Whether memory is full: torch tells it of a GPU by a class of its own, and of a CPU in words."""
    told = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return told or "can't allocate memory" in str(error)


def _fail(message: str) -> NoReturn:
    sys.stderr.write("".join(f"error: {line}\n" for line in message.splitlines()))
    sys.exit(2)


def _usage(error: Exception) -> str:
    """What was typed wrongly, what came, and where to look."""
    import re

    from pydantic import ValidationError

    said: str = error.format_message()  # type: ignore[attr-defined]
    said = re.sub(r"Value error, |, unable to parse .*|\.$", "", said).replace("Input should be", "expected")
    cause, context = error.__cause__, getattr(error, "ctx", None)
    came = str(cause.errors()[0]["input"]) if isinstance(cause, ValidationError) else ""
    if came not in said:
        said += f", got '{came}'"
    ending = " " if said.endswith("?") else "; "
    return f"{said[:1].lower()}{said[1:]}{ending}{context.command_path if context else 'corpuscle'} --help lists all"
