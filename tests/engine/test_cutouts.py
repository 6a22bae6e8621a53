"""From data sets to a bank: kinds, magnification, parts, and what is passed over."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest
from PIL import Image

from corpuscle.core.errors import CorpuscleError, DataFault
from corpuscle.core.legend import IGNORED, Legend
from corpuscle.core.settings import resolve
from corpuscle.data.annotations.convert import convert
from corpuscle.data.readers.image import ReadPlan
from corpuscle.data.sources import SourcePlan, scan
from corpuscle.data.table import COLUMNS, Table
from corpuscle.engine.cut import cut_table, objects_in
from corpuscle.engine.cutouts import DIAMETER_UM, PIXEL_UM, CutoutPlan, make_bank
from corpuscle.synth.bank import read_bank, write_bank
from corpuscle.synth.cells import draw_cell
from corpuscle.synth.cutouts import Cutout

KINDS = ("lymphocyte", "neutrophil")
SIZE, FIELD_UM = 64, 24


def plan_of(**settings):
    return resolve(CutoutPlan(), {"flag": settings})[0]


def draw(folder, kinds=KINDS, number=10, masks=False, start=0):
    """A folder a class of drawn cells, or images with their masks beside them and a CSV."""
    rows = ["image,label"]
    for kind in kinds:
        for index in range(start, start + number):
            cell = draw_cell(kind, SIZE, np.random.default_rng([index, len(kind)]))
            place = folder / (f"{kind}{index}.bmp" if masks else f"{kind}/{index}.png")
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(cell.image_HWC).save(place)
            if masks:
                Image.fromarray(cell.mask_HW).save(place.with_suffix(".png"))
                rows.append(f"{place.name},{kind}")
    if masks:
        (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


def write_voc(folder, images=10):
    """Four red cells an image, two of which touch."""
    for name in ("Annotations", "JPEGImages"):
        (folder / name).mkdir(parents=True)
    for index in range(images):
        image = np.full((160, 160, 3), (235, 225 - index, 225), np.uint8)
        objects = ""
        for x, y in ((40, 40), (120, 40), (50, 120), (88, 120)):
            cv2.circle(image, (x, y + index % 5), 20, (200, 140, 145), -1)
            sides = zip(
                ("xmin", "ymin", "xmax", "ymax"), (x - 19, y + index % 5 - 19, x + 21, y + index % 5 + 21), strict=True
            )
            box = "".join(f"<{side}>{value}</{side}>" for side, value in sides)
            objects += f"<object><name>RBC</name><bndbox>{box}</bndbox></object>"
        Image.fromarray(cv2.GaussianBlur(image, (0, 0), 0.8)).save(folder / "JPEGImages" / f"s{index}.png")
        (folder / "Annotations" / f"s{index}.xml").write_text(f"<annotation>{objects}</annotation>")
    return folder


@pytest.fixture(scope="module")
def masked(tmp_path_factory):
    return draw(tmp_path_factory.mktemp("data") / "masked", masks=True)


@pytest.fixture(scope="module")
def made(masked, tmp_path_factory):
    out = tmp_path_factory.mktemp("banks") / "bank"
    return out, make_bank([masked], out, plan_of(pixel_um=FIELD_UM / SIZE))


def diameters(bank, kind):
    return [2 * np.sqrt(one.area / np.pi) for one in bank.cutouts if one.kind == kind]


def test_cells_with_masks_become_a_bank_in_three_parts(made):
    out, result = made
    bank = read_bank(out)
    assert bank.counts() == {kind: {"train": 8, "val": 1, "test": 1} for kind in KINDS}
    assert not result.faults and bank.pixel_um == PIXEL_UM
    assert [one.source for one in bank.cutouts] == [one.source for one in result.bank.cutouts]
    assert {one.source for one in bank.cutouts} == {f"masked/{kind}{n}.bmp" for kind in KINDS for n in range(10)}
    assert (out / "sheet.png").is_file() and pl.read_csv(out / "passed_over.csv").is_empty()


def test_the_cutout_has_the_size_of_its_mask_at_the_banks_magnification(made, masked):
    out, _ = made
    for one in read_bank(out).cutouts:
        mask = np.asarray(Image.open(masked / f"{one.source.split('/')[1].removesuffix('.bmp')}.png")) > 0
        assert one.area == pytest.approx(mask.sum() * (FIELD_UM / SIZE / PIXEL_UM) ** 2, rel=0.05)


def test_the_same_seed_gives_the_same_bank_and_another_seed_other_parts(masked, made, tmp_path):
    first, plan = made[0], plan_of(pixel_um=FIELD_UM / SIZE)
    make_bank([masked], tmp_path / "again", plan)
    make_bank([masked], tmp_path / "other", plan.model_copy(update={"seed": 1}))
    assert (tmp_path / "again" / "cutouts.csv").read_bytes() == (first / "cutouts.csv").read_bytes()
    assert (tmp_path / "other" / "cutouts.csv").read_bytes() != (first / "cutouts.csv").read_bytes()


def test_by_default_the_median_diameter_is_that_of_the_kind(masked, tmp_path):
    result = make_bank([masked], tmp_path / "bank", plan_of())
    assert "estimated by the median of lymphocyte 10 µm, neutrophil 13 µm" in result.notes[0]
    ratios = [DIAMETER_UM[kind] / PIXEL_UM / np.median(diameters(result.bank, kind)) for kind in KINDS]
    assert np.median(ratios) == pytest.approx(1, rel=0.03)


def test_a_diameter_that_is_given_decides(masked, tmp_path):
    result = make_bank([masked], tmp_path / "bank", plan_of(cell_um={"neutrophil": "9"}))
    assert "as given by the median of neutrophil 9 µm" in result.notes[0]
    assert np.median(diameters(result.bank, "neutrophil")) * PIXEL_UM == pytest.approx(9, rel=0.03)


def test_plain_crops_are_cut_by_thresholds_and_bad_files_named(tmp_path):
    crops = draw(tmp_path / "crops", kinds=("lymphocyte",), number=14)
    Image.fromarray(np.full((64, 64, 3), 230, np.uint8)).save(crops / "lymphocyte" / "empty.png")
    (crops / "lymphocyte" / "note.png").write_text("see the other folder")
    result = make_bank([crops], tmp_path / "bank", plan_of())
    assert len(result.bank.cutouts) >= 10
    passed = pl.read_csv(tmp_path / "bank" / "passed_over.csv")
    assert "nothing stands out from the paper" in passed.filter(pl.col("where").str.ends_with("empty.png"))["what"][0]
    assert "is a text file" in passed.filter(pl.col("where").str.ends_with("note.png"))["what"][0]
    assert result.reasons()["nothing stands out from the paper"] == (1, "lymphocyte/empty.png")


def test_red_cells_come_from_boxes_where_they_lie_alone(tmp_path):
    result = make_bank([write_voc(tmp_path / "voc")], tmp_path / "bank", plan_of())
    assert result.bank.kinds == ("healthy RBC",) and len(result.bank.cutouts) == 20
    assert result.reasons() == {"healthy RBC touches a neighbour": (20, "Annotations/s0.xml object 3")}
    assert np.median(diameters(result.bank, "healthy RBC")) * PIXEL_UM == pytest.approx(7.5, rel=0.05)
    parts = {}
    for one in result.bank.cutouts:
        parts.setdefault(one.source, set()).add(one.part)
    assert len(parts) == 10 and all(len(part) == 1 for part in parts.values())


@pytest.mark.parametrize("to", ["coco", "yolo", "labelme", "cvat", "qupath"])
def test_boxes_of_every_format_give_the_same_cut_outs(to, tmp_path):
    folder = write_voc(tmp_path / "voc", images=4)
    convert(folder, to, tmp_path / to, "copy", SourcePlan())
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / to)
    first, second = (cut(path) for path in (folder, Path(packed)))
    assert len(first) == 8 and [one.kind for one in first] == ["healthy RBC"] * 8
    for one, other in zip(first, second, strict=True):
        assert one.cut.box == other.cut.box and (one.cut.inside_HW == other.cut.inside_HW).all()


def cut(path):
    """The pieces of a data set of red cells, in the order of their images."""
    table = scan(path)
    pieces, _ = cut_table(table, objects_in(path, table, SourcePlan()), "x", {"RBC": "healthy RBC"}, ReadPlan())
    return sorted(pieces, key=lambda one: (Path(one.source).name, one.cut.box))


def test_what_is_outlined_is_cut_along_its_outline_all_pieces_of_an_object_together(tmp_path):
    Image.new("RGB", (60, 40), (235, 225, 225)).save(tmp_path / "a.png")
    rings = [[5, 5, 20, 5, 20, 20, 5, 20], [22, 5, 30, 5, 30, 20, 22, 20]]
    drawn = [
        {"image_id": 1, "category_id": 1, "segmentation": rings},
        {"image_id": 1, "category_id": 1, "segmentation": [[40, 0, 50, 0, 50, 20]]},
        {"image_id": 1, "category_id": 1, "segmentation": rings[:1], "iscrowd": 1},
    ]
    content = {"images": [{"id": 1, "file_name": "a.png"}], "categories": [{"id": 1, "name": "RBC"}]}
    (tmp_path / "a.json").write_text(json.dumps(content | {"annotations": drawn}))
    (piece,) = cut(tmp_path)
    assert piece.cut.area == 15 * 15 + 8 * 15 and piece.by_mask and piece.where == "a.json annotation 1"
    table = scan(tmp_path)
    _, faults = cut_table(table, objects_in(tmp_path, table, SourcePlan()), "x", {"RBC": "healthy RBC"}, ReadPlan())
    assert [(fault.where, fault.what) for fault in faults] == [
        ("a.json annotation 2", "healthy RBC reaches the border of its image")
    ]


def test_objects_without_a_class_are_of_the_kind_that_is_named(tmp_path):
    convert(write_voc(tmp_path / "voc", images=2), "qupath", tmp_path / "set", "copy", SourcePlan())
    for file in (tmp_path / "set").glob("*.geojson"):
        file.write_text(file.read_text().replace('"name": "RBC"', '"name": ""'))
    plan = SourcePlan(kind="monocyte")
    objects = objects_in(tmp_path / "set", scan(tmp_path / "set", plan), plan)
    assert {shape.label for many in objects.values() for one in many for shape in one} == {"monocyte"}


def test_points_have_no_extent_to_cut_out(tmp_path):
    folder = write_voc(tmp_path / "voc", images=2)
    convert(folder, "points", tmp_path / "points", "copy", SourcePlan())
    told = r"points holds a CSV of points, cut-outs need .* or boxes or outlines \(Pascal VOC, COCO, YOLO, LabelMe"
    with pytest.raises(CorpuscleError, match=told):
        make_bank([tmp_path / "points"], tmp_path / "bank", plan_of())


def test_a_bank_that_is_joined_keeps_its_parts_and_its_size(made, tmp_path):
    more = draw(tmp_path / "more", kinds=("monocyte",), masks=True)
    result = make_bank([made[0], more], tmp_path / "bank", plan_of(bank_pixel_um=2 * PIXEL_UM))
    kept = {one.source: one for one in result.bank.cutouts}
    for one in read_bank(made[0]).cutouts:
        assert kept[one.source].part == one.part
        assert kept[one.source].area == pytest.approx(one.area / 4, rel=0.08)
    assert result.bank.counts()["monocyte"] == {"train": 8, "val": 1, "test": 1}


def test_a_bank_and_its_own_images_are_refused(made, masked, tmp_path):
    with pytest.raises(CorpuscleError, match=r"masked/lymphocyte0.bmp and 19 more images are in a bank already; name"):
        make_bank([made[0], masked], tmp_path / "bank", plan_of(pixel_um=FIELD_UM / SIZE))


def test_identical_pixels_are_in_one_part_also_with_those_of_a_bank(made, masked, tmp_path):
    copies = tmp_path / "copies"
    shutil.copytree(masked, copies)
    result = make_bank([made[0], copies], tmp_path / "bank", plan_of(pixel_um=FIELD_UM / SIZE))
    part = {one.source: one.part for one in result.bank.cutouts}
    assert len(part) == 40
    assert all(
        part[source] == part[f"copies/{source.removeprefix('masked/')}"] for source in part if "masked" in source
    )


def test_a_group_is_in_one_part(masked, tmp_path):
    plan = plan_of(**{"data.group_from": r"[a-z](?P<group>\d)"})
    result = make_bank([masked], tmp_path / "bank", plan)
    part_of = {}
    for one in result.bank.cutouts:
        assert one.group == f"masked/{one.source[-5]}"
        assert part_of.setdefault(one.group, one.part) == one.part
    assert len(part_of) == 10


def test_a_kind_that_no_smear_has_is_told_before_anything_is_cut(tmp_path):
    crops = draw(tmp_path / "crops", number=2)
    (crops / "neutrophil").rename(crops / "WBC")
    with pytest.raises(DataFault, match=r"kind WBC is none of a smear's; name it with --kind 'WBC=NAME' \(eosinophil"):
        make_bank([crops], tmp_path / "bank", plan_of())


def test_kinds_are_renamed_and_dropped(masked, tmp_path):
    plan = plan_of(kind={"lymphocyte": "monocyte"}, drop_kind=["neutrophil"])
    result = make_bank([masked], tmp_path / "bank", plan)
    assert result.bank.kinds == ("monocyte",) and len(result.bank.cutouts) == 10


def test_a_kind_that_is_missing_in_a_part_is_told(tmp_path):
    few = draw(tmp_path / "few", number=2, masks=True)
    with pytest.raises(DataFault) as told:
        make_bank([few], tmp_path / "bank", plan_of())
    assert len(told.value.faults) == 2 and not (tmp_path / "bank").exists()
    fault = str(told.value.faults[0])
    assert fault.startswith("kind lymphocyte: no cut-out in ") and fault.endswith("or pass --drop-kind 'lymphocyte'")


@pytest.mark.parametrize(("pixel_um", "said"), [(0.05, None), (0.01, "below 5 pixels"), (3.0, "above 224 pixels")])
def test_cutouts_too_small_or_too_large_are_told(masked, tmp_path, pixel_um, said):
    plan = plan_of(pixel_um=pixel_um)
    if said is None:
        assert not make_bank([masked], tmp_path / "bank", plan).faults
    else:
        with pytest.raises(DataFault, match=rf"lymphocyte is {said} at the bank's magnification \(\d+ × \d+\); mend"):
            make_bank([masked], tmp_path / "bank", plan)


@pytest.mark.parametrize(("coarser", "said"), [(20, "below 5 pixels"), (0.1, "above 224 pixels")])
def test_cutouts_of_a_bank_too_small_or_too_large_at_another_magnification_are_told(made, tmp_path, coarser, said):
    plan = plan_of(bank_pixel_um=coarser * PIXEL_UM)
    told = rf"masked/\w+.bmp: \w+ is {said} at the bank's magnification \(\d+ × \d+\); mend"
    with pytest.raises(DataFault, match=told):
        make_bank([made[0]], tmp_path / "bank", plan)


def test_banks_that_hold_the_same_in_other_parts_are_refused(tmp_path):
    rng = np.random.default_rng(0)
    full_HW = np.full((9, 9), 255, np.uint8)
    cells = [
        Cutout(rng.integers(256, size=(9, 9, 3), dtype=np.uint8), full_HW, "monocyte", source, part)
        for source, part in (("a", "train"), ("b", "val"), ("c", "test"))
    ]
    other_parts = ("test", "val", "train")
    turned = [replace(one, part=part, source=f"x{one.source}") for one, part in zip(cells, other_parts, strict=True)]
    alike = [replace(one, image_HWC=one.image_HWC + np.uint8(1)) for one in turned]
    banks = {
        "first": [replace(one, group=f"p/{one.source}") for one in cells],
        "pixels": turned,
        "group": [replace(one, group=f"p/{one.source[1:]}") for one in alike],
        "source": [replace(one, source=one.source[1:]) for one in alike],
        "sound": [replace(one, group=f"q/{one.source}") for one in alike],
    }
    for name, cutouts in banks.items():
        write_bank(tmp_path / name, cutouts, PIXEL_UM, 0)
    for name, told in (("pixels", "pixels of a and xa"), ("group", "group p/a"), ("source", "source a")):
        with pytest.raises(DataFault) as caught:
            make_bank([tmp_path / "first", tmp_path / name], tmp_path / "bank", plan_of())
        first = f"{told}: found in train and test; leave one of the banks out, or make one bank of all their data sets"
        assert str(caught.value.faults[0]) == first and len(caught.value.faults) == 2
    assert len(make_bank([tmp_path / "first", tmp_path / "sound"], tmp_path / "bank", plan_of()).bank.cutouts) == 6


@pytest.mark.parametrize(("values", "legend"), [((0, 1, 0), None), ((7, 9, 8), {7: 0, 9: 1, 8: IGNORED})])
def test_the_inside_of_a_mask_is_what_its_legend_says_else_what_is_not_black(tmp_path, values, legend):
    image_HWC = np.full((40, 40, 3), 230, np.uint8)
    mask_HW = np.full((40, 40), values[0], np.uint16)
    mask_HW[10:25, 12:30], mask_HW[10:13, 12:30] = values[1], values[2] or values[1]
    Image.fromarray(image_HWC).save(tmp_path / "x.bmp")
    Image.fromarray(mask_HW).save(tmp_path / "x.png")
    row = ("x.bmp", "monocyte", None, None, None, None)
    frame = pl.DataFrame([row], schema=COLUMNS, orient="row")
    table = Table(frame, tmp_path, ("monocyte",), "a CSV")
    if legend:
        meaning = Legend(("background", "a"), legend, ((0, 0, 0), (9, 9, 9)))
        table = Table(frame.with_columns(mask=pl.lit("x.png")), tmp_path, meaning.classes, "a CSV", legend=meaning)
    (piece,), faults = cut_table(table, {}, "x", {"monocyte": "monocyte"}, ReadPlan())
    assert not faults and piece.cut.area == 18 * (12 if legend else 15)


def test_a_mask_of_another_size_is_told(masked, tmp_path):
    copied = tmp_path / "masked"
    shutil.copytree(masked, copied)
    Image.new("L", (20, 30), 255).save(copied / "neutrophil3.png")
    result = make_bank([copied], tmp_path / "bank", plan_of())
    fault = "neutrophil3.bmp: neutrophil has a mask of another size (mask 30 × 20 pixels, image 64 × 64)"
    assert str(result.faults[0]).startswith(fault) and len(result.bank.cutouts) == 19


def test_a_layout_without_cells_is_refused(tmp_path, masked):
    (tmp_path / "counts.csv").write_text(f"image,count\n{masked}/neutrophil1.bmp,3\n")
    with pytest.raises(CorpuscleError, match=r"cut-outs need cells with a class each"):
        make_bank([tmp_path / "counts.csv"], tmp_path / "bank", plan_of())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"kind": {"WBC": "neutrofil"}}, r"not neutrofil. Did you mean neutrophil\?"),
        ({"cell_um": {"WBC": 9}}, r"not WBC. Known: eosinophil"),
        ({"cell_um": {"monocyte": 0}}, r"should be diameters in microns, monocyte is 0"),
    ],
)
def test_wrong_settings_are_told(settings, said):
    with pytest.raises(CorpuscleError, match=said):
        plan_of(**settings)


@pytest.mark.slow
def test_real_masks_and_boxes_make_one_bank(sample_data, tmp_path):
    names = {"1": "neutrophil", "2": "lymphocyte", "3": "monocyte", "4": "eosinophil"}
    plan = plan_of(kind=names, drop_kind=["5", "WBC"])
    result = make_bank([sample_data / "wbc_masks", sample_data / "bccd"], tmp_path / "bank", plan)
    counts = {kind: sum(parts.values()) for kind, parts in result.bank.counts().items()}
    assert counts["neutrophil"] == 176 and counts["healthy RBC"] > 250 and counts["thrombocyte"] > 25
