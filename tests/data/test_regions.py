"""Annotations become regions, and regions become shares of tiles."""

from __future__ import annotations

import json
import re

import cv2
import numpy as np
import pytest

from corpuscle.core.errors import CorpuscleError
from corpuscle.data.readers.slides import open_slide
from corpuscle.data.regions.asap import read_asap
from corpuscle.data.regions.beside import Annotations, read_annotation, slide_stem
from corpuscle.data.regions.cover import covered, covered_by, grid_of
from corpuscle.data.regions.qupath import read_qupath
from corpuscle.data.regions.raster import Raster, thumbnail, tissue, values_of
from corpuscle.data.regions.region import Region, outside
from corpuscle.synth.tiff import Level, pyramid_of, write_pyramid, write_tiled

SQUARE = [(10, 20), (30, 20), (30, 60), (10, 60)]


def asap(*annotations, root="ASAP_Annotations"):
    """(group, type, corners) of each."""
    parts = []
    for number, (group, kind, corners) in enumerate(annotations):
        places = "".join(f'<Coordinate Order="{k}" X="{x}" Y="{y}" />' for k, (x, y) in enumerate(corners))
        parts.append(
            f'<Annotation Name="Annotation {number}" Type="{kind}" PartOfGroup="{group}" Color="#F4FA58">'
            f"<Coordinates>{places}</Coordinates></Annotation>"
        )
    return f'<?xml version="1.0"?>\n<{root}><Annotations>{"".join(parts)}</Annotations><AnnotationGroups /></{root}>'


def feature(name, coordinates, kind="Polygon"):
    properties = {"objectType": "annotation"} | ({"classification": {"name": name}} if name else {})
    return {"type": "Feature", "geometry": {"type": kind, "coordinates": coordinates}, "properties": properties}


def closed(corners):
    return [list(corner) for corner in [*corners, corners[0]]]


def qupath(path, *features, whole=True):
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features} if whole else features))
    return path


# -------------------------------------------------------------------------------------------------------------- files


def test_asap_gives_its_areas_by_group_closed_or_not_and_in_their_order(tmp_path):
    turned = [(k, SQUARE[k]) for k in (2, 0, 3, 1)]
    text = asap(("Tumor", "Polygon", SQUARE), ("_2", "Spline", closed(SQUARE)), ("None", "Rectangle", SQUARE))
    shuffled = "".join(f'<Coordinate Order="{k}" X="{x}" Y="{y}"/>' for k, (x, y) in turned)
    text = text.replace(text[text.index("<Coordinates>") + 13 : text.index("</Coordinates>")], shuffled, 1)
    (tmp_path / "a.xml").write_text(text)
    drawn = read_asap(tmp_path / "a.xml")
    assert drawn.faults == () and [region.layer for region in drawn.regions] == ["Tumor", "_2", ""]
    for region in drawn.regions:
        assert region.point_P2.tolist() == [list(corner) for corner in SQUARE] and region.holes == ()


def test_qupath_gives_polygons_with_holes_and_each_part_of_several(tmp_path):
    hole = closed([(15, 30), (20, 30), (20, 40)])
    features = feature("Tumor", [closed(SQUARE), hole]), feature("", [[closed(SQUARE)], [hole]], "MultiPolygon")
    for whole in (True, False):
        drawn = read_qupath(qupath(tmp_path / "a.geojson", *features, whole=whole))
        assert drawn.faults == () and [region.layer for region in drawn.regions] == ["Tumor", "", ""]
        assert drawn.regions[0].holes[0].tolist() == hole[:-1]
        assert drawn.regions[2].point_P2.tolist() == hole[:-1]


