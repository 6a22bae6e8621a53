"""`corpuscle budget` from the command to the page, gone on with, and with what a person may type wrongly."""

import json
import re
import shutil

import polars as pl
import pytest

SMALL = ["--budgets", "100,50", "--seeds", "0,1", "--at-once", "1"]


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory, run):
    """A finished run to start from, under a name of its own."""
    return shutil.copytree(run, tmp_path_factory.mktemp("earlier") / "smear")


@pytest.mark.slow
def test_the_table_is_trained_once_told_and_drawn(corpuscle, cells, pretrained, tiny, tmp_path):
    words = ["budget", cells, "--out", "b", *SMALL, *tiny]
    first = corpuscle(*words, "--starts", "scratch")
    assert first.code == 0, first.err
    assert "Nothing can be said of pretraining" in first.out and first.out.endswith("report: b/report.html\n")
    weights = {path: path.stat().st_mtime_ns for path in tmp_path.glob("b/runs/*/weights.safetensors")}
    assert len(weights) == 4

    done = corpuscle(*words, "--starts", f"scratch,{pretrained},{pretrained}:all,joined:probe")
    assert done.code == 0, done.err
    assert "cells finished before: 4 of 16" in done.err
    assert all(path.stat().st_mtime_ns == moment for path, moment in weights.items())
    table = pl.read_csv("b/budget.csv")
    assert table["start"].unique(maintain_order=True).to_list() == ["scratch", "smear", "smear-all", "joined-probe"]
    assert dict(table.group_by("budget").agg(pl.col("labels").first()).rows()) == {100.0: 40, 50.0: 20}
    assert table["fault"].null_count() == 16 and table["accuracy"].is_between(0, 1).all()

    curve = pl.read_csv("b/curve.csv")
    assert (
        len(curve) == 4 * 2 * 3 and (curve["low"] <= curve["value"]).all() and (curve["value"] <= curve["high"]).all()
    )
    gained = curve.filter((pl.col("start") != "scratch") & (pl.col("score") == "accuracy"))
    assert gained["gain"].null_count() == 0 and curve.filter(pl.col("start") == "scratch")["gain"].null_count() == 6
    mean = table.group_by("start", "budget").agg(value=pl.col("accuracy").mean()).sort("start", "budget")
    drawn = curve.filter(pl.col("score") == "accuracy").sort("start", "budget")
    assert drawn["value"].to_list() == pytest.approx(mean["value"].to_list())

    samples = {run.name: pl.read_csv(run / "samples.csv") for run in tmp_path.glob("b/runs/*")}
    tests = {tuple(rows.filter(pl.col("split") == "test")["image"]) for rows in samples.values()}
    assert len(tests) == 1 and {len(rows) for rows in samples.values()} == {60}
    labels = {name: set(rows.filter(pl.col("split") == "train")["image"]) for name, rows in samples.items()}
    assert {f"runs/{name}": len(images) for name, images in labels.items()} == dict(
        table.select("run", "labels").rows()
    )
    assert labels["50-scratch-0"] == labels["50-smear-0"] != labels["50-scratch-1"]
    assert labels["50-scratch-0"] < labels["100-scratch-0"] == labels["100-scratch-1"]

    page = (tmp_path / "b/report.html").read_text()
    assert page.count("With 50 % of the labels (n = 20)") == 3 and "default-src 'none'" in page
    assert not re.search(r"""(src|href)=["']?https?:""", page) and "<svg" in page
    assert "The validation part keeps its 10 labels" in " ".join(re.sub("<.*?>", "", page).split())
    assert (tmp_path / "b/figures/curve.png").stat().st_size > 1000


@pytest.mark.slow
def test_a_cell_that_cannot_be_trained_is_told_and_the_others_go_on(corpuscle, cells, pretrained, tiny, tmp_path):
    broken = shutil.copytree(pretrained, tmp_path / "broken")
    (broken / "weights.safetensors").write_bytes(b"no weights")
    done = corpuscle(
        "budget", cells, "--out", "b", "--budgets", "50", "--seeds", "0", *tiny, "--starts", "scratch,broken"
    )
    assert done.code == 0
    assert "50-broken-0: left out: " in done.err and "left out: 1 of 2 trainings; budget.csv says why" in done.err
    table = pl.read_csv("b/budget.csv")
    assert table["fault"].is_null().to_list() == [True, False] and table["accuracy"].is_null().to_list() == [
        False,
        True,
    ]
    assert "1 training could not be done" in (tmp_path / "b/report.html").read_text()


@pytest.mark.slow
def test_recipes_that_need_no_labels_learn_first_and_never_from_the_test_part(corpuscle, cells, tiny, tmp_path):
    from corpuscle.synth.folder import write_cells

    write_cells(tmp_path / "more", 2, 32, 9)
    of_first = {"epochs": [1], "net.model": "timm/test_resnet", "fit.batch_size": 16}
    words = [word for key, value in of_first.items() for word in ("--set", f"contrast.{key}={json.dumps(value)}")]
    words += ["--pretrain", "contrast", "--unlabelled", "more", "--budgets", "50", "--seeds", "0"]
    done = corpuscle("budget", cells, "--out", "b", *tiny, *words)
    assert done.code == 0, done.err
    assert pl.read_csv("b/budget.csv")["start"].to_list() == ["scratch", "covariances", "contrast"]
    held = pl.read_csv("b/split.csv").filter(pl.col("split") != "train")["image"]
    rows = pl.read_csv("b/pretrained/contrast/samples.csv")
    train = rows.filter(pl.col("split") == "train")["image"]
    assert len(train) == 40 + 10 and len(held) == 20
    assert {f"{cells}/{image}" for image in held} == set(rows["image"]) - set(train)
    assert json.loads((tmp_path / "b/budget.json").read_text())["pretrained"] == ["contrast"]


