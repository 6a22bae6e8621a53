"""The cache: keyed by content, whole or absent, and never in the way."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import cv2
import h5py
import numpy as np
import polars as pl
import pytest

from corpuscle.core.progress import Progress
from corpuscle.data import cache, room
from corpuscle.data.cache import Uncached, cache_folder, survey, survey_few
from corpuscle.data.doctor.looks import LOOKS, looks_of
from corpuscle.data.prepare import PreparePlan, prepare
from corpuscle.data.readers.image import ReadPlan, read_image
from corpuscle.data.sources import SourcePlan, scan
from corpuscle.data.sources.plan import SlidePlan
from corpuscle.synth.tiff import write_tiled

SMALL = PreparePlan(size=16)


@pytest.fixture(autouse=True)
def kept(tmp_path, monkeypatch):
    """A cache of the test's own."""
    monkeypatch.setenv("CORPUSCLE_CACHE", str(tmp_path / "kept"))
    return tmp_path / "kept"


@pytest.fixture
def folder(tmp_path):
    """Ten images of two classes, one of them no image."""
    rng = np.random.default_rng(0)
    for number in range(10):
        write(tmp_path / "data" / "ab"[number % 2] / f"{number}.png", rng.integers(0, 255, (20, 24, 3), np.uint8))
    (tmp_path / "data" / "b" / "bad.png").write_text("text")
    return tmp_path / "data"


def write(path, image_HWC):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image_HWC)


def survey_of(folder, plan=SMALL, keep=True, progress=cache.SILENT):
    return survey(scan(folder), ReadPlan(), plan, keep, progress)


def entries(kept):
    """Names in the cache, hidden ones too."""
    return sorted(path.name for path in kept.iterdir()) if kept.exists() else []


def images(found):
    """Canvases of the sound images."""
    return [np.array(found.canvases[place]) for place in np.flatnonzero(found.frame["fault"].is_null().to_numpy())]


def expected(folder):
    """What the reader and the preparation give, one by one."""
    table = scan(folder)
    sound = [table.path_of(image) for image in table.frame["image"] if "bad" not in image]
    return [prepare(read_image(path).array_HWC, SMALL) for path in sound]


@pytest.mark.parametrize("keep", [True, False])
def test_canvases_are_those_of_reader_and_preparation(folder, kept, keep):
    found = survey_of(folder, keep=keep)
    assert found.cached is keep and len(entries(kept)) == int(keep)
    assert all(np.array_equal(a, b) for a, b in zip(images(found), expected(folder), strict=True))
    assert found.canvases.dtype == np.uint8


def test_what_the_pass_found_is_the_same_with_and_without_a_cache_and_from_it(folder):
    frames = [survey_of(folder, keep=keep).frame for keep in (False, True, True)]
    assert frames[0].equals(frames[1]) and frames[1].equals(frames[2])
    row = frames[0].filter(pl.col("fault").is_not_null()).row(0, named=True)
    assert row["fault"].startswith("is a text file") and row["remedy"] == "replace it by a whole copy, or leave it out"
    sound = frames[0].drop_nulls("content")
    assert set(sound["height"]) == {20} and set(sound["width"]) == {24} and set(sound["mode"]) == {"RGB, 8 bits"}


def test_a_second_run_decodes_nothing(folder, monkeypatch):
    first = survey_of(folder)
    monkeypatch.setattr(cache, "read_pixels", None)
    assert all(np.array_equal(a, b) for a, b in zip(images(survey_of(folder)), images(first), strict=True))


def test_the_same_content_under_another_name_is_found_again(folder, kept, tmp_path):
    survey_of(folder)
    folder.rename(tmp_path / "moved")
    (tmp_path / "moved" / "a").rename(tmp_path / "moved" / "aa")
    survey_of(tmp_path / "moved")
    assert len(entries(kept)) == 1


def test_changed_content_is_never_taken_for_the_old(folder, kept):
    survey_of(folder)
    path = folder / "a" / "0.png"
    stamp = path.stat()
    write(path, np.zeros((20, 24, 3), np.uint8))
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    found = survey_of(folder)
    assert len(entries(kept)) == 2 and not images(found)[0].any()


def test_another_preparation_or_limit_is_another_entry(folder, kept):
    survey_of(folder)
    survey_of(folder, PreparePlan(size=17))
    survey(scan(folder), ReadPlan(max_pixels=1000), SMALL)
    assert len(entries(kept)) == 3


def test_sixteen_bits_are_kept_and_eight_bits_among_them_are_widened(folder, kept):
    deep = np.random.default_rng(1).integers(0, 65535, (20, 24, 3), np.uint16)
    write(folder / "a" / "z.png", deep)
    for keep in (True, False):
        found = survey_of(folder, keep=keep)
        assert found.canvases.dtype == np.uint16
        by_name = dict(zip([path.stem for path in sorted(folder.glob("a/*.png"))], images(found), strict=False))
        assert np.array_equal(by_name["z"], prepare(deep[..., ::-1], SMALL))
        assert np.array_equal(by_name["0"], expected(folder)[0].astype(np.uint16) * 257)
    assert len(entries(kept)) == 1


