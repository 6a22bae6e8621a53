"""Settings: frozen models beside the code that reads them, and where each value came from."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from corpuscle.core.errors import CorpuscleError, nearest


class Settings(BaseModel):
    """A frozen record of documented choices; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _none_unsets(cls, values: Any) -> Any:
        """`none` unsets what may be unset; elsewhere it is a word, as in `augment.flip=none`."""
        if not isinstance(values, Mapping):
            return values
        optional = {name for name, field in cls.model_fields.items() if type(None) in get_args(field.annotation)}
        return {name: None if name in optional and value == "none" else value for name, value in values.items()}


S = TypeVar("S", bound=Settings)


def flatten(values: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, plain value) of nested settings, in order.

    >>> dict(flatten({"fit": {"epochs": 3}, "stages": [{"train": "head"}]}))
    {'fit.epochs': 3, 'stages.0.train': 'head'}
    """
    if isinstance(values, Mapping) and values:
        for key, value in values.items():
            yield from flatten(value, f"{prefix}{key}.")
    elif isinstance(values, list | tuple) and values and isinstance(values[0], Mapping):
        for place, value in enumerate(values):
            yield from flatten(value, f"{prefix}{place}.")
    else:
        yield prefix.removesuffix("."), values


def descriptions(settings: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """(dotted key, what it means) of nested settings, in order."""
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        inner = list(enumerate(value)) if isinstance(value, tuple) else [("", value)]
        if inner and isinstance(inner[0][1], Settings):
            for place, one in inner:
                yield from descriptions(
                    one, f"{prefix}{name}.{place}." if isinstance(value, tuple) else f"{prefix}{name}."
                )
        else:
            yield f"{prefix}{name}", field.description or ""


def resolve(base: S, layers: Mapping[str, Mapping[str, Any]], base_name: str = "default") -> tuple[S, dict[str, str]]:
    """Lay values over a complete set of settings.

    Args:
        base: settings to start from.
        layers: name of the layer (`file experiment.toml`, `flag`) to its values by dotted key; later ones win.
        base_name: where the values of `base` come from.

    Returns:
        The settings, and for each dotted key the name of the layer its value came from.

    Raises:
        CorpuscleError: an unknown key or a value out of range, with the nearest key or the range named.
    """
    values = base.model_dump(mode="json")
    origin = dict.fromkeys(dict(flatten(values)), base_name)
    for layer, changes in layers.items():
        for key, value in changes.items():
            if isinstance(value, list) and value and isinstance(value[0], Mapping):
                origin = {name: came for name, came in origin.items() if not name.startswith(f"{key}.")}
            _put(values, key, value, list(dict(flatten(values))))
            origin.update(dict.fromkeys((name for name, _ in flatten(_get(values, key), f"{key}.")), layer))
    return validated(type(base), values), origin


def origin_of(key: str, origins: Mapping[str, str]) -> str:
    """Where a value came from: by its own key, or by that of the word it was read from.

    >>> origin_of("net.joined.0.run", {"net.joined": "flag"})
    'flag'
    """
    while key not in origins and "." in key:
        key = key.rpartition(".")[0]
    return origins.get(key, "default")


def validated(model: type[S], values: Mapping[str, Any]) -> S:
    """Build settings from plain values, with errors a person can read.

    Raises:
        CorpuscleError: each wrong value with its key, what was expected, and what came.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        known = [key for key, _ in flatten(dict(values))]
        raise CorpuscleError("\n".join(_line(fault, known) for fault in error.errors())) from None


def read_toml(path: Path) -> dict[str, Any]:
    """The dotted keys and values of a settings file.

    Raises:
        CorpuscleError: the file cannot be read or is not TOML.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CorpuscleError(f"{path} cannot be read ({error.strerror}); name a settings file in TOML") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CorpuscleError(f"{path} is not a settings file in TOML ({error}); mend it or leave it out") from None
    values: dict[str, Any] = {}
    for section, value in content.items():
        values |= (
            {f"{section}.{field}": v for field, v in value.items()} if isinstance(value, dict) else {section: value}
        )
    return values


def parse_assignment(text: str) -> tuple[str, Any]:
    """The key and value of `section.field=value`; the value is JSON where it is, else a word.

    >>> parse_assignment("optim.learning_rate=1e-3")
    ('optim.learning_rate', 0.001)

    Raises:
        CorpuscleError: there is no `=`.
    """
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise CorpuscleError(f"--set expects section.field=value, got '{text}'; for example --set fit.batch_size=64")
    try:
        return key.strip(), json.loads(value)
    except ValueError:
        return key.strip(), {"None": None, "True": True, "False": False}.get(value, value)


def _get(values: Any, key: str) -> Any:
    for part in key.split("."):
        values = values[int(part)] if isinstance(values, list) else values[part]
    return values


def _put(values: Any, key: str, value: Any, known: list[str]) -> None:
    *parents, last = key.split(".")
    try:
        inner = _get(values, ".".join(parents)) if parents else values
        if isinstance(inner, list):
            inner[int(last)] = value
        elif last in inner and not (
            isinstance(inner[last], Mapping) and inner[last] and not isinstance(value, Mapping)
        ):
            inner[last] = value
        else:
            raise KeyError(key)
    except (KeyError, IndexError, ValueError, TypeError):
        raise CorpuscleError(f"{key} is not a setting. {_nearest_setting(key, known, values)}") from None


def _nearest_setting(key: str, known: list[str], values: Any) -> str:
    inside = [name for name in known if name.startswith(f"{key}.")]
    if inside:
        return f"It is a section, set one of {', '.join(inside)}"
    hint = nearest(key, known)
    if hint.startswith("Known:"):  # try the last word alone: `epoch` for `stages.0.epochs`
        last_of = {name: name.rsplit(".", 1)[-1] for name in known}
        close = difflib.get_close_matches(key.rsplit(".", 1)[-1], set(last_of.values()), n=1, cutoff=0.8)
        same = [name for name, last in last_of.items() if last in close]
        if same:
            hint = f"Did you mean {' or '.join(same[:3])}?"
    if hint.startswith("Did you mean") and " or " not in hint:
        name = hint.removeprefix("Did you mean ").removesuffix("?")
        hint = f"Did you mean {name} ({json.dumps(_get(values, name))})?"
    return hint


def _line(fault: Any, known: list[str]) -> str:
    key = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"{key} is not a setting. {nearest(key, [name for name in known if name != key])}"
    expected = fault["msg"].removeprefix("Value error, ").replace("Input should be", "should be")
    expected = re.sub(r", unable to parse .*", "", expected)
    hint = ""
    if fault["type"] == "literal_error" and isinstance(fault["input"], str):
        hint = nearest(
            fault["input"], [word.strip(" '") for word in fault["ctx"]["expected"].replace(" or ", ",").split(",")]
        )
        hint = f"; {hint}" if hint.startswith("Did") else ""
    return f"{key} {expected}, got {json.dumps(fault['input'], default=str)}{hint}"
