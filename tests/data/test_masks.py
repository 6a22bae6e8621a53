"""Masks: what each kind of file says, how they are shrunk, and one pass over all of them."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from PIL import Image

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.legend import IGNORED, SMEAR, Legend
from corpuscle.core.progress import Progress
from corpuscle.data import cache, masks
from corpuscle.data.cache import survey
from corpuscle.data.masks import prepare_mask, read_mask, survey_masks
from corpuscle.data.prepare import PreparePlan, prepare
from corpuscle.data.readers.image import ReadPlan, UnreadableImage
from corpuscle.data.table import COLUMNS, Table

GREY = Legend(
    ("background", "cytoplasm", "nucleus"),
    {0: 0, 128: 1, 255: 2, 7: IGNORED},
    ((0, 0, 0), (0, 255, 0), (255, 0, 0)),
)
VALUE_HW = np.array([[0, 128, 255], [255, 7, 0]], np.uint8)
CLASS_HW = [[0, 1, 2], [2, IGNORED, 0]]
KEEP = PreparePlan(fit="keep", shrink=2)


@pytest.fixture(autouse=True)
def kept(tmp_path, monkeypatch):
    """A cache of the test's own."""
    monkeypatch.setenv("CORPUSCLE_CACHE", str(tmp_path / "kept"))
    return tmp_path / "kept"


def saved(tmp_path, image, suffix=".png", **more):
    path = tmp_path / f"x{suffix}"
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **more)
    return path


# --- reading


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".gif"])
def test_grey_values_become_class_numbers(tmp_path, suffix):
    mask_HW = read_mask(saved(tmp_path, VALUE_HW, suffix), GREY)
    assert mask_HW.dtype == np.uint8 and mask_HW.tolist() == CLASS_HW


def test_grey_in_three_channels_and_in_sixteen_bits_is_read_by_the_same_legend(tmp_path):
    assert read_mask(saved(tmp_path, VALUE_HW[..., None].repeat(3, 2)), GREY).tolist() == CLASS_HW
    for suffix in (".png", ".tif"):
        assert read_mask(saved(tmp_path, VALUE_HW.astype(np.uint16), suffix), GREY).tolist() == CLASS_HW


def test_sixteen_bit_values_beyond_eight_bits_are_kept_apart(tmp_path):
    legend = Legend(("background", "a"), {0: 0, 256: 1, 65535: IGNORED}, ((0, 0, 0),) * 2)
    path = saved(tmp_path, np.array([[0, 256, 65535]], np.uint16))
    assert read_mask(path, legend).tolist() == [[0, 1, IGNORED]]


def test_one_bit_is_black_and_white_or_0_and_1_as_the_legend_has_it(tmp_path):
    path = saved(tmp_path, Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1"))
    white = Legend(("background", "a"), {0: 0, 255: 1}, ((0, 0, 0),) * 2)
    one = Legend(("background", "a"), {0: 0, 1: 1}, ((0, 0, 0),) * 2)
    assert read_mask(path, white).tolist() == read_mask(path, one).tolist() == [[0, 1]]


def palette_image():
    """Indices 0, 1 and 2, drawn black, rose and olive."""
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8)).convert("P")
    image.putpalette([0, 0, 0, 251, 190, 190, 128, 128, 0])
    return image


def test_a_palette_is_read_by_its_indices(tmp_path):
    legend = Legend(("background", "a", "b"), {0: 0, 1: 2, 2: 1}, ((0, 0, 0),) * 3)
    assert read_mask(saved(tmp_path, palette_image()), legend).tolist() == [[0, 2, 1]]


def test_a_palette_is_read_by_its_colours_where_the_legend_names_them(tmp_path):
    path = saved(tmp_path, palette_image())
    neutrophil, lymphocyte = SMEAR.classes.index("neutrophil"), SMEAR.classes.index("lymphocyte")
    assert read_mask(path, SMEAR).tolist() == [[0, neutrophil, lymphocyte]]
    colours = Legend(SMEAR.classes, {c: k for k, c in enumerate(SMEAR.colours)}, SMEAR.colours)
    assert read_mask(path, colours).tolist() == [[0, neutrophil, lymphocyte]]


