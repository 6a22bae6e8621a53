"""How many small data sets with one defect each `corpuscle inspect` answers with the documented message and exit code.

Each is laid down in an empty folder by `defective.py`; the command runs in this process. `docs/reference/faults.md` has
them in a table, which `--page` writes anew.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageFilter

sys.path.append(str(Path(__file__).parent))
sys.path.append(str(Path(__file__).parents[1]))

from defective import (
    CELL,
    DOT,
    RECTANGLE,
    Defect,
    arrays,
    barred,
    changed,
    coco,
    cvat,
    dotted,
    encoded,
    geojson,
    grey,
    hdf5,
    huge_png,
    labelme,
    laid,
    lit,
    masked,
    nnunet,
    npz,
    picture,
    pictures,
    point,
    renamed,
    study,
    turned,
    voc,
    voc_sheet,
    with_cells,
    with_parts,
    yolo,
    zipped,
)
from record import ROOT, Record, arguments, measured, workplace

from corpuscle.data.doctor.finding import KINDS

PAGE = ROOT / "docs" / "reference" / "faults.md"
END = "<!-- end -->"
FOLDERS, PARTED, TABLE = "one folder per class", "train, val and test folders", "one CSV"
BY_PATIENT = ("data", "--group-from", r"(?P<group>p\d+)_")
NOTHING = "holds no image, expected a folder per class"


def copied(folder: Path, source: str, target: str) -> None:
    """The bytes of one file under another name."""
    (folder / target).write_bytes((folder / source).read_bytes())


def field_in_two(folder: Path) -> None:
    """Two crops of one field, of which three quarters are the same, in train and in test."""
    field = picture(99, (128, 128))
    for part, left in (("train", 0), ("test", 16)):
        field.crop((left, 0, left + 64, 64)).save(folder / part / "ig" / "crop.png")


DEFECTS = (
    Defect(
        "any",
        "a path that is not there",
        with_cells(lambda folder: None),
        2,
        "dta does not exist; Did you mean data?",
        ("dta",),
    ),
    Defect("any", "an empty folder", lambda at: (at / "data").mkdir(), 2, NOTHING),
    Defect(
        "any",
        "a flag with a typo",
        with_cells(lambda folder: None),
        2,
        "no such option: --no-pixel (Possible options: --no-pixels, --pixels)",
        ("data", "--no-pixel"),
    ),
    Defect(
        "any",
        "a setting with a typo",
        with_cells(lambda folder: None),
        2,
        "data.lable_column is not a setting. Did you mean data.label_column or data.image_column?",
        ("data", "--set", "data.lable_column=dx"),
    ),
    Defect(
        "any",
        "a file of another kind",
        laid({"data.pdf": "%PDF"}),
        2,
        "data.pdf is a file of an unknown kind (.pdf), expected a folder per class",
        ("data.pdf",),
    ),
    Defect(
        FOLDERS,
        "a class without an image",
        with_cells(lambda folder: (folder / "blast").mkdir()),
        2,
        "data/blast: class folder without an image; add images or remove it",
    ),
    Defect(
        FOLDERS,
        "a single class",
        with_cells(lambda folder: None, classes=("ig",)),
        2,
        "a single class ('ig'), at least 2 were expected; add the images of another class",
    ),
    Defect(
        FOLDERS,
        "images without classes",
        laid(pictures(5, "data")),
        2,
        "data holds 5 images without classes, expected a folder per class",
    ),
    Defect(
        FOLDERS,
        "a class of two images",
        with_cells(lambda folder: [(folder / "ig" / f"ig{n:02}.png").unlink() for n in range(2, 14)]),
        3,
        "class ig: 2 groups (2 images) for 3 parts (train, val, test)",
    ),
    Defect(
        FOLDERS,
        "classes that differ by case",
        with_cells(lambda folder: None, classes=("ig", "monocyte", "Monocyte")),
        3,
        "labels 'Monocyte' (14), 'monocyte' (14) differ by their spelling alone",
    ),
    Defect(
        FOLDERS,
        "a file that is cut short",
        with_cells(
            lambda folder: (folder / "ig" / "ig03.png").write_bytes((folder / "ig" / "ig03.png").read_bytes()[:900])
        ),
        3,
        "ig/ig03.png: the file is cut short (image file is truncated)",
    ),
    Defect(
        FOLDERS,
        "a text file named like an image",
        with_cells(lambda folder: (folder / "ig" / "note.png").write_text("see the other folder")),
        3,
        "ig/note.png: is a text file, not an image (begins with 'see the other folder')",
    ),
    Defect(
        FOLDERS,
        "an empty file",
        with_cells(lambda folder: (folder / "ig" / "none.png").write_bytes(b"")),
        3,
        "ig/none.png: the file is empty (0 bytes)",
    ),
    Defect(
        FOLDERS,
        "more pixels than can be meant",
        with_cells(lambda folder: (folder / "ig" / "huge.png").write_bytes(huge_png())),
        3,
        "ig/huge.png: has 60000 x 60000 pixels, more than the limit of 200,000,000",
    ),
    Defect(
        FOLDERS,
        "a suffix of another format",
        changed(lambda image: image, "ig/ig03.png", format="BMP"),
        3,
        "BMP named .png: 1 of 28 images (ig/ig03.png)",
    ),
    Defect(
        FOLDERS,
        "a grey image among colours",
        changed(lambda image: image.convert("L")),
        3,
        "1 of 28 images (ig/ig03.png) is of another mode than most, which are RGB, 8 bits: grey to RGB (1)",
    ),
    Defect(
        FOLDERS,
        "an image of another size",
        changed(lambda image: image.resize((40, 80))),
        3,
        "1 of 28 images (ig/ig03.png) is of another size than most, which are 64 × 64: 80 × 40 (1)",
    ),
    Defect(
        FOLDERS,
        "a blank image",
        changed(lambda image: Image.new("RGB", image.size, (200, 190, 210))),
        3,
        "ig/ig03.png: one grey level all over (195 ± 0.0 of 255)",
    ),
    Defect(
        FOLDERS,
        "a blurred image",
        changed(lambda image: image.filter(ImageFilter.GaussianBlur(4))),
        3,
        "ig/ig03.png: its sharpness is 0.42, the median is 0.80",
    ),
    Defect(FOLDERS, "a dark image", changed(lit(0.1)), 3, "ig/ig03.png: its brightness is 0.05, the median is 0.50"),
    Defect(
        FOLDERS,
        "a bright image",
        changed(lit(2.2)),
        3,
        "ig/ig03.png: its brightness is 0.85, the median is 0.50; 21% of it is white",
    ),
    Defect(
        FOLDERS, "bars above and below", changed(barred), 3, "ig/ig03.png: bars along its sides (16% top, 16% bottom)"
    ),
    Defect(FOLDERS, "a copy", changed(lambda image: image, "ig/again.bmp"), 3, "ig/again.bmp, ig/ig03.png"),
    Defect(
        FOLDERS,
        "a copy with another label",
        changed(lambda image: image, "monocyte/again.png"),
        3,
        "ig/ig03.png (ig), monocyte/again.png (monocyte)",
    ),
    Defect(FOLDERS, "a near-copy", changed(turned, "ig/again.png"), 3, "ig/ig03.png is ig/again.png flipped, darkened"),
    Defect(
        FOLDERS,
        "a near-copy with another label",
        changed(turned, "monocyte/again.png"),
        3,
        "monocyte/again.png (monocyte) is ig/ig03.png (ig) flipped, brightened",
    ),
    Defect(
        FOLDERS,
        "names that differ by case",
        with_cells(lambda folder: picture(99).save(folder / "ig" / "IG03.png")),
        3,
        "'ig/IG03.png' and 'ig/ig03.png' differ by case alone",
    ),
    Defect(
        FOLDERS,
        "names that differ by Unicode form",
        with_cells(
            lambda folder: [
                picture(n).save(folder / "ig" / name) for n, name in ((98, "zellä.png"), (99, "zella\u0308.png"))
            ]
        ),
        3,
        "differ by the form of Unicode alone",
    ),
    Defect(
        FOLDERS,
        "names that tell of eyes",
        with_cells(renamed),
        3,
        "28 of 28 names look like 14 groups (both eyes, or sides, of a patient): 100_left.png, 100_right.png",
    ),
    Defect(
        FOLDERS,
        "a class of another JPEG quality",
        with_cells(encoded, each=40),
        3,
        "JPEG quality alone tells the class with accuracy 1.00 (majority 0.50)",
    ),
    Defect(
        PARTED,
        "a patient in two parts",
        with_parts(lambda folder: picture(500).save(folder / "test" / "ig" / "p0_9.png")),
        3,
        "group p0 is in train (1 image) and test (1 image)",
        BY_PATIENT,
    ),
    Defect(
        PARTED,
        "a copy in two parts",
        with_parts(lambda folder: copied(folder, "train/ig/p0_0.png", "test/ig/again.png")),
        3,
        "test/ig/again.png and train/ig/p0_0.png hold the same pixels in train (1 image) and test (1 image)",
    ),
    Defect(
        PARTED,
        "a near-copy in two parts",
        with_parts(lambda folder: turned(picture(0)).save(folder / "test" / "ig" / "again.png")),
        3,
        "test/ig/again.png and train/ig/p0_0.png are nearly the same in train (1 image) and test (1 image)",
    ),
    Defect(
        PARTED,
        "crops of one field in two parts",
        with_parts(field_in_two),
        3,
        "test/ig/crop.png and train/ig/crop.png show some of the same field in train (1 image) and test (1 image)",
        ("data", "--overlaps"),
    ),
    Defect(
        PARTED,
        "a class that is only tested",
        with_parts(
            lambda folder: [(folder / "test" / "blast").mkdir(), picture(7).save(folder / "test" / "blast" / "x.png")]
        ),
        2,
        "class blast: has images in test and none in train; add some to train, or remove the class",
    ),
    Defect(
        TABLE,
        "a column that is not there",
        study(),
        2,
        "study.csv: no column 'kind'; there are image, label (--set data.label_column=NAME)",
        ("data", "--label-column", "kind"),
    ),
    Defect(
        TABLE,
        "columns that are not known",
        study(header="where,what"),
        2,
        "no column known to hold the image; the columns are: where, what",
    ),
    Defect(
        TABLE,
        "labels that are missing",
        laid(
            pictures(7)
            | {"data/study.csv": "image,label\n" + "".join(f"img/{n}.png,{'ab'[n % 2] * (n < 6)}\n" for n in range(7))}
        ),
        2,
        "study.csv: column 'label' is empty in 1 of 7 rows (first: row 8, img/6.png)",
    ),
    Defect(
        TABLE,
        "an image that is missing",
        study("img/9.png,a"),
        2,
        "study.csv row 8: image 'img/9.png' does not exist; mend the path or remove the row",
    ),
    Defect(
        TABLE,
        "an image with two labels",
        study("img/0.png,b"),
        2,
        "img/0.png: is labelled a (study.csv row 2) and b (study.csv row 8); keep one of these rows",
    ),
    Defect(
        TABLE,
        "a row with too many fields",
        study("img/0.png,a,b,c"),
        2,
        "study.csv is not a whole table (row 8 has 4 fields, the header has 2)",
    ),
    Defect(
        TABLE,
        "a header alone",
        laid(pictures(2) | {"data/study.csv": "image,label\n"}),
        2,
        "study.csv has a header and no rows; add a row for each image",
    ),
    Defect(
        TABLE,
        "a picture named CSV",
        laid(pictures(2) | {"data/study.csv": huge_png()}),
        2,
        "study.csv is not a text file, a CSV was expected; save the table as CSV",
    ),
    Defect(
        TABLE,
        "BOM, semicolons, Windows paths, and a missing image",
        laid(
            pictures(4)
            | {
                "data/study.csv": "\ufeffimage;label\r\n"
                + "".join(f'"img\\{n}.png";"{"ab"[n % 2]}"\r\n' for n in range(5))
            }
        ),
        2,
        "study.csv row 6: image 'img\\4.png' does not exist; mend the path or remove the row",
    ),
    Defect(
        TABLE,
        "a part of no known name",
        laid(
            pictures(4)
            | {
                "data/study.csv": "image,label,split\n"
                + "".join(f"img/{n}.png,{'ab'[n % 2]},{('train', 'test', 'extra')[n % 3]}\n" for n in range(4))
            }
        ),
        2,
        "study.csv row 4: column 'split' is neither train, val nor test in 1 of 4 rows (extra)",
    ),
    Defect(
        TABLE,
        "a Parquet file that is none",
        laid(pictures(2) | {"data/study.parquet": b"PAR1 nothing"}),
        2,
        "study.parquet is not a whole Parquet file",
        ("data/study.parquet",),
    ),
    Defect(
        "a CSV with counts",
        "a negative count",
        laid(pictures(3) | {"data/study.csv": "image,count\nimg/0.png,4\nimg/1.png,-2\nimg/2.png,7\n"}),
        2,
        "study.csv row 3: the count '-2' of img/1.png is negative",
    ),
    Defect(
        "a CSV of points",
        "a point outside of its image",
        laid(pictures(2) | {"data/study.csv": "image,x,y\nimg/0.png,4,5\nimg/1.png,400,5\n"}),
        2,
        "study.csv row 3: the point x 400, y 5 lies outside of img/1.png (64 x 64 pixels)",
    ),
    Defect(
        "a CSV and folders of images",
        "an image that is missing",
        laid(
            pictures(4, "data/train_images")
            | {"data/train.csv": "id_code,diagnosis\n" + "".join(f"{n},{n % 2}\n" for n in range(5))}
        ),
        2,
        "train.csv row 6: image '4' does not exist; mend the path or remove the row",
    ),
    Defect(
        "one HDF5 file",
        "fewer counts than images",
        hdf5(5, 4),
        2,
        "'y' is 4, one value for each of the 5 images of 'x' was expected",
        ("data.h5",),
    ),
    Defect(
        "one HDF5 file",
        "a file that is cut short",
        hdf5(5, 5, kept=0.4),
        2,
        "data.h5: the file is cut short",
        ("data.h5",),
    ),
    Defect(
        "one NPZ file",
        "labels as Python objects",
        npz(train_images=arrays(3), train_labels=arrays(3)[:, :1, 0, 0].astype(object)),
        2,
        "'train_labels' holds Python objects (pickle), which are never loaded",
        ("data.npz",),
    ),
    Defect(
        "one NPZ file",
        "fewer labels than images",
        npz(train_images=arrays(4), train_labels=arrays(3)[:, :1, 0, 0]),
        2,
        "'train_labels' is 3 x 1, one value for each of the 4 images of 'train_images' was expected",
        ("data.npz",),
    ),
    Defect(
        "images and images of dots",
        "dots of another size",
        dotted({"data/001dots.png": grey(DOT, side=32)}),
        2,
        "001dots.png: is 32 x 32 pixels, its image 001cell.png is 64 x 64",
    ),
    Defect(
        "images and images of dots",
        "an image without a dot",
        dotted({"data/001dots.png": grey()}),
        2,
        "001dots.png: holds no dot, every pixel is black",
    ),
    Defect(
        "boxes in Pascal VOC",
        "a file that is cut short",
        voc({"data/Annotations/1.xml": voc_sheet("1.jpg", tail="")}),
        2,
        "Annotations/1.xml: is not an XML file (no element found: line 1, column 211)",
    ),
    Defect(
        "boxes in Pascal VOC",
        "a reversed box",
        voc({"data/Annotations/1.xml": voc_sheet("1.jpg", box=(20, 20, 5, 5))}),
        2,
        "the box of RBC (x 19 to 4, y 19 to 4) is reversed; swap its corners",
    ),
    Defect(
        "boxes in COCO",
        "a box outside of its image",
        coco(box=(50, 50, 90, 90)),
        2,
        "boxes.json annotation 1: the box of RBC (x 50 to 140, y 50 to 140) reaches outside of its image",
    ),
    Defect(
        "boxes in COCO",
        "a box of no image",
        coco(image_id=7),
        2,
        "boxes.json annotation 1: no image has the id 7; add the image, or remove the annotation",
    ),
    Defect(
        "shapes in YOLO",
        "pixels where shares were expected",
        yolo("0 32 32 12 12"),
        2,
        "labels/0.txt line 1: has 32, shares of the image from 0 to 1 were expected",
    ),
    Defect(
        "shapes in YOLO",
        "a class without a name",
        yolo("5 0.5 0.5 0.2 0.2"),
        2,
        "has the class 5 (known: 0 RBC, 1 WBC); mend it, or name the class",
    ),
    Defect(
        "shapes in LabelMe",
        "an image that is missing",
        labelme("gone.png", RECTANGLE),
        2,
        "its image 'gone.png' does not exist; put the image beside it, or mend imagePath",
    ),
    Defect(
        "shapes in LabelMe",
        "a polygon of two points",
        labelme("1.png", RECTANGLE | {"shape_type": "polygon"}),
        2,
        "drawn.json shape 1: has 2 corners, an outline has 3 at least",
    ),
    Defect(
        "shapes in CVAT",
        "the tracks of a video",
        cvat("<track id='0' label='RBC'></track>"),
        2,
        "annotations.xml: holds the tracks of a video, images were expected",
    ),
    Defect(
        "images and GeoJSON files",
        "a file that is no JSON",
        geojson("{"),
        2,
        "0.geojson: is not JSON (Expecting property name enclosed in double quotes",
    ),
    Defect(
        "images and GeoJSON files",
        "a point outside of its image",
        geojson(point(400, 5)),
        2,
        "object 1: the point x 399.5, y 4.5 lies outside of 0.png (64 x 64 pixels)",
    ),
    Defect(
        "images and masks",
        "a mask without an image",
        masked({"data/masks/9.png": grey(CELL)}),
        2,
        "masks/9.png: is a mask without an image; add the image, or remove it",
    ),
    Defect(
        "images and masks",
        "a mask of another size",
        masked({"data/masks/1.png": grey(CELL, side=32)}),
        2,
        "masks/1.png: is 32 x 32 pixels, its image images/1.png is 64 x 64",
    ),
    Defect(
        "images and masks",
        "a value that the legend does not name",
        masked({"data/masks/1.png": grey((9, 9, 20, 20, 7)), "data/legend.json": {"0": "background", "1": "cell"}}),
        3,
        "images/1.png: its mask 1.png: holds 121 pixels of values that the legend does not name (7)",
    ),
    Defect(
        "images and masks",
        "one mask for two images",
        masked({"data/masks/1.png": grey((10, 10, 30, 30, 1))}),
        3,
        "images/0.png, images/1.png have one and the same mask, and are different images",
    ),
    Defect(
        "images and masks",
        "masks that are background all over",
        masked({f"data/masks/{n}.png": grey() for n in range(4)}),
        2,
        "4 masks: are background all over: every pixel is 0; mark the objects in some of them",
    ),
    Defect(
        "nnU-Net",
        "a dataset.json without labels",
        nnunet({"name": "x"}),
        2,
        "dataset.json: has no table 'labels'; write it as",
    ),
    Defect(
        "a zip",
        "a path outside of it",
        zipped("../../outside.png", b"x"),
        2,
        "data.zip: '../../outside.png': lies outside of the archive; pack the folder by its name",
        ("data.zip",),
    ),
    Defect(
        "a zip",
        "a link",
        zipped("ig/link.png", b"/etc/passwd", 0o120777),
        2,
        "data.zip: 'ig/link.png': is a link, files and folders were expected; pack the files themselves",
        ("data.zip",),
    ),
    Defect(
        "a zip",
        "far more than it seems",
        zipped("ig/bomb.png", bytes(80_000_000)),
        2,
        "data.zip unpacks to 818 times its size or more, at most 200 were expected",
        ("data.zip",),
    ),
    Defect(
        "whole slides",
        "a slide that is none",
        laid({"data/one.svs": "no slide"}),
        2,
        "one.svs: is no slide that OpenSlide opens, or is cut short or damaged",
    ),
)


@dataclass(frozen=True)
class Answer:
    """What the command said, and its exit code."""

    code: int
    said: str


def answer(words: tuple[str, ...]) -> Answer:
    """What `corpuscle inspect` answers in the folder at hand."""
    from corpuscle.cli.main import main

    said = io.StringIO()
    before, sys.argv = sys.argv, ["corpuscle", "inspect", *words]
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            main()
    except SystemExit as left:
        return Answer(int(left.code or 0), said.getvalue())
    finally:
        sys.argv = before
    raise AssertionError("the command always exits")


def tried(defect: Defect, at: Path) -> Answer:
    """The answer to a defect that is laid down in an empty folder."""
    defect.make(at)
    with contextlib.chdir(at):
        return answer(defect.words)


def holds(defect: Defect, said: Answer) -> bool:
    """Whether the answer is the documented one."""
    return said.code == defect.code and defect.says in said.said and "Traceback" not in said.said


def tables() -> dict[str, str]:
    """The tables of the page, in Markdown: kinds of findings, and the defects."""
    kinds = [f"| `{name}` | {kind.title} | {kind.weight} | {kind.action} |" for name, kind in KINDS.items()]
    found = [f"| {one.layout} | {one.name} | `{one.says}` | {one.code} |" for one in DEFECTS]
    return {
        "kinds": "\n".join(["| kind | what it is | weight | what is done |", "|---|---|---|---|", *kinds]),
        "defects": "\n".join(["| layout | defect | what is said | code |", "|---|---|---|---|", *found]),
    }


def write_page() -> None:
    """Write the tables of the page anew."""
    text = PAGE.read_text(encoding="utf-8")
    for name, table in tables().items():
        head, begin, rest = text.partition(f"<!-- {name} -->")
        text = f"{head}{begin}\n\n{table}\n\n{END}{rest.partition(END)[2]}"
    PAGE.write_text(text, encoding="utf-8")


def measure(options: argparse.Namespace, record: Record) -> None:
    with workplace() as place:
        os.environ["CORPUSCLE_CACHE"] = str(place / "cache")
        good = 0
        for number, defect in enumerate(DEFECTS):
            folder = place / str(number)
            folder.mkdir()
            said = tried(defect, folder)
            good += holds(defect, said)
            if not holds(defect, said):
                print(f"{defect.layout}, {defect.name}: expected {defect.code} and '{defect.says}', got {said.code}")
                print(said.said)
        record.add(defects=len(DEFECTS), answered=good)


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("--page", action="store_true", help=f"write the tables of {PAGE.name} anew, and nothing else")
    options = parser.parse_args()
    if options.page:
        write_page()
    else:
        measured("quality_defects", options, measure)
