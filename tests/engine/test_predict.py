"""A finished run at work on images of any kind."""

from __future__ import annotations

import json
import shutil

import polars as pl
import pytest

from corpuscle.core.errors import CorpuscleError
from corpuscle.engine.predict import AT_ONCE, Predictor, write_table


@pytest.fixture(scope="module")
def predictor(finished):
    return Predictor.of(finished, "cpu")


@pytest.fixture
def mixed(cells, tmp_path):
    """Forty images of which the first 33 and another one are none: more than a chunk without a sound image."""
    sound = sorted(cells.rglob("*.png"))[:6]
    bad = []
    for number in range(AT_ONCE + 2):
        bad.append(tmp_path / f"bad_{number}.png")
        bad[-1].write_text("no image")
    return [*bad[:-1], *sound[:3], bad[-1], *sound[3:]]


def test_bad_files_are_passed_over_and_the_order_is_kept(predictor, mixed):
    predicted = predictor.predict(mixed)
    assert predicted.table["image"].to_list() == [str(path) for path in mixed]
    is_bad = [path.name.startswith("bad_") for path in mixed]
    assert predicted.table["fault"].is_not_null().to_list() == is_bad
    for name in ("prediction", "confidence", "p_basophil", "raw_basophil"):
        assert predicted.table[name].is_null().to_list() == is_bad
    assert [fault.where for fault in predicted.faults] == [str(path) for path in mixed if path.name.startswith("bad_")]
    assert all(fault.what and fault.remedy for fault in predicted.faults)


def test_a_sound_image_is_predicted_the_same_whatever_lies_beside_it(predictor, mixed):
    among = predictor.predict(mixed).table.filter(pl.col("fault").is_null())
    alone = predictor.predict([path for path in mixed if not path.name.startswith("bad_")]).table
    assert among["prediction"].to_list() == alone["prediction"].to_list()
    assert among["confidence"].to_list() == pytest.approx(alone["confidence"].to_list(), abs=1e-5)


def test_only_bad_files_give_only_faults(predictor, mixed):
    predicted = predictor.predict(mixed[:3])
    assert len(predicted.faults) == 3
    assert predicted.table.schema == predictor.predict(mixed[-3:]).table.schema


def test_no_files_give_an_empty_table(predictor, mixed):
    empty = predictor.predict([])
    assert len(empty.table) == 0 and empty.faults == ()
    assert empty.table.schema == predictor.predict(mixed[-1:]).table.schema


def test_an_image_named_twice_is_predicted_twice(predictor, mixed):
    twice = predictor.predict([mixed[-1], mixed[-1]]).table
    assert twice["confidence"][0] == pytest.approx(twice["confidence"][1], abs=1e-6)


@pytest.mark.parametrize("name", ["out.csv", "deep/out.parquet", "OUT.CSV"])
def test_a_table_is_written_by_the_ending_of_its_name(predictor, mixed, tmp_path, name):
    table = predictor.predict(mixed).table
    write_table(table, tmp_path / name)
    read = pl.read_parquet if name.endswith("parquet") else pl.read_csv
    written = read(tmp_path / name)
    assert written.columns == table.columns
    assert written["image"].to_list() == table["image"].to_list()
    assert written["prediction"].to_list() == table["prediction"].to_list()
    assert written["confidence"].drop_nulls().to_list() == pytest.approx(table["confidence"].drop_nulls().to_list())


def test_another_ending_is_refused(predictor, tmp_path):
    with pytest.raises(CorpuscleError, match=r"expected a name that ends in \.csv or \.parquet, got .*out\.xlsx; name"):
        write_table(pl.DataFrame(), tmp_path / "out.xlsx")


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(CorpuscleError, match=r"is not the folder of a finished run \(it has no card\.json\)"):
        Predictor.of(tmp_path)


def test_a_card_of_other_weights_is_refused(finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    card = json.loads((run / "card.json").read_text())
    (run / "card.json").write_text(json.dumps(card | {"weights_digest": "0" * 32}))
    with pytest.raises(CorpuscleError, match=r"does not match its card: expected digest 0{32}, got"):
        Predictor.of(run)
