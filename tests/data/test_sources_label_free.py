"""Images without labels: what is taken of each layout, and what is left of the labels of a table."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import polars as pl
import pytest

from corpuscle.core.errors import CorpuscleError, DataFault
from corpuscle.data.sources import SourcePlan, scan
from corpuscle.data.table import Table

NONE = SourcePlan(labels="none")


def written(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def splits(table: Table) -> dict[str, str | None]:
    return dict(table.frame.select("image", "split").rows())


@pytest.mark.parametrize(
    "names",
    [
        ("1.png", "2.jpg"),
        ("only/1.png", "only/2.png"),
        ("a/1.png", "b/deeper/2.png", "3.png"),
        ("a/1.png", "b/2.png", "notes.txt"),
    ],
)
def test_every_image_of_a_folder_and_of_all_in_it_is_taken(names, tmp_path):
    table = scan(written(tmp_path, *names), NONE)
    assert table.layout == "a folder of images"
    assert table.frame["image"].to_list() == sorted(name for name in names if not name.endswith("txt"))
    assert set(splits(table).values()) == {None} and table.classes == ("image",)


def test_folders_named_for_parts_are_parts_and_what_lies_outside_is_left_out(tmp_path):
    table = scan(written(tmp_path, "train/1.png", "train/x/2.png", "test/3.png", "4.png", "more/5.png"), NONE)
    assert splits(table) == {"train/1.png": "train", "train/x/2.png": "train", "test/3.png": "test"}
    assert "left out: 2 images outside of the folders train, val and test" in table.notes


def test_a_png_beside_one_other_image_of_its_name_is_its_mask(tmp_path):
    table = scan(written(tmp_path, "1.bmp", "1.png", "2.bmp", "2.png", "3.png"), NONE)
    assert table.frame["image"].to_list() == ["1.bmp", "2.bmp", "3.png"]
    assert any(note.startswith("left out: 2 files (.png 2; first: 1.png)") for note in table.notes)


def test_a_folder_without_an_image_is_a_fault(tmp_path):
    with pytest.raises(DataFault, match="no image in it; name a folder of images"):
        scan(written(tmp_path, "notes.txt"), NONE)


def test_images_without_classes_are_still_refused_where_labels_are_wanted(tmp_path):
    with pytest.raises(CorpuscleError, match="holds 2 images without classes"):
        scan(written(tmp_path, "1.png", "2.png"))


def test_a_csv_needs_no_labels_and_its_test_images_stay_test_images(tmp_path):
    written(tmp_path, "a/1.png", "a/2.png", "b/3.png")
    elsewhere = written(tmp_path / "elsewhere", "4.png") / "4.png"
    rows = f"image,split,group\na/1.png,train,x\na/2.png,test,y\nb/3.png,val,z\n{elsewhere},train,w\n"
    (tmp_path / "all.csv").write_text(rows)
    table = scan(tmp_path / "all.csv", NONE)
    assert sorted(splits(table).values()) == ["test", "train", "train", "val"]
    assert splits(table)["a/2.png"] == "test" and table.frame["label"].unique().to_list() == ["image"]


def test_labels_that_are_missing_here_and_there_do_not_matter(tmp_path):
    written(tmp_path, "1.png", "2.png")
    (tmp_path / "all.csv").write_text("image,label\n1.png,a\n2.png,\n")
    assert len(scan(tmp_path / "all.csv", NONE)) == 2
    with pytest.raises(DataFault, match="column 'label' is empty in 1 of 2 rows"):
        scan(tmp_path / "all.csv")


@pytest.mark.parametrize("counts", [True, False])
def test_an_hdf5_file_is_learned_from_with_and_without_counts(counts, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.zeros((4, 8, 8, 3), np.uint8)
        if counts:
            file["y"] = [1, 2, 3, 4]
    table = scan(tmp_path / "a.h5", NONE).without_labels()
    assert splits(table) == dict.fromkeys(f"a.h5#{row}" for row in range(4)) and not table.counted


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["unlabelled", None], [None, None]),
        (["unlabelled", "train", "test", "val"], ["train", "train", "test", "val"]),
        ([None, None], [None, None]),
    ],
)
def test_what_was_unlabelled_is_learned_from_and_what_judges_is_not(given, expected, tmp_path):
    frame = pl.DataFrame(
        {"image": [f"{n}.png" for n in range(len(given))], "label": ["a"] * len(given), "split": given},
        schema_overrides={"split": pl.String},
    )
    table = Table(frame, tmp_path, ("a",), "rows").without_labels()
    assert table.frame["split"].to_list() == expected
    assert table.classes == ("image",) and table.frame["label"].unique().to_list() == ["image"]