def test_qupath_writes_a_class_in_several_ways_and_marks_beside_areas(tmp_path):
    classes = [{"names": ["Tumor", "CD8"]}, "Stroma", {"name": "Fat", "color": [1, 2, 3]}, None]
    features = [feature("", [closed(SQUARE)]) | {"properties": {"classification": one}} for one in classes]
    marks = feature("a", SQUARE[0], "Point"), feature("b", SQUARE, "LineString")
    drawn = read_qupath(qupath(tmp_path / "a.geojson", *marks, *features))
    assert drawn.faults == () and [region.layer for region in drawn.regions] == ["Tumor: CD8", "Stroma", "Fat", ""]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "cannot be read (No such file or directory)"),
        ("<ASAP_Annotations>", "is not whole XML (no element found"),
        ("<annotation/>", "begins with <annotation>, <ASAP_Annotations> was expected"),
        (asap(("Tumor", "Polygon", SQUARE[:2])), "has 2 corners, an area was expected, which has 3 at least"),
        (asap(("Tumor", "Polygon", [(0, 0), (1, 1), (0, 0)])), "has 2 corners"),
        (asap(("Tumor", "Polygon", [])), "has 0 corners"),
        (asap(("Tumor", "Polygon", [(0, 0), (50, 50), (200, 200)])), "encloses no area, its corners lie on one line"),
        (asap().replace("?>", ' encoding="klingon"?>', 1), "is not whole XML (unknown encoding"),
        (asap().replace("?>", ' encoding="utf-32"?>', 1), "is not whole XML (multi-byte encodings are not supported"),
        (asap(("Tumor", "Dot", [(1, 1)])), "is a Dot, one of Polygon, Spline, Rectangle was expected"),
        (asap(("Tumor", "Polygon", [("x", 1), (1, 2), (2, 2)])), "has a corner without two numbers"),
        (asap(("Tumor", "Polygon", [("nan", 1), (1, 2), (2, 2)])), "has a corner that is not two numbers"),
        (asap(("Tumor", "Polygon", SQUARE)).replace('X="10"', "", 1), "has a corner without two numbers"),
    ],
)
def test_what_is_wrong_with_a_file_of_asap(tmp_path, text, says):
    if text is not None:
        (tmp_path / "a.xml").write_text(text)
    drawn = read_asap(tmp_path / "a.xml")
    assert len(drawn.faults) == 1 and drawn.regions == ()
    assert says in str(drawn.faults[0]) and str(tmp_path / "a.xml") in drawn.faults[0].where


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read (No such file or directory)"),
        ("{", "is not JSON"),
        ("{}", "has no list of GeoJSON features"),
        ([feature("a", SQUARE, "LineString")], "is a LineString, a Polygon or MultiPolygon was expected"),
        ([feature("a", [SQUARE])], "is open: it begins at [10, 20] and ends at [10, 60]"),
        ([feature("a", [closed(SQUARE[:2])])], "has 2 corners, an area was expected"),
        ([feature("a", [])], "has no corners"),
        ([feature("a", [[["x", 1], [1, 2], ["x", 1]]])], "has a corner that is not two numbers"),
        ([feature("a", [[[1], [1, 2], [2, 3], [1]]])], "has a corner that is not two numbers"),
        ([{}], "is no feature with a geometry of areas"),
    ],
)
def test_what_is_wrong_with_a_file_of_qupath(tmp_path, content, says):
    if content is not None:
        (tmp_path / "a.geojson").write_text(content if isinstance(content, str) else json.dumps(content))
    drawn = read_qupath(tmp_path / "a.geojson")
    assert len(drawn.faults) == 1 and drawn.regions == () and says in str(drawn.faults[0])


def test_all_that_is_wrong_with_a_file_is_said_at_once_and_the_rest_is_read(tmp_path):
    (tmp_path / "a.xml").write_text(asap(("a", "Dot", []), ("b", "Polygon", SQUARE), ("c", "Polygon", SQUARE[:1])))
    drawn = read_asap(tmp_path / "a.xml")
    places = [f"{tmp_path / 'a.xml'}, annotation Annotation {number}" for number in (0, 2)]
    assert [fault.where for fault in drawn.faults] == places
    assert [region.layer for region in drawn.regions] == ["b"]
    features = feature("a", [SQUARE]), feature("b", [closed(SQUARE)]), feature("c", [SQUARE])
    drawn = read_qupath(qupath(tmp_path / "a.geojson", *features))
    assert [fault.where[-8:] for fault in drawn.faults] == ["object 1", "object 3"] and len(drawn.regions) == 1


def test_a_region_whose_middle_is_not_on_the_slide_is_a_fault():
    inside = Region("a", np.array(SQUARE, float), where="first")
    over = Region("a", np.array([(-50, 0), (60, 0), (60, 30)], float), where="second")
    far = Region("a", np.array(SQUARE, float) + np.array([0, 1000]), where="third")
    (fault,) = outside([inside, over, far], height=100, width=200)
    assert (fault.where, fault.what) == (
        "third",
        "lies around x 20, y 1040, outside of the slide, which has 200 x 100 pixels",
    )


@pytest.mark.parametrize(("name", "stem"), [("x/a.b.XML", "a.b"), ("a_mask.TIFF", "a"), ("a.tif", None), ("a", None)])
def test_the_slide_of_an_annotation_has_its_stem(name, stem):
    assert slide_stem(name) == stem


