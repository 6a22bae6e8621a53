"""Layouts of images and masks, and what the values of the masks mean."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from corpuscle.core.errors import CorpuscleError, DataFault
from corpuscle.core.legend import IGNORED, SMEAR
from corpuscle.data.masks import read_mask
from corpuscle.data.sources import SourcePlan, scan
from corpuscle.data.sources.legends import legend_for

DATA = Path(os.environ.get("CORPUSCLE_TEST_DATA", Path(__file__).parents[2].parent / "shared" / "data")) / "wbc_masks"
NAMES = {"0": "background", "128": "cytoplasm", "255": "nucleus"}
LEGEND = SourcePlan(legend=NAMES)


def put(path, *values, size=(8, 6), mode=None):
    """An image of some grey values or colours, a column each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = size
    pixels = np.zeros((height, width, *np.shape(values)[1:]), np.uint8)
    for column, value in enumerate(values):
        pixels[:, column] = value
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path)


def pair(root, image, mask, *values, **more):
    put(root / image, 1, **more)
    put(root / mask, *(values or (0, 128, 255)), **more)


def rows(table):
    return table.frame.select("image", "mask", "label", "split").rows()


# --- layouts


@pytest.mark.parametrize(("images", "masks"), [("images", "masks"), ("IMG", "Ground_Truth"), ("original", "gt")])
@pytest.mark.parametrize("suffix", ["", "_mask", "_seg", "_label", "-GT"])
def test_two_folders_of_the_same_stems(tmp_path, images, masks, suffix):
    for stem in ("a_1", "b"):
        pair(tmp_path, f"{images}/{stem}.bmp", f"{masks}/{stem}{suffix}.png")
    table = scan(tmp_path, LEGEND)
    assert (table.layout, table.segmented, table.classes) == ("images and masks", True, tuple(NAMES.values()))
    assert rows(table) == [(f"{images}/{stem}.bmp", f"{masks}/{stem}{suffix}.png", None, None) for stem in ("a_1", "b")]
    assert table.legend.number_of == {0: 0, 128: 1, 255: 2}


def test_folders_in_folders_keep_their_parts(tmp_path):
    for part in ("train", "Val", "test"):
        pair(tmp_path, f"images/{part}/1.png", f"masks/{part}/1.png")
    table = scan(tmp_path, LEGEND)
    assert [split for *_, split in rows(table)] == ["val", "test", "train"]
    pair(tmp_path, "images/other/1.png", "masks/other/1.png")
    assert {split for *_, split in rows(scan(tmp_path, LEGEND))} == {None}


def test_train_val_and_test_folders_of_two_folders_each(tmp_path):
    for part in ("train", "val", "test"):
        pair(tmp_path, f"{part}/images/1.png", f"{part}/masks/1.png")
    (tmp_path / "legend.json").write_text(json.dumps(NAMES))
    table = scan(tmp_path)
    assert table.layout == "images and masks" and table.classes == tuple(NAMES.values())
    assert [(image, split) for image, _, _, split in rows(table)] == [
        (f"{part}/images/1.png", part) for part in ("test", "train", "val")
    ]
    shutil.rmtree(tmp_path / "test" / "masks")
    unlabelled = scan(tmp_path)
    assert rows(unlabelled)[0] == ("test/images/1.png", None, None, "unlabelled")
    assert unlabelled.known.to_list() == [False, True, True]


def test_names_side_by_side(tmp_path):
    pair(tmp_path, "a.png", "a_mask.png")
    pair(tmp_path, "b.jpg", "b_mask.tif")
    table = scan(tmp_path, LEGEND)
    assert [row[:2] for row in rows(table)] == [("a.png", "a_mask.png"), ("b.jpg", "b_mask.tif")]


