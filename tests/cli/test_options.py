"""Options are settings under another name."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from corpuscle.cli import options, train
from corpuscle.cli.main import VERBS
from corpuscle.core.errors import CorpuscleError
from corpuscle.core.settings import flatten
from corpuscle.engine.experiment import Experiment
from corpuscle.recipes import PER_STAGE, RECIPES


def test_each_option_stands_for_a_setting_that_there_is():
    known = set(dict(flatten(Experiment().model_dump(mode="json")))) | set(PER_STAGE)
    assert set(options.SETTING_OF.values()) <= known


def test_each_option_of_the_table_is_an_option_of_some_verb():
    parameters = {name for verb in VERBS.values() for name in inspect.signature(verb).parameters}
    assert set(options.SETTING_OF) <= parameters


def test_the_help_names_every_recipe(corpuscle):
    assert set(train.RECIPES) == set(RECIPES)
    said = " ".join(corpuscle("train", "--help").out.split())
    assert f"Choices to start from: {', '.join(train.RECIPES[:-1])} or {train.RECIPES[-1]}." in said


def test_what_was_not_given_is_not_set_and_set_comes_last():
    given = {"seed": 3, "root": Path("x"), "valid": None, "out": Path("y"), "assign": ["seed=4", "fit.keep=last"]}
    assert options.chosen(given) == {"seed": 4, "data.root": "x", "fit.keep": "last"}


def test_numbers_for_stages_are_split_at_commas():
    given = options.chosen({"epochs": "50,150", "learning_rate": "1e-3"})
    assert given == {"epochs": [50, 150], "learning_rate": [0.001]}
    with pytest.raises(CorpuscleError, match=r"^--learning-rate expects numbers with commas between them.* got '1;2'"):
        options.chosen({"learning_rate": "1;2"})


def test_scores_that_are_not_defined_are_said_so(capsys):
    score = {"value": None, "low": None, "high": None}
    whole = {"value": 0.5, "low": 0.25, "high": 1.0}

    class Run:
        metrics = {"parts": {"test": {"n": 9, "groups": 2, "scores": {"accuracy": whole, "auroc": score}}}}  # noqa: RUF012
        report = Path("r.html")

    Run.metrics["parts"]["test"]["scores"]["balanced_accuracy"] = whole | {"low": None}
    options.say_result(Run)
    assert capsys.readouterr().out.splitlines() == [
        "test (9 images of 2 groups): accuracy 0.500 (0.250 to 1.000), balanced accuracy 0.500, auroc not defined",
        "report: r.html",
    ]
