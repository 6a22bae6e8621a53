"""Every benchmark says what it can be told, and every recorded figure stands beside where and how it was measured."""

import csv
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
PARTS = {"record.py", "judge.py"}  # imported by the scripts
SCRIPTS = sorted(path for path in BENCHMARKS.rglob("*.py") if path.name not in PARTS)
IMPORTS_TORCH = {"plain.py"}
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