def test_a_png_beside_its_image_is_a_mask_only_where_the_user_says_so(tmp_path):
    for stem in "ab":
        pair(tmp_path, f"{stem}.bmp", f"{stem}.png")
    with pytest.raises(CorpuscleError, match=r"holds 4 images without classes, expected .* images and masks; sort"):
        scan(tmp_path)
    table = scan(tmp_path, SourcePlan(masks="beside", legend=NAMES))
    assert [row[:2] for row in rows(table)] == [("a.bmp", "a.png"), ("b.bmp", "b.png")]


def test_labels_of_a_csv_stay_with_the_masks_beside_its_images(tmp_path):
    for stem in ("001", "002"):
        pair(tmp_path, f"{stem}.bmp", f"{stem}.png")
    (tmp_path / "labels.csv").write_text("image,label\n1,x\n2,y\n")
    plain = scan(tmp_path)
    assert (plain.layout, plain.segmented, plain.classes) == ("one CSV", False, ("x", "y"))
    table = scan(tmp_path, SourcePlan(masks="beside", legend=NAMES))
    assert table.layout == "one CSV, with masks"
    assert rows(table) == [("001.bmp", "001.png", "x", None), ("002.bmp", "002.png", "y", None)]
    assert not any("taken for their mask" in note for note in table.notes)
    (tmp_path / "002.png").unlink()
    with pytest.raises(DataFault, match=r"^002\.bmp \(labels\.csv row 3\): has no mask; add it, or pass"):
        scan(tmp_path, SourcePlan(masks="beside"))


def test_labels_of_a_csv_stay_with_masks_in_a_folder_beside_its_images(tmp_path):
    pair(tmp_path, "images/a.png", "masks/a.png")
    pair(tmp_path, "images/b.png", "masks/b_mask.png")
    (tmp_path / "labels.csv").write_text("image,label\nimages/a.png,x\nimages/b.png,y\n")
    table = scan(tmp_path, SourcePlan(masks="beside", legend=NAMES))
    expected = [("images/a.png", "masks/a.png", "x", None), ("images/b.png", "masks/b_mask.png", "y", None)]
    assert rows(table) == rows(scan(tmp_path / "labels.csv", SourcePlan(masks="beside", legend=NAMES))) == expected
    auto = scan(tmp_path, LEGEND)
    assert [label for _, _, label, _ in rows(auto)] == [None, None] and "left out: labels.csv" in auto.notes


def test_labels_of_folders_stay_and_masks_are_no_images_of_their_own(tmp_path):
    for name in ("x/1", "y/2"):
        pair(tmp_path, f"{name}.bmp", f"{name}.png")
    assert len(scan(tmp_path)) == 4
    table = scan(tmp_path, SourcePlan(masks="beside", legend=NAMES))
    assert rows(table) == [("x/1.bmp", "x/1.png", "x", None), ("y/2.bmp", "y/2.png", "y", None)]


def test_a_csv_with_a_column_of_masks(tmp_path):
    for n in (1, 2, 3):
        pair(tmp_path, f"i/{n}.png", f"m/{n}.png")
    (tmp_path / "t.csv").write_text(
        "image,Mask,label,patient,split\ni/1.png,m/1.png,x,p,train\ni/2.png,m/2.png,,p,train\ni/3.png,,,q,test\n"
    )
    for path in (tmp_path / "t.csv", tmp_path):
        table = scan(path, LEGEND)
        assert table.layout == "images and masks" and table.frame["group"].to_list() == ["p", "p", "q"]
        assert rows(table) == [
            ("i/1.png", "m/1.png", "x", None),
            ("i/2.png", "m/2.png", None, None),
            ("i/3.png", None, None, "unlabelled"),
        ]
    assert scan(tmp_path / "t.csv", SourcePlan(masks="none", unlabelled="skip"), min_classes=1).classes == ("x",)


