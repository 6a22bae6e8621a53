"""The cells of a table of label budgets: where each starts, what it shares with the others, and that it goes on."""

import io
import itertools
import json
import os
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
import torch
from PIL import Image

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.settings import validated
from corpuscle.core.stopped import Stopped
from corpuscle.engine.budget import Asked, Cells, compose_cells, keep_starts, train_cells
from corpuscle.engine.budget_cells import Cell, _result, _threads_of_new_processes, cells_at_once
from corpuscle.engine.budget_data import known_tests, pretraining_rows
from corpuscle.engine.budget_plan import BudgetPlan, Start, encoder_settings, read_starts, settings_of
from corpuscle.engine.budget_table import tabulate
from corpuscle.engine.dataset import ready
from corpuscle.engine.train import Call, task_of
from corpuscle.nets.card import Card, save
from corpuscle.nets.zoo import JoinedPlan, NetPlan, build
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
    assert list(starts(tmp_path, contrast=tmp_path / "contrast")) == ["scratch", "covariances", "contrast"]
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
    fixed = starts(tmp_path, "covariances")["covariances"]
    assert fixed.meaning == "linear probe on covariances"
    stages = [{"train": "probe", "views": 1}]
    assert settings_of(fixed, given, {}) == {"fit.batch_size": 8, "net.model": "covariances", "stages": stages}


KINDS = ["scratch", "probe", "probe", "all", "probe", "joined", "joined:probe"]
TINY = {"net.model": "timm/test_resnet", "prepare.size": 32, "fit.batch_size": 8, "score.resamples": 100, "epochs": [2]}
TINY |= {"device.name": "cpu", "device.precision": "fp32", "device.workers": 0, "split.test": 0.2, "split.val": 0.2}


def asked(cells, out, at_once=1, starts="scratch", **more):
    plan = validated(BudgetPlan, {"budgets": (50,), "seeds": (0, 1), "starts": (starts,), "at_once": at_once})
    return Asked(cells, out, plan, "default", TINY | more, lambda name, values: compose(name, None, values))


@pytest.mark.slow
def test_a_table_that_was_stopped_goes_on_to_the_same_numbers(cells, tmp_path):
    whole = tabulate(tmp_path / "whole", train_cells(asked(cells, tmp_path / "whole"), Call({})), [50.0])
    assert whole.curve["gain"].null_count() == len(whole.curve)  # scratch gains nothing over itself
    questions = itertools.count(1)
    with pytest.raises(Stopped):
        train_cells(asked(cells, tmp_path / "b"), Call({}, stopping=lambda: 15 * (next(questions) == 4)))
    begun = [path.name for path in (tmp_path / "b" / "runs").iterdir() if not (path / "metrics.json").is_file()]
    assert len(begun) == 1
    again = tabulate(tmp_path / "b", train_cells(asked(cells, tmp_path / "b"), Call({})), [50.0])
    assert again.curve.equals(whole.curve) and again.cells.drop("seconds").equals(whole.cells.drop("seconds"))


@pytest.mark.slow
def test_cells_trained_at_the_same_time_have_the_numbers_of_those_in_turn(cells, listener, tmp_path, monkeypatch):
    monkeypatch.setattr("corpuscle.engine.budget_cells.num_cores", lambda: 2)  # a thread each
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        turn = tabulate(tmp_path / "turn", train_cells(asked(cells, tmp_path / "turn"), Call({})), [50.0])
    finally:
        torch.set_num_threads(threads)
    stops = itertools.count(1)  # at the first look, while both are under way
    with pytest.raises(Stopped):
        train_cells(asked(cells, tmp_path / "b", 2), Call({}, stopping=lambda: 15 * (next(stops) == 1)))
    assert not any((tmp_path / "b" / "runs").glob("*/metrics.json"))
    told = asked(cells, tmp_path / "b", 2)
    again = tabulate(tmp_path / "b", train_cells(told, Call({}, progress=listener)), [50.0])
    assert "2 cells at a time, each on 1 of 2 cores" in listener.lines
    assert again.curve.equals(turn.curve) and again.cells.drop("seconds").equals(turn.cells.drop("seconds"))


@pytest.mark.slow
def test_a_cell_that_cannot_be_trained_among_several_is_left_out(cells, listener, tmp_path):
    told = asked(cells, tmp_path / "b", 2, **{"device.precision": "fp16"})
    found = train_cells(told, Call({}, progress=listener))
    assert sorted(found.faults) == ["50-scratch-0", "50-scratch-1"]
    assert all("device.precision fp16 expects a CUDA GPU" in reason for reason in found.faults.values())


def test_a_process_that_is_killed_is_told_in_one_line():
    killed = Future()
    killed.set_exception(BrokenProcessPool("A process in the process pool was terminated abruptly"))
    with pytest.raises(CorpuscleError, match=r"a training ended without a word, .* to go on, with --at-once 1 or a sm"):
        _result(killed)


