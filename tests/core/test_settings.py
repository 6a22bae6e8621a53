"""Settings, their layers, and errors a person can read."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import Field

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.settings import Settings, descriptions, flatten, parse_assignment, read_toml, resolve, validated


class Step(Settings):
    """A step."""

    epochs: int = Field(40, ge=1, description="passes")
    kind: Literal["all", "head"] = Field("all", description="what learns")


class Fit(Settings):
    """How."""

    batch_size: int = Field(32, ge=2, description="images a step")
    names: dict[str, str] = Field({}, description="names of labels")
    column: str | None = Field(None, description="a column")


class Whole(Settings):
    """All."""

    seed: int = Field(0, description="of all")
    fit: Fit = Field(Fit(), description="how")
    steps: tuple[Step, ...] = Field((Step(),), description="steps")


def told(layers, base=None):
    with pytest.raises(CorpuscleError) as raised:
        resolve(base or Whole(), layers)
    return str(raised.value)


def test_later_layers_win_and_each_value_says_where_it_came_from():
    layers = {"file": {"fit.batch_size": 8, "seed": 1}, "flag": {"seed": 2, "steps.0.epochs": 3}}
    whole, origins = resolve(Whole(), layers)
    assert whole == Whole(seed=2, fit=Fit(batch_size=8), steps=(Step(epochs=3),))
    assert origins == {
        **{"seed": "flag", "fit.batch_size": "file", "fit.names": "default", "fit.column": "default"},
        **{"steps.0.epochs": "flag", "steps.0.kind": "default"},
    }


def test_a_list_of_steps_replaces_the_list():
    whole, origins = resolve(Whole(), {"file": {"steps": [{"epochs": 1}, {"epochs": 2, "kind": "head"}]}})
    assert whole.steps == (Step(epochs=1), Step(epochs=2, kind="head"))
    assert origins["steps.1.kind"] == "file" and origins["seed"] == "default"


def test_a_settings_file_gives_back_what_was_written(tmp_path):
    (tmp_path / "x.toml").write_text(
        'seed = 3\n[fit]\nbatch_size = 4\nnames = {1 = "a", 2 = "b"}\n[[steps]]\nepochs = 5\n'
    )
    whole, _ = resolve(Whole(), {"file": read_toml(tmp_path / "x.toml")})
    assert whole == Whole(seed=3, fit=Fit(batch_size=4, names={"1": "a", "2": "b"}), steps=(Step(epochs=5),))


@pytest.mark.parametrize(
    ("content", "text"),
    [(None, "cannot be read (No such file or directory)"), (b"a = ", "is not a settings file"), (b"\xff", "is not a")],
)
def test_a_file_that_is_none_is_told(tmp_path, content, text):
    if content is not None:
        (tmp_path / "x.toml").write_bytes(content)
    with pytest.raises(CorpuscleError) as raised:
        read_toml(tmp_path / "x.toml")
    assert f"{tmp_path}/x.toml {text}" in str(raised.value)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("fit.batchsize", "fit.batchsize is not a setting. Did you mean fit.batch_size (32)?"),
        ("epoch", "epoch is not a setting. Did you mean steps.0.epochs (40)?"),
        ("fit", "fit is not a setting. It is a section, set one of fit.batch_size, fit.names, fit.column"),
        ("steps.1.epochs", "steps.1.epochs is not a setting. Did you mean steps.0.epochs (40)?"),
        ("steps.x.epochs", "steps.x.epochs is not a setting. Did you mean steps.0.epochs (40)?"),
        ("seed.x", "seed.x is not a setting. Did you mean seed (0)?"),
        ("zzz", "zzz is not a setting. Known: seed, fit.batch_size"),
        ("", "is not a setting"),
    ],
)
def test_an_unknown_setting_is_told_with_the_nearest(key, text):
    assert text in told({"flag": {key: 1}})


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("fit.batch_size", 1, "fit.batch_size should be greater than or equal to 2, got 1"),
        ("fit.batch_size", "x", 'fit.batch_size should be a valid integer, got "x"'),
        ("steps.0.kind", "haed", "steps.0.kind should be 'all' or 'head', got \"haed\"; Did you mean head?"),
        ("steps.0.kind", "foo", "steps.0.kind should be 'all' or 'head', got \"foo\""),
    ],
)
def test_a_wrong_value_is_told_with_what_was_expected(key, value, text):
    assert told({"flag": {key: value}}) == text


def test_all_wrong_values_are_told_at_once():
    assert len(told({"flag": {"fit.batch_size": 1, "seed": "x"}}).splitlines()) == 2


def test_an_unknown_key_inside_a_record_is_told():
    with pytest.raises(CorpuscleError, match=r"^batchsize is not a setting\. Known: column$"):
        validated(Fit, {"batchsize": 3, "column": "x"})


def test_values_of_a_flag_are_json_or_words():
    pairs = ["a=1", "a=1e-3", "a=true", "a=[1, 2]", "a=none", "a=null", "a=x=y", "a=", ' a ="q"']
    assert [parse_assignment(pair)[1] for pair in pairs] == [1, 0.001, True, [1, 2], "none", None, "x=y", "", "q"]
    for text in ("a", "=1"):
        with pytest.raises(CorpuscleError, match=f"--set expects section.field=value, got '{text}'"):
            parse_assignment(text)


def test_each_setting_has_its_description_under_its_key():
    assert dict(descriptions(Whole())) == {
        **{"seed": "of all", "fit.batch_size": "images a step", "fit.names": "names of labels"},
        **{"fit.column": "a column", "steps.0.epochs": "passes", "steps.0.kind": "what learns"},
    }
    assert set(dict(descriptions(Whole()))) == set(dict(flatten(Whole().model_dump(mode="json"))))
