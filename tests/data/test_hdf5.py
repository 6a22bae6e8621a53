"""Images in HDF5 files: as a data set, as pixels, and as what a prediction is asked for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest

from corpuscle.core.errors import CorpuscleError, DataFault
from corpuscle.core.files import digest_of
from corpuscle.data.readers import hdf5
from corpuscle.data.readers.image import ReadPlan, UnreadableImage
from corpuscle.data.readers.read import content_digest, exists, is_member, read_pixels
from corpuscle.data.sources import SourcePlan, scan
from corpuscle.data.sources.images import list_images

IMAGE_NHWC = np.random.default_rng(0).integers(0, 256, (12, 6, 5, 3), dtype=np.uint8)
COUNT_N = np.arange(12)


def h5(path: Path, chunks: object = None, **sets: object) -> Path:
    """A file of `x`, `y` and whatever else; None leaves a data set out."""
    with h5py.File(path, "w") as file:
        for name, values in ({"x": IMAGE_NHWC, "y": COUNT_N} | sets).items():
            if values is not None:
                compressed = {"chunks": chunks, "compression": "gzip"} if name == "x" and chunks else {}
                file.create_dataset(name, data=values, **compressed)
    return path


def faults(path: Path, **plan: object) -> list[str]:
    """What a scan complains of."""
    with pytest.raises(DataFault) as caught:
        scan(path, SourcePlan(**plan))
    return [str(fault) for fault in caught.value.faults]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What is asked of the data sets of HDF5 files."""
    asked: list[object] = []
    get = h5py.Dataset.__getitem__

    def noted(self: h5py.Dataset, key: object, **others: object) -> object:
        asked.append(key)
        return get(self, key, **others)

    monkeypatch.setattr(h5py.Dataset, "__getitem__", noted)
    return asked


# ------------------------------------------------------------------------------------------------------------ data sets


@pytest.mark.parametrize("by_folder", [False, True])
def test_a_file_is_a_data_set_of_its_rows_in_their_order(tmp_path, reads, by_folder):
    path = h5(tmp_path / "training.h5", organ=["colon"] * 5 + ["breast"] * 7, slide=[b"p"] * 6 + [b"q"] * 6)
    table = scan(tmp_path if by_folder else path)
    assert (table.layout, table.classes) == ("one HDF5 file", ("lymphocyte",))
    assert table.frame["image"].to_list() == [f"training.h5#{row}" for row in range(12)]
    assert table.frame["counts"].to_list() == [[row] for row in range(12)]
    assert table.frame["group"].to_list() == ["p"] * 6 + ["q"] * 6 and table.points is None
    assert table.notes == (
        "training.h5: images from 'x', count from 'y', group from 'slide'",
        "training.h5: organs breast 7, colon 5",
    )
    assert set(reads) == {()}  # of y, organ and slide, each whole; no image
    assert all(exists(table.path_of(image)) for image in table.frame["image"])
    assert scan(path, SourcePlan(kind="nucleus")).classes == ("nucleus",)


def test_a_test_file_without_counts_is_unlabelled(tmp_path):
    train, test = h5(tmp_path / "training.h5"), h5(tmp_path / "test.hdf5", y=None)
    table = scan(train, SourcePlan(test=test))
    assert table.frame["split"].to_list() == ["unlabelled"] * 12 + [None] * 12
    assert table.known.to_list() == [False] * 12 + [True] * 12
    assert (
        table.notes[0] == "training.h5: 'y' (0 to 11) is taken for counts; for classes pass --set data.label_column=y"
    )
    assert table.notes[3] == "test.hdf5: 12 images have no counts ('y' is not there) and wait for predictions"
    assert faults(test) == [
        f"{tmp_path}: no image with a count; give each image its count, or name the data set that has them"
    ]


