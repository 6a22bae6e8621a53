"""Images that look wrong: what is said of them, and what is passed over."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest
from PIL import Image

from corpuscle.data.cache import SCHEMA, survey
from corpuscle.data.doctor.faults import image_faults
from corpuscle.data.readers.image import ReadPlan
from corpuscle.data.sources import scan
from corpuscle.data.table import COLUMNS, Table

USUAL = {
    "content": "0f",
    "height": 64,
    "width": 80,
    "mode": "RGB, 8 bits",
    "format": "PNG",
    "brightness": 0.7,
    "contrast": 0.15,
    "black": 0.0,
    "white": 0.0,
    "sharpness": 0.6,
    **dict.fromkeys(("bar_top", "bar_bottom", "bar_left", "bar_right"), 0.0),
}


def seen_of(*odd, many=40, labels="ab", **usual):
    """Findings on many usual images of some classes, by turns, and some that differ by the values given."""
    random = np.random.default_rng(0)
    rows = [
        USUAL
        | usual
        | {"brightness": 0.7 + random.normal(0, 0.01), "sharpness": 0.6 + random.normal(0, 0.01)}
        | {"image": f"{number:03d}.png", "label": labels[number % len(labels)] if labels else None}
        for number in range(many)
    ]
    rows += [USUAL | usual | {"image": f"odd{number}.png", "label": "a"} | one for number, one in enumerate(odd)]
    names = pl.DataFrame(rows, schema={"image": pl.String, "label": pl.String})
    frame = pl.DataFrame(rows, schema=SCHEMA)
    columns = {name: pl.lit(None, kind) for name, kind in COLUMNS.items() if name not in names.columns}
    return image_faults(Table(names.with_columns(**columns), Path("root"), ("a", "b"), "rows"), frame)


def said(findings):
    return [(finding.kind, str(finding)) for finding in findings]


def test_of_images_that_are_alike_nothing_is_said():
    assert seen_of() == [] and seen_of(many=0) == [] and seen_of(labels="") == []


def test_of_sixteen_bits_a_camera_may_use_the_lowest_and_what_it_shows_is_not_blank():
    dim = {"brightness": 0.006, "contrast": 0.002, "mode": "16-bit grey to RGB"}
    assert "blank" not in {finding.kind for finding in seen_of(dim, dim | {"mode": "RGB, 16 bits"})}
    assert [finding.kind for finding in seen_of(dim | {"contrast": 0.0004})].count("blank") == 1
    assert [finding.kind for finding in seen_of(dim | {"mode": "grey to RGB, page 16 of 20 pages"})].count("blank") == 1


@pytest.mark.parametrize(
    ("odd", "kind", "words"),
    [
        (
            {"contrast": 0.001, "brightness": 0.2, "sharpness": 0.0},
            "blank",
            "odd0.png: one grey level all over (51 ± 0.3 of 255); take it again, or leave it out",
        ),
        (
            {"sharpness": 0.3},
            "blurred",
            "odd0.png: its sharpness is 0.30, the median is 0.60; look at it, and leave it out if it shows too little",
        ),
        (
            {"brightness": 0.1, "black": 0.4},
            "dark",
            "odd0.png: its brightness is 0.10, the median is 0.70; 40% of it is black; look at it, and leave it out "
            "if it shows too little",
        ),
        (
            {"brightness": 0.95},
            "bright",
            "odd0.png: its brightness is 0.95, the median is 0.70; look at it, and leave it out if it shows too little",
        ),
        (
            {"bar_top": 0.1, "bar_bottom": 0.12},
            "letterboxed",
            "odd0.png: bars along its sides (10% top, 12% bottom); cut them off, or leave it out",
        ),
        (
            {"format": "JPEG"},
            "suffix",
            "JPEG named .png: 1 of 41 images (odd0.png); give it a suffix of JPEG",
        ),
        (
            {"mode": "grey to RGB"},
            "mode",
            "1 of 41 images (odd0.png) is of another mode than most, which are RGB, 8 bits: grey to RGB (1); see that "
            "they come from the same source",
        ),
        (
            {"height": 60},
            "size",
            "1 of 41 images (odd0.png) is of another size than most, which are 64 × 80: 60 × 80 (1); see that nothing "
            "was cut off, and that the scale is the same",
        ),
    ],
)
def test_an_odd_image_is_named_with_its_values(odd, kind, words):
    findings = seen_of(odd)
    assert said(findings) == [(kind, words)]
    assert findings[0].images == ("odd0.png",) and findings[0].as_dict()["values"]


def test_what_cannot_be_read_is_left_to_the_audit():
    nothing = dict.fromkeys(USUAL) | {"fault": "cannot be decoded", "remedy": "replace it"}
    assert seen_of(nothing) == []


def test_a_class_that_is_dark_or_blurred_as_a_whole_is_not_odd():
    dark = [{"label": "c", "brightness": 0.2, "sharpness": 0.3, "bar_top": 0.1} for _ in range(12)]
    assert seen_of(*dark, many=120) == []
    darker = {"label": "c", "brightness": 0.01, "sharpness": 0.3}
    assert [(one.kind, one.images) for one in seen_of(*dark, darker, many=120)] == [("dark", ("odd12.png",))]


def test_a_class_of_few_images_is_held_against_all():
    assert [one.kind for one in seen_of({"label": "c", "brightness": 0.1})] == ["dark"]


def test_of_few_images_none_is_unusual():
    assert seen_of({"brightness": 0.1, "sharpness": 0.1}, many=8) == []
    assert [one.kind for one in seen_of({"contrast": 0.0}, many=8)] == ["blank"], "that is a fact"


def test_a_small_difference_is_none_however_alike_the_others_are():
    assert seen_of({"brightness": 0.6, "sharpness": 0.5, "bar_left": 0.04}) == []


def test_bars_that_many_images_have_are_of_the_data_set():
    barred = {"bar_left": 0.1, "bar_right": 0.1}
    assert [one.kind for one in seen_of(*[barred] * 4)] == ["letterboxed"] * 4
    assert seen_of(*[barred] * 5) == []


def test_of_sizes_in_many_kinds_only_giants_and_dwarfs_are_named():
    random = np.random.default_rng(0)
    many = [{"height": int(side), "width": int(side) + 9} for side in random.integers(90, 300, 60)]
    assert seen_of(*many, {"height": 60, "width": 60}, {"height": 900, "width": 400}, many=10) == []
    found = seen_of(*many, {"height": 8, "width": 8}, {"height": 9000, "width": 9000}, many=10)
    assert [(one.kind, one.images) for one in found] == [("size", ("odd60.png",)), ("size", ("odd61.png",))]
    assert str(found[0]).startswith("odd60.png: 8 × 8 pixels, where the median side is ")


def test_sizes_and_modes_are_one_finding_with_their_numbers():
    odd = [{"height": 60}] * 2 + [{"height": 70 + number} for number in range(5)]
    (finding,) = seen_of(*odd)
    assert str(finding).startswith(
        "7 of 47 images (first: odd0.png) are of another size than most, which are 64 × 80: 60 × 80 (2); 70 × 80 (1); "
        "71 × 80 (1); 72 × 80 (1) and 2 more; "
    )
    assert len(finding.images) == 7 and finding.values["others"]["60 × 80"] == 2


@pytest.mark.parametrize("mode", ["turned upright (EXIF orientation 6)", "RGB, 8 bits"])
def test_an_image_that_was_turned_upright_is_of_no_other_mode(mode):
    assert seen_of({"mode": mode}) == []


@pytest.mark.parametrize(
    ("name", "kind", "wrong"),
    [
        ("a.JPG", "JPEG", False),
        ("a.jfif", "JPEG", False),
        ("a.dib", "BMP", False),
        ("a.pgm", "PPM", False),
        ("a.tif", "TIFF", False),
        ("a", "TIFF", False),
        ("a.h5#3", None, False),
        ("a.tif", "PNG", True),
        ("a.jpeg", "PNG", True),
    ],
)
def test_a_suffix_is_held_against_the_content(name, kind, wrong):
    assert [one.kind for one in seen_of({"image": name, "format": kind})] == ["suffix"] * wrong


def test_scenes_that_nobody_measured_have_no_faults():
    frame = pl.DataFrame([("a", "x", None, None, "rows", None)], schema=COLUMNS, orient="row")
    seen = pl.DataFrame({"content": ["0f"], "height": [4], "width": [4]})
    assert image_faults(Table(frame, Path("root"), ("x",), "scenes"), seen) == []


@pytest.fixture
def folder(tmp_path):
    """Thirty cells of two classes, of which six are spoilt."""
    random = np.random.default_rng(0)
    for number in range(30):
        image_HWC = np.full((90, 100, 3), (215, 205, 235), np.uint8)
        for _ in range(8):
            cv2.circle(image_HWC, tuple(int(at) for at in random.integers(10, 80, 2)), 9, (130, 40, 90), -1)
        image_HWC -= random.integers(6, size=image_HWC.shape, dtype=np.uint8)
        image_HWC = {
            3: lambda image: cv2.GaussianBlur(image, (0, 0), 4),
            4: lambda image: image // 8,
            5: lambda image: np.clip(2.0 * image, 0, 255).astype(np.uint8),
            6: lambda image: cv2.copyMakeBorder(image[10:-10], 10, 10, 0, 0, cv2.BORDER_CONSTANT),
            7: lambda image: np.full_like(image, 200),
        }.get(number, lambda image: image)(image_HWC)
        path = tmp_path / "ab"[number % 2] / f"{number:02d}.png"
        path.parent.mkdir(exist_ok=True)
        if number == 8:
            Image.fromarray(image_HWC[..., ::-1]).save(path, "JPEG", quality=90)
        else:
            cv2.imwrite(str(path), image_HWC)
    return tmp_path


def test_spoilt_images_are_found_by_a_survey_and_no_others(folder):
    table = scan(folder)
    found = image_faults(table, survey(table, ReadPlan(), None).frame)
    assert {(one.kind, one.images) for one in found} == {
        ("blurred", ("b/03.png",)),
        ("dark", ("a/04.png",)),
        ("bright", ("b/05.png",)),
        ("letterboxed", ("a/06.png",)),
        ("blank", ("b/07.png",)),
        ("suffix", ("a/08.png",)),
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("bccd", {"blurred": {"JPEGImages/BloodImage_00224.jpg", "JPEGImages/BloodImage_00292.jpg"}}),
        ("bone_marrow", {}),
        ("vgg_cells", {}),
    ],
)
def test_of_real_images_only_the_blurred_are_named(sample_data, name, found):
    table = scan(sample_data / name)
    findings = image_faults(table, survey(table, ReadPlan(), None).frame)
    assert {one.kind: {image for other in findings for image in other.images} for one in findings} == found
