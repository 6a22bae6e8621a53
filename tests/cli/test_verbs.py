"""Every verb on drawn cells: what it says, where it says it, and what it leaves."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import typing

import polars as pl
import pytest
from PIL import Image

from corpuscle import api
from corpuscle.cli.compare import SHOWN
from corpuscle.cli.main import VERBS
from corpuscle.report.compare import ERRORS
from corpuscle.report.score_words import DRAWN_SCORES


def images_of(folder):
    return sorted(folder.rglob("*.png"))


def write_csv(path, images, header="image,label", row="{image},{label}"):
    rows = [header, *(row.format(image=image, label=image.parent.name, n=n) for n, image in enumerate(images))]
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture
def copied(tmp_path, cells):
    """The cells with two of one image, under two labels."""
    shutil.copytree(cells, tmp_path / "cells")
    Image.open(tmp_path / "cells" / "basophil" / "basophil_s00_0000.png").save(
        tmp_path / "cells" / "monocyte" / "x.bmp"
    )
    return tmp_path / "cells"


# --- the command


def test_no_word_at_all_gives_the_help_and_version_the_version(corpuscle):
    alone = corpuscle()
    assert alone.code == 0 and alone.out == corpuscle("--help").out and "inspect" in alone.out
    assert corpuscle("--version").out.startswith("corpuscle 0.")


def test_what_a_verb_does_is_told_in_one_line_of_the_help(corpuscle):
    assert "..." not in corpuscle("--help").out.replace("COMMAND [ARGS]...", "")


@pytest.mark.parametrize("verb", VERBS)
def test_each_argument_and_option_is_explained(verb):
    hints = typing.get_type_hints(VERBS[verb], include_extras=True)
    del hints["return"]
    assert hints and all(hint.__metadata__[0].help.endswith((".", "]")) for hint in hints.values())


def test_ctrl_c_says_stopped_and_gives_130(corpuscle, cells, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("corpuscle.api.inspect", interrupted)
    done = corpuscle("inspect", cells)
    assert (done.code, done.err) == (130, "stopped\n")


def test_a_reader_that_leaves_early_is_no_traceback(cells):
    command = [sys.executable, "-m", "corpuscle", "inspect", str(cells), "--json", "--no-pixels"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()


# --- inspect


def test_inspect_says_what_it_understood_and_gives_0(corpuscle, cells):
    done = corpuscle("inspect", cells)
    assert done.code == 0 and done.err == ""
    assert done.out.splitlines() == [
        "one folder per class: 60 images of 5 classes "
        "(basophil: 12, eosinophil: 12, lymphocyte: 12, monocyte: 12, neutrophil: 12)",
        "sizes (height × width): all 32 × 32",
        "modes: RGB, 8 bits (60)",
        "no faults found",
    ]


def test_inspect_gives_3_where_a_person_should_look(corpuscle, copied):
    (copied / "basophil" / "bad.png").write_text("text")
    done = corpuscle("inspect", copied)
    assert done.code == 3
    assert "Images that cannot be read: 1\n  basophil/bad.png: is a text file" in done.out
    copies = "basophil/basophil_s00_0000.png (basophil), monocyte/x.bmp (monocyte)"
    assert f"Copies with different labels: 1\n  {copies}\n  → at least one of the labels is wrong" in done.out


def test_inspect_names_a_class_that_is_too_small_to_be_divided(corpuscle, tmp_path, cells):
    shutil.copytree(cells, tmp_path / "cells")
    for image in images_of(tmp_path / "cells" / "monocyte")[1:]:
        image.unlink()
    for pixels in ("--pixels", "--no-pixels"):
        done = corpuscle("inspect", "cells", pixels)
        assert done.code == 3
        assert "class monocyte: 1 group (1 image) for 3 parts (train, val, test)\n  → add images, ask for" in done.out
    assert "Cannot be divided" not in corpuscle("inspect", "cells", "--set", "split.rare=train").out


def test_inspect_as_json_is_json_alone(corpuscle, copied):
    done = corpuscle("inspect", copied, "--json", "--group-from", r"_(?P<group>s\d+)_")
    found = json.loads(done.out)
    assert done.code == 3 and "one folder per class" in done.err
    assert found["images"] == 61 and found["groups"] == 13 and found["classes"]["monocyte"] == {"all": 13}
    assert found["sizes"] == {"min": [32, 32], "median": [32, 32], "max": [32, 32], "distinct": 1}
    assert found["clean"] is False and found["found"] == {"copies disagree": 1} and found["written"] == []
    (finding,) = found["findings"]
    assert finding["images"] == ["basophil/basophil_s00_0000.png", "monocyte/x.bmp"]
    assert finding["values"] == {"labels": dict(zip(finding["images"], ("basophil", "monocyte"), strict=True))}
    assert (finding["kind"], finding["weight"], finding["action"]) == ("copies disagree", "fault", "leave out")


def test_inspect_without_pixels_opens_no_image(corpuscle, copied, monkeypatch):
    monkeypatch.setattr("corpuscle.data.cache.read_pixels", None)
    done = corpuscle("inspect", copied, "--no-pixels")
    assert done.code == 0 and "images were not opened" in done.out


def test_inspect_writes_a_page_and_a_cleaned_table_and_says_so(corpuscle, copied, tmp_path):
    words = ["inspect", copied, "--html", "page.html", "--fix", "clean.csv", "--group-from", r"_(?P<group>s\d+)_"]
    done = corpuscle(*words)
    assert done.code == 3 and done.out.splitlines()[-2:] == [
        "written: clean.csv (59 images; 2 left out), clean.changes.csv",
        "written: page.html",
    ]
    assert "Copies with different labels" in (tmp_path / "page.html").read_text()
    assert corpuscle("inspect", "clean.csv").code == 0
    again = corpuscle(*words)
    line = "error: clean.csv is there already and is not overwritten; name another file with --fix\n"
    assert (again.code, again.err, again.out) == (2, line, "")
    told = json.loads(corpuscle("inspect", copied, "--json", "--html", "other.html").out)
    assert told["written"] == ["other.html"]


def test_label_errors_want_the_images_and_classes(corpuscle, cells):
    done = corpuscle("inspect", cells, "--label-errors", "--no-pixels")
    assert done.code == 2
    assert done.err == "error: --label-errors expects images that are opened, got --no-pixels; leave out one of them\n"


@pytest.mark.slow
def test_overlaps_want_the_images(corpuscle, cells):
    done = corpuscle("inspect", cells, "--overlaps", "--no-pixels")
    assert (done.code, done.out) == (2, "")
    assert done.err == "error: --overlaps expects images that are opened, got --no-pixels; leave out one of them\n"


def test_label_errors_are_among_the_findings(corpuscle, cells):
    found = json.loads(corpuscle("inspect", cells, "--label-errors", "--json").out)
    suspects = [finding for finding in found["findings"] if finding["kind"] == "label error"]
    assert suspects and found["found"]["label error"] == len(suspects)
    assert [one["values"]["rank"] for one in suspects] == list(range(1, len(suspects) + 1))
    assert all(one["values"]["label"] != one["values"]["suggested"] for one in suspects)


def test_runs_judge_the_labels_of_their_test_part(corpuscle, cells, run):
    left = 60 - pl.read_csv(run / "predictions.csv").filter(pl.col("split") == "test").height
    said = corpuscle("inspect", cells, "--runs", run).out
    assert "labels are named by a model that has not seen the image" in said
    assert f"note: {left} of 60 images are in no run's test part and are not judged" in said
    done = corpuscle("inspect", cells, "--runs", cells)
    assert done.code == 2 and done.err.startswith(f"error: expected a run folder, but {cells} has neither log.csv")


# --- split


def test_a_written_split_is_read_back_as_it_was_written(corpuscle, cells, tmp_path):
    done = corpuscle("split", cells, "--out", "split.csv", "--val", "0", "--test", "0.25")
    assert done.code == 0 and done.out.splitlines()[0] == "basophil: train 9, test 3"
    assert "parts as given: train 45, test 15" in corpuscle("inspect", "split.csv").out
    assert corpuscle("split", cells, "--out", "again.csv", "--val", "0", "--test", "0.25").code == 0
    assert (tmp_path / "split.csv").read_bytes() == (tmp_path / "again.csv").read_bytes()


def test_folds_are_a_column_and_groups_stay_together(corpuscle, cells, tmp_path):
    words = ["--folds", "3", "--fold", "2", "--group-from", r"_(?P<group>s\d+)_", "--out", "folds.csv"]
    assert corpuscle("split", cells, *words).code == 0
    frame = pl.read_csv(tmp_path / "folds.csv")
    assert set(frame["fold"]) == {1, 2, 3}
    assert (frame["split"] == "test").equals(frame["fold"] == 2)
    assert frame.group_by("group").agg(pl.col("fold").n_unique())["fold"].max() == 1


@pytest.mark.parametrize("how", ["copy", "link"])
def test_a_divided_folder_holds_every_image_once(corpuscle, cells, tmp_path, how):
    done = corpuscle("split", cells, "--out", "parts", "--as", how, "--group-from", r"_(?P<group>s\d+)_")
    assert done.code == 0 and "a folder cannot hold the groups; give --group-from again" in done.err
    made = images_of(tmp_path / "parts")
    assert sorted(image.name for image in made) == [image.name for image in images_of(cells)]
    assert all(image.is_symlink() == (how == "link") for image in made)
    assert corpuscle("inspect", "parts", "--group-from", r"_(?P<group>s\d+)_").code == 0


def test_rows_that_split_leaves_out_are_named(corpuscle, copied):
    (copied / "basophil" / "bad.png").write_text("text")
    assert "left out: basophil/bad.png: is a text file" in corpuscle("split", copied, "--out", "split.csv").err


# --- train


def test_show_prints_every_setting_with_its_meaning_and_its_origin_without_torch(cells):
    command = "import sys; from corpuscle.cli import main\ntry: main.main()\nfinally: print('torch' in sys.modules)"
    words = ["train", str(cells), "--recipe", "fundus", "-b", "16", "--show"]
    done = subprocess.run([sys.executable, "-c", command, *words], capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert "fit.batch_size = 16  # flag: images an optimiser step, over all devices" in lines
    assert 'net.model = "resnet50"  # recipe fundus: encoder' in done.stdout
    assert "seed = 0  # default: of every random choice" in done.stdout
    assert all(": " in line.partition("  # ")[2] for line in lines[:-1]), "each has a meaning"
    assert lines[-1] == "False", "torch was imported"


@pytest.mark.slow
def test_training_again_into_the_same_folder_says_it_is_finished(corpuscle, cells, tiny):
    first = corpuscle("train", cells, *tiny, "--out", "runs/a")
    assert first.code == 0
    assert first.err.startswith("one folder per class: 60 images of 5 classes (basophil: 12")
    assert [line.split(" (")[0] for line in first.out.splitlines()] == ["val", "test", "report: runs/a/report.html"]
    again = corpuscle("train", cells, *tiny, "--out", "runs/a")
    assert again.code == 0 and again.out == first.out
    assert "runs/a is finished; name another --out to train again" in again.err


@pytest.mark.slow
def test_a_written_csv_and_a_divided_folder_train_on_the_same_parts(corpuscle, cells, tiny, tmp_path):
    words = ["split", cells, "--group-from", r"_(?P<group>s\d+)_", "--out"]
    assert corpuscle(*words, "split.csv").code == corpuscle(*words, "parts", "--as", "copy").code == 0
    parts = []
    for data, out in (("split.csv", "a"), ("parts", "b")):
        assert corpuscle("train", data, *tiny, "--out", out).code == 0
        samples = pl.read_csv(tmp_path / out / "samples.csv").select(
            pl.col("image").str.split("/").list.last(), "split"
        )
        parts.append(samples.sort("image"))
    assert parts[0].equals(parts[1])


def test_a_demo_draws_its_cells_once_and_records_what_was_typed(corpuscle, run, monkeypatch):
    given = []
    monkeypatch.setattr("corpuscle.api.train", lambda path, **named: given.append((path, named)) or api.Run(run))
    first, again = (corpuscle("demo", "--per-class", "20", "--seed", "3") for _ in range(2))
    assert first.code == again.code == 0
    assert "drawing 100 white cells of five kinds into runs/demo-cells" in first.err and "drawing" not in again.err
    for cells, named in given:
        assert len(images_of(cells)) == 100 and named["settings"]["seed"] == 3
        assert named["command"] == "corpuscle demo --per-class 20 --seed 3"


# --- use


@pytest.fixture
def unreported(monkeypatch):
    """No page is drawn: it takes longer than all else."""
    monkeypatch.setattr("corpuscle.api.report", lambda folder: None)


def test_predictions_on_standard_output_are_a_csv_alone(corpuscle, run, cells, tmp_path):
    (tmp_path / "bad.png").write_text("text")
    done = corpuscle("predict", run, cells / "monocyte", "bad.png", f"{cells}/baso*/*s00*.png")
    assert done.code == 0 and "passed over: bad.png: is a text file, not an image (begins with 'text')" in done.err
    frame = pl.read_csv(done.out.encode())
    assert frame["image"].to_list() == [
        *(str(image) for image in images_of(cells / "monocyte")),
        "bad.png",
        str(cells / "basophil" / "basophil_s00_0000.png"),
    ]
    assert frame["prediction"].null_count() == frame["confidence"].null_count() == 1
    probs = frame.drop_nulls("prediction").select(pl.sum_horizontal(pl.col("^p_.*$")))
    assert probs.to_series().round(6).eq(1).all()


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_predictions_in_a_file_are_those_on_standard_output(corpuscle, run, cells, tmp_path, ending):
    printed = pl.read_csv(corpuscle("predict", run, cells).out.encode())
    done = corpuscle("predict", run, cells, "--out", f"new/p.{ending}")
    assert done.out == f"60 images predicted: new/p.{ending}\n"
    read = {"csv": pl.read_csv, "parquet": pl.read_parquet}[ending](tmp_path / "new" / f"p.{ending}")
    assert read.drop("fault", "remedy").equals(printed.drop("fault", "remedy"))


def test_predicting_the_rows_of_a_csv_whose_columns_are_named(corpuscle, run, cells, tmp_path):
    write_csv(tmp_path / "rows.csv", images_of(cells)[:3], "shot,who", "{image.name},x")
    done = corpuscle("predict", run, "rows.csv", "--image-column", "shot", "--root", cells / "basophil")
    assert [line.split(",")[0] for line in done.out.splitlines()[1:]] == [str(image) for image in images_of(cells)[:3]]


def test_more_views_give_other_probabilities(corpuscle, run, cells):
    plain, eight = (
        corpuscle("predict", run, cells / "monocyte", *words).out for words in ([], ["--set", "score.views=8"])
    )
    assert plain != eight and plain.count("\n") == eight.count("\n")


def test_a_submission_keeps_order_rows_and_columns(corpuscle, run, cells, tmp_path):
    images = images_of(cells)[::-7]
    write_csv(tmp_path / "test.csv", images, "number,Path", "{n},{image}")
    assert corpuscle("submit", run, "test.csv", "--out", "filled.csv").out == "9 rows filled: filled.csv\n"
    frame = pl.read_csv(tmp_path / "filled.csv")
    assert frame.columns == ["number", "Path", "label"]
    assert frame["Path"].to_list() == [str(image) for image in images]
    predicted = pl.read_csv(corpuscle("predict", run, *images).out.encode())
    assert frame["label"].to_list() == predicted["prediction"].to_list()


def test_evaluating_elsewhere_uses_columns_of_its_own_and_not_the_places_of_the_runs(
    corpuscle, run, cells, tmp_path, unreported
):
    shutil.copytree(run, tmp_path / "run")
    settings = tmp_path / "run" / "experiment.toml"
    settings.write_text(settings.read_text().replace("[data]", '[data]\nvalid = "gone.csv"\nroot = "gone"'))
    write_csv(tmp_path / "new.csv", images_of(cells)[::5], "shot,kind", "{image},{label}")
    words = ["--image-column", "shot", "--label-column", "kind", "--out", "scores"]
    done = corpuscle("evaluate", "run", "new.csv", *words)
    assert done.code == 0, done.err
    assert done.out.startswith("test (12 images): accuracy ")
    assert done.out.endswith("report: scores/report.html\n")
    assert (tmp_path / "scores" / "metrics.json").is_file()


def test_rows_without_a_label_are_left_out_of_an_evaluation_when_asked(corpuscle, run, cells, tmp_path, unreported):
    write_csv(tmp_path / "new.csv", images_of(cells)[::5])
    (tmp_path / "new.csv").write_text((tmp_path / "new.csv").read_text().replace(",monocyte\n", ",\n", 1))
    done = corpuscle("evaluate", run, "new.csv", "--out", "scores", "--set", "data.unlabelled=skip")
    assert done.code == 0 and done.out.startswith("test (11 images): ")


def test_judging_a_run_on_images_it_was_trained_on_is_said(corpuscle, run, cells, tmp_path, unreported):
    done = corpuscle("evaluate", run, cells, "--out", "scores")
    note = "40 of 60 images have the same pixels as images that the run was trained on (first: basophil/basophil_s"
    assert done.code == 0 and f"note: {note}" in done.err
    assert any(
        said.startswith(note) for said in json.loads((tmp_path / "scores" / "fingerprint.json").read_text())["notes"]
    )
    assert "trained on" not in corpuscle("evaluate", run, "--out", "own").err


@pytest.mark.slow
def test_runs_are_compared_one_by_one_or_as_a_folder_of_them(corpuscle, run, tmp_path):
    shutil.copytree(run, tmp_path / "runs" / "a")
    shutil.copytree(run, tmp_path / "runs" / "b")
    named = corpuscle("compare", "runs/a", "runs/b", "--out", "c1")
    folder = corpuscle("compare", "runs", "--out", "c2")
    assert named.code == folder.code == 0
    assert named.out.splitlines()[:-1] == folder.out.splitlines()[:-1]
    assert named.out.splitlines()[-1] == "page: c1/comparison.html"


def test_compare_tells_a_score_of_every_task():
    for task, drawn in DRAWN_SCORES.items():
        assert {*drawn, *ERRORS[task]} & {*SHOWN}, task


@pytest.mark.slow
def test_a_report_is_written_anew(corpuscle, run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "report.html").unlink()
    assert corpuscle("report", "run").out == "report: run/report.html\n"
    assert (tmp_path / "run" / "report.html").read_text().startswith("<!")