def test_all_faults_of_a_file_come_at_once(tmp_path):
    path = tmp_path / "a.h5"
    assert faults(h5(path, x=None, pictures=IMAGE_NHWC)) == [
        f"{path}: no data set 'x' or 'images' at the top, there is pictures, y; "
        "save the images as 'x' (N x height x width x 3) and their counts as 'y', or their classes as 'labels' (N)"
    ]
    assert faults(h5(path, x=np.zeros((12, 3, 6, 5)), y=np.arange(11), slide=["p"])) == [
        f"{path}: 'x' is 12 x 3 x 6 x 5, N x height x width x 3 was expected, or N x height x width if grey; "
        "save the images in that shape, the colours last",
        f"{path}: 'x' is of the type float64, uint8 was expected; save the images in 8 bits, from 0 for black to 255",
        f"{path}: 'y' is 11, one value for each of the 12 images of 'x' was expected; "
        "save 'y' with a value for each image",
        f"{path}: 'slide' is 1, one value for each of the 12 images of 'x' was expected; "
        "save 'slide' with a value for each image",
    ]
    assert faults(h5(path, x=IMAGE_NHWC[:0], y=[])) == [f"{path}: 'x' holds no image; name another file"]


def test_counts_that_are_none_are_all_faults_with_their_rows(tmp_path):
    count_N = COUNT_N.astype(float)
    count_N[[1, 3, 5]] = -2, 2.5, np.nan
    remedy = "write the number of objects, 0 or more, or remove the row"
    assert faults(h5(tmp_path / "a.h5", y=count_N)) == [
        f"a.h5#1: the count '-2.0' of a.h5#1 is negative; {remedy}",
        f"a.h5#3: the count '2.5' of a.h5#3 is not a whole number; {remedy}",
        f"a.h5#5: the count of a.h5#5 is missing; {remedy}",
    ]


def test_a_file_that_is_cut_short_or_none_is_refused(tmp_path):
    path = h5(tmp_path / "a.h5")
    path.write_bytes(path.read_bytes()[:-500])
    assert faults(path)[0].startswith(f"{path}: the file is cut short (")
    with pytest.raises(UnreadableImage, match=r"a\.h5#0: cannot be decoded \(.*truncated.*; replace the file"):
        read_pixels(Path(f"{path}#0"))
    path.write_text("no HDF5")
    assert faults(path)[0].startswith(f"{path}: is not an HDF5 file (")


# --------------------------------------------------------------------------------------------------------------- pixels


@pytest.mark.parametrize("chunks", [None, (1, 6, 5, 3), (4, 3, 5, 1), (5, 6, 2, 3)])
def test_a_row_gives_its_pixels_whatever_the_chunks(tmp_path, chunks):
    path = h5(tmp_path / "a.h5", chunks)
    with ThreadPoolExecutor(8) as pool:
        rows = [*range(12), 11, 0, 7]
        for row, pixels in zip(rows, pool.map(read_pixels, [Path(f"{path}#{row}") for row in rows]), strict=True):
            np.testing.assert_array_equal(pixels.array_HWC, IMAGE_NHWC[row])
            pixels.array_HWC[:] = 0  # the caller's own


def test_a_pass_in_order_reads_each_chunk_once_and_keeps_nothing(tmp_path, reads):
    path = h5(tmp_path / "a.h5", (5, 3, 5, 1))
    for row in range(12):
        read_pixels(Path(f"{path}#{row}"))
    assert reads == [slice(0, 5), slice(5, 10), slice(10, 15)]
    assert hdf5._DOOR.blocks == []


def test_a_block_is_never_larger_than_its_limit_and_two_are_kept(tmp_path, reads, monkeypatch):
    monkeypatch.setattr(hdf5, "BLOCK_BYTES", 2 * 6 * 5 * 3)
    path = h5(tmp_path / "a.h5", (12, 3, 5, 1))
    for row in (0, 2, 1, 4, 3, 0):
        np.testing.assert_array_equal(read_pixels(Path(f"{path}#{row}")).array_HWC, IMAGE_NHWC[row])
    assert reads == [slice(0, 2), slice(2, 4), slice(4, 6), slice(0, 2)]
    assert len(hdf5._DOOR.blocks) <= hdf5.BLOCKS


