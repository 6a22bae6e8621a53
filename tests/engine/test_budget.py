"""The cells of a table of label budgets: where each starts, what it shares with the others, and that it goes on."""

import itertools

import polars as pl
import pytest

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.settings import validated
from corpuscle.core.stopped import Stopped
from corpuscle.engine.budget import Asked, Cell, Cells, train_cells
from corpuscle.engine.budget_plan import BudgetPlan, Start, read_starts, settings_of
from corpuscle.engine.budget_table import tabulate
from corpuscle.engine.train import Call
from corpuscle.recipes import compose


def starts(tmp_path, *words, **pretrained):
    for word in words:
        if "/" in word:
            (tmp_path / word.removesuffix(":all").removesuffix(":probe")).mkdir(parents=True, exist_ok=True)
    named = tuple(str(tmp_path / word) if "/" in word else word for word in words)
    plan = validated(BudgetPlan, {"starts": named, "pretrain": tuple(pretrained)})
    return {start.name: start for start in read_starts(plan, pretrained)}


def test_a_start_is_named_by_as_much_of_its_folder_as_tells_it_apart(tmp_path):
    found = starts(
        tmp_path, "scratch", "a/contrast", "b/contrast", "b/contrast:all", "b/prcc", "joined", "joined:probe"
    )
    assert list(found) == ["scratch", "a-contrast", "b-contrast", "b-contrast-all", "prcc", "joined", "joined-probe"]
    assert [start.kind for start in found.values()] == KINDS
    runs = tuple(tmp_path / name for name in ("a/contrast", "b/contrast", "b/prcc"))
    assert found["joined"].runs == found["joined-probe"].runs == runs
    assert found["prcc"].meaning == f"linear probe on the frozen encoder of {tmp_path / 'b/prcc'}"


def test_without_starts_scratch_and_what_learns_first_are_compared(tmp_path):
    assert list(starts(tmp_path, contrast=tmp_path / "contrast")) == ["scratch", "contrast"]
    assert list(starts(tmp_path, "contrast:all", contrast=tmp_path / "contrast")) == ["contrast-all"]


def test_two_starts_of_one_name_are_refused(tmp_path):
    with pytest.raises(CorpuscleError, match="starts expects a name for each, two would be called 'a-all'"):
        starts(tmp_path, "x/a:all", "x/a-all")


def test_a_probe_has_no_epochs_and_every_start_the_net_of_its_run(tmp_path):
    given = {"epochs": [3], "stages.0.warm_up": 0, "net.model": "resnet34", "fit.batch_size": 8}
    models = {tmp_path: {"net.model": "resnet18", "net.norm": "group"}}
    probe = settings_of(Start("a", "probe", (tmp_path,)), given, models)
    assert probe == {
        "fit.batch_size": 8,
        "net.model": "resnet18",
        "net.norm": "group",
        "net.weights": str(tmp_path),
        "stages": [{"train": "probe", "views": 1}],
    }
    every = settings_of(Start("a", "all", (tmp_path,)), given, models)
    assert every == given | {"net.model": "resnet18", "net.norm": "group", "net.weights": str(tmp_path)}
    assert settings_of(Start("scratch", "scratch"), given, models) == given
    joined = settings_of(Start("joined", "joined", (tmp_path,)), given, models)
    assert joined == given | {"net.joined": [str(tmp_path)]}
    alone = settings_of(Start("joined-probe", "joined:probe", (tmp_path,)), given, models)
    assert (alone["net.model"], alone["net.joined"]) == ("none", [str(tmp_path)]) and "epochs" not in alone


KINDS = ["scratch", "probe", "probe", "all", "probe", "joined", "joined:probe"]
TINY = {"net.model": "timm/test_resnet", "prepare.size": 32, "fit.batch_size": 8, "score.resamples": 100, "epochs": [2]}
TINY |= {"device.name": "cpu", "device.precision": "fp32", "device.workers": 0, "split.test": 0.2, "split.val": 0.2}


def asked(cells, out, **more):
    plan = validated(BudgetPlan, {"budgets": (50,), "seeds": (0, 1), "starts": ("scratch",)})
    return Asked(cells, out, plan, "default", TINY | more, lambda name, values: compose(name, None, values))


@pytest.mark.slow
def test_a_table_that_was_stopped_goes_on_to_the_same_numbers(cells, tmp_path):
    whole = tabulate(tmp_path / "whole", train_cells(asked(cells, tmp_path / "whole"), Call({})), [50.0])
    questions = itertools.count(1)
    with pytest.raises(Stopped):
        train_cells(asked(cells, tmp_path / "b"), Call({}, stopping=lambda: 15 * (next(questions) == 4)))
    begun = [path.name for path in (tmp_path / "b" / "runs").iterdir() if not (path / "metrics.json").is_file()]
    assert len(begun) == 1
    again = tabulate(tmp_path / "b", train_cells(asked(cells, tmp_path / "b"), Call({})), [50.0])
    assert again.curve.equals(whole.curve) and again.cells.drop("seconds").equals(whole.cells.drop("seconds"))


@pytest.mark.slow
def test_joined_encoders_are_gone_on_with_and_another_size_is_told(cells, finished, listener, tmp_path):
    plan = validated(BudgetPlan, {"budgets": (50,), "seeds": (0,), "starts": (f"{finished}:all", "joined")})
    told = Asked(cells, tmp_path / "b", plan, "default", TINY | {"prepare.size": 40}, asked(cells, tmp_path).compose)
    first = train_cells(told, Call({}, progress=listener))
    assert not first.faults and train_cells(told, Call({})).cells == first.cells
    note = f"note: {finished} learned from images of 32 pixels, the cells see 40; --size 32 makes them alike"
    assert note in listener.lines
    curve = tabulate(tmp_path / "b", first, []).curve
    assert curve["gain"].null_count() == len(curve)  # without scratch nothing is compared


@pytest.mark.slow
def test_a_table_is_not_gone_on_with_by_other_settings_or_other_images(cells, tmp_path):
    out = tmp_path / "b"
    train_cells(asked(cells, out), Call({}))
    with pytest.raises(
        CorpuscleError, match=r"50-scratch-0 holds a run with other settings \(fit\.batch_size was 8, is"
    ):
        train_cells(asked(cells, out, **{"fit.batch_size": 4}), Call({}))
    with pytest.raises(
        CorpuscleError, match=r"how they are divided have changed since .*b was begun; pass another --out"
    ):
        train_cells(asked(cells, out, **{"split.test": 0.3}), Call({}))
    split = pl.read_csv(out / "split.csv")
    assert split.columns == ["image", "label", "group", "split", "content"] and split["content"].n_unique() == len(
        split
    )


def test_no_cell_that_could_be_trained_is_an_error(tmp_path):
    start = Start("scratch", "scratch")
    cell = Cell(50.0, start, 0, tmp_path / "runs" / "50-scratch-0", {"a": 3}, compose("default")[0], {})
    with pytest.raises(
        CorpuscleError, match=r"none of the 1 cells could be trained \(first: 50-scratch-0: the disk is"
    ):
        tabulate(tmp_path, Cells([cell], {cell.name: "the disk is full; free some space"}), [])