def test_a_train_csv_and_a_test_csv_with_masks(tmp_path):
    for n in (1, 2):
        pair(tmp_path, f"{n}.png", f"{n}_m.png")
    (tmp_path / "train.csv").write_text("image,mask\n1.png,1_m.png\n")
    (tmp_path / "test.csv").write_text("image\n2.png\n")
    assert rows(scan(tmp_path, LEGEND)) == [("1.png", "1_m.png", None, None), ("2.png", None, None, "unlabelled")]


def test_masks_are_passed_over_where_the_user_says_so(tmp_path):
    for stem in "ab":
        pair(tmp_path, f"images/{stem}.png", f"masks/{stem}.png")
    assert scan(tmp_path, SourcePlan(masks="none")).classes == ("images", "masks")


# --- faults


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    pair(tmp_path, "images/sound.png", "masks/sound.png")
    put(tmp_path / "images/alone.png", 1)
    put(tmp_path / "masks/stray.png", 0)
    put(tmp_path / "images/small.png", 1)
    put(tmp_path / "masks/small.png", 0, size=(8, 7))
    pair(tmp_path, "images/lossy.png", "masks/lossy.jpg")
    pair(tmp_path, "images/two.png", "masks/two.png")
    put(tmp_path / "masks/two_mask.tif", 0)
    with pytest.raises(DataFault) as caught:
        scan(tmp_path, LEGEND)
    told = "\n".join(map(str, caught.value.faults))
    assert "images/alone.png: has no mask; add it, or pass --set data.unlabelled=skip to leave such images out" in told
    assert "masks/stray.png: is a mask without an image; add the image, or remove it" in told
    assert "masks/small.png: is 8 x 7 pixels, its image images/small.png is 8 x 6; save the mask at the size" in told
    assert "masks/lossy.jpg: is a JPEG file, which does not keep values; save it as a grey or palette PNG" in told
    assert "images/two.png: has 2 masks, two.png and two_mask.tif, one was expected; remove or rename" in told
    assert told.count("has no mask") == 1


def test_images_without_a_mask_are_left_out_where_the_user_says_so(tmp_path):
    pair(tmp_path, "images/a.png", "masks/a.png")
    put(tmp_path / "images/b.png", 1)
    table = scan(tmp_path, SourcePlan(legend=NAMES, unlabelled="skip"))
    assert len(table) == 1
    assert "left out: 1 of 2 images without a mask (first: images/b.png)" in table.notes


def test_two_images_of_one_stem_do_not_share_a_mask(tmp_path):
    pair(tmp_path, "images/a.png", "masks/a.png")
    put(tmp_path / "images/a.bmp", 1)
    with pytest.raises(DataFault, match=r"^images/a\.png: shares its mask a\.png with a\.bmp; give each"):
        scan(tmp_path, LEGEND)


def test_rows_of_a_csv_that_contradict_one_another_or_name_no_file(tmp_path):
    pair(tmp_path, "1.png", "1_m.png")
    put(tmp_path / "2_m.png", 0)
    (tmp_path / "t.csv").write_text("image,mask\n1.png,1_m.png\n1.png,2_m.png\n1.png,3_m.png\n2_m.png,2_m.png\n")
    with pytest.raises(DataFault) as caught:
        scan(tmp_path, LEGEND)
    told = "\n".join(map(str, caught.value.faults))
    assert "1.png: has the mask 1_m.png (t.csv row 2) and 2_m.png (t.csv row 3); keep one of these rows" in told
    assert "t.csv row 4: image '3_m.png' does not exist; mend the path or remove the row" in told
    assert "2_m.png: is named as its own mask; name the mask" in told and "has no mask" not in told


def test_several_folders_of_masks_and_masks_of_counted_objects_are_refused(tmp_path):
    for masks in ("masks", "gt"):
        pair(tmp_path / "a", "images/a.png", f"{masks}/a.png")
    with pytest.raises(CorpuscleError, match="holds images, gt, masks, one folder of images and one of masks were"):
        scan(tmp_path / "a")
    put(tmp_path / "b" / "1.png", 1)
    (tmp_path / "b" / "t.csv").write_text("image,count\n1.png,3\n")
    with pytest.raises(CorpuscleError, match=r"data\.masks=beside expects images with .* got one CSV without any; "):
        scan(tmp_path / "b", SourcePlan(masks="beside"))


