"""Tiles of a slide are the squares of the whole, at the resolution that was asked for."""

from __future__ import annotations

import io
import os
import re
import sys
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from corpuscle.data.readers import jpeg_tiles, slides
from corpuscle.data.readers.image import ReadPlan, UnreadableImage, read_image
from corpuscle.data.readers.jpeg_tiles import jpeg_tiles_of
from corpuscle.data.readers.read import content_digest, exists, file_of, is_member, read_pixels
from corpuscle.data.readers.slides import is_slide, kept_slide, open_slide
from corpuscle.data.readers.tiles import read_tile, tile_of, tile_path
from corpuscle.synth import tiff
from corpuscle.synth.tiff import Level, pyramid_of, write_pyramid, write_tiled


def smooth(height, width):
    y, x = np.mgrid[:height, :width]
    return np.stack([x % 256, y % 256, (x + y) // 2 % 256], axis=-1).astype(np.uint8)


WHOLE_HWC = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (512, 768, 3), dtype=np.uint8), (0, 0), 3)
SMALL_HWC = WHOLE_HWC.reshape(256, 2, 384, 2, 3).mean(axis=(1, 3)).round()


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    """A pyramid of 768 x 512, 384 x 256 and 192 x 128 pixels of 0.5 microns, without loss."""
    path = tmp_path_factory.mktemp("slides") / "a.tiff"
    write_pyramid(path, *pyramid_of(WHOLE_HWC, 3, side=64), side=64, mpp=0.5)
    return path


@pytest.fixture(scope="module")
def jpeg(tmp_path_factory):
    """The same in JPEG tiles."""
    path = tmp_path_factory.mktemp("slides") / "j.tiff"
    write_pyramid(path, *pyramid_of(WHOLE_HWC, 3, side=64), side=64, quality=90, mpp=0.5)
    return path


def tile(path, left, top, side, pixels, plan=ReadPlan()):  # noqa: B008 (frozen)
    return read_tile(Path(tile_path(path, left, top, side, pixels)), plan)


@pytest.mark.parametrize(("left", "top", "side"), [(0, 0, 64), (128, 64, 64), (33, 70, 100), (500, 300, 128)])
def test_a_tile_of_the_full_resolution_is_that_square_of_the_whole(slide, left, top, side):
    pixels = tile(slide, left, top, side, side)
    np.testing.assert_array_equal(pixels.array_HWC, WHOLE_HWC[top : top + side, left : left + side])
    assert (pixels.mpp, pixels.note) == (0.5, "")


def test_a_coarser_tile_comes_from_the_level_nearest_above_it(slide, monkeypatch):
    asked = []
    read = slides.SlideWindows.read_level

    def noted(self, level, *place):
        asked.append((level, *place))
        return read(self, level, *place)

    monkeypatch.setattr(slides.SlideWindows, "read_level", noted)
    pixels = tile(slide, 128, 64, 256, 128)
    np.testing.assert_array_equal(pixels.array_HWC, SMALL_HWC[32:160, 64:192])
    assert pixels.mpp == 1.0
    third = tile(slide, 0, 0, 192, 64).array_HWC  # 3 to 1, from the level of 2 to 1
    np.testing.assert_array_equal(third, cv2.resize(SMALL_HWC[:96, :96].astype(np.uint8), (64, 64), interpolation=3))
    tile(slide, 0, 0, 512, 32)
    tile(slide, 0, 0, 32, 64)
    assert [level for level, *_ in asked] == [1, 1, 2, 0]


