"""What every layout of a data set must keep."""

from __future__ import annotations

import io
import json
import shutil
import tempfile
from pathlib import Path

import h5py
import numpy as np
import polars as pl
import pytest
from PIL import Image, ImageFile

from corpuscle.core.errors import DataFault
from corpuscle.data.masks import read_mask
from corpuscle.data.readers.read import exists, read_pixels
from corpuscle.data.sources import SourcePlan, scan
from corpuscle.data.sources.layouts import LAYOUTS
from corpuscle.data.table import COLUMNS
from corpuscle.synth.tiff import pyramid_of, write_pyramid

ROWS = "image,label\n" + "".join(f"{label}/{n}.png,{label}\n" for label in "ba" for n in (10, 9))
IMAGES = [f"{label}/{n}.png" for label in "ab" for n in (9, 10)]


def slide(shade: int) -> bytes:
    """A pyramid of two levels, stained all over."""
    array_HWC = np.full((300, 600, 3), (180 + shade, 90, 150), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        write_pyramid(Path(folder) / "a.tiff", *pyramid_of(array_HWC, 2))
        return (Path(folder) / "a.tiff").read_bytes()


def npz(*labels: str) -> bytes:
    """Images of a train, a val and a test part, of these classes in each."""
    file = io.BytesIO()
    image_NHWC = np.zeros((len(labels), 10, 20, 3), np.uint8)
    arrays = {f"{part}_{what}": {"images": image_NHWC, "labels": labels}[what] for part in PARTS for what in WHAT}
    np.savez_compressed(file, **arrays)
    return file.getvalue()


PARTS, WHAT = ("train", "val", "test"), ("images", "labels")
EXAMPLES = {
    "one folder per class": dict.fromkeys(IMAGES, ""),
    "train, val and test folders": {f"{part}/{name}": "" for part in ("train", "val", "test") for name in IMAGES},
    "one CSV": {"x/all.csv": ROWS} | {f"x/{name}": "" for name in IMAGES},
    "train, valid and test CSVs": {"train.csv": ROWS, "test.csv": "image\nc.png\n", "c.png": ""}
    | dict.fromkeys(IMAGES, ""),
    "whole slides": {f"{label}/{n}.tiff": slide(n) for label in "ab" for n in (9, 10)},
    "a CSV and folders of images": {"train.csv": ROWS.replace(".png", "").replace("/", "_"), "test/1.png": ""}
    | {f"train/{name.replace('/', '_')}": "" for name in IMAGES},
    "one NPZ file": {"cells.npz": npz("b", "a", "b")},
}


def picture(*dots: tuple[int, int]) -> bytes:
    """A PNG of 20 x 10 black pixels and some white ones (x, y)."""
    pixels_HW = np.zeros((10, 20), np.uint8)
    for x, y in dots:
        pixels_HW[y, x] = 255
    file = io.BytesIO()
    Image.fromarray(pixels_HW).save(file, "PNG")
    return file.getvalue()


def hdf5() -> bytes:
    """Twelve images and their counts."""
    file = io.BytesIO()
    with h5py.File(file, "w") as content:
        content["x"] = np.zeros((12, 10, 20, 3), np.uint8)
        content["y"] = [2, 0, *range(10)]
    return file.getvalue()


BOXES = "".join(
    f"<object><name>{kind}</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>{end}</xmax><ymax>5</ymax></bndbox></object>"
    for kind, end in (("b", 3), ("a", 9))
)
COCO = {
    "images": [{"id": 1, "file_name": "1.png"}, {"id": 2, "file_name": "2.png"}],
    "annotations": [{"id": k, "image_id": 1, "category_id": k, "bbox": [0, 0, k, 5]} for k in (2, 1)],
    "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
}
POINTS = {"type": "FeatureCollection", "features": []} | {
    "features": [
        {"geometry": {"type": "Point", "coordinates": [1, 2]}, "properties": {"classification": {"name": kind}}}
        for kind in "ba"
    ]
}
PAIR = {"1.png": picture(), "2.png": picture()}
SIZE = {"width": 20, "height": 10}
BOX, AREA = [[2, 2], [9, 5]], [[2, 2], [9, 2], [9, 5], [2, 5]]
CVAT_BOXES = "".join(f'<box label="{kind}" xtl="2" ytl="2" xbr="9" ybr="5"/>' for kind in "ba")


def labelme(image: str, *shapes: tuple[str, str, list[list[int]]]) -> str:
    """LabelMe's file of an image of 20 x 10 pixels."""
    drawn = [{"label": label, "shape_type": kind, "points": points} for label, kind, points in shapes]
    return json.dumps({"shapes": drawn, "imagePath": image, "imageWidth": 20, "imageHeight": 10})


def cvat(shapes_of: dict[str, str]) -> str:
    """CVAT's file of some images of 20 x 10 pixels."""
    items = (f'<image name="{name}" width="20" height="10">{shapes}</image>' for name, shapes in shapes_of.items())
    return f"<annotations><version>1.1</version>{''.join(items)}</annotations>"


COUNTED: dict[str, tuple[tuple[str, ...], dict[str, str | bytes]]] = {
    "one CSV": (("cell",), {"t.csv": "image,count\n2.png,0\n1.png,2\n", **PAIR}),
    "train, valid and test CSVs": (
        ("cell",),
        {"train.csv": "image,count\n1.png,2\n", "test.csv": "image\n2.png\n", **PAIR},
    ),
    "one HDF5 file": (("lymphocyte",), {"training.h5": hdf5()}),
    "images and images of dots": (
        ("cell",),
        {"1cell.png": picture(), "1dots.png": picture((0, 0), (5, 5)), "2_000.png": picture()}
        | {"2_dots_000.png": picture((3, 3))},
    ),
    "a CSV of points": (("a", "b"), {"t.csv": "image,x,y,kind\n2.png,,,\n1.png,1,2,b\n1.png,3,4,a\n", **PAIR}),
    "a JSON file of points": (
        ("a", "b"),
        {"t.json": json.dumps({"2.png": {}, "1.png": {"b": [[1, 2]], "a": [[3, 4]]}}), **PAIR},
    ),
    "images and GeoJSON files": (
        ("a", "b"),
        {"1.geojson": json.dumps(POINTS), "2.geojson": json.dumps({"features": []}), **PAIR},
    ),
    "boxes in Pascal VOC": (
        ("a", "b"),
        {f"JPEGImages/{name}": content for name, content in PAIR.items()}
        | {"Annotations/1.xml": f"<annotation>{BOXES}</annotation>", "Annotations/2.xml": "<annotation/>"},
    ),
    "boxes in COCO": (("a", "b"), {"t.json": json.dumps(COCO), **PAIR}),
    "shapes in YOLO": (
        ("a", "b"),
        {f"images/{name}": content for name, content in PAIR.items()}
        | {"labels/1.txt": "1 .5 .5 .2 .2\n0 .3 .3 .1 .1\n", "labels/2.txt": "", "classes.txt": "a\nb\n"},
    ),
    "shapes in LabelMe": (
        ("a", "b"),
        {f"{n}.json": labelme(f"{n}.png", *((kind, "rectangle", BOX) for kind in "ba" if n == 1)) for n in (1, 2)}
        | PAIR,
    ),
    "shapes in CVAT": (
        ("a", "b"),
        {f"images/{name}": content for name, content in PAIR.items()}
        | {"annotations.xml": cvat({"1.png": CVAT_BOXES, "2.png": ""})},
    ),
}


def mask_of(kind: int) -> bytes:
    """A PNG of 20 x 10 pixels of background and of one class."""
    pixels_HW = np.zeros((10, 20), np.uint8)
    pixels_HW[2:5, 2:9] = kind
    file = io.BytesIO()
    Image.fromarray(pixels_HW).save(file, "PNG")
    return file.getvalue()


TWO_FOLDERS = {f"{folder}/{n}.png": mask_of(n) for folder in ("images", "masks") for n in (10, 9)}
SEGMENTED: dict[str, dict[str, str | bytes]] = {
    "two folders": TWO_FOLDERS,
    "parts of two folders": {f"{part}/{name}": TWO_FOLDERS[name] for part in ("train", "test") for name in TWO_FOLDERS},
    "side by side": {f"{n}{end}.png": mask_of(n) for end in ("", "_mask") for n in (10, 9)},
    "a CSV": {"t.csv": "image,mask\nimages/9.png,masks/9.png\nimages/10.png,masks/10.png\n", **TWO_FOLDERS},
    "nnU-Net": {f"imagesTr/{n}_0000.png": mask_of(n) for n in (10, 9)}
    | {f"labelsTr/{n}.png": mask_of(n) for n in (10, 9)}
    | {"dataset.json": json.dumps({"labels": {"background": 0, "value 9": 9, "value 10": 10}})},
}  # all of them "images and masks", but for the last


def written(root: Path, content: dict[str, str | bytes]) -> Path:
    """The files of an example on disk."""
    for name, text in content.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


def test_every_layout_has_an_example():
    assert set(EXAMPLES) | set(COUNTED) | {"images and masks", "nnU-Net", "a folder of images"} == set(LAYOUTS), (
        "add an example of it so that its contract is tested"
    )


@pytest.fixture(params=EXAMPLES)
def layout(request: pytest.FixtureRequest) -> str:
    """The name of each layout of named images."""
    return request.param


@pytest.fixture
def path(layout: str, tmp_path: Path) -> Path:
    """An example of the layout on disk."""
    root = written(tmp_path, EXAMPLES[layout])
    return root / "x" / "all.csv" if layout == "one CSV" else root


def test_every_layout_is_recognised(layout, path):
    assert scan(path).layout == layout


def test_every_layout_gives_the_same_rows_twice_sorted_by_path(path):
    table = scan(path)
    assert table.frame.equals(scan(path).frame)
    assert table.frame["image"].is_sorted()
    assert table.frame["image"].is_unique().all()
    assert table.classes == ("a", "b")


def test_every_layout_gives_the_columns_of_the_table(path):
    table = scan(path)
    assert table.frame.schema == COLUMNS
    assert set(table.frame["split"]) <= {"train", "val", "test", "unlabelled", None}
    assert table.frame.filter(pl.col("label").is_null() != (pl.col("split").fill_null("") == "unlabelled")).is_empty()
    assert table.frame["source"].null_count() == 0


def test_every_layout_names_images_that_exist_and_opens_none(path, monkeypatch):
    monkeypatch.setattr("PIL.Image.open", None)
    monkeypatch.setattr("corpuscle.data.readers.image.decode", None)
    table = scan(path)
    assert all(exists(table.path_of(image)) for image in table.frame["image"])


def test_every_layout_refuses_a_single_class_by_name(path, tmp_path):
    for table in tmp_path.rglob("*.csv"):
        table.write_text("".join(line for line in table.read_text().splitlines(True) if not line.endswith(",b\n")))
    for arrays in tmp_path.rglob("*.npz"):
        arrays.write_bytes(npz("a", "a"))
    for folder in [folder for folder in tmp_path.rglob("b") if folder.is_dir()]:
        shutil.rmtree(folder)
    with pytest.raises(DataFault, match=r"a single class \('a'\), at least 2 were expected"):
        scan(path)


# ------------------------------------------------------------------------------------------------ of counted objects


@pytest.fixture(params=COUNTED)
def counted(request: pytest.FixtureRequest) -> str:
    """The name of each layout of counted objects."""
    return request.param


@pytest.fixture
def place(counted: str, tmp_path: Path) -> Path:
    """An example of the layout on disk."""
    return written(tmp_path, COUNTED[counted][1])


def test_every_layout_of_counts_is_recognised_and_gives_its_kinds(counted, place):
    table = scan(place)
    assert (table.layout, table.classes, table.counted) == (counted, COUNTED[counted][0], True)


def test_every_layout_of_counts_gives_the_same_rows_twice_sorted_by_path(place):
    table = scan(place)
    again = scan(place)
    assert table.frame.equals(again.frame) and table.frame["image"].is_unique().all()
    assert table.points is None if again.points is None else table.points.equals(again.points)
    key = table.frame["image"].str.replace(r"#(\d)$", "#0${1}")  # rows of an HDF5 file come in their own order
    assert key.is_sorted()


def test_every_layout_of_counts_gives_the_columns_of_the_table(place):
    frame = scan(place).frame
    assert frame.schema == COLUMNS | {"counts": pl.List(pl.Int64)}
    assert frame["label"].null_count() == len(frame)
    assert frame.filter(pl.col("counts").is_null() != (pl.col("split").fill_null("") == "unlabelled")).is_empty()
    assert frame["source"].null_count() == 0


def test_the_points_of_every_layout_are_its_counts(place):
    table = scan(place)
    known = table.frame.filter(table.known)
    assert known["counts"].list.len().unique().to_list() == [len(table.classes)]
    if table.points is None:
        return
    assert table.points.schema == {"image": pl.String, "x": pl.Float64, "y": pl.Float64, "kind": pl.String}
    for image, counts in known.select("image", "counts").iter_rows():
        of_image = table.points.filter(pl.col("image") == image)["kind"].to_list()
        assert counts == [of_image.count(kind) for kind in table.classes]


def test_every_layout_of_counts_names_images_that_can_be_read(place):
    table = scan(place)
    assert all(exists(table.path_of(image)) for image in table.frame["image"])
    assert read_pixels(table.path_of(table.frame["image"][0])).array_HWC.shape == (10, 20, 3)


def test_every_layout_of_counts_decodes_images_of_dots_and_no_others(place, monkeypatch):
    decoded: list[str] = []
    load = ImageFile.ImageFile.load

    def noted(self: ImageFile.ImageFile) -> object:
        if self.fp is not None:  # closed when its pixels are there
            decoded.append(Path(self.fp.name).name)
        return load(self)

    monkeypatch.setattr(ImageFile.ImageFile, "load", noted)
    scan(place)
    assert [name for name in decoded if "dots" not in name] == []


def test_every_layout_of_counts_says_all_that_is_wrong_of_its_kinds(counted, place):
    with pytest.raises(DataFault, match=r"data\.kinds: 'nobody' is none of the . kinds of this data set"):
        scan(place, SourcePlan(kinds=("nobody",)))


# ----------------------------------------------------------------------------------------------- of images and masks


@pytest.fixture(params=SEGMENTED)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An example of each kind of images and masks on disk."""
    return written(tmp_path / request.param, SEGMENTED[request.param])


def test_every_kind_of_masks_is_recognised_and_gives_the_same_rows_twice_sorted_by_path(folder):
    table, again = scan(folder), scan(folder)
    layout = folder.name if folder.name in LAYOUTS else "images and masks"
    assert (table.layout, table.classes) == (layout, ("background", "value 9", "value 10"))
    assert table.segmented and table.legend is not None and table.classes == table.legend.classes
    assert table.frame.equals(again.frame) and table.frame["image"].is_unique().all()
    assert table.frame["image"].is_sorted()


def test_every_kind_of_masks_gives_the_columns_of_the_table(folder):
    frame = scan(folder).frame
    assert frame.schema == COLUMNS | {"mask": pl.String}
    assert frame.filter(pl.col("mask").is_null() != (pl.col("split").fill_null("") == "unlabelled")).is_empty()
    assert frame["source"].null_count() == 0 and len(frame) in (2, 4)


def test_every_kind_of_masks_names_images_and_masks_that_can_be_read(folder):
    table = scan(folder)
    for image, mask in table.frame.select("image", "mask").iter_rows():
        assert read_pixels(table.path_of(image)).array_HWC.shape[:2] == (10, 20)
        mask_HW = read_mask(table.path_of(mask), table.legend)
        assert (mask_HW > 0).sum() == 21 and table.classes[mask_HW.max()] == f"value {Path(image).stem.split('_')[0]}"


def test_every_kind_of_masks_decodes_masks_and_no_image(folder, monkeypatch):
    decoded: list[str] = []
    load = ImageFile.ImageFile.load

    def noted(self: ImageFile.ImageFile) -> object:
        if self.fp is not None:
            decoded.append(str(self.fp.name))
        return load(self)

    monkeypatch.setattr(ImageFile.ImageFile, "load", noted)
    table = scan(folder)
    masks = set() if folder.name == "nnU-Net" else {str(table.path_of(mask)) for mask in table.frame["mask"]}
    assert set(decoded) == masks
    decoded.clear()
    scan(folder, SourcePlan(legend={"0": "background", "9": "a", "10": "b"}))
    assert decoded == []


# --------------------------------------------------------------------------------------------------- of drawn areas

RING = ",".join(f"{x},{y};" for x, y in AREA).replace(";,", ";").rstrip(";")
DRAWN_IMAGES = {f"{n}.png": mask_of(n) for n in (10, 9)}
DRAWN: dict[str, dict[str, str | bytes]] = {
    "boxes in COCO": DRAWN_IMAGES
    | {
        "t.json": json.dumps(
            {
                "images": [{"id": n, "file_name": f"{n}.png"} | SIZE for n in (10, 9)],
                "annotations": [
                    {"id": n, "image_id": n, "category_id": n, "segmentation": [[side for at in AREA for side in at]]}
                    for n in (10, 9)
                ],
                "categories": [{"id": n, "name": f"value {n}"} for n in (10, 9)],
            }
        )
    },
    "shapes in YOLO": {f"images/{name}": content for name, content in DRAWN_IMAGES.items()}
    | {f"labels/{n}.txt": f"{10 - n} " + " ".join(f"{x / 20} {y / 10}" for x, y in AREA) for n in (10, 9)}
    | {"data.yaml": "train: images\nnames: [value 10, value 9]\n"},
    "shapes in LabelMe": DRAWN_IMAGES
    | {f"{n}.json": labelme(f"{n}.png", (f"value {n}", "polygon", AREA)) for n in (10, 9)},
    "shapes in CVAT": DRAWN_IMAGES
    | {"a.xml": cvat({f"{n}.png": f'<polygon label="value {n}" points="{RING}"/>' for n in (10, 9)})},
    "images and GeoJSON files": DRAWN_IMAGES
    | {
        f"{n}.geojson": json.dumps(
            [
                {
                    "geometry": {"type": "Polygon", "coordinates": [[*AREA, AREA[0]]]},
                    "properties": {"classification": {"name": f"value {n}"}},
                }
            ]
        )
        for n in (10, 9)
    },
}
BESIDE = SourcePlan(masks="beside")


@pytest.fixture(params=DRAWN)
def drawn(request: pytest.FixtureRequest) -> str:
    """The name of each layout of areas."""
    return request.param


@pytest.fixture
def spot(drawn: str, tmp_path: Path) -> Path:
    """An example of the layout on disk."""
    return written(tmp_path, DRAWN[drawn])


def test_every_layout_of_areas_is_recognised_and_counts_them_unless_masks_are_wanted(drawn, spot):
    counted, table = scan(spot), scan(spot, BESIDE)
    assert (counted.layout, counted.classes) == (drawn, ("value 10", "value 9"))
    expected = [(image, 5.0, 3.0, f"value {Path(image).stem}") for image in table.frame["image"]]
    assert counted.points.rows() == expected
    assert counted.notes[-1] == "2 of 2 shapes are areas; --recipe segment learns these as masks"
    assert (table.layout, table.classes) == (drawn, ("background", "value 10", "value 9"))


def test_every_layout_of_areas_gives_masks_of_their_pixels_and_decodes_no_image(drawn, spot, monkeypatch):
    monkeypatch.setattr(ImageFile.ImageFile, "load", None)
    table = scan(spot, BESIDE)
    assert table.frame.schema == COLUMNS | {"mask": pl.String} and table.frame.equals(scan(spot, BESIDE).frame)
    for image, mask in table.frame.select("image", "mask").iter_rows():
        mask_HW = read_mask(table.path_of(mask), table.legend)
        assert mask_HW.shape == (10, 20) and (mask_HW[2:5, 2:9] > 0).all() and (mask_HW > 0).sum() == 21
        assert table.classes[mask_HW.max()] == f"value {Path(image).stem}"


# --------------------------------------------------------------------------------------------------- without labels

EVERY = {
    **EXAMPLES,
    **{f"{name}, counted": files for name, (_, files) in COUNTED.items()},
    **{f"masks, {name}": files for name, files in SEGMENTED.items()},
}


@pytest.mark.parametrize("name", EVERY)
def test_every_layout_gives_the_same_images_and_parts_without_their_labels(name, tmp_path):
    root = written(tmp_path, EVERY[name])
    root = root / "x" / "all.csv" if name == "one CSV" else root
    known, table = scan(root), scan(root, SourcePlan(labels="none")).without_labels()
    assert table.frame.schema == COLUMNS and table.classes == ("image",)
    assert set(table.frame["image"]) == set(known.frame["image"])
    assert table.frame["label"].unique().to_list() == ["image"]
    held = {"val", "test"}
    parts = (
        dict(one.frame.filter(pl.col("split").is_in(held)).select("image", "split").iter_rows())
        for one in (known, table)
    )
    before, after = parts
    assert before.items() <= after.items() and "unlabelled" not in set(table.frame["split"])
