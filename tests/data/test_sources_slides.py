"""Whole slides become rows of tiles, labelled by what is annotated on them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from corpuscle.core.errors import CorpuscleError, DataFault
from corpuscle.data.doctor.inspection import Choices, describe, inspect
from corpuscle.data.readers.read import read_pixels
from corpuscle.data.readers.tiles import tile_of
from corpuscle.data.sources import SourcePlan, scan
from corpuscle.data.sources.images import list_images
from corpuscle.data.sources.plan import SlidePlan
from corpuscle.data.sources.slides import tiles_of_slides
from corpuscle.data.split_files import write_split_folder
from corpuscle.data.table import COLUMNS
from corpuscle.synth.tiff import pyramid_of, write_pyramid, write_tiled

SIDE = 64


def slide(path, seed=0, tissue=True, mpp=0.5, size=512):
    """A pyramid of 512 x 512 pixels: glass, and tissue from 64 to 448 but for noise."""
    rng = np.random.default_rng(seed)
    array_HWC = np.full((size, size, 3), 243, np.int16)
    if tissue:
        array_HWC[SIDE:-SIDE, SIDE:-SIDE] = (190, 120, 170)
    array_HWC = np.clip(array_HWC + rng.integers(-6, 7, array_HWC.shape), 0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_pyramid(path, *pyramid_of(array_HWC, 3, 64), 64, mpp=mpp)
    return path


def drawn(path, **areas):
    """A GeoJSON of rectangles: layer to left, top, right, bottom."""
    features = []
    for layer, (left, top, right, bottom) in areas.items():
        ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
        properties = {"classification": {"name": layer}} if layer else {}
        features.append({"geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": properties})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def plan(**slides):
    source = {name: slides.pop(name) for name in list(slides) if name in SourcePlan.model_fields}
    return SourcePlan(slides=SlidePlan(**({"tile": SIDE} | slides)), **source)


def places(table, label=None):
    """(slide, left, top) of the tiles with a label."""
    frame = table.frame if label is None else table.frame.filter(pl.col("label") == label)
    tiles = [tile_of(Path(image)) for image in frame["image"]]
    return {(tile.file.name, tile.left, tile.top) for tile in tiles}


@pytest.fixture
def two(tmp_path):
    """Two slides whose upper halves are annotated."""
    for number in (1, 2):
        slide(tmp_path / f"s{number}.tiff", number)
        drawn(tmp_path / f"s{number}.geojson", Tumor=(0, 0, 512, 256))
    return tmp_path


def test_a_folder_of_slides_gives_its_tiles_with_tissue_by_what_is_annotated(two):
    table = scan(two, plan())
    assert (table.layout, table.classes, len(table)) == ("whole slides", ("normal", "tumor"), 72)
    assert places(table, "tumor") == {
        (f"s{number}.tiff", left, top) for number in (1, 2) for left in range(64, 448, 64) for top in range(64, 256, 64)
    }
    assert table.frame["group"].unique().sort().to_list() == ["s1.tiff", "s2.tiff"]
    assert table.frame["split"].is_null().all() and table.frame.schema == COLUMNS
    assert table.notes == ("2 slides, 2 of them with an annotation; tiles of 64 pixels of the slides' own pixels",)
    assert read_pixels(table.path_of(table.frame["image"][0])).array_HWC.shape == (64, 64, 3)


def test_a_single_slide_is_a_data_set_with_any_tiled_tiff_that_is_named(tmp_path):
    slide(tmp_path / "a.tiff")
    slide(tmp_path / "other.tiff")
    drawn(tmp_path / "a.geojson", Tumor=(0, 0, 512, 256))
    table = scan(tmp_path / "a.tiff", plan())
    assert places(table) == {("a.tiff", left, top) for left in range(64, 448, 64) for top in range(64, 448, 64)}
    write_tiled(tmp_path / "flat.tiff", (128, 128), [np.full((128, 128, 3), (190, 120, 170), np.uint8)], 64)
    assert len(scan(tmp_path / "flat.tiff", plan(labels="none"))) == 4


def test_tiles_have_the_microns_that_were_asked_for(two):
    table = scan(two, plan(mpp=1.0))
    assert {(tile.side, tile.pixels) for tile in map(tile_of, map(Path, table.frame["image"]))} == {(128, 64)}
    pixels = read_pixels(table.path_of(table.frame["image"][0]))
    assert pixels.mpp == 1.0 and pixels.array_HWC.shape == (64, 64, 3)
    assert "tiles of 64 pixels of 1 microns a pixel" in table.notes[0]
    finer = scan(two, plan(mpp=0.25))
    assert tile_of(Path(finer.frame["image"][0])).side == 32
    assert finer.notes[1] == "2 slides are coarser than 0.25 microns a pixel and were enlarged (first: s1.tiff)"


def test_a_slide_without_microns_says_how_to_give_them(tmp_path):
    slide(tmp_path / "a.tiff", mpp=None)
    drawn(tmp_path / "a.geojson", Tumor=(0, 0, 512, 256))
    says = (
        "a.tiff: does not state its microns a pixel, tiles of 1 were asked for; give its own with --set "
        "data.slides.slide_mpp=MICRONS, or take its pixels as they are with --set data.slides.mpp=0"
    )
    with pytest.raises(DataFault, match=re.escape(says)):
        scan(tmp_path / "a.tiff", plan(mpp=1.0))
    table = scan(tmp_path / "a.tiff", plan(mpp=1.0, slide_mpp=0.25))
    assert tile_of(Path(table.frame["image"][0])).side == 256
    assert len(scan(tmp_path / "a.tiff", plan())) == 36


def test_tiles_may_overlap_and_need_not_show_tissue(two):
    assert len(scan(two, plan(stride=32, tissue=1e-6))) > 3 * len(scan(two, plan()))
    assert len(scan(two, plan(tissue=0))) == 2 * 64
    assert len(scan(two, plan(tile=60, tissue=1))) < len(scan(two, plan(tile=60, tissue=0.5)))


def test_tiles_between_positive_and_negative_are_left_out(tmp_path):
    slide(tmp_path / "a.tiff")
    drawn(tmp_path / "a.geojson", Tumor=(0, 0, 512, 256 + 16), odd=(0, 432, 512, 512))
    table = scan(tmp_path / "a.tiff", plan())
    tops = {label: {top for _, _, top in places(table, label)} for label in ("normal", "tumor")}
    assert tops == {"normal": {320}, "tumor": {64, 128, 192}}
    table = scan(tmp_path / "a.tiff", plan(positive=0.2, negative=0.1))
    tops = {label: {top for _, _, top in places(table, label)} for label in table.classes}
    assert tops == {"normal": {320}, "odd": {384}, "tumor": {64, 128, 192, 256}}
    table = scan(tmp_path / "a.tiff", plan(negative=0.3))
    assert {top for _, _, top in places(table, "normal")} == {256, 320, 384}


def test_shares_that_cross_are_refused():
    says = r"slides\.negative expects less than slides\.positive \(0\.5\), got 0\.6; lower it"
    with pytest.raises(CorpuscleError, match=says):
        SlidePlan(negative=0.6)


def test_layers_have_classes_are_cut_out_or_ignored(tmp_path):
    slide(tmp_path / "a.tiff")
    drawn(tmp_path / "a.geojson", A=(0, 0, 512, 256), B=(0, 64, 128, 128), C=(256, 0, 512, 512), D=(0, 320, 256, 384))
    layers = {"A": "sick", "B": "healthy", "C": "ignore", "D": "other"}
    table = scan(tmp_path / "a.tiff", plan(layers=layers, normal="healthy"))
    assert table.classes == ("healthy", "other", "sick")
    assert ("a.tiff", 64, 64) in places(table, "healthy")
    assert places(table, "other") == {("a.tiff", left, 320) for left in (64, 128, 192)}
    assert len(places(table, "sick")) == 8 and max(left for _, left, _ in places(table)) == 192


def test_the_layers_of_camelyon_need_no_naming(tmp_path):
    slide(tmp_path / "a.tiff")
    drawn(tmp_path / "a.geojson", _0=(0, 0, 512, 256), _2=(0, 64, 128, 128), Tumor=(0, 384, 512, 512))
    table = scan(tmp_path / "a.tiff", plan())
    assert table.classes == ("normal", "tumor")
    assert ("a.tiff", 64, 64) in places(table, "normal") and ("a.tiff", 64, 384) in places(table, "tumor")


def test_an_unknown_layer_is_a_fault_with_the_nearest_name(two):
    with pytest.raises(DataFault) as caught:
        scan(two, plan(layers={"Tumour": "tumor"}))
    assert [str(fault).removeprefix(str(two)) for fault in caught.value.faults] == [
        "/s1.geojson: layer 'Tumor' is not in data.slides.layers; Did you mean Tumour?",
        "/s2.geojson: layer 'Tumor' is not in data.slides.layers; Did you mean Tumour?",
    ]
    says = "data.slides.layers: no annotation has the layer 'Stroma'; Known: Tumor"
    with pytest.raises(DataFault, match=re.escape(says)):
        scan(two, plan(layers={"Tumor": "tumor", "Stroma": "normal"}))


def test_areas_without_a_class_are_a_fault_unless_they_are_given_one(tmp_path):
    slide(tmp_path / "a.tiff")
    drawn(tmp_path / "a.geojson", **{"": (0, 0, 512, 256)})
    says = r"a\.geojson: has areas without a layer or class; give them one, or say what they are, as in --set"
    with pytest.raises(DataFault, match=says):
        scan(tmp_path / "a.tiff", plan())
    assert scan(tmp_path / "a.tiff", plan(layers={"": "tumor"})).classes == ("normal", "tumor")


def test_all_that_is_wrong_with_all_slides_is_said_at_once(two):
    drawn(two / "s1.geojson", Tumor=(9000, 0, 9100, 256), odd=(0, 5000, 512, 6000))
    slide(two / "s3.tiff", tissue=False)
    drawn(two / "s3.geojson", **{"": (0, 0, 512, 256)})
    (two / "s4.svs").write_text("no slide")
    (two / "s5.tiff").write_bytes((two / "s2.tiff").read_bytes()[:40000])
    drawn(two / "s9.geojson", Tumor=(0, 0, 5, 5))
    with pytest.raises(DataFault) as caught:
        scan(two, plan())
    faults = [str(fault).removeprefix(f"{two}/") for fault in caught.value.faults]
    wanted = [
        r"s1\.geojson, object 1: lies around x 9050, y 128, outside of the slide, which has 512 x 512 pixels; put it",
        r"s1\.geojson, object 2: lies around x 256, y 5500, outside of the slide",
        r"s3\.geojson: has areas without a layer or class; give them one",
        r"s3\.tiff: none of its 64 tiles is tissue by 50%; leave it out, or lower data\.slides\.tissue",
        r"s4\.svs: is no slide that OpenSlide opens, or is cut short or damaged.*; copy it anew, or leave it out",
        r"s5\.tiff: is cut short: its 40,000 bytes end before a list of its tiles; copy it anew, or leave it out",
        r"s9\.geojson: is an annotation without its slide; Known: s1, s2, s3, s4, s5",
    ]
    assert len(faults) == len(wanted)
    for fault, pattern in zip(faults, wanted, strict=True):
        assert re.match(pattern, fault), fault


@pytest.mark.parametrize("kept", [100, 40_000, -100])
def test_a_slide_that_is_cut_short_is_named_as_such_when_it_stands_alone(two, kept):
    whole = (two / "s1.tiff").read_bytes()
    (two / "s1.tiff").write_bytes(whole[:kept])
    with pytest.raises(DataFault, match=rf"s1\.tiff: is cut short: its {len(whole[:kept]):,} bytes end before a list"):
        scan(two / "s1.tiff", plan())


def test_one_bad_slide_ends_no_job_of_many(two):
    slide(two / "s3.tiff", tissue=False)
    (two / "s4.svs").write_text("no slide")
    drawn(two / "s9.geojson", Tumor=(0, 0, 5, 5))
    table = scan(two, plan(bad="skip"))
    assert len(table) == 72 and table.notes[0] == f"left out: {two}/s3.tiff (none of its 64 tiles is tissue by 50%)"
    assert [note.split(":")[0] for note in table.notes].count("left out") == 3
    for name in ("s1.tiff", "s2.tiff"):
        (two / name).unlink()
    with pytest.raises(DataFault, match=r"no slide of it can be used; see why with --set data\.slides\.bad=error"):
        scan(two, plan(bad="skip"))


def test_a_slide_all_of_whose_tissue_is_between_is_a_fault(tmp_path):
    slide(tmp_path / "a.tiff")
    drawn(tmp_path / "a.geojson", Tumor=(0, 0, 512, 512))
    says = "every tile with tissue is to be ignored, or annotated by more than negative and less than positive; mend"
    with pytest.raises(DataFault, match=says):
        scan(tmp_path / "a.tiff", plan(layers={"Tumor": "ignore"}))


def test_folders_are_classes_of_slides_without_an_annotation_and_parts(tmp_path):
    for part in ("train", "test"):
        slide(tmp_path / part / "tumor" / f"{part}1.tiff", 1)
        drawn(tmp_path / part / "tumor" / f"{part}1.geojson", Tumor=(0, 0, 512, 256))
        slide(tmp_path / part / "normal" / f"{part}2.tiff", 2)
    table = scan(tmp_path, plan())
    rows = table.frame.group_by("group", "label", "split").len().rows()
    counts = {(group, label, split): number for group, label, split, number in rows}
    assert counts == {
        (f"{part}/tumor/{part}1.tiff", label, part): 18 for part in ("train", "test") for label in ("normal", "tumor")
    } | {(f"{part}/normal/{part}2.tiff", "normal", part): 36 for part in ("train", "test")}


def test_slides_without_annotation_or_class_are_unlabelled_or_normal(two):
    slide(two / "s3.tiff", 3)
    table = scan(two, plan())
    assert dict(table.frame["split"].fill_null("open").value_counts().rows()) == {"open": 72, "unlabelled": 36}
    assert table.frame.filter(pl.col("split") == "unlabelled")["label"].is_null().all()
    table = scan(two, plan(unannotated="normal"))
    assert len(places(table, "normal")) == 36 + 36 and table.frame["split"].is_null().all()


def test_slides_of_which_nothing_is_known_say_what_to_do(tmp_path):
    slide(tmp_path / "a.tiff")
    says = r"36 tiles, and no slide with an annotation or a label; lay an annotation beside it .*data\.labels=none"
    with pytest.raises(DataFault, match=says):
        scan(tmp_path / "a.tiff", plan())
    table = scan(tmp_path / "a.tiff", plan(labels="none"))
    assert table.frame["label"].unique().to_list() == ["image"] and len(table) == 36


def test_a_folder_of_annotations_may_lie_elsewhere(two, tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    for number in (1, 2):
        (two / f"s{number}.geojson").rename(folder / f"s{number}.geojson")
    assert scan(two, plan(annotations=folder)).classes == ("normal", "tumor")


def test_masks_beside_slides_are_annotations_and_no_slides(two):
    for number in (1, 2):
        (two / f"s{number}.geojson").unlink()
        value_HWC = np.zeros((512, 512, 3), np.uint8)
        value_HWC[:256] = 2
        write_pyramid(two / f"s{number}_mask.tif", *pyramid_of(value_HWC, 2, 64), 64)
    table = scan(two, plan(layers={"2": "tumor"}))
    assert len(places(table, "tumor")) == 36 and len(table) == 72


def test_most_tiles_of_a_slide_are_as_many_of_each_class_and_always_the_same(tmp_path):
    slide(tmp_path / "a.tiff")
    drawn(tmp_path / "a.geojson", Tumor=(0, 0, 192, 128))
    table = scan(tmp_path / "a.tiff", plan(most=10))
    assert dict(table.frame["label"].value_counts().rows()) == {"tumor": 2, "normal": 8}
    assert table.frame.equals(scan(tmp_path / "a.tiff", plan(most=10)).frame)
    assert len(scan(tmp_path / "a.tiff", plan(most=100))) == 36


def test_a_csv_may_name_slides_or_single_tiles_of_them(two):
    (two / "slides.csv").write_text("image,label,patient,split\ns1.tiff,x,p1,train\ns2.tiff,y,p2,test\n")
    table = scan(two / "slides.csv", plan())
    assert table.layout == "one CSV" and len(table) == 72
    parts = table.frame.group_by("group", "split").len().sort("group").rows()
    assert parts == [("p1", "train", 36), ("p2", "test", 36)]
    assert set(table.frame["row"]) == {2, 3} and table.classes == ("normal", "tumor")
    for number in (1, 2):
        (two / f"s{number}.geojson").unlink()
    (two / "slides.csv").write_text("image,label\ns1.tiff,x\ns2.tiff,y\n")
    assert scan(two / "slides.csv", plan()).classes == ("x", "y")
    rows = '"s1.tiff#000064,000064,64@32",a\n"s2.tiff#128,0,64@64",b\n'
    (two / "tiles.csv").write_text(f"image,label\n{rows}")
    table = scan(two / "tiles.csv", plan())
    assert table.frame["image"].to_list() == ["s1.tiff#000064,000064,64@32", "s2.tiff#128,0,64@64"]
    assert table.frame["group"].to_list() == ["s1.tiff", "s2.tiff"]
    assert list_images([two / "tiles.csv"]) == [two / image for image in table.frame["image"]]
    (two / "lost.csv").write_text(f'image,label\n{rows}"s7.tiff#0,0,64@64",b\n')
    with pytest.raises(DataFault, match=r"lost\.csv row 4: image 's7\.tiff#0,0,64@64' does not exist"):
        scan(two / "lost.csv", plan())


def test_tables_of_other_images_stay_as_they_are(tmp_path, two):
    write_tiled(tmp_path / "flat.tif", (64, 64), [np.zeros((64, 64, 3), np.uint8)], 64)
    write_tiled(tmp_path / "flat2.tif", (64, 64), [np.ones((64, 64, 3), np.uint8)], 64)
    (tmp_path / "t.csv").write_text("image,label\nflat.tif,a\nflat2.tif,b\n")
    assert scan(tmp_path / "t.csv").frame["image"].to_list() == ["flat.tif", "flat2.tif"]


def test_images_named_for_a_prediction(two):
    paths = list_images([two / "s1.tiff", f"{two}/s1.tiff#0,0,64@64"])
    assert paths == [two / "s1.tiff", Path(f"{two}/s1.tiff#0,0,64@64")]
    (two / "s3.svs").write_text("no slide")
    tiles, faults = tiles_of_slides([two / "s3.svs", *paths], SlidePlan(tile=SIDE))
    says = "is no slide that OpenSlide opens, or is cut short or damaged"
    assert [(fault.where, fault.what) for fault in faults] == [(f"{two}/s3.svs", says)]
    with pytest.raises(DataFault, match="is no slide that OpenSlide opens"):
        tiles_of_slides([two / "s3.svs"], SlidePlan())
    assert len(tiles) == 37 and tiles[-1] == paths[-1] and tile_of(tiles[0]).file == two / "s1.tiff"
    with pytest.raises(DataFault, match=r"s1\.tiff#600,0,64@64: .*outside of the slide"):
        list_images([f"{two}/s1.tiff#600,0,64@64"])


def test_a_tiled_tiff_of_one_size_is_a_slide_where_slides_are_expected(tmp_path):
    write_tiled(tmp_path / "flat.tif", (128, 128), [np.full((128, 128, 3), (190, 120, 170), np.uint8)], 64)
    assert tiles_of_slides([tmp_path / "flat.tif"], SlidePlan(tile=SIDE)) == ([tmp_path / "flat.tif"], [])
    assert len(tiles_of_slides([tmp_path / "flat.tif"], SlidePlan(tile=SIDE), named=True)[0]) == 4


def test_a_divided_folder_holds_tiles_as_pictures(two):
    table = scan(two, plan(most=4))
    table = table.with_frame(table.frame.with_columns(split=pl.lit("train")))
    with pytest.raises(CorpuscleError, match="links expect images that are files, these lie within other files; copy"):
        write_split_folder(table, two / "linked", "link")
    write_split_folder(table, two / "copied", "copy")
    files = sorted((two / "copied").rglob("*.png"))
    assert len(files) == 8 and files[0].parent.name == "normal"
    image = next(name for name in table.frame["image"] if name == files[0].name.removesuffix(".png"))
    np.testing.assert_array_equal(read_pixels(files[0]).array_HWC, read_pixels(table.path_of(image)).array_HWC)
    assert scan(two / "copied").classes == ("normal", "tumor")


def test_an_inspection_shows_the_tiles_of_each_class(two):
    found = inspect(two, Choices(data=plan()))
    said = describe(found.table)
    assert said.startswith("whole slides: 72 images of 2 classes (normal: 36, tumor: 36)\n2 groups, which stay")
    assert "sizes (height × width): all 64 × 64" in found.lines()


# --------------------------------------------------------------------------------------- annotations, wherever they lie


def test_annotations_in_a_folder_of_their_own_are_of_the_slides_they_are_named_as(two):
    for number in (1, 2):
        slide(two / "tumor" / f"s{number}.tiff", number)
        (two / f"s{number}.tiff").unlink()
    slide(two / "normal" / "n.tiff")
    (two / "lesion_annotations").mkdir()
    for number in (1, 2):
        (two / f"s{number}.geojson").rename(two / "lesion_annotations" / f"s{number}.geojson")
    table = scan(two, plan())
    assert len(places(table, "tumor")) == 36 and len(places(table, "normal")) == 36 + 36
    assert "3 slides, 2 of them with an annotation" in table.notes[0]
    drawn(two / "normal" / "s1.geojson", Tumor=(0, 0, 512, 256))
    says = (
        r"s1\.tiff: has the annotations \S+lesion_annotations/s1\.geojson and \S+normal/s1\.geojson, one was expected"
    )
    with pytest.raises(DataFault, match=says):
        scan(two, plan())


def test_an_annotation_far_from_a_slide_that_has_one_beside_it_is_a_fault(two):
    drawn(two / "old" / "s1.geojson", Tumor=(0, 0, 512, 512))
    says = r"old/s1\.geojson: is an annotation of s1\.tiff, which has another beside it; remove one of them"
    with pytest.raises(DataFault, match=says):
        scan(two, plan())


def test_annotations_are_known_by_their_suffix_in_any_case(two):
    (two / "s1.geojson").rename(two / "s1.GeoJSON")
    assert len(places(scan(two, plan()), "tumor")) == 36


def test_a_folder_of_annotations_must_be_there_and_says_what_is_of_no_slide(two, tmp_path_factory):
    says = r"data\.slides\.annotations expects a folder, got /nope; name the folder they lie in"
    with pytest.raises(CorpuscleError, match=says):
        scan(two, plan(annotations=Path("/nope")))
    folder = tmp_path_factory.mktemp("drawn")
    for number in (1, 2, 7):
        drawn(folder / f"s{number}.geojson", Tumor=(0, 0, 512, 256))
    table = scan(two, plan(annotations=folder))
    assert table.notes[-1] == (
        f"left out: 1 annotation without a slide (first: {folder / 's7.geojson'}: is an annotation without its "
        "slide; Known: s1, s2)"
    )
    slide(two / "more" / "s1.tiff")
    with pytest.raises(DataFault, match=r"s1\.tiff: may have the annotation \S+s1\.geojson, but so may \S+s1\.tiff"):
        scan(two, plan(annotations=folder))


def test_a_folder_of_masks_does_not_hide_the_slides(two):
    value_HWC = np.zeros((512, 512, 3), np.uint8)
    value_HWC[:256] = 2
    (two / "a").mkdir()
    for number in (1, 2):
        (two / f"s{number}.geojson").unlink()
        slide(two / "z" / f"s{number}.tiff", number)
        (two / f"s{number}.tiff").unlink()
        write_tiled(two / "a" / f"s{number}_mask.tif", (512, 512), [value_HWC], 64)
    table = scan(two, plan(annotations=two / "a", layers={"2": "tumor"}))
    assert table.layout == "whole slides" and len(places(table, "tumor")) == 36


def test_a_first_tiff_that_is_no_slide_does_not_hide_the_others(two):
    (two / "a.tiff").write_bytes((two / "s1.tiff").read_bytes()[:40000])
    with pytest.raises(DataFault, match=r"a\.tiff: is cut short: its 40,000 bytes end"):
        scan(two, plan())
    assert len(scan(two, plan(bad="skip"))) == 72


def test_tiles_of_several_classes_that_are_annotated_in_part_are_not_normal(tmp_path):
    slide(tmp_path / "a.tiff")
    quarters = {name: (16 * k, 0, 16 * k + 16, 512) for k, name in enumerate("abc", start=4)}
    drawn(tmp_path / "a.geojson", **quarters, d=(384, 0, 448, 512))
    table = scan(tmp_path / "a.tiff", plan(negative=0.3, positive=0.6))
    assert {left for _, left, _ in places(table, "normal")} == {128, 192, 256, 320}
    assert {left for _, left, _ in places(table, "d")} == {384} and table.classes == ("d", "normal")


def test_groups_by_pattern_are_those_of_the_slides(two):
    (two / "s2.tiff").rename(two / "q.tiff")
    (two / "s2.geojson").rename(two / "q.geojson")
    for pattern in (r"^s(?P<group>\d)", r"(?P<group>\d+)\D*$"):  # the latter would find what stands in a tile's name
        table = scan(two, plan(group_from=pattern))
        assert table.frame["group"].unique().sort().to_list() == ["1", "q.tiff"]


def test_a_slide_twice_in_a_csv_is_one_fault(two):
    (two / "slides.csv").write_text("image,label\ns1.tiff,x\ns2.tiff,y\ns1.tiff,y\n")
    says = r"s1\.tiff: is labelled x \(slides\.csv row 2\) and y \(slides\.csv row 4\); keep one of these rows"
    with pytest.raises(DataFault, match=says) as caught:
        scan(two / "slides.csv", plan())
    assert len(caught.value.faults) == 1


def test_microns_that_cannot_be_are_said(tmp_path):
    slide(tmp_path / "a.tiff", mpp=500.0)
    says = r"a\.tiff: states 500 x 500 microns a pixel, which cannot be, tiles of 1 were asked for; give its own"
    with pytest.raises(DataFault, match=says):
        scan(tmp_path / "a.tiff", plan(mpp=1.0))


@pytest.mark.parametrize("place", ["0,0,64@0", "0,0,0@64"])
def test_a_tile_of_no_pixels_is_a_fault(two, place):
    (two / "tiles.csv").write_text(f'image,label\n"s1.tiff#0,0,64@64",a\n"s2.tiff#{place}",b\n')
    says = rf"s2\.tiff#{place}: is a tile of no pixels; name it as in a\.svs#1024,0,512@256"
    with pytest.raises(DataFault, match=says):
        scan(two / "tiles.csv", plan())