# --- canvases of different sizes

KEEP = PreparePlan(fit="keep", shrink=2)


@pytest.fixture
def sizes(tmp_path):
    """Images of five sizes, one of a single pixel, with one that cannot be read in their middle."""
    rng = np.random.default_rng(0)
    for number, size_HW in enumerate([(20, 24), (7, 31), (40, 3), (1, 1), (64, 65)]):
        write(tmp_path / "sizes" / "ab"[number % 2] / f"{number}.png", rng.integers(0, 255, (*size_HW, 3), np.uint8))
    (tmp_path / "sizes" / "a" / "3.png").write_text("text")
    return tmp_path / "sizes"


def each(folder, plan):
    """What the reader and the preparation give, by place; None where an image cannot be read."""
    table = scan(folder)
    paths = [table.path_of(image) for image in table.frame["image"]]
    return [None if path.name == "3.png" and path.parent.name == "a" else one(path, plan) for path in paths]


def one(path, plan):
    return prepare(read_image(path).array_HWC, plan)


@pytest.mark.parametrize("keep", [True, False])
def test_images_of_different_sizes_lie_in_one_cache(sizes, kept, keep):
    for _ in range(2):
        found = survey_of(sizes, KEEP, keep)
        expected_N = each(sizes, KEEP)
        assert len({canvas.shape for canvas in expected_N if canvas is not None}) == 5
        for place, canvas_HWC in enumerate(expected_N):
            if canvas_HWC is not None:
                assert np.array_equal(found.canvases[place], canvas_HWC)
    assert len(entries(kept)) == int(keep)
    assert "canvas_height" not in found.frame.columns


def test_an_image_that_cannot_be_read_takes_no_room_in_the_cache(sizes, kept):
    found = survey_of(sizes, KEEP)
    place = [canvas is None for canvas in each(sizes, KEEP)].index(True)
    assert found.canvases[place].shape == (0, 0, 3)
    total = sum(canvas.size for canvas in each(sizes, KEEP) if canvas is not None)
    assert (kept / entries(kept)[0] / cache.CANVASES).stat().st_size == total


def test_sixteen_bits_of_different_sizes_are_kept(sizes, kept):
    deep = np.random.default_rng(1).integers(0, 65535, (9, 50, 3), np.uint16)
    write(sizes / "b" / "z.png", deep)
    found = survey_of(sizes, KEEP)
    places = {Path(image).name: place for place, image in enumerate(scan(sizes).frame["image"])}
    assert found.canvases.dtype == np.uint16 and found.canvases[places["z.png"]].shape == (5, 25, 3)
    assert np.array_equal(found.canvases[places["z.png"]], prepare(deep[..., ::-1], KEEP))
    plain = one(sizes / "a" / "0.png", KEEP)
    assert np.array_equal(found.canvases[places["0.png"]], plain.astype(np.uint16) * 257)


def test_only_images_that_cannot_be_read_make_a_cache_of_nothing(sizes, kept):
    for path in sizes.rglob("*.png"):
        path.write_text("text")
    for _ in range(2):
        found = survey_of(sizes, KEEP)
        assert found.cached and found.frame["fault"].null_count() == 0


def test_another_process_is_sent_the_place_of_the_pixels_and_not_the_pixels(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (300, 300, 3), np.uint8)
    write(tmp_path / "large" / "a" / "0.png", pixels)
    write(tmp_path / "large" / "b" / "1.png", pixels[:99])
    canvases = survey_of(tmp_path / "large", KEEP).canvases
    before = [np.array(canvases[place]) for place in (0, 1)]  # the file has been opened
    sent = pickle.dumps(canvases)
    assert len(sent) < 2000
    there = pickle.loads(sent)
    assert all(np.array_equal(there[place], before[place]) for place in (0, 1)) and there.dtype == np.uint8


def test_what_lies_in_the_cache_cannot_be_changed(sizes):
    with pytest.raises(ValueError, match="read-only"):
        survey_of(sizes, KEEP).canvases[0][0, 0] = 0


def test_a_few_images_are_kept_in_memory_by_their_place(folder, kept):
    paths = [folder / "b" / "bad.png", folder / "b" / "1.png"]
    found = survey_few(paths, ReadPlan(), SMALL)
    assert found.frame["fault"].is_null().to_list() == [False, True]
    assert np.array_equal(found.canvases[1], prepare(read_image(paths[1]).array_HWC, SMALL))
    assert entries(kept) == []


