"""A division kept in a CSV of its own, laid over any layout."""

from __future__ import annotations

import pytest
from PIL import Image

from corpuscle.core.errors import DataFault
from corpuscle.data.sources import SourcePlan, scan


@pytest.fixture
def folder(tmp_path):
    for name in ("a/1.png", "a/2.png", "b/1.png", "b/3.png"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "data" / name)
    return tmp_path


def divided(folder, text):
    (folder / "parts.csv").write_text(text)
    return scan(folder / "data", SourcePlan(split_file=folder / "parts.csv"))


def test_images_get_the_parts_the_csv_says_and_the_others_are_left_out(folder):
    table = divided(folder, "image,split\na/1.png,train\ndata/b/1.png,Valid\n3.png,test\n".replace("data/", ""))
    assert table.frame.select("image", "split").rows() == [
        ("a/1.png", "train"),
        ("b/1.png", "val"),
        ("b/3.png", "test"),
    ]
    assert table.notes[-1] == "parts of 3 images from parts.csv; 1 others were left out"


def test_images_may_be_named_as_they_lie_from_the_csv_or_by_their_whole_path(folder):
    text = f"image,split\ndata/a/1.png,train\n{folder}/data/b/1.png,val\n./data/../data/b/3.png,test\n"
    table = divided(folder, text)
    assert table.frame["image"].to_list() == ["a/1.png", "b/1.png", "b/3.png"]


def test_every_fault_is_told_at_once(folder):
    with pytest.raises(DataFault) as caught:
        divided(folder, "image,split\n1.png,train\n9.png,test\na/2.png,later\n")
    assert [str(fault) for fault in caught.value.faults] == [
        "parts.csv row 2: '1.png' could be a/1.png or b/1.png; write its path from the data set's folder",
        "parts.csv row 3: '9.png' is no image of the data set; write its path from the data set's folder",
        "parts.csv row 4: 'later' is neither train, val nor test; mend it",
    ]


def test_a_csv_without_parts_is_refused(folder):
    with pytest.raises(DataFault, match=r"parts\.csv: no column of parts; the columns are: image, fold; name it with"):
        divided(folder, "image,fold\na/1.png,1\n")


def test_images_whose_labels_are_withheld_take_no_part(folder):
    table = divided(folder, "image,split\na/1.png,train\na/2.png,unlabelled\nb/1.png,test\nb/3.png,Unlabelled\n")
    assert table.frame["split"].to_list() == ["train", "unlabelled", "test", "unlabelled"]
