"""Masks that are drawn by annotations."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from corpuscle.core.errors import CorpuscleError, DataFault
from corpuscle.core.legend import IGNORED, Legend, colours_for
from corpuscle.data.annotations.areas import outlines
from corpuscle.data.drawn import file_of_mask, is_drawn, read_drawn
from corpuscle.data.masks import read_mask, survey_masks
from corpuscle.data.prepare import PreparePlan
from corpuscle.data.readers.image import ReadPlan, UnreadableImage
from corpuscle.data.sources import SourcePlan, scan
from corpuscle.data.split_files import write_split_csv

DATA = Path(os.environ.get("CORPUSCLE_TEST_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
BESIDE = SourcePlan(masks="beside")
LARGE, SMALL, POINT = (
    ("polygon", [[0, 0], [8, 0], [8, 8], [0, 8]]),
    ("polygon", [[2, 2], [4, 2], [4, 4]]),
    ("point", [[9, 9]]),
)
BOX = ("rectangle", [[6, 6], [12, 10]])


def put(root: Path, *shapes: tuple[str, tuple[str, object]], name: str = "a") -> Path:
    """LabelMe's file and its image of 20 x 10 pixels."""
    root.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 10)).save(root / f"{name}.png")
    drawn = [{"label": label, "shape_type": kind, "points": points} for label, (kind, points) in shapes]
    (root / f"{name}.json").write_text(json.dumps({"shapes": drawn, "imagePath": f"{name}.png"}))
    return root


def legend(**number_of: int) -> Legend:
    classes = ("background", *sorted({name for name, number in number_of.items() if number != IGNORED}))
    return Legend(classes, number_of, colours_for(classes))


def test_later_areas_lie_over_earlier_and_boxes_are_ignored_where_no_area_is(tmp_path):
    put(tmp_path, ("cell", LARGE), ("nucleus", SMALL), ("cell", BOX), ("cell", POINT))
    table = scan(tmp_path, BESIDE)
    mask_HW = read_mask(table.path_of(table.frame["mask"][0]), table.legend)
    expected_HW = np.zeros((10, 20), np.uint8)
    expected_HW[6:10, 6:12] = IGNORED
    expected_HW[0:8, 0:8] = 1
    expected_HW[2, 2:4] = expected_HW[3, 3] = 2  # those whose middle lies inside of the triangle
    assert table.classes == ("background", "cell", "nucleus")
    expected_HW[2, 2] = mask_HW[2, 2]  # its middle lies on the edge
    assert (mask_HW == expected_HW).all()
    assert table.notes == (
        "the insides of 1 boxes, which have no outline, are neither learned nor judged",
        "left out: 1 points, which cover no area",
    )


def test_a_legend_names_the_labels(tmp_path):
    put(tmp_path, ("Cell", LARGE), ("dirt", SMALL))
    named = scan(tmp_path, SourcePlan(masks="beside", legend={"Cell": "cell", "dirt": "ignore"}))
    mask_HW = read_mask(named.path_of(named.frame["mask"][0]), named.legend)
    assert named.classes == ("background", "cell") and mask_HW[3, 3] == IGNORED and mask_HW[0, 0] == 1
    one = scan(tmp_path, SourcePlan(masks="beside", legend={"Cell": "cell", "dirt": "cell"}))
    assert one.classes == ("background", "cell")
    with pytest.raises(DataFault) as caught:
        scan(tmp_path, SourcePlan(masks="beside", legend={"Cell": "cell"}))
    assert str(caught.value) == (
        "data.legend: does not name dirt (it names Cell); name each label of the areas, or call it ignore"
    )
    background = scan(tmp_path, SourcePlan(masks="beside", label_names={"Cell": "cell", "dirt": "background"}))
    mask_HW = read_mask(background.path_of(background.frame["mask"][0]), background.legend)
    assert background.classes == ("background", "cell") and mask_HW[3, 3] == 0 and mask_HW[0, 0] == 1


def test_boxes_and_points_alone_give_no_masks(tmp_path):
    put(tmp_path, ("cell", BOX), ("cell", POINT))
    with pytest.raises(
        CorpuscleError, match="areas drawn on them, got shapes in LabelMe without any; leave it out, or pass"
    ):
        scan(tmp_path, BESIDE)