def test_without_a_preparation_it_only_looks(folder, kept):
    found = survey(scan(folder), ReadPlan(), None)
    assert found.canvases is None and found.frame.drop_nulls("content").height == 10 and entries(kept) == []


def test_the_folder_is_the_one_named_else_the_users(monkeypatch, tmp_path):
    assert cache_folder() == tmp_path / "kept"
    monkeypatch.delenv("CORPUSCLE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "corpuscle"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "corpuscle"


# --- kills and company

FILL = """
    import sys, time
    from pathlib import Path
    from corpuscle.data import cache
    from corpuscle.data.prepare import PreparePlan
    from corpuscle.data.readers.image import ReadPlan
    from corpuscle.data.sources import scan
    look = cache._look_at_one
    def slowly(*args, **kwargs):
        print("looking", flush=True)
        time.sleep({seconds})
        return look(*args, **kwargs)
    cache._look_at_one = slowly
    found = cache.survey(scan(Path(sys.argv[1])), ReadPlan(), PreparePlan(size=16))
    print(found.cached, int(found.canvases[0].sum()), flush=True)
"""


def start(folder, seconds):
    code = textwrap.dedent(FILL.format(seconds=seconds))
    return subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True)


def test_a_kill_while_filling_leaves_nothing_that_is_used_and_is_cleaned_up_later(folder, kept):
    with start(folder, 0.5) as process:
        assert process.stdout.readline().startswith("looking")  # two threads may say it in one line
        process.send_signal(signal.SIGKILL)
    left = entries(kept)
    assert len(left) == 1 and left[0].startswith("."), "a half-filled folder under another name"
    found = survey_of(folder)
    assert all(np.array_equal(a, b) for a, b in zip(images(found), expected(folder), strict=True))
    assert left[0] in entries(kept), "it could be another process's, at work"
    long_ago = time.time() - 2 * room.ABANDONED_S
    for path in (*(kept / left[0]).iterdir(), kept / left[0]):
        os.utime(path, (long_ago, long_ago))
    survey_of(folder, PreparePlan(size=17))
    assert left[0] not in entries(kept) and len(entries(kept)) == 2


def test_two_processes_that_fill_at_once_both_get_the_whole(folder, kept):
    processes = [start(folder, 0.05) for _ in range(2)]
    said = [process.communicate(timeout=60)[0].splitlines()[-1] for process in processes]
    assert said == [f"True {int(expected(folder)[0].sum())}"] * 2
    assert len(entries(kept)) == 1 and not entries(kept)[0].startswith(".")