def test_a_file_that_was_written_anew_is_read_anew(tmp_path):
    path = h5(tmp_path / "a.h5", (5, 3, 5, 1))
    read_pixels(Path(f"{path}#0"))
    h5(path, x=255 - IMAGE_NHWC, y=COUNT_N, z=COUNT_N)
    np.testing.assert_array_equal(read_pixels(Path(f"{path}#0")).array_HWC, 255 - IMAGE_NHWC[0])


def test_rows_that_cannot_be_read_say_why(tmp_path):
    path = h5(tmp_path / "a.h5", images=IMAGE_NHWC)
    with pytest.raises(UnreadableImage, match=r"a\.h5#12: the file has 12 rows, row 12 was asked for \(counted from 0"):
        read_pixels(Path(f"{path}#12"))
    with pytest.raises(UnreadableImage, match=r"gone\.h5#0: cannot be read \(No such file or directory"):
        read_pixels(tmp_path / "gone.h5#0")
    with pytest.raises(
        UnreadableImage, match=r"has 5 x 6 pixels, more than the limit of 29; pass --set read\.max_pixels=30"
    ):
        read_pixels(Path(f"{path}#0"), ReadPlan(max_pixels=29))
    h5(path, x=np.zeros((2, 6, 5, 2), np.uint8))
    with pytest.raises(UnreadableImage, match=r"has the shape \(6, 5, 2\) and the type uint8; save it as height x wid"):
        read_pixels(Path(f"{path}#0"))


def test_a_row_is_known_by_the_bytes_of_its_file_which_are_read_once(tmp_path, monkeypatch):
    path = h5(tmp_path / "a.h5")
    expected = digest_of(path.read_bytes())
    assert content_digest(Path(f"{path}#3")) == f"{expected}#3"
    monkeypatch.setattr("hashlib.file_digest", None)
    assert content_digest(Path(f"{path}#4")) == f"{expected}#4"
    monkeypatch.undo()
    h5(path, y=COUNT_N + 1)
    assert content_digest(Path(f"{path}#3")) != f"{expected}#3"
    (tmp_path / "a.png").write_bytes(b"abc")
    assert content_digest(tmp_path / "a.png") == digest_of(b"abc")
    assert content_digest(tmp_path / "b.png") == content_digest(tmp_path / "b.h5#1") == "unreadable: 2"


def test_rows_and_files_are_told_apart(tmp_path):
    path = h5(tmp_path / "a.h5")
    assert is_member(Path("b/A.HDF5#3")) and not is_member(Path("a.h5#x")) and not is_member(Path("a#1.png"))
    assert exists(path) and exists(Path(f"{path}#11")) and not exists(Path(f"{path}#12"))
    assert not exists(tmp_path / "b.h5#0")


# ------------------------------------------------------------------------------------------------- what is predicted on


def test_a_file_stands_for_all_its_rows_and_a_row_for_itself(tmp_path):
    path = h5(tmp_path / "test.h5", y=None)
    rows = [tmp_path / f"test.h5#{row}" for row in range(12)]
    assert list_images([path]) == list_images([tmp_path]) == list_images([f"{tmp_path}/*.h5"]) == rows
    assert list_images([rows[7], path]) == [rows[7], *rows[:7], *rows[8:]]
    with pytest.raises(DataFault, match=r"test\.h5#12: is no row of test\.h5, it has 12; rows are counted from 0"):
        list_images([tmp_path / "test.h5#12"])
    with pytest.raises(CorpuscleError, match="the data set 'x' with the images is not there; name another file"):
        list_images([h5(tmp_path / "b.h5", x=None)])