def test_an_image_on_which_nothing_is_drawn_is_background(tmp_path):
    put(tmp_path, ("cell", LARGE))
    table = scan(put(tmp_path, name="b"), BESIDE)
    assert not read_mask(table.path_of(table.frame["mask"][1]), table.legend).any()


def test_the_numbers_of_yolo_are_told_by_its_legend_and_not_by_the_file(tmp_path):
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    Image.new("RGB", (20, 10)).save(tmp_path / "images" / "a.png")
    (tmp_path / "labels" / "a.txt").write_text("1 0 0 .5 0 .5 1 0 1\n0 .5 0 1 0 1 1 .5 1\n")
    (tmp_path / "data.yaml").write_text("train: images\nnames: [white, red]\n")
    table = scan(tmp_path, BESIDE)
    mask = table.frame["mask"][0]
    assert mask == "labels/a.txt#../images/a.png" and table.classes == ("background", "red", "white")
    mask_HW = read_mask(table.path_of(mask), table.legend)
    assert (mask_HW[:, :10] == 1).all() and (mask_HW[:, 10:] == 2).all()


def test_the_cache_knows_when_an_annotation_changes(tmp_path, monkeypatch):
    monkeypatch.setenv("CORPUSCLE_CACHE", str(tmp_path / "cache"))
    keep = PreparePlan(fit="keep", shrink=1)

    def pixels() -> list[int]:
        table = scan(tmp_path / "data", BESIDE)
        seen = pl.DataFrame({"height": [10], "width": [20]})
        found = survey_masks(table, seen, ReadPlan(), keep)
        assert found.masks is not None and found.masks[0].sum() == found.frame["pixels"][0][1]
        return list(found.frame["pixels"][0])

    put(tmp_path / "data", ("cell", LARGE))
    assert pixels() == [136, 64] == pixels()
    put(tmp_path / "data", ("cell", ("polygon", [[0, 0], [2, 0], [2, 2], [0, 2]])))
    assert pixels() == [196, 4]


def test_a_csv_may_name_masks_that_are_drawn(tmp_path):
    put(tmp_path / "data" / "x", ("cell", LARGE), ("nucleus", SMALL))
    put(tmp_path / "data" / "x", ("cell", LARGE), name="b")
    table = scan(tmp_path / "data", BESIDE)
    write_split_csv(table.with_frame(table.frame.with_columns(split=pl.Series(["train", "test"]))), tmp_path / "t.csv")
    assert "data/x/a.png,data/x/a.json#a.png,,train" in (tmp_path / "t.csv").read_text()
    again = scan(tmp_path / "t.csv")
    assert (again.layout, again.classes) == ("images and masks", table.classes)
    for name in again.frame["mask"]:
        mask_HW = read_mask(again.path_of(name), again.legend)
        assert mask_HW[0, 0] == 1 and (mask_HW == read_mask(tmp_path / name, table.legend)).all()
    Image.new("L", (20, 10)).save(tmp_path / "b.png")
    (tmp_path / "t.csv").write_text("image,mask\ndata/x/a.png,data/x/a.json#a.png\ndata/x/b.png,b.png\n")
    with pytest.raises(DataFault, match="1 masks: are files of pixels, and 1 are drawn by annotations; one kind"):
        scan(tmp_path / "t.csv")


def test_a_mask_names_its_file_and_its_image(tmp_path):
    assert is_drawn("x/a.JSON#b/c.png") and not is_drawn("a.json") and not is_drawn("mask#1.png")
    assert file_of_mask(Path("x/a.xml#b/c.png")) == Path("x/a.xml") and file_of_mask(Path("m.png")) == Path("m.png")