def test_an_enlarged_tile_has_as_many_pixels_as_were_asked_for(slide):
    pixels = tile(slide, 10, 20, 32, 64)
    wanted_HWC = cv2.resize(WHOLE_HWC[20:52, 10:42], (64, 64), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(pixels.array_HWC, wanted_HWC)
    assert pixels.mpp == 0.25


@pytest.mark.parametrize("kind", ["slide", "jpeg"])
def test_what_reaches_over_the_border_is_white(kind, request):
    array_HWC = tile(request.getfixturevalue(kind), 700, 480, 128, 128).array_HWC
    assert (array_HWC[32:] == 255).all() and (array_HWC[:, 68:] == 255).all()
    assert (open_slide(request.getfixturevalue(kind)).read(600, 900, 64, 64) == 255).all()
    assert np.abs(array_HWC[:32, :68].astype(int) - WHOLE_HWC[480:, 700:]).max() < 30


@pytest.mark.parametrize("places", [((0, 0), (64, 128)), ((1, 2), (100, 37), (300, 61)), ((740, 500), (767, 511))])
def test_jpeg_tiles_read_straight_from_the_file_are_those_of_openslide(jpeg, places):
    found = open_slide(jpeg)
    assert all(found.stored)
    for left, top in places:
        for level in (0, 1):
            ours_HWC = found.read_level(level, top >> level, left >> level, 64, 64)
            theirs_HWC = found._through_library(level, top >> level, left >> level, 64, 64)
            assert np.abs(ours_HWC.astype(int) - theirs_HWC).max() <= (0 if level == 0 or left % 2 == 0 else 60)


def test_a_real_slide_is_read_straight_from_the_file_with_the_pixels_of_the_image_reader(sample_data):
    path = sample_data / "slide" / "CMU-1-Small-Region.tiff"
    whole_HWC = read_image(path).array_HWC
    assert all(kept_slide(path).stored)
    for left, top, side in ((0, 0, 240), (240, 480, 240), (777, 1201, 300), (1900, 2600, 256)):
        np.testing.assert_array_equal(
            tile(path, left, top, side, side).array_HWC, whole_HWC[top : top + side, left : left + side]
        )


def test_two_decoders_that_differ_leave_the_word_to_openslide(tmp_path):
    path = tmp_path / "a.tiff"
    write_tiled(path, (64, 64), [np.full((64, 64, 3), (200, 30, 90), np.uint8)], side=64, quality=90)
    content = bytearray(path.read_bytes())
    colour = content.index((262).to_bytes(2, "little") + b"\3\0", int.from_bytes(content[4:8], "little"))
    content[colour + 8] = jpeg_tiles.RGB  # which the JPEG itself denies
    path.write_bytes(bytes(content))
    ours_HWC = jpeg_tiles_of(path)[0].read(0, 0, 64, 64)
    found = open_slide(path)
    assert found.stored == (None,)
    assert np.abs(found.read(0, 0, 64, 64).astype(int) - ours_HWC).mean() > 20


def test_tiles_that_a_scanner_left_out_are_white_both_ways(tmp_path):
    pictures = [np.full((64, 64, 3), shade, np.uint8) for shade in (50, 90)]
    place_RC = np.array([[0, -1, 1], [-1, 1, 0]])
    write_pyramid(tmp_path / "a.tiff", [Level((128, 192), place_RC)], pictures, 64, quality=95)
    found = open_slide(tmp_path / "a.tiff")
    assert found.stored[0] is not None
    ours_HWC = found.read(0, 0, 128, 192)
    np.testing.assert_array_equal(ours_HWC, found._through_library(0, 0, 0, 128, 192))
    assert (ours_HWC[:64, 64:128] == 255).all() and ours_HWC[0, 0].tolist() == [50, 50, 50]


def test_the_tiles_in_memory_stay_within_their_limit(jpeg, monkeypatch):
    monkeypatch.setattr(jpeg_tiles, "RECENT_BYTES", 5 * 64 * 64 * 3)
    monkeypatch.setattr(jpeg_tiles, "_RECENT", recent := jpeg_tiles._Recent())
    first = [tile(jpeg, left, 32, 64, 64).array_HWC for left in range(32, 600, 64)]
    assert len(recent.tiles) == 5 and recent.bytes == 5 * 64 * 64 * 3
    for left, array_HWC in zip(range(32, 600, 64), first, strict=True):
        np.testing.assert_array_equal(tile(jpeg, left, 32, 64, 64).array_HWC, array_HWC)


@pytest.mark.parametrize("thinned", ["4:4:4", "4:2:2", "4:2:0"])
def test_the_upper_part_of_a_jpeg_tile_is_decoded_alone_and_is_that_of_the_whole(tmp_path, monkeypatch, thinned):
    def encoded(tile_HWC, side, quality):
        file = io.BytesIO()
        Image.fromarray(tile_HWC).save(file, "JPEG", quality=quality, subsampling=thinned)
        return file.getvalue()

    monkeypatch.setattr(tiff, "_encoded", encoded)
    write_pyramid(tmp_path / "a.tiff", *pyramid_of(WHOLE_HWC, 1, side=128), side=128, quality=90)
    (tiles,) = jpeg_tiles_of(tmp_path / "a.tiff")
    whole_HWC = tiles._decoded(0, 128)
    for rows in (1, 7, 8, 15, 16, 17, 64, 100, 126, 127):
        upper_HWC = tiles._decoded(0, rows)
        assert rows <= len(upper_HWC) <= rows + 1
        np.testing.assert_array_equal(upper_HWC[:rows], whole_HWC[:rows])


def test_tiles_are_decoded_in_part_out_of_order_and_once_in_order(jpeg, monkeypatch):
    decoded, decode = [], jpeg_tiles.JpegTiles._decoded

    def noted(self, place, rows):
        decoded.append((place, rows))
        return decode(self, place, rows)

    tiles = open_slide(jpeg).stored[0]
    monkeypatch.setattr(jpeg_tiles, "_RECENT", jpeg_tiles._Recent())
    monkeypatch.setattr(jpeg_tiles.JpegTiles, "_decoded", noted)
    for left in (32, 96, 160):
        tiles.read(20, left, 64, 64)
    first, second = [(0, 64), (1, 64), (12, 20), (13, 20)], [(2, 64), (14, 64)]
    assert decoded == [*first, *second, (3, 64), (15, 64)]
    tiles.read(60, 400, 64, 64)
    assert decoded[8:] == [(6, 64), (7, 64), (18, 60), (19, 60)]


def test_other_files_have_no_jpeg_tiles(tmp_path, slide):
    Image.fromarray(WHOLE_HWC).save(tmp_path / "a.png")
    Image.fromarray(WHOLE_HWC).save(tmp_path / "strips.tiff", compression="jpeg")
    assert [jpeg_tiles_of(path) for path in (tmp_path / "a.png", tmp_path / "strips.tiff", slide)] == [[], [], []]


@pytest.mark.parametrize(
    ("name", "left"), [("a.svs#1024,0,512@256", 1024), ("b c#d.tiff#000007,3,1@9", 7), ("a.svs#1,2,0@5", None)]
)
def test_names_of_tiles(name, left):
    found = tile_of(Path(name))
    assert (found and found.left) == left
    assert is_member(Path(name)) == (left is not None)
    if found:
        assert tile_of(Path(tile_path(found.file, found.left, found.top, found.side, found.pixels))) == found
        assert file_of(Path(name)) == found.file


def test_a_tile_exists_where_it_begins_within_its_slide(slide):
    assert exists(Path(f"{slide}#767,511,64@64")) and not exists(Path(f"{slide}#768,0,64@64"))
    assert not exists(Path(f"{slide}x#0,0,64@64"))


def test_a_digest_names_the_slide_and_the_place(slide, tmp_path):
    places = [Path(f"{slide}#{name}") for name in ("0,0,64@64", "1,0,64@64", "0,0,64@32")]
    assert len({content_digest(path) for path in places}) == 3
    copy = tmp_path / "a.tiff"
    copy.write_bytes(slide.read_bytes())
    before = content_digest(Path(f"{copy}#0,0,64@64"))
    content = bytearray(copy.read_bytes())
    content[-1] ^= 1
    copy.write_bytes(bytes(content))
    assert content_digest(Path(f"{copy}#0,0,64@64")) != before
    assert content_digest(tmp_path / "none.tiff#0,0,64@64") == "unreadable: 2"


def test_the_folder_of_a_mirax_slide_is_part_of_its_digest(tmp_path):
    (tmp_path / "a.mrxs").write_bytes(b"x")
    (tmp_path / "a").mkdir()
    path = tmp_path / "a.mrxs#0,0,64@64"
    from corpuscle.data.readers import read

    before = content_digest(path)
    (tmp_path / "a" / "Data0000.dat").write_bytes(b"pixels")
    read._digests.clear()
    assert content_digest(path) != before


def test_several_threads_read_the_same_pixels(jpeg):
    places = [Path(tile_path(jpeg, left, 40, 64, 64)) for left in range(0, 700, 10)]
    alone = [read_pixels(path).array_HWC for path in places]
    with ThreadPoolExecutor(8) as pool:
        for one, other in zip(alone, pool.map(read_pixels, places), strict=True):
            np.testing.assert_array_equal(one, other.array_HWC)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_opens_its_own(slide):
    opened = kept_slide(slide)
    child = os.fork()
    if not child:
        os._exit(0 if kept_slide(slide) is not opened else 1)
    assert os.waitpid(child, 0)[1] == 0 and kept_slide(slide) is opened


def test_slides_stay_open_but_not_all_of_them(tmp_path, monkeypatch, slide):
    monkeypatch.setattr(slides, "KEPT", 2)
    paths = [tmp_path / f"{name}.tiff" for name in "abc"]
    for path in paths:
        path.write_bytes(slide.read_bytes())
    first = kept_slide(paths[0])
    assert kept_slide(paths[0]) is first
    for path in paths[1:]:
        kept_slide(path)
    assert kept_slide(paths[0]) is not first
    np.testing.assert_array_equal(first.read(0, 0, 64, 64), WHOLE_HWC[:64, :64])


def test_a_slide_that_changed_is_opened_anew(tmp_path):
    path = tmp_path / "a.tiff"
    write_tiled(path, (64, 64), [np.zeros((64, 64, 3), np.uint8)], side=64)
    assert tile(path, 0, 0, 64, 64).array_HWC.max() == 0
    write_tiled(path, (64, 80), [np.full((64, 80, 3), 9, np.uint8)], side=64)
    assert tile(path, 0, 0, 64, 64).array_HWC.min() == 9


@pytest.mark.parametrize("quality", [None, 90])
def test_a_damaged_tile_is_named_with_its_place_and_the_others_are_read(tmp_path, quality):
    path = tmp_path / "a.tiff"
    write_tiled(path, (128, 192), [smooth(128, 192)], side=64, quality=quality or 90)
    with Image.open(path) as image:
        start = image.tag_v2[324][4]
    content = bytearray(path.read_bytes())
    content[start : start + 4] = b"\0\0\0\0"
    path.write_bytes(bytes(content))
    for _ in range(2):
        says = r"a\.tiff#000064,000064,64@64: its pixels at row 64, column 64 cannot be decoded .+; replace it"
        with pytest.raises(UnreadableImage, match=says):
            tile(path, 64, 64, 64, 64)
        assert np.abs(tile(path, 0, 0, 64, 64).array_HWC.astype(int) - smooth(64, 64)).max() < 30


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("none.tiff#0,0,64@64", "none.tiff#0,0,64@64: cannot be read (No such file or directory); restore it"),
        (
            "text.svs#0,0,64@64",
            "text.svs#0,0,64@64: is no slide that OpenSlide opens, or is cut short or damaged; copy it",
        ),
        ("text.tiff#0,0,64@64", "text.tiff#0,0,64@64: is no slide that OpenSlide opens; save it as a tiled TIFF of 8"),
        ("a.tiff#768,0,64@64", "its corner lies outside of the slide, which has 768 x 512 pixels; name a place within"),
        ("a.tiff#0,0,512@512", "takes 262,144 pixels, more than the limit of 100,000; take a smaller one"),
        ("a.tiff", "a.tiff: is no tile of a slide; name it as in a.svs#1024,0,512@256"),
    ],
)
def test_what_is_no_tile_is_refused_with_the_slide_and_the_place(name, says, slide, monkeypatch):
    monkeypatch.setitem(sys.modules, "tiffslide", None)
    for kind in ("svs", "tiff"):
        (slide.parent / f"text.{kind}").write_text("no slide")
    with pytest.raises(UnreadableImage, match=re.escape(says)):
        read_tile(slide.parent / name, ReadPlan(max_pixels=100_000))


