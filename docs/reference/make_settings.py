"""Write docs/reference/settings.md from the settings themselves; `--check` only says whether it is up to date."""

from __future__ import annotations

import json
import re
import sys
import types
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from corpuscle.core.settings import Settings, flatten
from corpuscle.engine.experiment import Experiment
from corpuscle.recipes import RECIPES

PAGE = Path(__file__).with_name("settings.md")
HEAD = """# Settings

Written by `docs/reference/make_settings.py` from the code; a test keeps it true.

Every setting can be given three ways. A flag wins over a file, a file over a recipe, a recipe over the default:

```bash
corpuscle train cells --set fit.batch_size=64     # a flag; may be repeated
corpuscle train cells --config mine.toml          # a file, such as the experiment.toml of another run
corpuscle train cells --recipe leukemia --show    # print every setting and where it came from, and leave
```

A run keeps what was chosen in `experiment.toml`, and in `plan.json` where each value came from and what was derived.
An unknown setting or a value out of range is an error that names the nearest one. Values after `--set` are JSON
(`0.5`, `true`, `[256, 64]`) or a plain word; `none` unsets what may be unset.
"""


STAGES = """A run has one stage or more. The first is `stages.0`, the second `stages.1`; in a file each is a
`[[stages]]`. `--epochs 50,150` and `--learning-rate 0.002,0.0003` give one value a stage.

"""
WORDS: dict[Any, str] = {
    int: "whole number",
    float: "number",
    bool: "`true`, `false`",
    str: "text",
    Path: "path",
    tuple: "list",
    dict: "table",
}


def main() -> int:
    """Write the page, or with `--check` compare it."""
    page = content()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page, encoding="utf-8")
        return 0
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page:
        return 0
    sys.stderr.write(f"{PAGE.name} is not what the settings are; give: python docs/reference/{Path(__file__).name}\n")
    return 1


def content() -> str:
    """The whole page."""
    defaults = flat("default")
    alone = {name: field for name, field in Experiment.model_fields.items() if section_of(field) is None}
    blocks = [HEAD, "## The whole run\n\n" + table(alone, "", defaults)]
    for name, field in Experiment.model_fields.items():
        section = section_of(field)
        if section is not None:
            many = get_origin(field.annotation) is tuple
            rows = table(section.model_fields, f"{name}.0." if many else f"{name}.", defaults)
            blocks.append(f"## `{name}`: {field.description}\n\n{STAGES if many else ''}{rows}")
    return "\n".join([*blocks, recipes(defaults)])


def flat(recipe: str) -> dict[str, Any]:
    """Every setting of a recipe by its dotted key."""
    return dict(flatten(RECIPES[recipe]().model_dump(mode="json")))


def section_of(field: FieldInfo) -> type[Settings] | None:
    """The model of a section, None for a plain value."""
    for kind in (field.annotation, *get_args(field.annotation)):
        if isinstance(kind, type) and issubclass(kind, Settings):
            return kind
    return None


def table(fields: dict[str, FieldInfo], prefix: str, defaults: dict[str, Any]) -> str:
    """A row a setting."""
    rows = [
        (f"`{key}`", shown(defaults[key]), allowed(field), str(field.description))
        for key, field in plain(fields, prefix)
    ]
    return as_table(("setting", "default", "values", "what it is"), rows)


def plain(fields: dict[str, FieldInfo], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    """(dotted key, field) of each setting; those of a section within the section stand in its place."""
    for name, field in fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Settings):
            yield from plain(field.annotation.model_fields, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


def as_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, ["---"] * len(head), *lines))


def shown(value: Any) -> str:
    """A value as one would type it."""
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"`{value:.6g}`"
    return f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value)}`"


def allowed(field: FieldInfo) -> str:
    """What may be given, in words."""
    kinds = [kind for kind in options(field.annotation) if kind is not types.NoneType]
    choices = [value for kind in kinds if get_origin(kind) is Literal for value in get_args(kind)]
    if choices:
        return ", ".join(shown(value) for value in choices)
    words = ", ".join(WORDS[get_origin(kind) or kind] for kind in kinds)
    signs = {"ge": "from", "gt": "above", "le": "to", "lt": "below"}
    limits = [
        f"{word} {getattr(rule, name):,g}"
        for rule in field.metadata
        for name, word in signs.items()
        if hasattr(rule, name)
    ]
    return " ".join([words, *limits])


def options(annotation: Any) -> Iterator[Any]:
    """The types of a union, or the type itself."""
    if get_origin(annotation) in (Union, types.UnionType):
        for kind in get_args(annotation):
            yield from options(kind)
    else:
        yield annotation


def recipes(defaults: dict[str, Any]) -> str:
    """What each recipe sets apart from the default."""
    own = {name: flat(name) for name in RECIPES}
    usual = {key: re.sub(r"^stages\.\d+", "stages.0", key) for settings in own.values() for key in settings}
    differing = [
        key for key, like in usual.items() if any(s.get(key, defaults[like]) != defaults[like] for s in own.values())
    ]
    rows = [
        (f"`{key}`", *(shown(s[key]) if key in s else "" for s in own.values()))
        for key in sorted(differing, key=list(usual).index)
    ]
    title = "## What the recipes choose\n\nSettings that are not named here have their default.\n\n"
    return title + as_table(("setting", *own), rows)


if __name__ == "__main__":
    sys.exit(main())