def test_an_annotation_lies_beside_its_slide_or_in_a_folder_and_there_is_one(tmp_path):
    slide = tmp_path / "a.svs"
    beside, far = tmp_path / "a.XML", [tmp_path / "drawn" / name for name in ("a.geojson", "a_mask.tif", "b.xml")]
    assert Annotations([slide], [tmp_path / "b.xml"]).of(slide) is None
    for files in ([beside], far[:1]):
        assert Annotations([slide], files).of(slide) == files[0] and not Annotations([slide], files).unused()
    both = Annotations([slide], [beside, far[0]])
    assert both.of(slide) == beside and both.unused() == far[:1]
    says = r"a\.svs: has the annotations a\.geojson and a_mask\.tif, one was expected; remove the others"
    with pytest.raises(CorpuscleError, match=says):
        Annotations([slide], far).of(slide)
    assert Annotations([slide], far).unused() == far[2:]


def test_an_annotation_elsewhere_is_of_no_slide_if_two_have_its_name(tmp_path):
    first, second = (tmp_path / part / "a.svs" for part in ("train", "test"))
    says = (
        f"{first}: may have the annotation {tmp_path / 'a.xml'}, but so may {second}; lay it beside the slide it is of"
    )
    with pytest.raises(CorpuscleError, match=re.escape(says)):
        Annotations([first, second], [tmp_path / "a.xml"]).of(first)
    named = Annotations([first, second], [tmp_path / "train" / "a.xml"])
    assert (named.of(first), named.of(second)) == (tmp_path / "train" / "a.xml", None)


# ------------------------------------------------------------------------------------------------------------- shares


def test_shares_of_polygons_are_those_of_the_pixels():
    grid = grid_of((600, 800), 128, 100)
    angle_P = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    ring_P2 = np.stack([np.cos(angle_P), np.sin(angle_P)], axis=1)
    regions = [
        Region("a", 300 + 200 * ring_P2, (280 + 90 * ring_P2,)),
        Region("a", (600, 500) + 60 * ring_P2),
        Region("b", np.array([(500.0, 0.0), (900.0, 0.0), (900.0, 300.0), (500.0, 300.0)])),
        Region("b", 280 + 30 * ring_P2),  # on the hole, which must not cut it out
    ]
    mask_HW = np.zeros((600, 800), np.uint8)
    for region in regions:
        own_HW = np.zeros_like(mask_HW)
        cv2.fillPoly(own_HW, [np.rint(region.point_P2 - 0.5).astype(int)], 1)
        for hole_P2 in region.holes:
            cv2.fillPoly(own_HW, [np.rint(hole_P2 - 0.5).astype(int)], 0)
        mask_HW |= own_HW
    share_RC = covered_by(regions, grid)
    assert share_RC.shape == (6, 8) and share_RC.sum() > 0 and share_RC.max() <= 1
    assert np.abs(share_RC - covered(mask_HW > 0, 1, grid)).max() < 0.02
    assert covered_by([], grid).max() == 0


def test_areas_that_touch_have_no_gap_between_them():
    corner_82 = np.array([(x, y) for x in range(0, 128, 16) for y in range(0, 128, 16)], float)
    square_42 = np.array([(0.0, 0.0), (16.0, 0.0), (16.0, 16.0), (0.0, 16.0)])
    shares = [covered_by([Region("a", corner_2 + square_42) for corner_2 in corner_82], grid_of((128, 128), 128, 128))]
    assert shares[0].item() > 0.98
    twice = covered_by([Region("a", corner_82[0] + 4 * square_42)] * 2, grid_of((128, 128), 128, 128))
    assert abs(twice.item() - 0.25) < 0.02


def test_nothing_beyond_the_border_of_a_slide_is_covered():
    around = Region("a", np.array([(-1e9, -1e9), (1e12, -1e9), (1e12, 1e12), (-1e9, 1e12)]))
    grid = grid_of((100, 90), 64, 64)
    inside_RC = covered(np.ones((100, 90), bool), 1, grid)
    assert np.abs(covered_by([around], grid) - inside_RC).max() < 0.02 and inside_RC[1, 1] < 0.3


def test_shares_of_a_raster_are_exact_at_any_resolution_and_nothing_lies_beyond_the_border():
    mask_HW = np.zeros((10, 10), bool)
    mask_HW[2:6, 2:9] = True
    fine_HW = np.kron(mask_HW, np.ones((7, 7))) > 0
    grid = grid_of((70, 70), 16, 11)
    wanted_RC = np.array([[fine_HW[y : y + 16, x : x + 16].sum() / 256 for x in grid.left_C] for y in grid.top_R])
    np.testing.assert_allclose(covered(mask_HW, 7, grid), wanted_RC, atol=1e-6)
    np.testing.assert_allclose(covered(fine_HW, 1, grid), wanted_RC, atol=1e-6)


