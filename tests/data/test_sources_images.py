"""Which images a user means when there is something to predict."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from corpuscle.core.errors import DataFault
from corpuscle.data.sources import SourcePlan
from corpuscle.data.sources.images import images_of_csv, list_images


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("b.png", "a.jpg", "deep/c.TIF", "deep/notes.txt", "deep/.hidden.png", "odd"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "t.csv").write_text("Path,label\nb.png,\ndeep/c.TIF,\nb.png,\n")
    return tmp_path


def test_files_folders_patterns_and_csvs_in_the_order_named(root):
    assert list_images([root / "b.png", root / "odd"]) == [root / "b.png", root / "odd"]
    assert list_images([root]) == [root / "a.jpg", root / "b.png", root / "deep/c.TIF"]
    assert list_images([f"{root}/*.[jp]*g"]) == [root / "a.jpg", root / "b.png"]
    assert list_images([f"{root}/**/*"]) == [root / "a.jpg", root / "b.png", root / "deep/c.TIF"]
    assert list_images([root / "t.csv"]) == [root / "b.png", root / "deep/c.TIF"]


def test_an_image_named_in_two_ways_is_listed_once(root):
    assert list_images([root / "b.png", root, f"{root}/b*"]) == [root / "b.png", root / "a.jpg", root / "deep/c.TIF"]


def test_a_csv_keeps_its_order_and_its_copies(root):
    assert images_of_csv(root / "t.csv") == [root / "b.png", root / "deep/c.TIF", root / "b.png"]
    (root / "deep" / "t.csv").write_text("x,y\n1,b\n")
    plan = SourcePlan(image_column="y", label_column="diagnosis", root=root)
    assert images_of_csv(root / "deep" / "t.csv", plan) == [root / "b.png"]


def test_all_paths_that_mean_no_image_are_named_at_once(root):
    (root / "empty").mkdir()
    (root / "u.csv").write_text("Path\ngone.png\n")
    with pytest.raises(DataFault) as caught:
        list_images([root / "b.pgn", root / "empty", f"{root}/*.bmp", root / "u.csv", root / "a.jpg"])
    assert [str(fault) for fault in caught.value.faults] == [
        f"{root}/b.pgn: does not exist; Did you mean b.png? (in {root})",
        f"{root}/empty: holds no image; name a folder with images in it",
        f"{root}/*.bmp: matches no image; mend the pattern",
        f"u.csv: 1 of 1 images in column 'Path' cannot be found from {root}; "
        "mend the paths, or name their folder with --set data.root=FOLDER",
        "u.csv row 2: image 'gone.png' does not exist; mend the path or remove the row",
    ]


def test_a_csv_without_a_column_of_images_is_a_fault(root):
    (root / "u.csv").write_text("where,label\nb.png,a\n")
    with pytest.raises(DataFault, match="no column known to hold the image; the columns are: where, label"):
        list_images([root / "u.csv"])


@pytest.mark.parametrize(
    ("names", "images"),
    [
        (["images/a.png", "masks/a.png", "instances/a.png"], ["images/a.png"]),
        (["a.png", "a_mask.png", "b.png"], ["a.png", "b.png"]),
        (["train/images/a.png", "train/masks/a.png", "test/images/b.png"], ["test/images/b.png", "train/images/a.png"]),
        (["imagesTr/a_0000.png", "labelsTr/a.png"], ["imagesTr/a_0000.png"]),
        (["1cell.png", "1dots.png", "polkadots.png"], ["1cell.png", "polkadots.png"]),
        (["dots.png", "dots/1.png", "masks/1.png"], ["dots.png", "dots/1.png", "masks/1.png"]),
    ],
)
def test_the_answers_of_a_data_set_are_not_predicted(names, images, tmp_path):
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (20, 10)).save(tmp_path / name)
    if "labelsTr/a.png" in names:
        (tmp_path / "dataset.json").write_text('{"labels": {"background": 0, "cell": 1}}')
    assert [path.relative_to(tmp_path).as_posix() for path in list_images([tmp_path])] == images
