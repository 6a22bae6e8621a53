"""Every benchmark says what it can be told, and every recorded figure stands beside where and how it was measured."""

import csv
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from corpuscle.metrics.overlap import overlap_of
from corpuscle.metrics.segmentation import score_masks

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
PARTS = {"record.py", "judge.py", "defective.py"}  # imported by the scripts
SCRIPTS = sorted(path for path in BENCHMARKS.rglob("*.py") if path.name not in PARTS)
IMPORTS_TORCH = {"plain.py", "plain_unet.py"}
FACTS = {"machine", "cores", "versions", "date", "seed", "command"}


@pytest.fixture(scope="module")
def record():
    spec = importlib.util.spec_from_file_location("record", BENCHMARKS / "record.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def scripts():
    for path in SCRIPTS:
        yield pytest.param(path, id=path.stem, marks=pytest.mark.slow if path.name in IMPORTS_TORCH else ())


@pytest.mark.parametrize("path", list(scripts()))
def test_a_script_explains_itself(path):
    done = subprocess.run([sys.executable, str(path), "--help"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    first = path.read_text(encoding="utf-8").split('"""')[1].split()[:5]
    assert done.stdout.startswith("usage:") and " ".join(first) in " ".join(done.stdout.split())


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_the_page_names_every_script(path):
    place = path.relative_to(BENCHMARKS).as_posix()
    assert f"`{place}`" in (BENCHMARKS / "README.md").read_text(encoding="utf-8")


def test_every_recorded_figure_has_its_machine_versions_date_seed_and_command():
    tables = sorted(BENCHMARKS.joinpath("results").glob("*.csv"))
    if not tables:
        pytest.skip("no figure has been recorded yet")
    for path in tables:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert rows, f"{path.name} is empty"
        for number, row in enumerate(rows, 1):
            assert {name for name in FACTS if not row.get(name)} == set(), f"{path.name}, row {number}"


def test_rows_are_added_and_columns_grow(record, tmp_path):
    path = tmp_path / "speed.csv"
    record.append(path, [{"model": "a", "seconds": 1.5, "date": "today"}])
    record.append(path, [{"model": "b", "wait": 0.1, "date": "tomorrow"}])
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:3] == ["model", "seconds", "wait"] and set(rows[0]) > FACTS
    assert [row["model"] for row in rows] == ["a", "b"]
    assert (rows[0]["wait"], rows[1]["wait"], rows[1]["date"]) == ("", "0.1", "tomorrow")


def test_a_quick_try_records_nothing_and_a_measurement_its_facts(record, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    monkeypatch.setattr(record, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "speed.py"), "--data", "/somewhere/else/pbc"])
    for quick in (["--quick"], []):
        one = record.Record("speed", record.arguments("about").parse_args(quick))
        one.add(model="a", seconds=1.23456789, accuracy=record.Score(0.9, 0.8, 0.95, 10, 10, "max"))
        one.close()
        assert (tmp_path / "speed.csv").is_file() == (not quick)
    with (tmp_path / "speed.csv").open(newline="") as file:
        row = next(csv.DictReader(file))
    assert (row["seconds"], row["accuracy"], row["accuracy_low"], row["accuracy_high"]) == (
        "1.2346",
        "0.9",
        "0.8",
        "0.95",
    )
    assert set(row) > FACTS and all(row[name] for name in FACTS)
    assert "somewhere" not in row["command"] and "0.9000 (0.8000 to 0.9500)" in capsys.readouterr().out


def test_numbers_that_several_scripts_take_have_the_default_of_each(record):
    assert vars(record.arguments("about", size=64, batch=32).parse_args(["--batch", "8"])).items() >= {
        ("size", 64),
        ("batch", 8),
    }
    assert not hasattr(record.arguments("about").parse_args([]), "epochs")


def test_a_part_of_a_data_set_is_the_same_each_time_and_balanced(record, tmp_path):
    for name in ("a", "b"):
        (tmp_path / "all" / name).mkdir(parents=True)
        for number in range(5):
            (tmp_path / "all" / name / f"{number}.png").touch()
    assert record.linked_part(tmp_path / "all", tmp_path / "first", 6) == 6
    assert record.linked_part(tmp_path / "all", tmp_path / "next", 4, skip=3) == 4
    names = {out: sorted(p.name for p in (tmp_path / out / "b").iterdir()) for out in ("first", "next")}
    assert names == {"first": ["0.png", "1.png", "2.png"], "next": ["3.png", "4.png"]}
    with pytest.raises(SystemExit, match="fewer than 12"):
        record.linked_part(tmp_path / "all", tmp_path / "many", 24)


def test_both_sides_get_the_same_threads_and_no_allocator_of_the_caller(record, tmp_path, monkeypatch):
    monkeypatch.setenv("LD_PRELOAD", "libjemalloc.so")
    monkeypatch.setenv("MALLOC_MMAP_MAX_", "0")
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    made = record.clean_environment(2, tmp_path)
    assert made["OMP_NUM_THREADS"] == "2" and made["CORPUSCLE_CACHE"] == str(tmp_path)
    assert not {"LD_PRELOAD", "MALLOC_MMAP_MAX_", "OMP_WAIT_POLICY"} & set(made)


def test_sides_that_do_other_work_are_refused(record):
    class Stub:
        def __init__(self, steps):
            self.steps, self.epochs, self.order = steps, [], []

        def turn(self):
            self.epochs.append({"epoch": len(self.epochs) + 1, "steps": self.steps})

        def finish(self):
            self.finished = True

    same = [Stub(3), Stub(3)]
    record.take_turns(same, 2)
    assert all(side.finished and len(side.epochs) == 2 for side in same)
    with pytest.raises(SystemExit, match="same work"):
        record.take_turns([Stub(3), Stub(4)], 1)


def tried(script, *words):
    """What a script says in a quick try with one thread; it must end well and record nothing."""
    results = BENCHMARKS / "results"
    before = {path: path.read_bytes() for path in results.glob("*.csv")}
    command = [sys.executable, str(BENCHMARKS / script), "--quick", "--threads", "1", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "a quick try: nothing was recorded" in done.stdout
    assert {path: path.read_bytes() for path in results.glob("*.csv")} == before
    return done.stdout


def test_counts_of_windows_are_judged_by_the_nuclei_that_lie_in_them(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    large = importlib.import_module("count_large")
    side = large.WINDOW + large.STEP  # four windows
    true = [(0, 0), (large.STEP, large.STEP), (large.STEP - 1, 5), (side - 1, side - 1), (side, 0)]
    assert large.windows_of(side) == [(0, 0), (0, large.STEP), (large.STEP, 0), (large.STEP, large.STEP)]
    assert large.errors([3, 1, 1, 2], true, side)["window_mae"] == 0  # the last lies outside of all
    assert large.errors([5, 1, 1, 1], true, side) == {
        **{"window_true": 7 / 4, "window_mae": 3 / 4},
        **{"window_share": 3 / 7, "window_bias": 1 / 4},
    }


def test_a_whole_cell_is_judged_from_the_pixels_of_its_parts(monkeypatch):
    for folder in (BENCHMARKS, BENCHMARKS / "quality"):
        monkeypatch.syspath_prepend(str(folder))
    runs = importlib.import_module("mask_runs")
    masks = np.random.default_rng(0).integers(3, size=(6, 2, 8, 9), dtype=np.uint8)
    overlaps = [overlap_of(true_HW, said_HW, 3) for true_HW, said_HW in masks]
    pixels_NKK = np.stack([one.pixels_KK for one in overlaps])
    parts = {"true": pixels_NKK.sum(2), "said": pixels_NKK.sum(1), "both": np.diagonal(pixels_NKK, axis1=1, axis2=2)}
    rows = pl.DataFrame({f"{word}_{name}": v[:, k] for word, v in parts.items() for k, name in enumerate(runs.CLASSES)})
    found, judged = runs.scores_of(rows, 0), score_masks(overlaps, classes=runs.CLASSES)
    whole = [overlap_of(true_HW, said_HW, 2) for true_HW, said_HW in np.minimum(masks, 1)]
    cells_NKK = np.stack([one.pixels_KK for one in whole])
    assert found["dice_nucleus"].value == pytest.approx(judged.per_class["nucleus"].scores["dice"].value)
    both_N, either_N = cells_NKK[:, 1, 1], cells_NKK[:, 1].sum(1) + cells_NKK[:, :, 1].sum(1)
    assert found["dice_cell"].value == pytest.approx(2 * both_N.sum() / either_N.sum())
    assert found["image_dice_cell"].value == pytest.approx((2 * both_N / either_N).mean())
    for name in ("mean_iou", "pixel_accuracy"):
        assert found[name].value == pytest.approx(judged.scores[name].value)
        assert found[name].low < found[name].value < found[name].high


@pytest.mark.slow
def test_the_plain_side_mirrors_image_and_mask_alike(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    plain = importlib.import_module("plain_unet")
    mask_HW = np.arange(64, dtype=np.uint8).reshape(8, 8)
    for name, pixels in (("images", np.repeat(mask_HW[..., None], 3, axis=2)), ("masks", mask_HW)):
        (tmp_path / name).mkdir()
        plain.Image.fromarray(pixels).save(tmp_path / name / "0.png")
    seen = set()
    for _ in range(40):
        image_CHW, mask_hw = plain.Pairs(tmp_path)[0]
        grey_HW = (image_CHW[0] * 0.229 + 0.485) * 255
        assert np.array_equal(grey_HW.round().numpy(), mask_hw.numpy())
        seen.add(int(mask_hw[0, 0]))
    assert seen == {0, 7, 56, 63}


@pytest.mark.slow
def test_both_sides_of_an_epoch_with_masks_are_timed():
    said = tried("unet_epoch.py").splitlines()
    assert [line.split(",")[1] for line in said if line.startswith("plain_unet, epoch")] == [
        " epoch 1: 2 steps",
        " epoch 2: 2 steps",
    ]
    assert sum(line.startswith("ours, epoch") for line in said) == 4  # the same net, then the recipe's own


@pytest.mark.slow
def test_the_wait_for_scenes_is_told_of_the_first_epoch_and_of_the_others():
    lines = [line.split("|") for line in tried("stream_wait.py").splitlines() if line.startswith("| ")]
    figures = {name.strip(): value.strip() for name, value in zip(*lines, strict=True)}
    assert (figures["bank"], figures["scenes"]) == ("drawn", "32")
    assert all(0 <= float(figures[name]) < 1 for name in ("data_wait_first", "data_wait"))


@pytest.mark.slow
def test_masks_are_judged_once_an_image_over_the_folds(sample_data, tmp_path):
    if not (sample_data / "wbc_masks").is_dir():
        pytest.skip(f"there is no wbc_masks in {sample_data}")
    said = tried("quality/mask_runs.py", "--folder", sample_data, "--out", tmp_path)
    lines = [[cell.strip() for cell in line.split("|")] for line in said.splitlines() if line.startswith("| ")]
    rows = [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]
    assert [row["run"] for row in rows] == ["fold 1", "fold 2", "mean ± sd of 2", "all 2 folds together"]
    assert [row["n"] for row in rows] == ["150", "150", "", "300"]


@pytest.mark.slow
def test_what_is_planted_is_found(record, sample_data, tmp_path):
    if not (sample_data / "pbc").is_dir():
        pytest.skip(f"there is no pbc in {sample_data}")
    record.linked_part(sample_data / "pbc", tmp_path / "part", 160)
    said = tried("quality/planted.py", "--data", tmp_path / "part")
    lines = [[cell.strip() for cell in line.split("|")] for line in said.splitlines() if line.startswith("| ")]
    rows = {row["planted"]: row for row in (dict(zip(lines[0], line, strict=True)) for line in lines[1:])}
    sorts = ("exact", "encoded", "resized", "flipped", "turned", "groups, by name", "groups, by column", "shortcut")
    assert all(rows[sort]["recall"].startswith("1.0000") for sort in sorts)
    assert rows["false pairs"]["number"] == rows["shortcut"]["false"] == "0"


@pytest.mark.slow
def test_both_sides_of_an_epoch_are_timed(sample_data):
    if not (sample_data / "pbc").is_dir():
        pytest.skip(f"there is no pbc in {sample_data}")
    said = tried("train_epoch.py", "--data", sample_data / "pbc", "--models", "resnet18")
    for side in ("plain", "ours"):
        assert [line.split(",")[1] for line in said.splitlines() if line.startswith(f"{side}, epoch")] == [
            f" epoch {epoch}: 4 steps" for epoch in (1, 2, 3)
        ]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="resident memory is read as Linux tells it")
def test_memory_is_read_after_each_epoch():
    lines = [line.split("|") for line in tried("memory_flat.py").splitlines() if line.startswith("| ")]
    figures = {name.strip(): value.strip() for name, value in zip(*lines, strict=True)}
    assert figures["epochs"] == "5"
    assert all(float(figures[name]) > 100 for name in ("first_mib", "third_mib", "last_mib"))