@pytest.mark.parametrize(
    ("length", "side", "stride", "starts"),
    [(100, 100, 100, [0]), (101, 100, 100, [0, 100]), (30, 100, 50, [0]), (250, 100, 75, [0, 75, 150])],
)
def test_the_tiles_of_a_grid_cover_the_slide(length, side, stride, starts):
    grid = grid_of((length, 40), side, stride)
    assert grid.top_R.tolist() == starts and starts[-1] + side >= length


# ------------------------------------------------------------------------------------------------------------- tissue


def stained(height, width, *, seed=0):
    """Glass with a square of stained tissue in its middle."""
    rng = np.random.default_rng(seed)
    array_HWC = np.full((height, width, 3), 243, np.int16)
    array_HWC[height // 4 : -height // 4, width // 4 : -width // 4] = (200, 130, 180)
    return np.clip(array_HWC + rng.integers(-6, 7, array_HWC.shape), 0, 255).astype(np.uint8)


def test_tissue_is_found_on_glass(tmp_path):
    write_pyramid(tmp_path / "a.tiff", *pyramid_of(stained(512, 1024), 4, 64), 64, mpp=0.5)
    small = thumbnail(open_slide(tmp_path / "a.tiff"), 64)
    assert small.downsample == 8 and small.array.shape == (64, 128, 3)
    mask_HW = tissue(small, 64)
    wanted_HW = np.zeros((64, 128), bool)
    wanted_HW[16:48, 32:96] = True
    assert (mask_HW != wanted_HW).sum() < 150
    share_RC = covered(mask_HW, small.downsample, grid_of((512, 1024), 64, 64))
    assert share_RC[0].max() == 0 and share_RC[3, 8] == 1


def test_the_noise_of_a_dark_border_is_no_tissue():
    dark_HWC = np.random.default_rng(0).integers(0, 12, (100, 100, 3)).astype(np.uint8)
    assert not tissue(Raster(dark_HWC, 8.0), 64).any()


@pytest.mark.parametrize("shade", [243, 255, 20])
def test_bare_glass_has_none_and_neither_has_dust(shade):
    noise_HWC = np.random.default_rng(0).integers(-4, 5, (100, 100, 3))
    array_HWC = np.clip(np.full((100, 100, 3), shade) + noise_HWC, 0, 255).astype(np.uint8)
    if shade == 20:
        array_HWC[:] = shade
    assert not tissue(Raster(array_HWC, 8.0), 64).any()
    array_HWC[50:53, 50:53] = (200, 100, 150)
    assert not tissue(Raster(array_HWC, 8.0), 64).any()


def test_a_slide_full_of_tissue_is_tissue_all_over():
    array_HWC = np.full((100, 100, 3), (190, 120, 170), np.uint8)
    array_HWC[:50] = (120, 60, 140)
    assert tissue(Raster(array_HWC, 8.0), 64).all()


def test_the_tissue_of_a_real_slide(sample_data):
    small = thumbnail(open_slide(sample_data / "slide" / "CMU-1-Small-Region.tiff"), 256)
    mask_HW = tissue(small, 256)
    glass_HW = small.array.min(axis=2) > 225
    assert 0.3 < mask_HW.mean() < 0.45 and (mask_HW & glass_HW).sum() < 0.1 * mask_HW.sum()


def test_a_slide_without_small_levels_is_averaged_band_by_band(tmp_path, monkeypatch):
    whole_HWC = stained(530, 700)
    write_tiled(tmp_path / "a.tiff", whole_HWC.shape[:2], [whole_HWC], 64)
    monkeypatch.setattr("corpuscle.data.regions.raster.BAND_PIXELS", 700 * 70)
    small = thumbnail(open_slide(tmp_path / "a.tiff"), 64)
    monkeypatch.setattr("corpuscle.data.regions.raster.BAND_PIXELS", 1 << 24)
    np.testing.assert_array_equal(small.array, thumbnail(open_slide(tmp_path / "a.tiff"), 64).array)
    assert small.array.shape == (67, 88, 3)
    np.testing.assert_allclose(small.array[30, 40], whole_HWC[240:248, 320:328].mean(axis=(0, 1)), atol=0.51)


# -------------------------------------------------------------------------------------------------------------- masks


def mask_file(path, value_HW, side=64, quality=None):
    array_HWC = np.repeat(value_HW[..., None].astype(np.uint8), 3, axis=2)
    write_tiled(path, value_HW.shape, [array_HWC], side, quality)
    return path


def test_a_mask_gives_the_shares_of_its_values(tmp_path):
    write_tiled(tmp_path / "a.tiff", (512, 512), [stained(512, 512)], 64)
    value_HW = np.zeros((256, 256), int)  # half the resolution of its slide
    value_HW[:128], value_HW[128:, :64] = 2, 7
    mask_file(tmp_path / "a_mask.tif", value_HW)
    annotation = read_annotation(tmp_path / "a_mask.tif", open_slide(tmp_path / "a.tiff"), 128)
    assert annotation.faults == () and annotation.layers == ("2", "7")
    grid = grid_of((512, 512), 128, 128)
    assert annotation.covers(["2"], grid).tolist() == [[1] * 4, [1] * 4, [0] * 4, [0] * 4]
    assert annotation.covers(["7"], grid)[3].tolist() == [1, 0, 0, 0]
    assert annotation.covers(["2", "7"], grid).sum() == 10 and annotation.covers([], grid).max() == 0


def test_what_is_wrong_with_a_mask(tmp_path):
    write_tiled(tmp_path / "a.tiff", (128, 256), [stained(128, 256)], 64)
    slide = open_slide(tmp_path / "a.tiff")
    write_tiled(tmp_path / "c_mask.tif", (128, 256), [stained(128, 256)], 64)
    many_HW = np.arange(128 * 256).reshape(128, 256) // 17 % 200
    paths = {
        "has 128 x 128 pixels, its slide 256 x 128": mask_file(tmp_path / "s_mask.tif", np.zeros((128, 128))),
        "is in colour, a mask of one value a layer was expected": tmp_path / "c_mask.tif",
        "different values, at most 32 were expected": mask_file(tmp_path / "m_mask.tif", many_HW),
        "cannot be read (No such file or directory)": tmp_path / "none_mask.tif",
    }
    for says, path in paths.items():
        (fault,) = read_annotation(path, slide, 16).faults
        assert says in fault.what and fault.where == str(path) and fault.remedy


def test_values_are_taken_and_never_mixed(tmp_path):
    value_HW = np.indices((256, 256)).sum(axis=0) // 40 % 2 * 200
    pictures = [np.repeat(value_HW[..., None].astype(np.uint8), 3, axis=2)]
    write_pyramid(tmp_path / "a_mask.tif", [Level((256, 256), np.zeros((1, 1), int))], pictures, 256)
    values = values_of(open_slide(tmp_path / "a_mask.tif"), 32)
    assert values.downsample == 4 and values.size_HW == (64, 64) and set(values.of) == {0, 200}
    wanted_HW = (value_HW == 200).reshape(64, 4, 64, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(values.of[200], wanted_HW, atol=1e-6)
    np.testing.assert_allclose(values.of[0], 1 - wanted_HW, atol=1e-6)


def test_shares_of_a_mask_of_small_areas_are_those_of_its_pixels(tmp_path):
    write_tiled(tmp_path / "a.tiff", (530, 600), [stained(530, 600)], 64)
    value_HW = np.zeros((530, 600), np.uint8)
    for y, x in np.random.default_rng(0).integers(0, 520, (40, 2)):
        cv2.circle(value_HW, (int(x), int(y)), 13, 3, -1)
    annotation = read_annotation(mask_file(tmp_path / "a_mask.tif", value_HW), open_slide(tmp_path / "a.tiff"), 64)
    grid = grid_of((530, 600), 64, 37)
    wanted_RC = covered(value_HW == 3, 1, grid)
    assert np.abs(annotation.covers(["3"], grid) - wanted_RC).max() < 0.02 and wanted_RC.max() > 0.2


def test_a_mask_whose_smaller_levels_are_averages_says_so(tmp_path):
    write_tiled(tmp_path / "a.tiff", (500, 500), [stained(500, 500)], 64)
    value_HWC = np.zeros((500, 500, 3), np.uint8)
    value_HWC[:237, :211] = 255
    write_pyramid(tmp_path / "a_mask.tif", *pyramid_of(value_HWC, 4, 64), 64)
    (fault,) = read_annotation(tmp_path / "a_mask.tif", open_slide(tmp_path / "a.tiff"), 128).faults
    assert re.fullmatch(r"has the values [\d, ]+ in a smaller level alone, which was averaged", fault.what)
    assert fault.remedy == "save smaller levels by the nearest neighbour, or none" and "255" not in fault.what