def test_processes_are_told_their_share_of_the_cores_and_this_one_is_left_alone(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    with _threads_of_new_processes(3):
        assert [os.environ[name] for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")] == [
            "3"
        ] * 3
    assert os.environ["OMP_NUM_THREADS"] == "7" and "OPENBLAS_NUM_THREADS" not in os.environ


def test_on_a_cpu_a_cell_a_core_is_trained_at_a_time(monkeypatch, cells, tmp_path):
    monkeypatch.setattr("corpuscle.engine.budget_cells.num_cores", lambda: 6)
    there = compose_cells(asked(cells, tmp_path), [Start("scratch", "scratch")], {(50.0, 0): {}, (50.0, 1): {}})
    assert [cells_at_once(number, there) for number in (0, 1, 2, 5)] == [2, 1, 2, 2]
    assert cells_at_once(0, there * 2) == 4 and cells_at_once(0, there * 9) == 6 and cells_at_once(0, []) == 1


@pytest.mark.slow
def test_joined_encoders_are_gone_on_with_and_another_size_is_told(cells, finished, listener, tmp_path):
    plan = validated(
        BudgetPlan, {"budgets": (50,), "seeds": (0,), "starts": (f"{finished}:all", "joined"), "at_once": 1}
    )
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


def saved(folder, seed=0, **plan):
    """A folder of a run with weights."""
    torch.manual_seed(seed)
    net = build(NetPlan(model="timm/test_resnet", **plan), 5, 32)
    card = Card(
        task="classify", classes=tuple("abcde"), net=net.plan, num_outputs=5, size=32, mean=(0.5,) * 3, std=(0.5,) * 3
    )
    save(folder, net, card)
    return folder


@pytest.mark.slow
def test_a_run_that_was_trained_again_is_not_mixed_into_the_table(cells, tmp_path):
    run = saved(tmp_path / "a")
    plan = validated(BudgetPlan, {"budgets": (50,), "seeds": (0,), "starts": (str(run),), "at_once": 1})
    told = replace(asked(cells, tmp_path / "b"), plan=plan)
    assert not train_cells(told, Call({})).faults
    facts = json.loads((tmp_path / "b" / "budget.json").read_text())
    (tmp_path / "b" / "budget.json").write_text(json.dumps(facts | {"seconds": 1000.0}))
    assert train_cells(told, Call({})).facts["seconds"] >= 1000
    saved(run, seed=1)
    with pytest.raises(CorpuscleError, match=r"the weights of .*/a have changed since .*/b was begun; pass another"):
        train_cells(told, Call({}))


def test_joined_stands_for_the_same_runs_throughout(tmp_path):
    a, b = saved(tmp_path / "a"), saved(tmp_path / "b", seed=1)
    keep_starts([Start("joined", "joined", (b,))], tmp_path)
    keep_starts([Start("joined", "joined", (a,))], tmp_path)  # nothing has been trained from b
    (tmp_path / "runs").mkdir()
    keep_starts([Start("b", "probe", (b,))], tmp_path)
    with pytest.raises(CorpuscleError, match=rf"joined stood for {a}, now for {a} and {b}; pass another --out"):
        keep_starts([Start("joined-probe", "joined:probe", (a, b))], tmp_path)


def test_the_features_of_a_run_are_pooled_as_they_were(tmp_path):
    assert encoder_settings(saved(tmp_path / "a", pool="max"))["net.pool"] == "max"


def test_a_run_that_joins_encoders_is_no_start(cells, tmp_path):
    one = JoinedPlan(run="runs/a", net=NetPlan(model="timm/test_resnet"), size=32, mean=(0.5,) * 3, std=(0.5,) * 3)
    run = saved(tmp_path / "a", joined=(one,))
    plan = validated(BudgetPlan, {"starts": (str(run),), "at_once": 1})
    with pytest.raises(CorpuscleError, match=r"expected a run of one encoder, .*/a joins runs/a itself; name these in"):
        train_cells(replace(asked(cells, tmp_path / "b"), plan=plan), Call({}))


def test_a_run_that_gives_maps_is_no_start(tmp_path):
    net = build(NetPlan(model="unet", head="density", widths=(2, 4)), 1, 0)
    card = Card(task="count", classes=("cell",), net=net.plan, num_outputs=1, size=0, mean=(0.5,) * 3, std=(0.5,) * 3)
    save(tmp_path, net, card)
    with pytest.raises(CorpuscleError, match=r"gives features, .* is of unet, which gives maps; name a run of another"):
        encoder_settings(tmp_path)


def test_a_folder_is_the_same_however_it_is_spelled(cells, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    counts = {(50.0, seed): {} for seed in (0, 1)}
    here, there = (
        compose_cells(asked(cells, out), [Start("scratch", "scratch")], counts) for out in (Path("b"), tmp_path / "b")
    )
    assert [cell.experiment for cell in here] == [cell.experiment for cell in there]
    run = Start("a", "all", (Path("a"),))
    assert settings_of(run, {}, {Path("a"): {}}) == {"net.weights": str(tmp_path / "a")}


def test_settings_of_a_pretraining_are_its_own_and_may_be_called_as_the_recipe_is(cells, tmp_path):
    more = {"contrast.temperature": 0.2, "contrast.contrast.width": 64, "contrast.epochs": [3]}
    told = asked(cells, tmp_path, **more, **{"guard.allow_leaks": True})
    told = replace(told, plan=validated(BudgetPlan, {"pretrain": ("contrast",)}))
    own = told.of_pretraining("contrast")
    assert {key: own[key] for key in own if key.startswith("contrast.") or key == "epochs"} == {
        "contrast.temperature": 0.2,
        "contrast.width": 64,
        "epochs": [3],
    }
    assert "guard.allow_leaks" not in own and not any(key.startswith("contrast.") for key in told.of_cells)


def test_further_images_with_the_pixels_of_a_held_out_one_are_left_out(cells, listener, tmp_path):
    experiment, _ = compose("default", None, TINY)
    data = ready(cells, experiment, task_of(experiment), listener)
    frame = data.table.frame
    more = tmp_path / "more"
    more.mkdir()
    for part in ("train", "val", "test"):
        with Image.open(data.table.path_of(frame.filter(pl.col("split") == part)["image"][0])) as image:
            image.save(more / f"{part}.bmp")  # other bytes, the same pixels
    rows = pl.read_csv(io.StringIO(pretraining_rows(data, more, listener)))
    added = rows.filter(pl.col("image").str.starts_with(str(more)))
    assert added["image"].to_list() == [str(more / "train.bmp")] and added["split"].to_list() == ["train"]
    assert f"left out of {more}: 2 images with the pixels of the validation or the test part" in listener.lines


def test_masks_and_dots_beside_further_images_are_not_learned_from(cells, listener, tmp_path):
    experiment, _ = compose("default", None, TINY)
    data = ready(cells, experiment, task_of(experiment), listener)
    more = tmp_path / "more"
    more.mkdir()
    for number in range(3):
        Image.new("RGB", (40, 40), (100, 80, 10 * number)).save(more / f"{number}cell.png")
        dots = Image.new("RGB", (40, 40))
        dots.putpixel((20, 10 + number), (255, 0, 0))
        dots.save(more / f"{number}dots.png")
    rows = pl.read_csv(io.StringIO(pretraining_rows(data, more, listener)))
    added = rows.filter(pl.col("image").str.starts_with(str(more)))["image"].to_list()
    assert added == [str(more / f"{number}cell.png") for number in range(3)]


def test_an_earlier_run_that_learned_from_test_images_is_told(cells, finished, listener, tmp_path):
    experiment, _ = compose("default", None, TINY)
    data = ready(cells, experiment, task_of(experiment), listener)
    starts = [Start("a", "probe", (finished,)), Start("a-all", "all", (finished,))]
    assert known_tests(data, starts) == []  # divided as these are
    frame, seen = data.table.frame, data.seen
    samples = pl.DataFrame({"split": frame["split"].replace("test", "train"), "content": seen["content"]})
    samples.write_csv(tmp_path / "samples.csv")
    (told,) = known_tests(data, [Start("b", "probe", (tmp_path,))])
    assert told.startswith(f"warning: {tmp_path} learned from 12 of the 12 test images, which flatters it; use --pre")


def test_what_must_be_said_of_earlier_runs_is_kept_for_the_page(cells, finished, listener, tmp_path, monkeypatch):
    monkeypatch.setattr("corpuscle.engine.budget.known_tests", lambda data, starts: [f"warning: {starts[0].runs[0]}"])
    monkeypatch.setattr("corpuscle.engine.budget.train_each", lambda *_: iter(()))
    wanted = asked(cells, tmp_path / "b", starts=str(finished))
    found = train_cells(wanted, Call({}, progress=listener))
    assert found.facts["warnings"] == [f"warning: {finished}"] and f"warning: {finished}" in listener.lines
    assert json.loads((tmp_path / "b" / "budget.json").read_text())["warnings"] == found.facts["warnings"]


def test_a_codebook_without_words_is_refused_before_anything_is_trained(cells, tmp_path):
    with pytest.raises(CorpuscleError, match=r"net\.model=codebook expects words, got net\.weights=none; find some"):
        train_cells(asked(cells, tmp_path / "b", **{"net.model": "codebook"}), Call({}))
    assert not (tmp_path / "b" / "runs").exists()


def test_a_run_with_nothing_to_learn_is_no_start(tmp_path, monkeypatch):
    card = SimpleNamespace(net=NetPlan(model="covariances"))
    monkeypatch.setattr("corpuscle.engine.budget_plan.read_card", lambda run: card)
    with pytest.raises(
        CorpuscleError, match=r"expected a run whose encoder has learned, .* is of covariances; name cov"
    ):
        encoder_settings(tmp_path)


def test_no_cell_that_could_be_trained_is_an_error(tmp_path):
    start = Start("scratch", "scratch")
    cell = Cell(50.0, start, 0, tmp_path / "runs" / "50-scratch-0", {"a": 3}, compose("default")[0], {})
    with pytest.raises(
        CorpuscleError, match=r"none of the 1 cells could be trained \(first: 50-scratch-0: the disk is"
    ):
        tabulate(tmp_path, Cells([cell], {cell.name: "the disk is full; free some space"}), [])