# --- legends


def meaning(tmp_path, *columns_of_masks, legend=None, **chosen):
    """The legend of masks of some values each."""
    for number, values in enumerate(columns_of_masks):
        put(tmp_path / "masks" / f"{number}.png", *values)
    if legend is not None:
        (tmp_path / "legend.json").write_text(legend if isinstance(legend, str) else json.dumps(legend))
    return legend_for(sorted((tmp_path / "masks").glob("*.png")), tmp_path, chosen)


def faults(found):
    assert found.legend is None
    return "\n".join(map(str, found.faults))


def test_several_values_may_be_one_class_and_ignored_ones_are_none(tmp_path):
    found = meaning(tmp_path, **{"0": "background", "1": "cell", "2": "cell", "3": "ignore", "#FF0000": "cell"}).legend
    assert found.classes == ("background", "cell") and found.colours == ((0, 0, 0), (255, 0, 0))
    assert found.number_of == {0: 0, 1: 1, 2: 1, 3: IGNORED, (255, 0, 0): 1}


def test_the_background_is_class_0_wherever_it_is_named(tmp_path):
    assert meaning(tmp_path, **{"9": "cell", "7": "background"}).legend.number_of == {9: 1, 7: 0}


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ({"0": "bg", "1": "a"}, "data.legend: names no background (0 bg, 1 a); call the value"),
        ({"0": "background", "x": "a"}, "data.legend: 'x' is no value of a mask; write a whole number from 0 to 65535"),
        ({"0": "background", "70000": "a"}, "data.legend: '70000' is no value of a mask"),
        ({"0": "background", "#FF0000": "a", "#ff0000": "b"}, "data.legend: #ff0000 is both 'a' and 'b'; give each"),
        (
            {"#808080": "b", "128": "a", "0": "background", "#000000": "background"},
            "data.legend: 128 is 'a' and the same grey as a colour, #808080, is 'b'; give each class values of its own",
        ),
        ({"0": "background", "1": " "}, "data.legend: 1 has no name; name it, or call it ignore"),
        ({"0": "background", "1": "ignore"}, "data.legend: names the background alone; name the value"),
        (
            {"0": "background"} | {str(n): f"c{n}" for n in range(1, 300)},
            "data.legend: names 300 classes, at most 254 were expected; name fewer",
        ),
    ],
)
def test_a_legend_that_makes_no_sense_is_refused(tmp_path, chosen, told):
    assert told in faults(meaning(tmp_path, **chosen))


def test_what_the_composer_writes_is_a_legend(tmp_path):
    content = {"classes": SMEAR.classes, "colours": SMEAR.colours}
    found = meaning(tmp_path, (0, 3), legend=content)
    assert found.legend == SMEAR and found.notes == ("the classes of the masks are from legend.json",)
    assert meaning(tmp_path, (0, 3), legend={"classes": ["background", "a"]}).legend.number_of == {0: 0, 1: 1}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"0": ', "legend.json: is not a JSON file"),
        ([1], 'legend.json: is no table of values and names; write it as {"0": "background", "255": "nucleus"}'),
        ({"0": 1}, "legend.json: is no table of values and names"),
        ({"classes": ["background", "a"], "colours": [[0, 0, 0]]}, "legend.json: has 2 classes and 1 colours; write"),
        ({"classes": ["background"], "colours": [[0, 0, 256]]}, "legend.json: has 1 classes and no proper colours"),
        (
            {"classes": ["background", "a", "b"], "colours": [[0, 0, 0], [1, 1, 1], [1, 1, 1]]},
            "legend.json: #010101 is both 'a' and 'b'; give each class values of its own",
        ),
    ],
)
def test_a_legend_file_that_makes_no_sense_is_refused(tmp_path, content, told):
    assert told in faults(meaning(tmp_path, (0, 1), legend=content))