def test_the_classes_of_a_smear_are_read_from_numbers_and_from_colours(tmp_path):
    number_HW = np.arange(10, dtype=np.uint8).reshape(2, 5)
    assert read_mask(saved(tmp_path, number_HW), SMEAR).tolist() == number_HW.tolist()
    colours = np.array(SMEAR.colours, np.uint8)[number_HW]
    for suffix in (".png", ".tif", ".bmp"):
        assert read_mask(saved(tmp_path, colours, suffix), SMEAR).tolist() == number_HW.tolist()


def test_grey_files_follow_a_legend_of_grey_colours(tmp_path):
    legend = Legend(("background", "a"), {(0, 0, 0): 0, (255, 255, 255): 1}, ((0, 0, 0),) * 2)
    assert read_mask(saved(tmp_path, np.array([[0, 255]], np.uint8)), legend).tolist() == [[0, 1]]


def test_a_legend_without_a_value_of_the_files_kind_names_none_of_its_values(tmp_path):
    colours = Legend(("background", "a"), {(0, 0, 9): 0, (255, 0, 0): 1}, ((0, 0, 0),) * 2)
    with pytest.raises(UnreadableImage, match=r"holds 2 pixels of values that the legend does not name \(3, 70000\)"):
        read_mask(saved(tmp_path, np.array([[3, 70000]], np.int32), ".tif"), colours)
    numbers = Legend(("background", "a"), {300: 0, 400: 1}, ((0, 0, 0),) * 2)
    with pytest.raises(UnreadableImage, match=r"holds 1 pixels of values that the legend does not name \(#ff0000\)"):
        read_mask(saved(tmp_path, np.array([[[255, 0, 0]]], np.uint8)), numbers)


def test_what_is_wholly_transparent_is_background(tmp_path):
    rgba = np.array([[[255, 0, 0, 255], [255, 255, 255, 0], [255, 0, 0, 3]]], np.uint8)
    infected = SMEAR.classes.index("infected RBC")
    assert read_mask(saved(tmp_path, rgba), SMEAR).tolist() == [[infected, 0, infected]]


