"""A CSV without labels comes back with them, otherwise as it was."""

from __future__ import annotations

import polars as pl
import pytest

from corpuscle.core.errors import CorpuscleError, DataFault
from corpuscle.core.progress import SILENT
from corpuscle.data.sources import SourcePlan
from corpuscle.engine.predict import Predictor
from corpuscle.engine.submit import submit


@pytest.fixture(scope="module")
def predictor(finished):
    return Predictor.of(finished, "cpu")


@pytest.fixture
def names(cells):
    """Images of the drawn cells in no order at all, one of them twice."""
    images = [path.relative_to(cells).as_posix() for path in sorted(cells.rglob("*.png"))]
    chosen = images[50:54] + images[3:7] + images[51:52]
    return chosen[::2] + chosen[1::2]


def write(path, names, **columns):
    pl.DataFrame({"Path": names, **columns}).write_csv(path)
    return path


def test_rows_order_duplicates_and_other_columns_are_kept(predictor, cells, names, tmp_path):
    notes = [f"note {number}, of two parts" for number in range(len(names))]
    test_csv = write(tmp_path / "test.csv", names, note=notes, Label=[None] * len(names))
    filled = submit(predictor, test_csv, SourcePlan(root=cells), tmp_path / "out.csv", SILENT)
    written = pl.read_csv(tmp_path / "out.csv")
    assert written.columns == ["Path", "note", "Label"]
    assert written["Path"].to_list() == names
    assert written["note"].to_list() == notes
    expected = predictor.predict([cells / name for name in names]).table["prediction"].to_list()
    assert written["Label"].to_list() == filled["Label"].to_list() == expected
    assert written.filter(pl.col("Path").is_duplicated())["Label"].n_unique() == 1


def test_a_label_column_is_added_where_there_is_none_and_named_as_asked(predictor, cells, names, tmp_path):
    test_csv = write(tmp_path / "test.csv", names)
    assert submit(predictor, test_csv, SourcePlan(root=cells), tmp_path / "a.csv", SILENT).columns == ["Path", "label"]
    plan = SourcePlan(root=cells, label_column="Diagnosis")
    assert submit(predictor, test_csv, plan, tmp_path / "b.csv", SILENT).columns == ["Path", "Diagnosis"]


def test_an_image_that_cannot_be_read_stops_it_before_anything_is_written(predictor, cells, names, tmp_path):
    for name in ("bad_1.png", "bad_2.png"):
        (tmp_path / name).write_text("no image")
    test_csv = write(tmp_path / "test.csv", [str(cells / names[0]), "bad_1.png", "bad_2.png"])
    with pytest.raises(DataFault) as raised:
        submit(predictor, test_csv, SourcePlan(), tmp_path / "out.csv", SILENT)
    assert len(raised.value.faults) == 2
    assert not (tmp_path / "out.csv").exists()


def test_images_that_are_not_there_are_named_with_their_rows(predictor, cells, names, tmp_path):
    test_csv = write(tmp_path / "test.csv", [names[0], "gone.png"])
    with pytest.raises(DataFault, match=r"gone\.png"):
        submit(predictor, test_csv, SourcePlan(root=cells), tmp_path / "out.csv", SILENT)


def test_a_csv_without_rows_is_refused(predictor, cells, tmp_path):
    (tmp_path / "test.csv").write_text("Path\n")
    with pytest.raises(CorpuscleError):
        submit(predictor, tmp_path / "test.csv", SourcePlan(root=cells), tmp_path / "out.csv", SILENT)