def test_what_cannot_be_drawn_is_a_fault_of_its_image(tmp_path):
    put(tmp_path, ("cell", LARGE), ("dirt", SMALL))
    path = tmp_path / "a.json#a.png"
    with pytest.raises(
        UnreadableImage, match=r"draws areas that the legend does not name \(dirt\); add them to data\.leg"
    ):
        read_drawn(path, legend(cell=1))
    with pytest.raises(UnreadableImage, match=r"has 20 x 10 pixels, more than the limit of 100; pass --set read\.max"):
        read_drawn(path, legend(cell=1, dirt=2), ReadPlan(max_pixels=100))
    with pytest.raises(UnreadableImage, match=r"gone\.json: does not exist; restore it"):
        read_drawn(tmp_path / "gone.json#a.png", legend())
    (tmp_path / "a.json").write_text('{"shapes": [{"label": "cell", "points": [[1, 1]]}]}')
    with pytest.raises(
        UnreadableImage, match=r"a\.json: a\.json shape 1: has 1 corner, an outline has 3 at least; draw"
    ):
        read_drawn(path, legend(cell=1))
    (tmp_path / "a.json").write_text('{"images": [], "annotations": [], "categories": []}')
    with pytest.raises(UnreadableImage, match=r"a\.json: tells nothing of a\.png; mend it, or leave the image out"):
        read_drawn(path, legend(cell=1))
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(UnreadableImage, match=r"is JSON of another kind, LabelMe's or COCO's was expected; mend it"):
        read_drawn(path, legend(cell=1))
    broken = {"image_id": 1, "category_id": 1, "segmentation": [[1, 1, 2, 2]]}
    images = [{"id": 1, "file_name": "a.png", "width": 20, "height": 10}]
    kinds = [{"id": 1, "name": "cell"}]
    (tmp_path / "a.json").write_text(json.dumps({"images": images, "annotations": [broken], "categories": kinds}))
    with pytest.raises(UnreadableImage, match=r"a\.json annotation 1: has 2 corners, an outline has 3 at least; write"):
        read_drawn(path, legend(cell=1))  # and not drawn without that object
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(UnreadableImage, match=r"a\.json#a\.png: is not a JSON file \(.*\); replace it by a whole copy"):
        read_drawn(path, legend(cell=1))


@pytest.mark.skipif(not (DATA / "wbc_masks").is_dir(), reason=f"{DATA / 'wbc_masks'} is not there")
@pytest.mark.parametrize(("along_edges", "least"), [(True, 1.0), (False, 0.88)])
def test_real_masks_outlined_in_labelme_are_the_same_masks(tmp_path, along_edges, least):
    import cv2

    true_HW = {}
    for number in ("001", "002", "003"):
        mask_HW = cv2.imread(str(DATA / "wbc_masks" / f"{number}.png"), cv2.IMREAD_GRAYSCALE)
        Image.open(DATA / "wbc_masks" / f"{number}.bmp").save(tmp_path / f"{number}.png")
        drawn = []
        for label, inside_HW in (("cytoplasm", mask_HW >= 128), ("nucleus", mask_HW == 255)):
            if along_edges:
                rings = [outline for outline, _ in outlines(inside_HW)]
            else:
                found, _ = cv2.findContours(inside_HW.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
                rings = [(one[:, 0] + 0.5).tolist() for one in found if len(one) > 2]
            drawn += [{"label": label, "points": ring} for ring in rings]
        content = {"shapes": drawn, "imagePath": f"{number}.png"}
        (tmp_path / f"{number}.json").write_text(json.dumps(content))
        true_HW[f"{number}.png"] = (mask_HW >= 128).astype(np.uint8) + (mask_HW == 255)
    table = scan(tmp_path, BESIDE)
    assert table.classes == ("background", "cytoplasm", "nucleus")
    for image, mask in table.frame.select("image", "mask").iter_rows():
        said_HW = read_mask(table.path_of(mask), table.legend)
        for k in (1, 2):
            said, true = said_HW == k, true_HW[image] == k
            assert 2 * (said & true).sum() / (said.sum() + true.sum()) >= least


def test_two_numbers_of_one_class_are_the_same_class(tmp_path):
    (tmp_path / "labels").mkdir()
    (tmp_path / "images").mkdir()
    Image.new("RGB", (20, 10)).save(tmp_path / "images" / "a.png")
    (tmp_path / "labels" / "a.txt").write_text("0 0 0 .5 0 .5 1 0 1\n1 .5 0 1 0 1 1 .5 1\n")
    (tmp_path / "data.yaml").write_text("train: images\nnames: [cell, cell]\n")
    table = scan(tmp_path, BESIDE)
    assert table.classes == ("background", "cell")
    assert (read_mask(table.path_of(table.frame["mask"][0]), table.legend) == 1).all()