def test_a_mask_is_turned_upright_as_its_image_is(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    path = saved(tmp_path, VALUE_HW, exif=exif)
    assert read_mask(path, GREY).tolist() == np.rot90(CLASS_HW, -1).tolist()


def test_values_without_a_name_are_told_with_their_number_the_commonest_first(tmp_path):
    value_HW = np.zeros((10, 10), np.uint8)
    value_HW[0, :7] = [1, 2, 3, 4, 5, 6, 8]
    value_HW[1:3] = 90
    with pytest.raises(UnreadableImage, match=r"holds 27 pixels of values .* \(90, 1, 2, 3, 4 and 3 more\); add them"):
        read_mask(saved(tmp_path, value_HW), GREY)
    with pytest.raises(UnreadableImage, match=r"holds 1 pixels of values .* \(#010203\); add"):
        read_mask(saved(tmp_path, np.array([[[0, 0, 0], [1, 2, 3]]], np.uint8)), SMEAR)


def test_lossy_files_and_large_ones_and_real_numbers_are_refused(tmp_path):
    with pytest.raises(UnreadableImage, match=r"x\.jpg: is a JPEG file, which does not keep values; save it as a grey"):
        read_mask(saved(tmp_path, VALUE_HW, ".jpg"), GREY)
    with pytest.raises(UnreadableImage, match=r"3 x 2 pixels, more than the limit of 5; pass --set read\.max_pixels=6"):
        read_mask(saved(tmp_path, VALUE_HW), GREY, ReadPlan(max_pixels=5))
    with pytest.raises(UnreadableImage, match=r"is of the kind F, numbers or colours were expected"):
        read_mask(saved(tmp_path, VALUE_HW.astype(np.float32), ".tif"), GREY)


# --- preparing


@pytest.mark.parametrize("shrink", [1, 2, 4, 8])
@pytest.mark.parametrize("size_HW", [(16, 24), (17, 23), (1, 3)])
def test_a_mask_has_the_size_of_its_images_canvas(size_HW, shrink):
    plan = PreparePlan(fit="keep", shrink=shrink)
    canvas_HWC = prepare(np.zeros((*size_HW, 3), np.uint8), plan)
    assert prepare_mask(np.zeros(size_HW, np.uint8), plan).shape == canvas_HWC.shape[:2]


def test_a_shrunken_mask_lies_where_its_shrunken_image_lies():
    y, x = np.mgrid[:100, :100]
    mask_HW = ((y - 37) ** 2 + (x - 61) ** 2 < 900).astype(np.uint8)
    shown_HW = prepare(mask_HW[..., None].repeat(3, 2) * 255, PreparePlan(fit="keep", shrink=4))[..., 0]
    small_HW = prepare_mask(mask_HW, PreparePlan(fit="keep", shrink=4))
    sure_HW = (shown_HW == 0) | (shown_HW == 255)
    assert 0.8 < sure_HW.mean() < 1 and np.array_equal(small_HW[sure_HW], shown_HW[sure_HW] // 255)


@pytest.mark.parametrize("fit", ["pad", "crop", "stretch"])
@pytest.mark.parametrize("size_HW", [(100, 140), (90, 60), (40, 40)])
@pytest.mark.parametrize("centre", [1.0, 0.8])
def test_a_mask_lies_on_a_square_canvas_where_its_image_lies(fit, size_HW, centre):
    y, x = np.mgrid[: size_HW[0], : size_HW[1]]
    mask_HW = ((y - 0.4 * size_HW[0]) ** 2 + (x - 0.6 * size_HW[1]) ** 2 < 200).astype(np.uint8)
    plan = PreparePlan(fit=fit, size=64, centre_crop=centre)
    shown_HW = prepare(mask_HW[..., None].repeat(3, 2) * 255, plan)[..., 0]
    small_HW = prepare_mask(mask_HW, plan)
    assert small_HW.shape == shown_HW.shape == (64, 64) and set(np.unique(small_HW)) == {0, 1}
    sure_HW = (shown_HW == 0) | (shown_HW == 255)
    assert 0.8 < sure_HW.mean() < 1 and np.array_equal(small_HW[sure_HW], shown_HW[sure_HW] // 255)


def test_canvases_that_masks_do_not_follow_are_refused():
    with pytest.raises(CorpuscleError, match=r"that keep their surround, got prepare\.trim_border=true; pass --set"):
        prepare_mask(np.zeros((4, 4), np.uint8), PreparePlan(size=4, trim_border=True))


# --- surveying


@pytest.fixture
def table(tmp_path):
    """Five images: a sound mask, a wrong value, another size, none, and an empty one."""
    rng = np.random.default_rng(0)
    names = ["a.png", "b.png", "c.png", "d.png", "e.png"]
    own = [np.full((6, 9), 128, np.uint8), np.full((6, 9), 77, np.uint8), np.zeros((9, 6), np.uint8), None]
    own.append(np.zeros((5, 5), np.uint8))
    own[0][0, :3] = [255, 7, 0]
    for name, mask_HW in zip(names, own, strict=True):
        size_HW = (6, 9) if name != "e.png" else (5, 5)
        Image.fromarray(rng.integers(0, 255, (*size_HW, 3), np.uint8)).save(tmp_path / name)
        if mask_HW is not None:
            Image.fromarray(mask_HW).save(tmp_path / f"m_{name}")
    rows = [(name, None, None, None, "x", None) for name in names]
    mask = [None if mask is None else f"m_{name}" for name, mask in zip(names, own, strict=True)]
    frame = pl.DataFrame(rows, schema=COLUMNS, orient="row").with_columns(mask=pl.Series(mask, dtype=pl.String))
    return Table(frame, tmp_path, GREY.classes, "images and masks", legend=GREY)


def looked(table, plan=KEEP, keep=True, **more):
    seen = survey(table, ReadPlan(), None).frame
    return survey_masks(table, seen, ReadPlan(), plan, keep, **more), seen


@pytest.mark.parametrize("keep", [True, False])
def test_the_pass_gives_masks_pixels_and_faults_with_and_without_a_cache_and_from_it(table, kept, keep):
    for _ in range(2):
        found, _ = looked(table, keep=keep)
        whole = read_mask(table.path_of("m_a.png"), GREY)
        assert np.array_equal(found.masks[0], prepare_mask(whole, KEEP)) and found.masks[4].shape == (3, 3)
        assert found.masks[3].shape == (0, 0)
        assert found.frame["pixels"].to_list() == [[1, 51, 1], None, None, None, [25, 0, 0]]
        assert found.frame["fault"].to_list() == [
            None,
            "its mask m_b.png: holds 54 pixels of values that the legend does not name (77)",
            "is 9 x 6 pixels, its mask m_c.png is 6 x 9",
            None,
            None,
        ]
        assert found.frame["remedy"].to_list()[2] == "save the mask at the size of the image"
    assert len(list(kept.glob("*"))) == int(keep)


def test_a_second_run_decodes_no_mask_and_another_legend_or_shrinkage_or_mask_is_another_entry(
    table, kept, monkeypatch
):
    looked(table)
    with monkeypatch.context() as patch:
        patch.setattr(masks, "read_mask", None)
        assert looked(table)[0].frame["pixels"].to_list()[0] == [1, 51, 1]
    merged = Legend(GREY.classes, {**GREY.number_of, 128: 2}, GREY.colours)
    other = Table(table.frame, table.root, table.classes, table.layout, legend=merged)
    assert looked(other)[0].frame["pixels"].to_list()[0] == [1, 0, 52]
    looked(table, PreparePlan(fit="keep", shrink=4))
    Image.fromarray(np.zeros((6, 9), np.uint8)).save(table.path_of("m_a.png"))
    assert looked(table)[0].frame["pixels"].to_list()[0] == [54, 0, 0]
    assert len(list(kept.glob("*"))) == 4


def test_masks_in_the_cache_take_a_byte_a_pixel(table, kept):
    looked(table)
    (file,) = kept.glob(f"*/{cache.CANVASES}")
    assert file.stat().st_size == 3 * 5 + 3 * 3


def test_a_disk_without_a_cache_is_gone_without(table, kept, capsys):
    kept.write_text("a file in the way")
    found, _ = looked(table, progress=Progress(shown=True))
    assert "masks are decoded each time" in capsys.readouterr().err
    assert np.array_equal(found.masks[0], prepare_mask(read_mask(table.path_of("m_a.png"), GREY), KEEP))


def test_a_fault_of_either_is_one_of_both(table):
    table.path_of("a.png").write_text("text")
    found, seen = looked(table, None)
    joined = found.joined(seen)
    assert found.masks is None
    assert joined["fault"].is_null().to_list() == [False, False, False, True, True]
    assert joined["fault"][0].startswith("is a text file") and joined["pixels"].to_list()[4] == [25, 0, 0]


def test_canvases_of_another_kind_are_refused_before_any_mask_is_read(table):
    with pytest.raises(CorpuscleError, match=r"masks expect images that keep their surround"):
        looked(table, PreparePlan(size=16, trim_border=True))


def test_masks_of_square_canvases_are_kept_too(table):
    found, _ = looked(table, PreparePlan(size=16))
    assert found.masks[0].shape == (16, 16)
