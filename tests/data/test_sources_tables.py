"""Tables in every common dialect, and tables beside folders of images, as Kaggle has them."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest

from corpuscle.core.errors import CorpuscleError, DataFault
from corpuscle.data.sources import SourcePlan, scan
from corpuscle.data.sources.beside import image_folders
from corpuscle.data.sources.images import images_of_csv
from corpuscle.data.table import Table

DATA = Path(os.environ.get("CORPUSCLE_TEST_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
PAIR = "a CSV and folders of images"
HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"


def files(root: Path, *names: str) -> Path:
    """Empty files: a source opens none of them."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def table_file(path: Path, text: str | bytes) -> Path:
    """A table with that text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def _cell(column: int, row: int, value: object) -> str:
    place = f"{chr(65 + column)}{row}"
    if value is None:
        return ""
    if isinstance(value, str):
        return f'<c r="{place}" t="inlineStr"><is><t>{value}</t></is></c>'
    return f'<c r="{place}"><v>{value}</v></c>'


def write_xlsx(path: Path, **sheets: Sequence[Sequence[object]]) -> Path:
    """An Excel file with these sheets, each a list of rows of texts and numbers; None leaves a cell empty."""
    numbers = range(1, len(sheets) + 1)
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = "".join(
        f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{kind}.worksheet+xml"/>' for n in numbers
    )
    named = "".join(
        f'<sheet name="{name}" sheetId="{n}" r:id="rId{n}"/>' for n, name in zip(numbers, sheets, strict=True)
    )
    links = "".join(
        f'<Relationship Id="rId{n}" Type="{OFFICE}/worksheet" Target="worksheets/sheet{n}.xml"/>' for n in numbers
    )
    content = {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types"><Default Extension="rels" ContentType='
        '"application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType='
        f'"application/xml"/><Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
        f"{parts}</Types>",
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="rId1" '
        f'Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>{named}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships">{links}</Relationships>',
    }
    for number, rows in zip(numbers, sheets.values(), strict=True):
        lines = "".join(
            f'<row r="{row}">{"".join(_cell(column, row, value) for column, value in enumerate(values))}</row>'
            for row, values in enumerate(rows, start=1)
        )
        content[f"xl/worksheets/sheet{number}.xml"] = (
            f'<worksheet xmlns="{MAIN}"><sheetData>{lines}</sheetData></worksheet>'
        )
    with zipfile.ZipFile(path, "w") as file:
        for name, text in content.items():
            file.writestr(name, HEAD + text)
    return path


def rows(table: Table) -> list[tuple[object, ...]]:
    """Images with their labels and parts."""
    return table.frame.select("image", "label", "split").rows()


def faults(path: Path, **plan: object) -> list[str]:
    """What a scan complains of."""
    with pytest.raises(DataFault) as caught:
        scan(path, SourcePlan(**plan))
    return [str(fault) for fault in caught.value.faults]


# ------------------------------------------------------------------------------------------------------------- dialects


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt"])
@pytest.mark.parametrize(
    "text",
    [
        "image|label\nimg/1.png|a\nimg/2.png|b\n",
        "sep=;\nimage;label\nimg/1.png;a\nimg/2.png;b\n",
        "image,label,\nimg/1.png,a,\nimg/2.png,b,\n",
        "image,label\nimg/1.png,a,,\nimg/2.png,b\n",
        "  IMAGE , Label \nimg\\1.png,a\n.\\img\\2.png,b\n",
        'image;label\n"img/1.png";"a"\n"img/2.png";b\n',
        "image\tlabel\r\nimg/1.png\ta\r\nimg/2.png\tb\r\n".encode("utf-16-le"),
        "image;label\r\nimg/1.png;a\r\nimg/2.png;b\r\n".encode("utf-16-be"),
        b"\xef\xbb\xbfimage;label\r\nimg/1.png;a\r\nimg/2.png;b\r\n",
        "C:\\cells\\img\\1.png,a\nC:\\cells\\img\\2.png,b\n",
        "/elsewhere/cells/img/1.png,a\n/elsewhere/cells/img/2.png,b\n",
    ],
)
def test_every_dialect_gives_the_same_rows(tmp_path, text, suffix):
    files(tmp_path, "img/1.png", "img/2.png")
    headless = isinstance(text, str) and text.startswith(("C:", "/"))
    table = scan(table_file(tmp_path / f"all{suffix}", f"image,label\n{text}" if headless else text))
    assert rows(table) == [("img/1.png", "a", None), ("img/2.png", "b", None)] and table.layout == "one CSV"
    assert ("found by the end of their paths" in table.notes[-1]) == headless


def test_a_path_of_another_machine_is_found_by_its_end_alone(tmp_path):
    files(tmp_path, "img/1.png", "2.png")
    path = table_file(tmp_path / "a.csv", "image,label\nC:\\x\\img\\1.png,a\nD:\\y\\2.png,b\nE:\\img\\2.png,a\n")
    assert faults(path)[1:] == [r"a.csv row 4: image 'E:\img\2.png' does not exist; mend the path or remove the row"]
    path = table_file(tmp_path / "b.csv", "image,label\nC:\\x\\img\\1.png,a\nD:\\y\\2.png,b\n")
    assert scan(path).notes[1:] == (
        r"b.csv: 2 of 2 images were found by the end of their paths (row 2: 'C:\x\img\1.png' is img/1.png)",
    )


def test_images_of_different_folders_are_not_taken_for_one(tmp_path):
    files(tmp_path, "img/1.png", "img/2.png")
    path = table_file(
        tmp_path / "t.csv", "image,label\nC:\\s1\\img\\1.png,a\nC:\\s2\\img\\1.png,a\nC:\\s2\\img\\2.png,b\n"
    )
    assert faults(path) == [
        "t.csv row 2: 'C:\\s1\\img\\1.png' and 'C:\\s2\\img\\1.png' would both be img/1.png; "
        "put the folders that they name beside the table, or mend the paths"
    ]


def test_decimal_commas_are_read_where_a_comma_separates_nothing(tmp_path):
    files(tmp_path, "1.png")
    path = table_file(tmp_path / "points.csv", "image;x;y;kind\n1.png;3,5;4;a\n1.png;1;0,25;b\n")
    from corpuscle.data.sources.points import is_points, scan_points

    assert is_points(path, SourcePlan())
    assert scan_points(path, SourcePlan()).points.select("x", "y").rows() == [(3.5, 4.0), (1.0, 0.25)]
    path = table_file(tmp_path / "points.csv", 'image,x,y,kind\n1.png,"3,5",4,a\n')
    assert [fault.what for fault in scan_points(path, SourcePlan()).faults] == ["x '3,5', y '4' is no point"]


def test_a_parquet_file_is_a_table(tmp_path):
    files(tmp_path, "1.png", "2.png")
    frame = pl.DataFrame({"image": ["1.png", "2.png"], "label": [1.0, 2.0], "box": [[1], [2]]})
    frame.with_columns(pl.col("image").cast(pl.Categorical)).write_parquet(tmp_path / "cells.parquet")
    for path in (tmp_path / "cells.parquet", tmp_path):
        assert rows(scan(path)) == [("1.png", "1", None), ("2.png", "2", None)]


def test_an_excel_file_is_a_table_by_its_first_sheet_with_the_columns(tmp_path):
    files(tmp_path, "1.png", "2.png")
    cells = [["Image", "Grade"], ["1.png", 1], [None, None], ["2.png", 2.0]]
    path = write_xlsx(tmp_path / "cells.xlsx", Notes=[["made by", "on"], ["me", "Monday"]], Empty=[], Cells=cells)
    for place in (path, tmp_path):
        table = scan(place)
        assert rows(table) == [("1.png", "1", None), ("2.png", "2", None)] and table.frame["row"].to_list() == [2, 4]
        assert table.notes == ("cells.xlsx: image from 'Image', label from 'Grade'",)


def test_an_excel_file_without_the_columns_names_its_sheets(tmp_path):
    path = write_xlsx(tmp_path / "a.xlsx", Notes=[["made by"], ["me"]], Cells=[["picture", "kind"], ["1.png", "a"]])
    said = (
        f"{path} has 2 sheets, none with the columns that are needed ('Notes': made by; 'Cells': picture, kind); "
        "name them with --set data.image_column=NAME and data.label_column=NAME"
    )
    with pytest.raises(CorpuscleError) as caught:
        scan(path)
    assert str(caught.value) == said
    assert faults(write_xlsx(tmp_path / "b.xlsx", Cells=[["picture", "kind"], ["1.png", "a"]]))[0] == (
        "b.xlsx: no column known to hold the image; the columns are: picture, kind; "
        "name it with --set data.image_column=NAME"
    )
    files(tmp_path, "1.png")
    assert scan(path, SourcePlan(image_column="picture", label_column="kind"), 1).classes == ("a",)


def test_an_empty_excel_file_is_said(tmp_path):
    with pytest.raises(CorpuscleError, match=r"a\.xlsx is empty; it needs a header and a row for each image"):
        scan(write_xlsx(tmp_path / "a.xlsx", Cells=[]))


def test_a_csv_beside_an_excel_file_of_the_same_is_taken(tmp_path):
    files(tmp_path, "1.png", "2.png", "cells.xlsx", "~$cells.xlsx", "sample_submission.csv")
    table_file(tmp_path / "cells.csv", "image,label\n1.png,a\n2.png,b\n")
    assert scan(tmp_path).notes == ("cells.csv: image from 'image', label from 'label'",)


def test_rows_of_arrays_may_be_named_in_a_csv(tmp_path):
    files(tmp_path, "far/a.npz", "b.h5")
    path = table_file(tmp_path / "all.csv", "image,label\nfar/a.npz#train/17,a\nb.h5#3,b\nc.h5#3,b\n")
    assert faults(path)[1:] == ["all.csv row 4: image 'c.h5#3' does not exist; mend the path or remove the row"]
    path = table_file(tmp_path / "all.csv", "image,label\nfar/a.npz#train/17,a\nb.h5#3,b\n")
    assert [image for image, _, _ in rows(scan(path))] == ["b.h5#3", "far/a.npz#train/17"]


# ---------------------------------------------------------------------------------------------------------------- pairs


@pytest.mark.parametrize("folder", ["train", "train_images", "images", "jpeg/train", "stage_1_train_images"])
@pytest.mark.parametrize("name", ["train.csv", "trainLabels.csv", "train_labels.csv", "labels.csv"])
def test_a_csv_of_ids_finds_its_folder_of_images(tmp_path, folder, name):
    files(tmp_path, f"{folder}/10ab.jpg", f"{folder}/20cd.jpg", "test/10ab.jpg", "test/9.jpg")
    table_file(tmp_path / name, "id_code,diagnosis\n10ab,0\n20cd,1\n")
    table_file(tmp_path / "sample_submission.csv", "id_code,diagnosis\n10ab,0\n9,0\n")
    table = scan(tmp_path)
    assert table.layout == PAIR
    assert rows(table) == sorted(
        [(f"{folder}/10ab.jpg", "0", None), (f"{folder}/20cd.jpg", "1", None)]
        + [(f"test/{n}.jpg", None, "unlabelled") for n in ("10ab", "9")]
    )
    assert table.notes == (
        f"{name}: image from 'id_code', label from 'diagnosis'",
        f"{name}: 2 of 2 images were found in folders that their rows do not name (row 2: '10ab' is {folder}/10ab.jpg)",
        "2 images of 'test' that no row names have no labels and wait for predictions",
    )
    alone = scan(tmp_path / name)
    assert alone.layout == PAIR and rows(alone) == [row for row in rows(table) if row[1]]


def test_a_test_csv_of_a_pair_names_the_images_that_wait(tmp_path):
    files(tmp_path, "train/1.png", "train/2.png", "test/1.png", "test/2.png")
    table_file(tmp_path / "train.csv", "id,label\n1,a\n2,b\n")
    table_file(tmp_path / "test.csv", "id\n2\n")
    table = scan(tmp_path)
    assert table.layout == PAIR
    assert rows(table) == [("test/2.png", None, "unlabelled"), ("train/1.png", "a", None), ("train/2.png", "b", None)]


def test_what_is_to_be_filled_in_names_images_of_the_test(tmp_path):
    files(tmp_path, "train/1.png", "test/1.png", "test/2.png")
    path = table_file(tmp_path / "sample_submission.csv", "id,label\n1,a\n2,b\n")
    assert images_of_csv(path) == [tmp_path / "test/1.png", tmp_path / "test/2.png"]


def test_images_in_several_folders_are_all_found(tmp_path):
    files(tmp_path, "HAM_images_part_1/a.jpg", "HAM_images_part_2/b.jpg")
    table_file(tmp_path / "HAM_metadata.csv", "lesion_id,image_id,dx\nl1,a,nv\nl2,b,mel\n")
    table = scan(tmp_path)
    assert (table.layout, table.classes) == (PAIR, ("mel", "nv"))
    assert [image for image, _, _ in rows(table)] == ["HAM_images_part_1/a.jpg", "HAM_images_part_2/b.jpg"]


def test_of_several_tables_the_one_that_names_the_images_is_taken(tmp_path):
    files(tmp_path, "HAM_images_part_1/a.jpg", "HAM_images_part_2/b.jpg")
    table_file(tmp_path / "HAM_metadata.csv", "lesion_id,image_id,dx\nH1,a,nv\nH1,b,mel\n")
    table_file(tmp_path / "hmnist_8_8_L.csv", "pixel0,pixel1,label\n7,8,0\n")
    table = scan(tmp_path)
    assert (table.layout, table.classes) == (PAIR, ("mel", "nv"))
    assert table.frame["group"].to_list() == ["H1", "H1"]
    table_file(tmp_path / "again.csv", "image_id,dx\na,nv\nb,mel\n")
    with pytest.raises(CorpuscleError, match=r"several CSVs of its images \(HAM_metadata\.csv, again\.csv\), one was"):
        scan(tmp_path)


def test_an_image_that_lies_in_two_folders_is_a_fault(tmp_path):
    files(tmp_path, "images_1/a.jpg", "images_2/a.jpg", "images_1/b.jpg")
    path = table_file(tmp_path / "train.csv", "image,label\na,x\nb,y\n")
    assert faults(path)[1:] == [
        "train.csv row 2: 'a' could be images_1/a.jpg or images_2/a.jpg; write the whole name, or pass "
        "--set data.image_suffix=SUFFIX"
    ]


def test_a_csv_beside_folders_of_classes_is_not_their_table(tmp_path):
    files(tmp_path, "basophil/1.png", "monocyte/2.png")
    table_file(tmp_path / "scores.csv", "image,label\n1.png,good\n2.png,bad\n")
    assert scan(tmp_path).layout == "one folder per class"
    assert scan(tmp_path).classes == ("basophil", "monocyte")


def test_images_that_are_nowhere_are_named(tmp_path):
    files(tmp_path, "train/1.png")
    path = table_file(tmp_path / "train.csv", "id,label\n1,a\n7,b\n,b\n")
    assert faults(path) == [
        f"train.csv: 2 of 3 images in column 'id' cannot be found from {tmp_path}; "
        "mend the paths, or name their folder with --set data.root=FOLDER",
        "train.csv row 3: image '7' does not exist; mend the path or remove the row",
        "train.csv row 4: the image's path is empty; fill it or remove the row",
    ]


def test_folders_of_images_are_looked_for_two_deep_and_no_further(tmp_path):
    files(tmp_path, "a/1.png", "b/c/2.png", "d/e/f/3.png", "g/notes.txt")
    assert image_folders(tmp_path) == ["a/", "b/", "b/c/"]


def test_real_images_make_a_pair(tmp_path):
    if not (DATA / "pbc").exists():
        pytest.skip(f"{DATA / 'pbc'} is not here; set CORPUSCLE_TEST_DATA to the sample data")
    cells = [["id", "cell_type"]]
    (tmp_path / "train_images").mkdir()
    for folder in sorted((DATA / "pbc").iterdir())[:2]:
        for file in sorted(folder.iterdir())[:3]:
            shutil.copy(file, tmp_path / "train_images")
            cells.append([file.stem, folder.name])
    write_xlsx(tmp_path / "train.xlsx", Cells=cells)
    table = scan(tmp_path)
    assert (table.layout, len(table), len(table.classes)) == (PAIR, 6, 2)
    assert all(table.path_of(image).is_file() for image in table.frame["image"])


def test_an_image_of_another_suffix_or_case_is_pointed_at(tmp_path):
    (tmp_path / "Images").mkdir()
    (tmp_path / "Images" / "A.jpg").touch()
    (tmp_path / "t.csv").write_text("image,label\nimages/a.png,x\n")
    with pytest.raises(DataFault) as caught:
        scan(tmp_path / "t.csv", min_classes=1)
    assert str(caught.value.faults[0]) == (
        f"t.csv: 1 of 1 images in column 'image' cannot be found from {tmp_path} (Images/A.jpg is there); "
        "mend the paths, or name their folder with --set data.root=FOLDER"
    )