def test_an_interrupted_filling_is_removed(folder, kept, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(cache, "_look_at_one", interrupted)
    with pytest.raises(KeyboardInterrupt):
        survey_of(folder)
    assert entries(kept) == []


# --- disks


def goes_on_without(folder, capsys, reason):
    found = survey_of(folder, progress=Progress(shown=True))
    assert not found.cached and isinstance(found.canvases, Uncached)
    assert all(np.array_equal(a, b) for a, b in zip(images(found), expected(folder), strict=True))
    assert f"({reason}); images are decoded each time" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_gone_without(folder, kept, capsys):
    kept.write_text("a file in the way")
    goes_on_without(folder, capsys, "File exists")


def test_a_disk_without_room_is_gone_without(folder, kept, capsys, monkeypatch):
    usage = shutil.disk_usage(folder)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    goes_on_without(folder, capsys, "No space left on device")
    assert entries(kept) == []


def test_a_disk_that_fills_meanwhile_is_gone_without_and_left_clean(folder, kept, capsys, monkeypatch):
    class Full(io.FileIO):
        def write(self, content):
            if self.tell() > 3000:
                raise OSError(28, "No space left on device")
            return super().write(content)

    sound = Path.open
    monkeypatch.setattr(
        Path, "open", lambda self, *args, **more: (Full if self.name == cache.CANVASES else sound)(self, *args, **more)
    )
    goes_on_without(folder, capsys, "No space left on device")
    assert entries(kept) == []


def test_beyond_the_limit_the_longest_unused_goes_first(folder, kept, monkeypatch):
    size = 11 * 16 * 16 * 3
    monkeypatch.setattr(room, "LIMIT_BYTES", 3.5 * (size + 128))  # and a little for the file's header
    made = []
    for level in (1, 2, 3):
        write(folder / "a" / "0.png", np.full((20, 24, 3), level, np.uint8))
        survey_of(folder)
        made.append(next(name for name in entries(kept) if name not in made))
        os.utime(kept / made[-1], (level, level))
    write(folder / "a" / "0.png", np.full((20, 24, 3), 1, np.uint8))
    survey_of(folder)  # the first is used again
    write(folder / "a" / "0.png", np.full((20, 24, 3), 4, np.uint8))
    survey_of(folder)
    assert made[1] not in entries(kept)
    assert {made[0], made[2]} <= set(entries(kept)) and len(entries(kept)) == 3


def features_of(kept, name, size, used):
    """An entry of features, last used at some time."""
    (kept / room.FEATURES / name).mkdir(parents=True)
    (kept / room.FEATURES / name / "rows.npy").write_bytes(bytes(size))
    os.utime(kept / room.FEATURES / name, (used, used))


def test_features_and_canvases_share_the_limit_and_the_longest_unused_goes_first(folder, kept, monkeypatch):
    survey_of(folder)
    (canvases,) = entries(kept)
    os.utime(kept / canvases, (2, 2))
    for name, used in (("old", 1), ("new", 3)):
        features_of(kept, name, 10_000, used)
    monkeypatch.setattr(room, "LIMIT_BYTES", 30_000)
    room.make_room(kept, 5_000)  # 8,448 of canvases, and 20,000
    assert entries(kept / room.FEATURES) == ["new"] and canvases in entries(kept)
    room.make_room(kept, 15_000)
    assert entries(kept / room.FEATURES) == ["new"] and canvases not in entries(kept)


def test_half_a_file_of_features_is_cleaned_up_once_it_is_abandoned(kept):
    features_of(kept, "one", 10, time.time())
    for name, age in ((".a.npy.1.part", 2 * room.ABANDONED_S), (".b.npy.2.part", 0)):
        (kept / room.FEATURES / "one" / name).touch()
        os.utime(kept / room.FEATURES / "one" / name, (time.time() - age,) * 2)
    room.make_room(kept, 0)
    assert entries(kept / room.FEATURES / "one") == [".b.npy.2.part", "rows.npy"]


@pytest.mark.parametrize("plan", [KEEP, PreparePlan(fit="keep", shrink=1), SMALL])
def test_the_room_that_is_reserved_is_what_the_canvases_take(sizes, kept, plan, monkeypatch):
    reserved = []
    monkeypatch.setattr(cache, "make_room", lambda folder, need: reserved.append(need))
    (sizes / "a" / "3.png").unlink()  # no image
    survey_of(sizes, plan)
    assert reserved == [(kept / entries(kept)[0] / cache.CANVASES).stat().st_size]


def test_the_room_for_tiles_of_a_slide_is_reserved_by_their_names(tmp_path, kept, monkeypatch):
    write_tiled(tmp_path / "a.tiff", (64, 64), [np.full((64, 64, 3), (190, 90, 150), np.uint8)], 64)
    reserved = []
    monkeypatch.setattr(cache, "make_room", lambda folder, need: reserved.append(need))
    plan = SourcePlan(labels="none", slides=SlidePlan(tile=16, stride=24))
    survey(scan(tmp_path / "a.tiff", plan), ReadPlan(), KEEP)
    assert reserved == [9 * 8 * 8 * 3] == [(kept / entries(kept)[0] / cache.CANVASES).stat().st_size]


def test_the_room_for_images_of_an_hdf5_file_is_reserved_by_its_shape(tmp_path, kept, monkeypatch):
    with h5py.File(tmp_path / "training.h5", "w") as file:
        file["x"], file["y"] = np.zeros((5, 10, 21, 3), np.uint8), np.arange(5)
    reserved = []
    monkeypatch.setattr(cache, "make_room", lambda folder, need: reserved.append(need))
    survey_of(tmp_path / "training.h5", KEEP)
    assert reserved == [5 * 5 * 11 * 3] == [(kept / entries(kept)[0] / cache.CANVASES).stat().st_size]


def test_a_survey_measures_each_image_and_keeps_it_with_the_canvases(folder, kept, monkeypatch):
    monkeypatch.setattr(cache, "TOGETHER", 4)  # rows come in several pieces
    first = survey_of(folder)
    again, uncached, unprepared = survey_of(folder), survey_of(folder, keep=False), survey_of(folder, plan=None)
    assert len(entries(kept)) == 1 and first.frame.columns == list(cache.SCHEMA)
    for other in (again, uncached, unprepared):
        assert other.frame.equals(first.frame)
    sound = first.frame.filter(pl.col("fault").is_null())
    assert len(sound) == 10 and sound["format"].unique().to_list() == ["PNG"]
    path = scan(folder).path_of("a/0.png")
    expected = looks_of(read_image(path))
    assert {name: sound[name][0] for name in LOOKS} == expected and expected["file_bytes"] == path.stat().st_size
    bad = first.frame.filter(pl.col("fault").is_not_null())
    assert bad.select(*LOOKS).null_count().row(0) == (1,) * len(LOOKS)


def test_a_few_images_that_are_predicted_are_not_measured(folder):
    found = survey_few([folder / "a" / "0.png"], ReadPlan(), SMALL).frame
    assert found.columns == list(cache.SCHEMA) and found["sharpness"].null_count() == 1 and found["content"][0]
