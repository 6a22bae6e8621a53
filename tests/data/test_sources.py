"""From folders and CSVs to a table, and what is said of those that are wrong."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from corpuscle.core.errors import CorpuscleError, DataFault
from corpuscle.data.sources import SourcePlan, scan
from corpuscle.data.table import COLUMNS, Table

DATA = Path(os.environ.get("CORPUSCLE_TEST_DATA", Path(__file__).parents[2].parent / "shared" / "data"))


def files(root: Path, *names: str) -> Path:
    """Empty files: a source opens none of them."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def table_file(path: Path, text: str | bytes) -> Path:
    """A CSV with that text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def rows(table: Table, *columns: str) -> list[tuple[object, ...]]:
    """Some columns of the table."""
    return table.frame.select(*columns).rows()


def faults(path: Path, min_classes: int = 2, **plan: object) -> list[str]:
    """What a scan complains of."""
    with pytest.raises(DataFault) as caught:
        scan(path, SourcePlan(**plan), min_classes)
    return [str(fault) for fault in caught.value.faults]


# ------------------------------------------------------------------------------------------------------------ folders


def test_a_folder_a_class(tmp_path):
    table = scan(files(tmp_path, "b/2.PNG", "b/deep/3.jpg", "a/1.tif"))
    assert table.layout == "one folder per class"
    assert table.classes == ("a", "b")
    assert rows(table, "image", "label", "source") == [
        ("a/1.tif", "a", "a"),
        ("b/2.PNG", "b", "b"),
        ("b/deep/3.jpg", "b", "b"),
    ]
    assert table.frame.schema == COLUMNS
    assert table.frame.select("group", "split", "row").null_count().row(0) == (3, 3, 3)
    assert all(table.path_of(image).is_file() for image in table.frame["image"])


def test_classes_that_are_numbers_are_in_number_order(tmp_path):
    assert scan(files(tmp_path, "10/a.png", "9/a.png", "1/a.png")).classes == ("1", "9", "10")


def test_what_systems_leave_in_folders_is_no_data(tmp_path):
    files(tmp_path, "a/1.png", "b/1.png", ".git/x.png", "__MACOSX/a/._1.png", "a/._1.png", "a/Thumbs.db", "b/.DS_Store")
    table = scan(tmp_path)
    assert table.frame["image"].to_list() == ["a/1.png", "b/1.png"]
    assert table.notes == ()


def test_files_that_are_no_images_are_counted_in_a_note(tmp_path):
    table = scan(files(tmp_path, "a/1.png", "a/n.txt", "b/1.png", "b/m.txt", "b/box.xml", "README", "over.png"))
    assert len(table) == 2
    assert table.notes == (
        "left out: 1 file (.png 1; first: over.png) outside of any class folder",
        "left out: 4 files (.txt 2, .xml 1, without a suffix 1; first: README), not images",
    )


def test_links_to_folders_are_followed_and_circles_end(tmp_path):
    files(tmp_path / "far", "1.png")
    files(tmp_path / "data", "b/1.png")
    (tmp_path / "data" / "a").symlink_to(tmp_path / "far")
    (tmp_path / "data" / "b" / "again").symlink_to(tmp_path / "data" / "b")
    assert scan(tmp_path / "data").frame["image"].to_list() == ["a/1.png", "b/1.png"]


@pytest.mark.parametrize(("val", "test"), [("val", "test"), ("valid", "testing"), ("Validation", "Test")])
def test_train_val_and_test_folders(tmp_path, val, test):
    table = scan(files(tmp_path, "train/a/1.png", "train/b/1.png", f"{val}/a/1.png", f"{test}/b/1.png"))
    assert table.layout == "train, val and test folders"
    assert sorted(rows(table, "split", "label")) == [("test", "b"), ("train", "a"), ("train", "b"), ("val", "a")]


def test_a_test_folder_of_images_alone_is_unlabelled_and_leaves_the_split_open(tmp_path):
    table = scan(files(tmp_path, "train/a/1.png", "train/b/1.png", "test/x.png"))
    assert rows(table, "image", "label", "split") == [
        ("test/x.png", None, "unlabelled"),
        ("train/a/1.png", "a", None),
        ("train/b/1.png", "b", None),
    ]
    assert table.classes == ("a", "b")


def test_a_folder_beside_the_parts_is_left_out_and_said(tmp_path):
    table = scan(files(tmp_path, "train/a/1.png", "train/b/1.png", "test/a/1.png", "extra/a/2.png"))
    assert len(table) == 3
    assert table.notes == ("left out: folder 'extra', which is none of train, val and test",)


def test_all_faults_of_folders_come_at_once(tmp_path):
    files(tmp_path, "a/1.png", "b/notes.txt")
    (tmp_path / "c").mkdir()
    assert faults(tmp_path) == [
        f"{tmp_path}: a single class ('a'), at least 2 were expected; add the images of another class; if the classes "
        "lie one folder deeper, name that folder",
        f"{tmp_path}/b: class folder without an image; add images or remove it",
        f"{tmp_path}/c: class folder without an image; add images or remove it",
    ]


def test_a_single_class_may_be_judged(tmp_path):
    assert scan(files(tmp_path, "a/1.png"), min_classes=1).classes == ("a",)


def test_classes_that_differ_by_case_or_spaces_alone_are_a_fault(tmp_path):
    found = faults(files(tmp_path, "Cat/1.png", "cat/1.png", "red cell/1.png", "red  cell/1.png", "dog/1.png"))
    assert found == [
        "labels: 'Cat' (1), 'cat' (1) differ by case or spaces alone; write them alike, or with more difference",
        "labels: 'red  cell' (1), 'red cell' (1) differ by case or spaces alone; write them alike, or with more "
        "difference",
    ]


def test_a_class_that_is_judged_and_never_learned_is_a_fault(tmp_path):
    found = faults(files(tmp_path, "train/a/1.png", "train/b/1.png", "test/c/1.png", "val/a/1.png"))
    assert found == ["class c: has images in test and none in train; add some to train, or remove the class"]


def test_parts_without_classes_are_a_fault(tmp_path):
    found = faults(files(tmp_path, "train/1.png", "val/1.png"))
    assert f"{tmp_path}/train: no class folders in it; put each class's images in a folder of its name" in found


def test_a_folder_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    files(tmp_path, "a/1.png", "b/1.png")
    scandir = os.scandir

    def forbidding(path):
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", forbidding)
    with pytest.raises(CorpuscleError, match=rf"{tmp_path}/b cannot be listed \(Permission denied\)"):
        scan(tmp_path)


# ------------------------------------------------------------------------------------------------- what is no data set


def test_a_path_that_is_not_there_names_its_likes(tmp_path):
    files(tmp_path, "cells/a/1.png")
    with pytest.raises(
        CorpuscleError, match=rf"^{tmp_path}/cels does not exist; Did you mean cells\? \(in {tmp_path}\)$"
    ):
        scan(tmp_path / "cels")
    with pytest.raises(CorpuscleError, match=rf"^{tmp_path}/cels does not exist; Did you mean cells\?"):
        scan(tmp_path / "cels" / "train")


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("cell.png", "is an image, expected a folder per class, train, val and test folders of those, or a CSV"),
        (
            "cells.docx",
            r"is a file of an unknown kind \(\.docx\), expected .*; name the folder or save the table as CSV",
        ),
        ("cells", r"is a file of an unknown kind \(without a suffix\)"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path, name, what):
    with pytest.raises(CorpuscleError, match=rf"{name} {what}"):
        scan(files(tmp_path, name) / name)


def test_an_empty_folder_and_a_flat_one_are_refused(tmp_path):
    with pytest.raises(CorpuscleError, match=f"{tmp_path} holds no image, expected a folder per class"):
        scan(tmp_path)
    files(tmp_path, "1.png", "2.png")
    with pytest.raises(
        CorpuscleError, match=r"holds 2 images without classes, expected .* sort the images into folders"
    ):
        scan(tmp_path)


def test_a_folder_with_several_tables_asks_for_one(tmp_path):
    files(tmp_path, "1.png", "x.csv", "y.csv")
    with pytest.raises(CorpuscleError, match=r"holds several CSVs \(x\.csv, y\.csv\), one was expected; name it"):
        scan(tmp_path)


# ---------------------------------------------------------------------------------------------------------------- CSVs


@pytest.mark.parametrize(
    "text",
    [
        "Path,label\nimg/1.png,a\nimg/2.png,b\n",
        "Path;label\r\nimg/1.png;a\r\nimg/2.png;b\r\n",
        "Path\tlabel\nimg/1.png\ta\nimg/2.png\tb",
        "\ufeffPath,label\nimg/1.png,a\nimg/2.png,b\n",
        "Path,label\n./img/1.png, a\nimg\\2.png,b \n",
        '"Path","label"\n"img/1.png","a"\n"img/2.png","b"\n',
        "Path,label\nimg/1.png,a\nimg/2.png,b\n,\n\n",
        "Path,label\nimg/1.png,a\nimg/2.png,b\n".encode("utf-16"),
        '"Path, as it was",CLASS_Label\nimg/1.png,a\nimg/2.png,b\n',
    ],
)
def test_one_csv_however_it_was_written(tmp_path, text):
    files(tmp_path, "img/1.png", "img/2.png")
    plan = {"image_column": "Path, as it was"} if "as it was" in str(text) else {}
    table = scan(table_file(tmp_path / "all.csv", text), SourcePlan(**plan))
    assert table.layout == "one CSV"
    expected = [("img/1.png", "a", "all.csv", 2), ("img/2.png", "b", "all.csv", 3)]
    assert rows(table, "image", "label", "source", "row") == expected
    assert table.frame.schema == COLUMNS
    assert table.root == tmp_path


def test_a_csv_in_windows_latin_names_its_files(tmp_path):
    files(tmp_path, "ü.png", "b.png")
    table = scan(table_file(tmp_path / "all.csv", "image,label\nü.png,a\nb.png,b\n".encode("cp1252")))
    assert sorted(table.frame["image"]) == ["b.png", "ü.png"]


def test_the_columns_that_were_taken_are_said(tmp_path):
    files(tmp_path, "1.png", "2.png")
    path = table_file(tmp_path / "all.csv", "id_code,Diagnosis,Patient ID\n1.png,0,p\n2.png,1,q\n")
    assert scan(path).notes == ("all.csv: image from 'id_code', label from 'Diagnosis', group from 'Patient ID'",)


def test_columns_may_be_named(tmp_path):
    files(tmp_path, "1.png", "2.png")
    path = table_file(tmp_path / "all.csv", "image,picture,label,kind,Eye of\nx,1.png,z,a,p\ny,2.png,z,b,q\n")
    plan = SourcePlan(image_column="picture", label_column="KIND", group_column="eye of")
    assert rows(scan(path, plan), "image", "label", "group") == [("1.png", "a", "p"), ("2.png", "b", "q")]
    path = table_file(tmp_path / "all.csv", "name,id\na,1.png\nb,2.png\n")  # `name` holds images, unless it is taken
    assert rows(scan(path, SourcePlan(label_column="name")), "image", "label") == [("1.png", "a"), ("2.png", "b")]


def test_columns_that_are_not_there_are_faults_with_those_that_are(tmp_path):
    path = table_file(tmp_path / "all.csv", "picture,kind\n1.png,a\n")
    assert faults(path) == [
        "all.csv: no column known to hold the image; the columns are: picture, kind; "
        "name it with --set data.image_column=NAME",
        "all.csv: no column known to hold the label; the columns are: picture, kind; "
        "name it with --set data.label_column=NAME",
    ]
    assert faults(path, image_column="pictures", label_column="diagnosis", group_column="patient") == [
        "all.csv: no column 'pictures'; Did you mean picture? (--set data.image_column=NAME)",
        "all.csv: no column 'diagnosis'; there are picture, kind (--set data.label_column=NAME)",
        "all.csv: no column 'patient'; there are picture, kind (--set data.group_column=NAME)",
    ]


def test_labels_that_are_empty_are_a_fault_or_skipped(tmp_path):
    files(tmp_path, *(f"{n}.png" for n in range(1, 6)))
    path = table_file(tmp_path / "all.csv", "image,label\n1.png,a\n2.png,\n3.png,b\n4.png,  \n5.png\n")
    what = "column 'label' is empty in 3 of 5 rows (first: row 3, 2.png)"
    assert faults(path) == [f"all.csv: {what}; fill it, or pass --set data.unlabelled=skip"]
    table = scan(path, SourcePlan(unlabelled="skip"))
    assert table.frame["image"].to_list() == ["1.png", "3.png"]
    assert table.notes[-1] == f"all.csv: {what}; they were left out"


def test_paths_that_do_not_exist_are_all_named(tmp_path):
    files(tmp_path, "1.png", "2.png")
    lost = "".join(f"gone/{n}.png,a\n" for n in range(30))
    found = faults(table_file(tmp_path / "all.csv", f"image,label\n1.png,a\n2.png,b\n,b\n{lost}"))
    assert found[:3] == [
        f"all.csv: 31 of 33 images in column 'image' cannot be found from {tmp_path}; "
        "mend the paths, or name their folder with --set data.root=FOLDER",
        "all.csv row 4: the image's path is empty; fill it or remove the row",
        "all.csv row 5: image 'gone/0.png' does not exist; mend the path or remove the row",
    ]
    assert len(found) == 32


def test_paths_may_start_elsewhere_or_be_absolute(tmp_path):
    files(tmp_path, "far/1.png", "far/2.png", "csv/3.png", "other/4.png")
    here = "3.png"
    path = table_file(
        tmp_path / "csv" / "a.csv", f"image,label\n{here},a\n{tmp_path}/csv/../other/4.png,b\n../far/1.png,b\n"
    )
    table = scan(path)
    assert sorted(table.frame["image"]) == [f"{tmp_path}/far/1.png", f"{tmp_path}/other/4.png", "3.png"]
    path = table_file(tmp_path / "csv" / "b.csv", "image,label\n1.png,a\n2.png,b\n")
    table = scan(path, SourcePlan(root=tmp_path / "far"))
    assert table.root == tmp_path / "far"
    assert table.frame["image"].to_list() == ["1.png", "2.png"]


def test_names_without_a_suffix_or_with_fewer_zeros_are_found_and_said(tmp_path):
    files(tmp_path, "001.bmp", "2.JPG", "002.bmp", "x-ray.tif", "cell.JPG")
    path = table_file(tmp_path / "all.csv", "id,label\n1,a\n2,b\nx-ray,a\ncell.jpg,b\n")
    table = scan(path)
    assert table.frame.sort("row")["image"].to_list() == ["001.bmp", "2.JPG", "x-ray.tif", "cell.JPG"]
    assert table.notes[1:] == (
        "all.csv: 4 of 4 images were found by their number or without their suffix (row 2: '1' is 001.bmp)",
    )


def test_a_png_beside_an_image_is_taken_for_its_mask_and_said(tmp_path):
    files(tmp_path, "001.bmp", "001.png", "002.bmp", "002.png")
    path = table_file(tmp_path / "all.csv", "id,label\n1,a\n2,b\n")
    table = scan(path)
    assert table.frame["image"].to_list() == ["001.bmp", "002.bmp"]
    assert "a PNG lies beside 2 of the images and is taken for their mask" in table.notes[-1]
    table = scan(path, SourcePlan(image_suffix=".png"))
    assert table.frame["image"].to_list() == ["001.png", "002.png"]


def test_a_name_that_could_be_two_files_is_a_fault(tmp_path):
    files(tmp_path, "01.png", "001.png", "b.jpg", "b.bmp")
    found = faults(table_file(tmp_path / "all.csv", "id,label\n1,a\nb,b\n"))
    assert found[1:] == [
        "all.csv row 2: '1' could be 001.png or 01.png; write the whole name, or pass --set data.image_suffix=SUFFIX",
        "all.csv row 3: 'b' could be b.bmp or b.jpg; write the whole name, or pass --set data.image_suffix=SUFFIX",
    ]


def test_an_image_named_twice_is_dropped_if_its_rows_agree_and_a_fault_if_not(tmp_path):
    files(tmp_path, "1.png", "2.png")
    table = scan(table_file(tmp_path / "all.csv", "image,label\n1.png,a\n2.png,b\n./1.png,a\n"))
    assert rows(table, "image", "row") == [("1.png", 2), ("2.png", 3)]
    assert table.notes[-1] == (
        "left out: 1 rows whose image another row names with the same label (first: 1.png, all.csv row 4)"
    )
    found = faults(table_file(tmp_path / "all.csv", "image,label\n1.png,a\n2.png,b\n1.png,b\n"))
    assert found == ["1.png: is labelled a (all.csv row 2) and b (all.csv row 4); keep one of these rows"]
    found = faults(table_file(tmp_path / "all.csv", "image,label,split\n1.png,a,train\n2.png,b,train\n1.png,a,test\n"))
    assert found == ["1.png: is in the part train (all.csv row 2) and test (all.csv row 4); keep one of these rows"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "is empty; it needs a header and a row for each image"),
        (" \n\n", "is empty"),
        ("image,label\n", "has a header and no rows; add a row for each image"),
        (
            "image,label\n1.png,a\n2.png,b,c\n",
            r"is not a whole table \(row 3 has 3 fields, the header has 2\); mend it",
        ),
        ('image,label\n1.png,"a\n', r"is not a whole table \([^\n]+\); mend it"),
        (b"\x89PNG\x00\x00", "is not a text file, a CSV was expected; save the table as CSV"),
        (b"PK\x03\x04\x00\x00", r"is not a whole Excel file \(calamine error: [^\n]+\); save the table as CSV"),
        (b"PAR1\x00", r"is not a whole Parquet file \([^\n]+\); replace it by a whole copy"),
    ],
)
def test_a_csv_that_is_none_is_refused(tmp_path, text, what):
    with pytest.raises(CorpuscleError, match=f"^{re.escape(str(tmp_path))}/all.csv {what}"):
        scan(table_file(tmp_path / "all.csv", text))


def test_labels_may_be_given_names(tmp_path):
    files(tmp_path, "1.png", "2.png", "3.png")
    path = table_file(tmp_path / "all.csv", "image,label\n1.png,1\n2.png,2\n3.png,3\n")
    table = scan(path, SourcePlan(label_names={"1": "neutrophil", "2": "lymphocyte", "3": "lymphocyte"}))
    assert table.classes == ("lymphocyte", "neutrophil")
    assert table.frame["label"].to_list() == ["neutrophil", "lymphocyte", "lymphocyte"]
    found = faults(path, label_names={"1": "a", "2": "b"})
    assert found == ["data.label_names: no name for 3; the names are for 1, 2; name every label of the data set"]


# ------------------------------------------------------------------------------------------------------ splits, groups


def test_a_column_of_splits_is_understood(tmp_path):
    files(tmp_path, *(f"{n}.png" for n in range(1, 6)))
    text = "image,label,subset\n1.png,a,Train\n2.png,b,training\n3.png,a,valid\n4.png,,test\n5.png,,TEST\n"
    table = scan(table_file(tmp_path / "all.csv", text))
    assert table.frame["split"].to_list() == ["train", "train", "val", "unlabelled", "unlabelled"]
    assert "all.csv: 2 test rows have no labels and wait for predictions" in table.notes


def test_a_column_that_is_none_of_splits_is_left_or_a_fault(tmp_path):
    files(tmp_path, "1.png", "2.png")
    path = table_file(tmp_path / "all.csv", "image,label,set\n1.png,a,A1\n2.png,b,B7\n")
    table = scan(path)
    assert table.frame["split"].null_count() == 2
    assert table.notes[1] == "all.csv: column 'set' is none of splits (A1, B7) and was not used"
    assert faults(path, split_column="set") == [
        "all.csv row 2: column 'set' is neither train, val nor test in 2 of 2 rows (A1, B7); "
        "mend it, or pass --set data.split_column=none to divide anew"
    ]
    path = table_file(tmp_path / "all.csv", "image,label,split\n1.png,a,train\n2.png,b,\n")
    assert "column 'split' is neither train, val nor test in 1 of 2 rows;" in faults(path)[0]
    assert scan(path, SourcePlan(split_column="none")).frame["split"].null_count() == 2


@pytest.mark.parametrize("by_folder", [True, False])
def test_train_valid_and_unlabelled_test_csvs(tmp_path, by_folder):
    files(tmp_path, "train/1.png", "train/2.png", "valid/3.png", "test/4.png", "test/5.png")
    table_file(tmp_path / "train.csv", "Path,label\ntrain/1.png,a\ntrain/2.png,b\n")
    table_file(tmp_path / "valid.csv", "Path,label\nvalid/3.png,a\n")
    table_file(tmp_path / "test.csv", "Path\ntest/5.png\ntest/4.png\n")
    plan = SourcePlan() if by_folder else SourcePlan(valid=tmp_path / "valid.csv", test=tmp_path / "test.csv")
    table = scan(tmp_path if by_folder else tmp_path / "train.csv", plan)
    assert table.layout == "train, valid and test CSVs"
    assert rows(table, "image", "label", "split", "source", "row") == [
        ("test/4.png", None, "unlabelled", "test.csv", 3),
        ("test/5.png", None, "unlabelled", "test.csv", 2),
        ("train/1.png", "a", "train", "train.csv", 2),
        ("train/2.png", "b", "train", "train.csv", 3),
        ("valid/3.png", "a", "val", "valid.csv", 2),
    ]


def test_a_test_csv_with_labels_is_a_test_part(tmp_path):
    files(tmp_path, "1.png", "2.png", "far/3.png")
    path = table_file(tmp_path / "train.csv", "image,label\n1.png,a\n2.png,b\n")
    test = table_file(tmp_path / "far" / "test.csv", "image,label\n3.png,a\n")
    table = scan(path, SourcePlan(test=test))
    assert rows(table, "image", "split") == [("1.png", "train"), ("2.png", "train"), ("far/3.png", "test")]


def test_a_valid_csv_beside_folders_is_refused_rather_than_forgotten(tmp_path):
    files(tmp_path, "a/1.png", "b/1.png")
    with pytest.raises(CorpuscleError, match=r"is one folder per class, .*v\.csv belongs beside a train CSV"):
        scan(tmp_path, SourcePlan(valid=tmp_path / "v.csv"))


def test_groups_come_from_the_file_names(tmp_path):
    files(tmp_path, "a/UID_7_1.png", "a/UID_7_2.png", "b/UID_8_1.png", "b/UID_x_1.png")
    table = scan(tmp_path, SourcePlan(group_from=r"UID_(?P<group>\d+)_"))
    assert table.frame["group"].to_list() == ["7", "7", "8", "b/UID_x_1.png"]
    assert table.notes == (
        r"the pattern 'UID_(?P<group>\d+)_' does not match for 1 of 4 images (first: b/UID_x_1.png); "
        "an image without a group is its own",
    )


def test_a_pattern_that_matches_nothing_is_a_fault(tmp_path):
    found = faults(files(tmp_path, "7/x.png", "8/x.png"), group_from=r"(?P<group>\d+)")
    assert found == [
        r"data.group_from: the pattern '(?P<group>\d+)' does not match for 2 of 2 images (first: 7/x.png); "
        "mend the pattern; it is searched in the file's name"
    ]


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        (r"UID_(\d+)", r"group_from expects a part named group, got 'UID_(\d+)' without one; for example"),
        ("(?P<group>", "group_from expects a regular expression, got '(?P<group>' (missing ), "),
    ],
)
def test_a_pattern_that_is_none_is_refused_when_it_is_given(pattern, what):
    with pytest.raises(CorpuscleError, match=re.escape(what)):
        SourcePlan(group_from=pattern)


def test_groups_come_from_a_column_and_empty_ones_are_their_own(tmp_path):
    files(tmp_path, "1.png", "2.png", "3.png")
    path = table_file(tmp_path / "all.csv", "image,label,patient\n1.png,a,p\n2.png,b,p\n3.png,b,\n")
    table = scan(path)
    assert table.frame["group"].to_list() == ["p", "p", "3.png"]
    assert "the column of groups is empty for 1 of 3 images (first: 3.png)" in table.notes[-1]
    assert scan(path, SourcePlan(group_column="none")).frame["group"].null_count() == 3
    with pytest.raises(CorpuscleError, match="group_column or from group_from, both were given"):
        scan(path, SourcePlan(group_column="patient", group_from="(?P<group>.)"))


# ----------------------------------------------------------------------------------------------------------- real data


@pytest.mark.parametrize(
    ("name", "layout", "count", "classes"),
    [
        ("pbc", "one folder per class", 2400, 8),
        ("fundus", "one folder per class", 1695, 4),
        ("wbc_masks", "one CSV", 300, 5),
        ("wbc_masks/labels.csv", "one CSV", 300, 5),
    ],
)
def test_real_data_sets_are_understood(name, layout, count, classes):
    if not (DATA / name).exists():
        pytest.skip(f"{DATA / name} is not here; set CORPUSCLE_TEST_DATA to the sample data")
    table = scan(DATA / name)
    assert (table.layout, len(table), len(table.classes)) == (layout, count, classes)
    assert all(table.path_of(image).is_file() for image in table.frame["image"])
    if name.startswith("wbc"):
        assert table.classes == ("1", "2", "3", "4", "5")
        assert set(table.frame["image"].str.tail(4)) == {".bmp"}