def test_a_folder_that_is_called_as_a_start_is_to_be_renamed(corpuscle, cells, tmp_path):
    (tmp_path / "runs" / "scratch").mkdir(parents=True)
    lines = told(corpuscle("budget", cells, "--out", "b", "--starts", "runs/scratch"))
    assert lines == [
        "error: runs/scratch would be called scratch in the table, which is a start of its own; rename the folder"
    ]


def told(done):
    assert done.code == 2, done
    return done.err.splitlines()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--budgets", "0"], r"budgets should be percents above 0 and at most 100, such as 100,50,10,1, got \"0\""),
        (["--budgets", "10,200"], r"budgets should be percents above 0 and at most 100, .*, got \"10,200\""),
        (["--budgets", "ten"], r"budgets\.0 should be a valid number, got \"ten\""),
        (["--budgets", "10,10"], r"budgets should name each once, 10.0 is there again, got \"10,10\""),
        (
            ["--budgets", "10,10.0000001"],
            r"budgets should differ in six digits, 10\.0 and 10\.0000001 do not, got .*",
        ),
        (["--budgets", ""], r"budgets should hold one at least, got \"\""),
        (["--seeds", "-1"], r"seeds should be 0 or more, such as 0,1,2, got \"-1\""),
        (["--reach", "120"], r"reach should be percents above 0 and at most 100, .*, got \"120\""),
        (
            ["--starts", "scrach"],
            r"'scrach' is neither scratch, joined, covariances nor the folder of a run\. Did you mean scratch\?",
        ),
        (["--starts", "joined"], r"joined expects runs to join, got none; name their folders with --starts, or .*"),
        (
            ["--pretrain", "default"],
            r"--pretrain expects recipes that need no labels, default does; pass contrast, say",
        ),
        (["--pretrain", "contrst"], r"'contrst' is not a recipe\. Did you mean contrast\?"),
        (["--model", "resnt18"], r"'resnt18' is no model of Corpuscle's or timm's\. Did you mean resnet18.*"),
        (
            ["--pretrain", "contrast", "--unlabelled", "nowhere"],
            r"--unlabelled expects a folder of images, nowhere is not there",
        ),
        (["--unlabelled", "."], r"--unlabelled expects a recipe that learns from it; name one with --pretrain"),
        (["--recipe", "count"], r"corpuscle budget expects a recipe that classifies, count is for task count; .*"),
        (
            ["--set", "split.budget=0.1"],
            r"expected the budgets from --budgets, got split\.budget as a setting; leave .*",
        ),
        (["--set", "split.test=0"], r"corpuscle budget expects a test part, these data have none; pass --set .*"),
    ],
)
def test_what_is_typed_wrongly_is_one_line_before_anything_is_trained(corpuscle, cells, tmp_path, words, line):
    lines = told(corpuscle("budget", cells, "--out", "b", *words))
    assert len(lines) == 1 and re.fullmatch(f"error: {line}", lines[0]), lines
    assert not (tmp_path / "b").exists()


def test_starts_that_are_wrong_are_told_together(corpuscle, cells, pretrained, tmp_path):
    lines = told(corpuscle("budget", cells, "--out", "b", "--starts", "scratch,runs/a,jined"))
    assert [line.partition(" is neither")[0] for line in lines] == ["error: 'runs/a'", "error: 'jined'"]
    again = told(corpuscle("budget", cells, "--out", "b", "--starts", f"{pretrained},{pretrained}:probe"))
    assert again == [
        f"error: starts expects each once, '{pretrained}' and '{pretrained}:probe' are the same; leave one out"
    ]
    (tmp_path / "empty").mkdir()
    none = told(corpuscle("budget", cells, "--out", "b", "--starts", "empty"))
    assert len(none) == 1 and none[0].startswith("error: empty is not the folder of a finished run")


def test_budgets_that_are_too_small_are_told_together(corpuscle, cells, tmp_path):
    lines = told(corpuscle("budget", cells, "--out", "b", "--budgets", "50,5,1", "--size", "32"))
    assert len(lines) > 4 and all(
        line.endswith("; the smallest that works is --budgets 12.5 (5 images)") for line in lines
    )
    assert {"within 5 %", "within 1 %"} == {re.search(r"within \d %", line)[0] for line in lines}
    assert not (tmp_path / "b" / "runs").exists()


def test_a_net_that_no_cell_can_train_is_told_before_the_first(corpuscle, cells, tmp_path):
    words = ["--budgets", "50", "--seeds", "0", "--size", "32", "--set", "net.head=neighbours"]
    (line,) = told(corpuscle("budget", cells, "--out", "b", *words))
    assert line.startswith("error: net.head=neighbours remembers images and learns by no steps")
    assert not (tmp_path / "b" / "runs").exists()


def test_a_folder_with_something_else_is_left_alone(corpuscle, cells, tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "notes.txt").write_text("mine")
    lines = told(corpuscle("budget", cells, "--out", "b"))
    assert lines == ["error: b is not empty and holds no budget; name a new folder with --out"]