def test_a_legend_of_the_user_wins_over_that_of_the_folder(tmp_path):
    assert meaning(tmp_path, (0, 1), legend=NAMES, **{"0": "background", "1": "a"}).legend.classes[1] == "a"


def test_a_legend_is_found_in_folders_above_the_masks(tmp_path):
    put(tmp_path / "d" / "train" / "masks" / "1.png", 0, 128)
    (tmp_path / "d" / "legend.json").write_text(json.dumps(NAMES))
    found = legend_for([tmp_path / "d" / "train" / "masks" / "1.png"], tmp_path, {})
    assert found.legend.classes == tuple(NAMES.values())


def test_colours_of_a_smear_are_known(tmp_path):
    found = meaning(tmp_path, [SMEAR.colours[0], SMEAR.colours[3]], [SMEAR.colours[9]])
    assert found.legend == SMEAR and "those of a blood smear in ten classes" in found.notes[0]


def test_else_the_values_are_the_classes(tmp_path):
    found = meaning(tmp_path, (0, 255), (128,))
    assert found.legend.classes == ("background", "value 128", "value 255")
    assert found.legend.number_of == {0: 0, 128: 1, 255: 2}
    assert found.notes == (
        "the classes of the masks are their values (0, 128, 255; 0 is background); name them, as in "
        '--set data.legend=\'{"0": "background", "128": "NAME", "255": "NAME"}\'',
    )


def test_else_the_colours_are_the_classes_and_one_alone_is_the_object(tmp_path):
    found = meaning(tmp_path, [(0, 0, 0), (9, 8, 7), (1, 2, 3)]).legend
    assert found.classes == ("background", "colour #010203", "colour #090807") and found.colours[1] == (1, 2, 3)
    one = meaning(tmp_path, (0, 200)).legend
    assert one.classes == ("background", "object") and one.number_of == {0: 0, 200: 1}


def test_transparency_is_background_and_white_objects_are_told_from_it(tmp_path):
    put(tmp_path / "masks" / "1.png", (255, 255, 255, 255), *[(255, 255, 255, 0)] * 7)
    found = legend_for([tmp_path / "masks" / "1.png"], tmp_path, {}).legend
    assert found.number_of == {0: 0, 255: 1}
    assert read_mask(tmp_path / "masks" / "1.png", found)[0].tolist() == [1, *[0] * 7]


def test_values_that_cannot_be_classes_are_refused(tmp_path):
    soft = [list(range(0, 80, 10)), *([k] for k in range(70))]
    what = "71 masks: hold 71 different values, most of them in 0.png, a few were expected, one a class; save"
    assert what in faults(meaning(tmp_path / "a", *soft))
    told = faults(meaning(tmp_path / "b", [5] * 8, [6] * 8))
    assert "2 masks: hold the values 5, 6 and none is 0, the background; name them, as in --set data.legend=" in told
    assert '{"5": "background", "6": "NAME"}' in told
    assert "1 masks: are background all over: every pixel is 0; mark" in faults(meaning(tmp_path / "c", [0]))


# --- real data


@pytest.mark.skipif(not DATA.is_dir(), reason="the sample data are not beside the project")
def test_real_masks_beside_their_images(tmp_path):
    table = scan(DATA, SourcePlan(masks="beside", legend=NAMES))
    assert len(table) == 300 and table.known.all() and table.frame["label"].null_count() == 0
    assert table.frame.select("image", "mask").row(0) == ("001.bmp", "001.png")
    assert set(np.unique(read_mask(DATA / "001.png", table.legend))) == {0, 1, 2}
    told = scan(DATA, SourcePlan(masks="beside"))
    assert told.classes == ("background", "value 128", "value 255")
    assert scan(DATA).layout == "one CSV"
