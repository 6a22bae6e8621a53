"""Labels that may be wrong by the runs of a cross-validation."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from corpuscle.core.errors import CorpuscleError
from corpuscle.engine.label_errors_runs import label_errors_of_runs


def write_run(folder: Path, images: list[str], labels: str, p_b: list[float], **columns: object) -> Path:
    folder.mkdir()
    frame = pl.DataFrame({"image": images, "label": list(labels), "p_a": [1 - p for p in p_b], "p_b": p_b})
    frame.with_columns(**{"split": pl.lit("test")} | columns).write_csv(folder / "predictions.csv")
    return folder


def two_runs(place: Path) -> list[Path]:
    first = write_run(place / "1", ["1", "2", "3", "4"], "aaab", [0.1, 0.2, 0.97, 0.9])
    return [first, write_run(place / "2", ["5", "6", "7", "8"], "bbba", [0.8, 0.9, 0.9, 0.2])]


def test_test_parts_are_joined_and_judged(tmp_path: Path) -> None:
    found = label_errors_of_runs(two_runs(tmp_path))
    assert [(s.image, s.label, s.suggested, s.rank) for s in found.suspects] == [("3", "a", "b", 1)]
    assert found.suspects[0].self_confidence == pytest.approx(0.03)
    assert found.judged == 8 and found.accuracy == 7 / 8


def test_validation_parts_are_not_read(tmp_path: Path) -> None:
    run = write_run(tmp_path / "1", ["1", "2"], "ab", [0.1, 0.9], split=pl.lit("val"))
    with pytest.raises(CorpuscleError, match=r"1/predictions\.csv should hold a test part, it has none"):
        label_errors_of_runs([run])


def test_an_image_in_two_test_parts_is_refused(tmp_path: Path) -> None:
    first, _ = two_runs(tmp_path)
    with pytest.raises(CorpuscleError, match=r"test part of one run, 4 are in several \(first: 1\)"):
        label_errors_of_runs([first, first])


def test_other_classes_are_refused(tmp_path: Path) -> None:
    first, _ = two_runs(tmp_path)
    other = write_run(tmp_path / "3", ["9"], "a", [0.2], p_c=pl.lit(0.0))
    with pytest.raises(CorpuscleError, match="have the same classes, these have not"):
        label_errors_of_runs([first, other])


def test_what_is_no_run_of_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpuscleError, match=r"none has no predictions\.csv"):
        label_errors_of_runs([tmp_path / "none"])
    counted = tmp_path / "counted"
    counted.mkdir()
    pl.DataFrame({"image": ["1"], "split": ["test"]}).write_csv(counted / "predictions.csv")
    with pytest.raises(CorpuscleError, match=r"counted/predictions\.csv should hold the probabilities of classes"):
        label_errors_of_runs([counted])
