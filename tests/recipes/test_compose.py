"""From a recipe, a file and flags to an experiment: which wins, where it came from, and what is refused."""

from __future__ import annotations

import pytest
import tomli_w

from corpuscle.core.errors import CorpuscleError
from corpuscle.engine.experiment import Experiment
from corpuscle.engine.run_folder import plain_settings
from corpuscle.recipes import compose


@pytest.fixture
def write(tmp_path):
    """Write a settings file."""

    def toml(**sections):
        path = tmp_path / "mine.toml"
        path.write_text(tomli_w.dumps(sections))
        return path

    return toml


def test_a_flag_wins_over_a_file_over_a_recipe_over_the_default(write):
    file = write(fit={"batch_size": 64, "clip_norm": 2.0}, optim={"momentum": 0.5})
    experiment, origins = compose("leukemia", file, {"fit.batch_size": 128})
    found = {
        "fit.batch_size": experiment.fit.batch_size,
        "fit.clip_norm": experiment.fit.clip_norm,
        "optim.momentum": experiment.optim.momentum,
        "optim.optimiser": experiment.optim.optimiser,
        "prepare.fit": experiment.prepare.fit,
    }
    assert found == {
        "fit.batch_size": 128,
        "fit.clip_norm": 2.0,
        "optim.momentum": 0.5,
        "optim.optimiser": "sgd",
        "prepare.fit": "pad",
    }
    assert [origins[key] for key in found] == ["flag", f"file {file}", f"file {file}", "recipe leukemia", "default"]


def test_every_setting_has_an_origin():
    experiment, origins = compose("fundus", flags={"epochs": [1, 2]})
    from corpuscle.core.settings import flatten

    assert origins.keys() == dict(flatten(experiment.model_dump(mode="json"))).keys()
    assert set(origins.values()) == {"default", "recipe fundus", "flag"}


def test_epochs_and_learning_rates_are_one_a_stage():
    experiment, origins = compose("fundus", flags={"epochs": [5, 15], "learning_rate": [0.1, 0.01]})
    assert [(stage.epochs, stage.learning_rate) for stage in experiment.stages] == [(5, 0.1), (15, 0.01)]
    assert origins["stages.0.epochs"] == origins["stages.1.learning_rate"] == "flag"
    assert origins["stages.0.train"] == "recipe fundus"


@pytest.mark.parametrize("epochs", [[5], [5, 15, 25]])
def test_another_number_of_epochs_than_stages_is_refused_with_an_example(epochs):
    with pytest.raises(CorpuscleError) as raised:
        compose("fundus", flags={"epochs": epochs})
    assert str(raised.value) == (
        f"epochs expects a value for each stage (1: head, 2: all), got {len(epochs)}; for example 50,150"
    )


def test_stages_of_a_file_and_of_a_flag_are_the_ones_that_epochs_are_counted_by(write):
    file = write(stages=[{"train": "head", "epochs": 3}, {"epochs": 4}])
    experiment, origins = compose("default", file, {"epochs": [7, 8]})
    assert [(stage.train, stage.epochs) for stage in experiment.stages] == [("head", 7), ("all", 8)]
    assert (origins["stages.0.train"], origins["stages.0.epochs"]) == (f"file {file}", "flag")
    experiment, _ = compose("fundus", flags={"epochs": [9], "stages": [{"train": "all"}]})
    assert [stage.epochs for stage in experiment.stages] == [9]


def test_the_settings_of_a_run_make_the_same_experiment_again(tmp_path):
    experiment, _ = compose("fundus", flags={"data.label_names": {"1": "mild", "0": "none"}, "seed": 5})
    (tmp_path / "experiment.toml").write_text(tomli_w.dumps(plain_settings(experiment)))
    assert compose("default", tmp_path / "experiment.toml")[0] == experiment


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"fit.batchsize": 3}, "fit.batchsize is not a setting. Did you mean fit.batch_size (32)?"),
        ({"fit.batch_size": 1}, "fit.batch_size should be greater than or equal to 2, got 1"),
        ({"fit.label_smoothing": 1.5}, "fit.label_smoothing should be less than 1, got 1.5"),
        ({"fit.batch_size": "many"}, "fit.batch_size should be a valid integer"),
        (
            {"optim.optimiser": "adamv"},
            "optim.optimiser should be 'sgd', 'adam' or 'adamw', got \"adamv\"; Did you mean",
        ),
        ({"learning_rate": [-1]}, "stages.0.learning_rate should be greater than 0, got -1"),
        ({"stages.3.epochs": 2}, "stages.3.epochs is not a setting. Did you mean stages.0.epochs"),
        ({"stages": []}, "stages should hold at least one stage, got []"),
        ({"fit": 3}, "fit is not a setting."),
        (
            {"split.val": 0.9, "split.test": 0.3},
            "split.val should leave rows to train: less than 0.7 beside split.test=0.3, got 0.9",
        ),
    ],
)
def test_a_wrong_setting_is_refused_with_what_is_near(flags, message):
    with pytest.raises(CorpuscleError) as raised:
        compose("default", flags=flags)
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


def test_all_wrong_values_are_named_at_once():
    with pytest.raises(CorpuscleError) as raised:
        compose("default", flags={"fit.batch_size": 0, "seed": -1})
    assert len(str(raised.value).splitlines()) == 2


def test_an_unknown_recipe_is_refused_with_the_nearest():
    with pytest.raises(CorpuscleError, match=r"'fundos' is not a recipe\. Did you mean fundus\?"):
        compose("fundos")


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(CorpuscleError, match=r"none\.toml cannot be read \(No such file or directory\)"):
        compose("default", tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("fit = [")
    with pytest.raises(CorpuscleError, match=r"bad\.toml is not a settings file in TOML"):
        compose("default", tmp_path / "bad.toml")
    (tmp_path / "old.toml").write_text("[fit]\nbatch = 3\n")
    with pytest.raises(CorpuscleError, match=r"fit\.batch is not a setting\. Did you mean fit\.batch_size"):
        compose("default", tmp_path / "old.toml")


def test_composing_changes_nothing_that_was_passed():
    flags = {"epochs": [3], "seed": 1}
    compose("default", flags=flags)
    assert flags == {"epochs": [3], "seed": 1}
    assert compose("default")[0] == Experiment()


def test_show_prints_each_setting_with_its_value_and_origin():
    from typer.testing import CliRunner

    from corpuscle.cli.main import app

    shown = CliRunner().invoke(app, ["train", "nowhere", "--recipe", "fundus", "-b", "16", "-e", "5,15", "--show"])
    assert shown.exit_code == 0
    for line in (
        "fit.batch_size = 16  # flag",
        'net.model = "resnet50"  # recipe fundus',
        "stages.1.epochs = 15  # flag",
        "fit.accumulate = 1  # default",
    ):
        assert line in shown.stdout, shown.stdout
