"""Labels that may be wrong by the test parts of trained runs."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from corpuscle.core.errors import CorpuscleError
from corpuscle.data.table import Table
from corpuscle.engine.label_errors_runs import label_errors_of_runs


def table_of(labels: dict[str, str | None]) -> Table:
    frame = pl.DataFrame({"image": list(labels), "label": list(labels.values())})
    empty = {name: pl.lit(None, pl.String) for name in ("group", "split")}
    return Table(
        frame.with_columns(**empty), Path(), tuple(sorted({name for name in labels.values() if name})), "a CSV"
    )


def write_run(folder: Path, p_b: dict[str, float], split: str = "test", **columns: float) -> Path:
    folder.mkdir()
    frame = pl.DataFrame({"image": list(p_b), "split": split})
    frame.write_csv(folder / "samples.csv")
    told = {"p_a": [1 - p for p in p_b.values()], "p_b": list(p_b.values())}
    frame.with_columns(**{name: pl.Series(values) for name, values in told.items()}).with_columns(
        **{name: pl.lit(value) for name, value in columns.items()}
    ).write_csv(folder / "predictions.csv")
    return folder


@pytest.fixture
def labels() -> dict[str, str | None]:
    return {f"{number:02}.png": "ab"[number % 2] for number in range(40)}


@pytest.fixture
def folds(tmp_path: Path) -> list[Path]:
    """Two runs that have tested half of the images each, and think rightly of all."""
    halves = [range(20), range(20, 40)]
    return [
        write_run(tmp_path / f"fold{at}", {f"{n:02}.png": 0.97 if n % 2 else 0.03 for n in half})
        for at, half in enumerate(halves, 1)
    ]


def test_test_parts_are_joined_and_judge_the_labels_of_now(folds, labels) -> None:
    assert label_errors_of_runs(folds, table_of(labels)).suspects == ()
    found = label_errors_of_runs(folds, table_of(labels | {"03.png": "a", "24.png": "b"}))
    assert {(s.image, s.label, s.suggested) for s in found.suspects} == {("03.png", "a", "b"), ("24.png", "b", "a")}
    assert found.judged == 40 and found.accuracy == 38 / 40 and found.notes == ()


def test_what_several_runs_have_tested_is_judged_by_their_mean(folds, labels, tmp_path) -> None:
    wrong = table_of(labels | {"03.png": "a"})
    against = write_run(tmp_path / "other", {"03.png": 0.0})
    assert [suspect.image for suspect in label_errors_of_runs(folds, wrong).suspects] == ["03.png"]
    assert label_errors_of_runs([*folds, against], wrong).suspects == ()
    assert [suspect.image for suspect in label_errors_of_runs([*folds, folds[0]], wrong).suspects] == ["03.png"]


def test_images_that_no_run_has_tested_are_said_and_not_judged(folds, labels) -> None:
    found = label_errors_of_runs(folds[:1], table_of(labels | {"30.png": "b", "05.png": None}))
    assert found.notes == ("20 of 39 images are in no run's test part and are not judged",)
    assert found.suspects == () and found.judged == 19


def test_copies_with_other_labels_are_heard(folds, labels) -> None:
    wrong = table_of(labels | {"03.png": "a"})
    found = label_errors_of_runs(folds, wrong, [["01.png", "03.png"]])
    assert [(s.image, s.copies) for s in found.suspects] == [("03.png", ("01.png",))]


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_run_does_not_judge_what_it_has_seen(split: str, labels, tmp_path) -> None:
    run = write_run(tmp_path / "all", dict.fromkeys(labels, 0.5), split)
    with pytest.raises(CorpuscleError, match=r"test part alone, .*all has none: .*train a run a fold: corpuscle train"):
        label_errors_of_runs([run], table_of(labels))


def test_an_evaluation_is_no_judge_for_nobody_knows_what_its_net_has_seen(folds, labels) -> None:
    (folds[0] / "samples.csv").unlink()
    with pytest.raises(CorpuscleError, match=r"finished run is expected, .*fold1 has no samples\.csv; name the folder"):
        label_errors_of_runs(folds, table_of(labels))


def test_an_unfinished_run_is_refused(folds, labels) -> None:
    (folds[1] / "predictions.csv").unlink()
    with pytest.raises(CorpuscleError, match=r"finished run is expected, .*fold2 has no predictions\.csv"):
        label_errors_of_runs(folds, table_of(labels))


def test_runs_of_other_classes_are_refused(folds, labels, tmp_path) -> None:
    other = write_run(tmp_path / "third", {"40.png": 0.2}, p_c=0.0)
    with pytest.raises(CorpuscleError, match=r"the labels of these images \(a, b\), third tells a, b, c; name runs"):
        label_errors_of_runs([*folds, other], table_of(labels))
    with pytest.raises(CorpuscleError, match=r"the labels of these images \(a, b, d\), fold1 tells a, b; name runs"):
        label_errors_of_runs(folds, table_of(labels | {"07.png": "d"}))


def test_runs_of_other_images_are_refused(folds, labels) -> None:
    moved = {f"cells/{image}": label for image, label in labels.items()}
    with pytest.raises(CorpuscleError, match=r"tested none of the images \(theirs: 00\.png, here: cells/00\.png\)"):
        label_errors_of_runs(folds, table_of(moved))


def test_a_run_that_does_not_classify_is_refused(tmp_path, labels) -> None:
    counted = write_run(tmp_path / "counted", {"00.png": 0.5})
    pl.DataFrame({"image": ["00.png"], "split": ["test"]}).write_csv(counted / "predictions.csv")
    with pytest.raises(
        CorpuscleError, match=r"of classes are expected, .*counted/predictions\.csv has none; name other"
    ):
        label_errors_of_runs([counted], table_of(labels))
