"""Bad input is one clear line and exit code 2: what was expected, what came, what to do; and nothing is left behind."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from corpuscle.core.files import digest_of
from corpuscle.synth.folder import provide_cells


@pytest.fixture
def here(tmp_path, cells):
    """A folder with a copy of the cells that may be spoilt."""
    shutil.copytree(cells, tmp_path / "cells")
    return tmp_path


@pytest.fixture
def refused(corpuscle, tmp_path):
    """Calls the command and sees that it is refused in clear lines with these texts, and leaves nothing."""

    def check(words, *texts):
        before = sorted(tmp_path.rglob("*"))
        done = corpuscle(*words)
        lines = done.err.splitlines()
        told = [line for line in lines if line.startswith("error: ")]
        assert done.code == 2, done
        assert told and lines[-len(told) :] == told, "errors come last, each line of them marked"
        assert "Traceback" not in done.err and done.out == ""
        for text in texts:
            assert any(text in line for line in told), f"{text!r} is not in {told}"
        assert sorted(tmp_path.rglob("*")) == before, "something was left behind"

    return check


def images_of(folder):
    return sorted(folder.rglob("*.png"))


def write_csv(path, cells, header="image,label", row="{image},{label}"):
    """A row a cell; `row` may ask for its number n and its part, of which there are five."""
    rows = [header]
    for n, image in enumerate(images_of(cells)):
        part = ("train", "train", "train", "val", "test")[n % 5]
        rows.append(row.format(image=image, label=image.parent.name, n=n, part=part))
    path.write_text("\n".join(rows) + "\n")
    return path


# --- paths and folders


@pytest.mark.parametrize("verb", ["inspect", "split", "train"])
def test_a_path_that_does_not_exist_is_told_with_the_nearest_name(refused, here, verb):
    words = [verb, "cels", *(["--out", "out.csv"] if verb == "split" else [])]
    refused(words, "cels does not exist; Did you mean cells? (in .)")


@pytest.mark.parametrize("verb", ["evaluate", "predict", "submit"])
def test_a_path_that_does_not_exist_is_told_by_those_who_use_a_run(refused, here, run, verb):
    name = "al.csv" if verb == "submit" else "cels"
    write_csv(here / "all.csv", here / "cells")
    refused([verb, run, name], name, "does not exist; Did you mean")


def test_a_path_unlike_all_others_is_told_with_what_there_is(refused, here):
    refused(["inspect", "nowhere"], "nowhere does not exist; there are cells (in .)")


@pytest.mark.parametrize("verb", ["inspect", "train"])
def test_an_empty_folder_is_told_what_was_expected(refused, here, verb):
    (here / "empty").mkdir()
    refused([verb, "empty"], "empty holds no image, expected a folder per class, train, val and test folders")


def test_an_empty_folder_cannot_be_predicted(refused, here, run):
    (here / "empty").mkdir()
    refused(["predict", run, "empty"], "empty: holds no image; name a folder with images in it")


@pytest.mark.parametrize("verb", ["inspect", "train"])
def test_a_class_with_no_image_is_named(refused, here, verb):
    (here / "cells" / "blast").mkdir()
    refused([verb, "cells"], f"{here}/cells/blast: class folder without an image; add images or remove it")


@pytest.mark.parametrize("verb", ["inspect", "train"])
def test_a_single_class_is_named(refused, here, verb):
    for folder in sorted((here / "cells").iterdir())[1:]:
        shutil.rmtree(folder)
    refused([verb, "cells"], "a single class ('basophil'), at least 2 were expected; add the images of another class")


# --- CSVs


def test_a_csv_without_the_column_named_lists_those_it_has(refused, here):
    write_csv(here / "all.csv", here / "cells")
    words = ["train", "all.csv", "--label-column", "kind"]
    refused(words, "all.csv: no column 'kind'; there are image, label (--set data.label_column=NAME)")


def test_a_csv_whose_columns_are_not_known_tells_how_to_name_them(refused, here):
    write_csv(here / "all.csv", here / "cells", header="where,what")
    line = "all.csv: no column known to hold the {0}; the columns are: where, what; name it with --set data.{0}_column="
    refused(["train", "all.csv"], line.format("image"), line.format("label"))


def test_a_label_missing_in_some_rows_names_the_first_and_both_remedies(refused, here):
    write_csv(here / "all.csv", here / "cells")
    text = (here / "all.csv").read_text().replace(",monocyte\n", ",\n", 3)
    (here / "all.csv").write_text(text)
    first = images_of(here / "cells" / "monocyte")[0]
    refused(
        ["train", "all.csv"],
        f"all.csv: column 'label' is empty in 3 of 60 rows (first: row 38, {first}); "
        "fill it, or pass --set data.unlabelled=skip",
    )


def test_paths_in_a_csv_that_do_not_exist_are_all_named_with_their_rows(refused, here):
    write_csv(here / "all.csv", here / "cells")
    text = (here / "all.csv").read_text().replace("eosinophil_s0", "gone_s0", 2)
    (here / "all.csv").write_text(text)
    refused(
        ["train", "all.csv"],
        f"all.csv: 2 of 60 images in column 'image' cannot be found from {here}; mend the paths, or name their folder",
        "all.csv row 14: image '",
        "all.csv row 15: image '",
        "does not exist; mend the path or remove the row",
    )


# --- images


def test_an_image_that_is_a_text_file_is_named(refused, here):
    images_of(here / "cells")[5].write_text("I am no image")
    refused(
        ["train", "cells"],
        "1 of 60 images: cannot be read, more than the 1 % a run goes on without; "
        "mend or remove them, or pass --set guard.max_faulty=0.02",
        "basophil/basophil_s05_0005.png: is a text file, not an image (begins with 'I am no image'); "
        "replace it by a whole copy, or leave it out",
    )


def cut_jpeg(path):
    """Half of a JPEG of drawn noise."""
    image = Image.effect_noise((64, 64), 50)
    image.save(path, "JPEG")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_a_truncated_jpeg_is_named(refused, here):
    cut_jpeg(here / "cells" / "monocyte" / "cut.jpg")
    refused(
        ["train", "cells"],
        "1 of 61 images: cannot be read",
        "monocyte/cut.jpg: the file is cut short (image file is truncated",
        "replace it by a whole copy, or leave it out",
    )


def test_images_that_all_cannot_be_read_are_one_line(refused, here):
    for image in images_of(here / "cells"):
        image.write_bytes(b"")
    refused(
        ["train", "cells"],
        "none of the 60 images can be read (first: basophil/basophil_s00_0000.png: the file is empty (0 bytes)); "
        "replace it by a whole copy, or leave it out",
    )


def test_a_class_whose_images_all_cannot_be_read_is_named(refused, here):
    for image in images_of(here / "cells" / "monocyte"):
        image.write_bytes(b"")
    refused(["train", "cells", "--set", "guard.max_faulty=0.5"], "class monocyte: none of its images can be read")


def test_predicting_only_what_cannot_be_read_names_it_and_gives_code_2(corpuscle, here, run):
    (here / "bad.png").write_text("text")
    done = corpuscle("predict", run, "bad.png")
    assert done.code == 2
    assert "passed over: bad.png: is a text file, not an image" in done.err
    assert done.out.splitlines()[1].startswith("bad.png,,")


# --- words and numbers


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["-m", "resnet81"], "'resnet81' is no model of Corpuscle's or timm's. Did you mean resnet18"),
        (["-m", "convnext_tny"], "Did you mean convnext_tiny"),
        (["-o", "sdg"], "optim.optimiser should be 'sgd', 'adam' or 'adamw', got \"sdg\"; Did you mean sgd?"),
        (["--recipe", "leukaemia"], "'leukaemia' is not a recipe. Did you mean leukemia?"),
        (["--recipe", "x"], "'x' is not a recipe. Known: camelyon, codebook, contrast, count, default, few, fundus,"),
        (["--set", "fit.batchsize=3"], "fit.batchsize is not a setting. Did you mean fit.batch_size (32)?"),
        (["--set", "epoch=3"], "epoch is not a setting. Did you mean stages.0.epochs"),
        (["--set", "fit=3"], "fit is not a setting. It is a section, set one of fit.batch_size, fit."),
        (["--set", "fit.batch_size"], "--set expects section.field=value, got 'fit.batch_size'; for example --set"),
        (
            ["--set", "prepare.fit=pda"],
            "prepare.fit should be 'pad', 'crop', 'stretch' or 'keep', got \"pda\"; Did you mean pad?",
        ),
        (["--set", "score.views=2"], "score.views should be 1, 4 or 8, got 2"),
        (["--device", "cuda:7"], "device cuda:7 is not there"),
        (["--config", "no.toml"], "no.toml cannot be read (No such file or directory); name a settings file in TOML"),
        (["--weights", "nowhere"], "--weights expected none, imagenet, a file or a run's folder, got 'nowhere'"),
        (["--group-from", "("], "group_from expects a regular expression, got '('"),
        (["--group-from", r"\d+"], r"group_from expects a part named group, got '\d+' without one; for example 'UID_"),
        (["--group-from", "(?P<group>zz)"], "data.group_from: the pattern '(?P<group>zz)' does not match for 60 of 60"),
    ],
)
def test_an_unknown_word_is_told_with_the_nearest_ones(refused, here, words, text):
    refused(["train", "cells", *words], text)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["-b", "1"], "fit.batch_size should be greater than or equal to 2, got 1"),
        (["-e", "-1"], "stages.0.epochs should be greater than or equal to"),
        (["-e", "2,3"], "epochs expects a value for each stage (1: all), got 2; for example"),
        (["-e", "many"], "--epochs expects whole numbers with commas between them, one a stage, got 'many'"),
        (["-r", "0"], "stages.0.learning_rate should be greater than 0, got 0"),
        (["-wd", "-1"], "optim.weight_decay should be greater than or equal to 0, got -1"),
        (["-mm", "1"], "optim.momentum should be less than 1, got 1"),
        (["--size", "5000"], "prepare.size should be less than or equal to 2048, got 5000"),
        (["--seed", "-1"], "seed should be greater than or equal to 0, got -1"),
        (["--set", "seed=x"], 'seed should be a valid integer, got "x"'),
        (["--set", "split.test=1.2"], "split.test should be less than 1, got 1.2"),
        (["--set", "augment.rotate=400"], "augment.rotate should be less than or equal to 180, got 400"),
        (["--set", "split.folds=5", "--set", "split.fold=6"], "split.fold should be one of the 5 folds"),
        (["--set", "fit.average=NaN"], "fit.average"),
    ],
)
def test_a_number_out_of_range_is_told_with_its_range(refused, here, words, text):
    refused(["train", "cells", *words], text)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["trian", "cells"], "no such command 'trian'. Did you mean 'train'? corpuscle --help lists all"),
        (["train", "cells", "--epoch", "3"], "no such option: --epoch"),
        (["train", "cells", "--seed", "abc"], "'abc'"),
        (["train"], "missing argument"),
        (["split", "cells"], "missing option '--out'; corpuscle split --help lists all"),
        (["split", "cells", "--as", "cvs", "--out", "x.csv"], "'cvs' is not one of 'csv', 'copy', 'link'"),
        (["split", "cells", "--out", "x.txt"], "expected a name that ends in .csv, got x.txt"),
        (["split", "cells", "--out", "x", "--as", "copy", "--folds", "3"], "a divided folder holds one split"),
        (["split", "cells", "--out", "x.csv", "--val", "0.6", "--test", "0.5"], "less than 0.5 beside split.test=0.5"),
        (
            ["inspect", "cells", "--set", "fit.batch_size=3"],
            "expected settings of data.*, read.*, split.*, guard.*, seed here, got",
        ),
        (["demo", "--per-class", "3"], "expected at least 20 cells of each kind, got 3"),
    ],
)
def test_a_slip_in_the_command_is_one_line_that_names_it(refused, here, words, text):
    refused(words, text)


# --- runs


@pytest.mark.parametrize("verb", ["evaluate", "predict", "report", "compare"])
def test_a_run_folder_that_is_none_is_told(refused, here, verb):
    words = [verb, "cells", *(["cells"] if verb == "predict" else [])]
    refused(words, "cells", "name" if verb != "predict" else "pass the folder that training named with --out")


@pytest.fixture
def spoilt(here, run):
    """A copy of the run that may be spoilt."""
    shutil.copytree(run, here / "run")
    return here / "run"


def change_card(run, **values):
    card = json.loads((run / "card.json").read_text())
    (run / "card.json").write_text(json.dumps(card | values))


def test_a_card_that_does_not_match_its_weights_is_told(refused, spoilt):
    change_card(spoilt, weights_digest="0" * 32)
    refused(
        ["predict", "run", "cells"],
        "run/weights.safetensors does not match its card: expected digest 00000000000000000000000000000000, got",
        "one of the two is from another run: copy both again",
    )


def test_weights_cut_short_are_told(refused, spoilt):
    weights = spoilt / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    refused(["predict", "run", "cells"], "run/weights.safetensors")


def test_a_run_without_its_weights_is_told(refused, spoilt):
    (spoilt / "weights.safetensors").unlink()
    refused(["predict", "run", "cells"], "run has a card.json but no weights.safetensors; copy the run again")


def test_a_card_that_is_no_json_is_told(refused, spoilt):
    (spoilt / "card.json").write_text("{")
    refused(["predict", "run", "cells"], "run/card.json cannot be read as a card")


def test_weights_of_another_shape_are_told(refused, spoilt):
    change_card(spoilt, num_outputs=7, weights_digest=digest_of((spoilt / "weights.safetensors").read_bytes()))
    refused(
        ["predict", "run", "cells"], "run/weights.safetensors does not fit the net of its card (timm/test_resnet, 7"
    )


def test_starting_weights_of_another_net_are_told(refused, here, run):
    refused(["train", "cells", "-m", "resnet18", "--weights", run], "are not for resnet18 with batch norm")


def test_predicting_with_a_run_of_another_task_is_told(refused, spoilt):
    change_card(spoilt, task="trace")
    refused(
        ["predict", "run", "cells"],
        "'trace' is not a task. Known: classify, cluster, contrast, count, reconstruct, segment; install a Corpuscle",
    )


def test_judging_on_classes_that_the_run_does_not_know_is_told(refused, spoilt, here):
    (here / "cells" / "monocyte").rename(here / "cells" / "blast")
    refused(["evaluate", "run", "cells"], "cells also has blast; rename them, remove them, or train on them")


def test_another_training_in_the_same_folder_is_told_what_differs(refused, spoilt, tiny):
    refused(
        ["train", "cells", *tiny, "--seed", "4", "--out", "run"],
        "run holds a run with other settings (seed was 0, is 4",
    )


def test_a_folder_that_holds_other_things_is_not_trained_into(refused, here):
    refused(["train", "cells", "--out", "cells"], "cells is not empty and holds no run; name a new folder with --out")


def test_a_demo_with_other_cells_than_those_that_are_there_is_told(refused, here):
    provide_cells(here / "runs" / "demo-cells", 20, 96, 0)
    for words, asked in ((["--per-class", "21"], "per_class 21, size 96, seed 0"), (["--seed", "1"], "seed 1")):
        refused(["demo", "--per-class", "20", *words], asked, "it holds those of per_class 20, size 96, seed 0; remove")


# --- leaks


def test_a_group_on_two_sides_of_a_split_is_named(refused, here):
    write_csv(here / "all.csv", here / "cells", "image,label,patient,split", "{image},{label},p{n},{part}")
    text = (here / "all.csv").read_text().replace(",p1,", ",p0,").replace(",p3,", ",p0,")
    (here / "all.csv").write_text(text)
    refused(
        ["train", "all.csv"],
        "split leaks: group p0 is in train (2 images) and val (1 image); "
        "divide it with corpuscle split --anew, or pass --set guard.allow_leaks=true",
    )


def test_identical_pixels_on_two_sides_of_a_split_are_named_in_whatever_format(refused, here):
    write_csv(here / "all.csv", here / "cells", "image,label,split", "{image},{label},{part}")
    first = images_of(here / "cells")[0]
    Image.open(first).save(here / "copy.bmp")
    with (here / "all.csv").open("a") as table:
        table.write("copy.bmp,basophil,test\n")
    refused(
        ["train", "all.csv"],
        f"split leaks: {min('copy.bmp', 'cells')}/basophil/{first.name} and copy.bmp hold the same pixels in "
        "train (1 image) and test (1 image)",
    )


def test_a_split_that_leaks_is_not_written_again_but_divided_anew(corpuscle, refused, here):
    write_csv(here / "all.csv", here / "cells", "image,label,patient,split", "{image},{label},p{n},{part}")
    (here / "all.csv").write_text((here / "all.csv").read_text().replace(",p3,", ",p0,"))
    refused(["split", "all.csv", "--out", "new.csv"], "split leaks: group p0")
    assert corpuscle("split", "all.csv", "--out", "new.csv", "--anew").code == 0
    done = corpuscle("inspect", "new.csv")
    assert "no faults found" in done.out and done.code == 0


@pytest.mark.slow
def test_a_leak_and_one_bad_image_in_a_hundred_are_trained_with_when_allowed(corpuscle, here, tiny):
    shutil.copytree(here / "cells", here / "more")
    for image in images_of(here / "more"):
        Image.open(image).rotate(90).save(image)
    write_csv(here / "all.csv", here, "image,label,patient,split", "{image},{label},p{n},{part}")
    (here / "all.csv").write_text((here / "all.csv").read_text().replace(",p3,", ",p0,"))
    bad = images_of(here / "more")[7]
    cut_jpeg(bad)
    done = corpuscle("train", "all.csv", *tiny, "--out", "out", "--set", "guard.allow_leaks=true")
    assert done.code == 0, done.err
    assert f"set aside: more/basophil/{bad.name}: the file is cut short" in done.err
    found = json.loads((here / "out" / "fingerprint.json").read_text())
    assert [fault["where"] for fault in found["faults"]] == [f"more/basophil/{bad.name}"]
    assert sum(sum(parts.values()) for parts in found["classes"].values()) == 119


# --- disks


@pytest.mark.parametrize("verb", ["train", "split", "evaluate", "predict", "submit"])
def test_a_file_where_a_folder_should_be_is_told_before_any_work(refused, here, run, verb):
    (here / "file").write_text("")
    out = {"train": "file/run", "evaluate": "file/scores"}.get(verb, "file/out.csv")
    words = {"train": ["train", "cells"], "split": ["split", "cells"]}.get(verb, [verb, run, "cells"])
    refused(
        [*words, "--out", out], f"{out} cannot be written ({here}/file: Not a directory); name a place you may write to"
    )


@pytest.mark.skipif(not Path("/proc/version").exists(), reason="there is no /proc")
def test_a_folder_that_cannot_be_written_is_told(refused, here):
    refused(["split", "cells", "--as", "copy", "--out", "/proc/split"], "/proc/split cannot be written")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_told(refused, here):
    (here / "locked").mkdir(mode=0o500)
    refused(["train", "cells", "--out", "locked/run"], "locked: Permission denied); name a place you may write to")


def test_input_is_not_overwritten(refused, here, run):
    write_csv(here / "all.csv", here / "cells")
    for words in (["split", "all.csv"], ["submit", run, "all.csv"], ["predict", run, "all.csv"]):
        refused([*words, "--out", "all.csv"], "all.csv is what is read, it would be overwritten; name another file")


def test_a_name_of_another_kind_is_told_before_any_work(refused, here, run):
    refused(["predict", run, "cells", "--out", "x.txt"], "ends in .csv or .parquet, got x.txt; name such a file")


def test_a_full_disk_is_told(refused, here, run, monkeypatch):
    def full(self, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))

    monkeypatch.setattr(Path, "write_bytes", full)
    write_csv(here / "all.csv", here / "cells")
    refused(
        ["submit", run, "all.csv", "--out", "filled.csv"],
        "the disk is full: filled.csv could not be written; free some space and give the same command again",
    )


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 2 megabytes, where the system lends one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True)
    if done.returncode:
        pytest.skip("a small disk can be mounted by root alone")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="tmpfs is Linux's")
def test_a_disk_that_fills_in_training_is_told_and_leaves_only_whole_files(corpuscle, cells, small_disk, tiny):
    done = corpuscle("train", cells, *tiny, "--out", "disk/run")
    assert done.code == 2
    assert "error: the disk is full: disk/run/" in done.err and "give the same command again" in done.err
    assert not [path for path in small_disk.rglob("*") if path.name.endswith(".part")]
    json.loads((small_disk / "run" / "fingerprint.json").read_text())


# --- memory


class OutOfMemoryError(RuntimeError):
    """As torch calls it."""


@pytest.mark.parametrize(
    "error",
    [
        OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        MemoryError("Unable to allocate 3 GiB"),
    ],
)
def test_a_memory_that_is_full_is_told_with_what_to_lower(refused, here, monkeypatch, error):
    def fills(*args, **kwargs):
        raise error

    monkeypatch.setattr("corpuscle.api.train", fills)
    refused(["train", "cells"], f"the memory is full ({error}); lower --batch-size or --size, or pass --set fit.accum")


def test_a_bug_is_not_taken_for_bad_input(corpuscle, here, monkeypatch):
    def fails(*args, **kwargs):
        raise RuntimeError("a bug")

    monkeypatch.setattr("corpuscle.api.train", fails)
    with pytest.raises(RuntimeError, match="a bug"):
        corpuscle("train", "cells")


# --- the real command


def test_the_command_itself_ends_with_code_2_and_no_traceback(here):
    command = [sys.executable, "-m", "corpuscle", "inspect", "nowhere"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=here)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: nowhere does not exist; there are cells (in .)\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["train", "cells", "-m", "resnet81"], "error: 'resnet81' is no model of Corpuscle's or timm's"),
        (["predict", "nowhere", "x.png"], "error: nowhere is not the folder of a finished run"),
    ],
)
def test_the_command_itself_ends_with_code_2_where_the_net_is_needed(here, words, text):
    done = subprocess.run([sys.executable, "-m", "corpuscle", *words], capture_output=True, text=True, cwd=here)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(text) and done.stderr.count("\n") == 1