def test_a_truncated_slide_is_refused(tmp_path, slide):
    path = tmp_path / "cut.svs"
    path.write_bytes(slide.read_bytes()[: slide.stat().st_size // 2])
    with pytest.raises(UnreadableImage, match=r"cut\.svs#0,0,64@64: is cut short: its .* bytes end .*; copy it"):
        read_tile(Path(f"{path}#0,0,64@64"))


class TiffSlide:
    """Stands in for tiffslide's: OpenSlide's names, a region without transparency, black beyond the border."""

    dimensions, level_count = (768, 512), 1
    level_dimensions, level_downsamples = ((768, 512),), (1.0,)
    properties = {"tiffslide.mpp-x": 0.25, "tiffslide.mpp-y": 0.25, "openslide.mpp-x": None}  # noqa: RUF012

    def __init__(self, path):
        if path.suffix == ".bad":
            raise ValueError("not a TIFF\nat all")

    def read_region(self, place, level, size):
        return Image.fromarray(WHOLE_HWC).crop((*place, place[0] + size[0], place[1] + size[1]))


def test_tiffslide_opens_what_openslide_cannot(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tiffslide", types.SimpleNamespace(TiffSlide=TiffSlide))
    (tmp_path / "a.ome").write_text("x")
    pixels = tile(tmp_path / "a.ome", 100, 50, 64, 64)
    np.testing.assert_array_equal(pixels.array_HWC, WHOLE_HWC[50:114, 100:164])
    assert pixels.mpp == 0.25
    over_HWC = tile(tmp_path / "a.ome", 740, 500, 64, 64).array_HWC
    assert (
        over_HWC.shape == (64, 64, 3)
        and (over_HWC[12:] == 255).all()
        and (over_HWC[:12, :28] == WHOLE_HWC[500:, 740:]).all()
    )
    (tmp_path / "a.bad").write_text("x")
    says = re.escape("is no slide that OpenSlide opens, nor does tiffslide (not a TIFF); save it as a tiled TIFF")
    with pytest.raises(UnreadableImage, match=says):
        tile(tmp_path / "a.bad", 0, 0, 64, 64)


def test_a_slide_is_known_by_its_suffix_or_by_the_sizes_in_it(tmp_path, slide):
    write_tiled(tmp_path / "one.tiff", (128, 192), [smooth(128, 192)], side=64)
    Image.fromarray(WHOLE_HWC).save(tmp_path / "strips.tiff")
    (tmp_path / "text.tiff").write_text("no TIFF")
    assert [is_slide(path) for path in (slide, tmp_path / "x.svs", tmp_path / "x.png")] == [True, True, False]
    others = [tmp_path / name for name in ("one.tiff", "strips.tiff", "text.tiff", "none.tiff")]
    assert [is_slide(path) for path in others] == [False] * 4
    assert [is_slide(path, named=True) for path in others] == [True, False, False, False]


def test_a_slide_of_aperio_is_known_by_its_description_or_by_a_later_page(sample_data, tmp_path):
    svs = tmp_path / "svs.tif"
    svs.write_bytes((sample_data / "slide" / "CMU-1-Small-Region.tiff").read_bytes())
    with Image.open(svs) as image:
        assert image.tag_v2[270].startswith("Aperio")
    assert is_slide(svs)
    svs.write_bytes(svs.read_bytes().replace(b"Aperio", b"Others"))
    assert not is_slide(svs)


def test_a_slide_that_is_cut_short_warns_of_nothing(tmp_path, slide, recwarn):
    (tmp_path / "cut.tiff").write_bytes(slide.read_bytes()[: slide.stat().st_size - 100])
    assert not is_slide(tmp_path / "cut.tiff") and not recwarn.list
