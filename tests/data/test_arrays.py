"""Images and classes in one NPZ or HDF5 file: MedMNIST with its fixed splits, and what is refused."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from corpuscle.core.errors import CorpuscleError, DataFault
from corpuscle.data.cache import survey
from corpuscle.data.prepare import PreparePlan
from corpuscle.data.readers import npz as reader
from corpuscle.data.readers.image import ReadPlan, UnreadableImage
from corpuscle.data.readers.read import content_digest, exists, is_member, read_pixels
from corpuscle.data.sources import SourcePlan, scan
from corpuscle.data.sources.images import list_images

DATA = Path(os.environ.get("CORPUSCLE_TEST_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
NUMBER = {"train": 6, "val": 2, "test": 4}
RNG = np.random.default_rng(0)
IMAGES = {part: RNG.integers(0, 256, (number, 6, 5, 3), dtype=np.uint8) for part, number in NUMBER.items()}
LABELS = {part: np.arange(number, dtype=np.uint8)[:, None] % 2 for part, number in NUMBER.items()}


def medmnist(path: Path, compressed: bool = True, **others: object) -> Path:
    """An NPZ file as MedMNIST has it; None leaves an array out."""
    arrays = {f"{part}_images": IMAGES[part] for part in NUMBER} | {f"{part}_labels": LABELS[part] for part in NUMBER}
    arrays = {name: values for name, values in (arrays | others).items() if values is not None}
    (np.savez_compressed if compressed else np.savez)(path, **arrays)
    return path


def h5(path: Path, attributes: dict[str, object] | None = None, **sets: object) -> Path:
    """An HDF5 file of these data sets; the attributes are those of the file."""
    with h5py.File(path, "w") as file:
        for name, values in sets.items():
            file[name] = values
        file.attrs.update(attributes or {})
    return path


def faults(path: Path, **plan: object) -> list[str]:
    """What a scan complains of."""
    with pytest.raises(DataFault) as caught:
        scan(path, SourcePlan(**plan))
    return [str(fault) for fault in caught.value.faults]


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    monkeypatch.setenv("CORPUSCLE_CACHE", str(tmp_path / "kept"))
    return tmp_path / "kept"


# ------------------------------------------------------------------------------------------------------------ data sets


@pytest.mark.parametrize("by_folder", [False, True])
def test_medmnist_keeps_its_splits_and_its_order(tmp_path, by_folder):
    path = medmnist(tmp_path / "bloodmnist.npz")
    table = scan(tmp_path if by_folder else path)
    assert (table.layout, table.classes, table.root) == ("one NPZ file", ("0", "1"), tmp_path)
    expected = [
        (f"bloodmnist.npz#{part}/{row}", str(row % 2), part)
        for part in ("test", "train", "val")
        for row in range(NUMBER[part])
    ]
    assert table.frame.select("image", "label", "split").rows() == expected
    assert table.notes == (
        "bloodmnist.npz: images from 'train_images', 'val_images', 'test_images', "
        "label from 'train_labels', 'val_labels', 'test_labels'",
    )


def test_rows_of_a_file_come_in_their_own_order(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.zeros((12, 4, 4), np.uint8), labels=np.arange(12) % 3)
    assert scan(tmp_path / "a.npz").frame["image"].to_list() == [f"a.npz#{row}" for row in range(12)]


def test_classes_have_the_names_that_the_file_gives(tmp_path):
    np.savez(tmp_path / "a.npz", images=IMAGES["val"], labels=[1, 0], class_names=["basophil", "monocyte"])
    assert scan(tmp_path / "a.npz").frame["label"].to_list() == ["monocyte", "basophil"]
    path = h5(tmp_path / "a.h5", {"classes": '["basophil", "monocyte"]'}, images=IMAGES["val"], labels=[1, 0])
    assert scan(path).frame["label"].to_list() == ["monocyte", "basophil"]
    path = h5(tmp_path / "b.h5", images=IMAGES["val"], labels=[b"monocyte", b"basophil"])
    assert scan(path).frame["label"].to_list() == ["monocyte", "basophil"]
    path = h5(tmp_path / "c.h5", {"class_names": ["basophil"]}, images=IMAGES["val"], labels=[1, 0])
    assert faults(path) == [
        f"{path}: 'labels' holds 1, the file names 1 classes (0 to 0); mend them",
    ]


def test_one_hot_labels_are_classes_and_several_labels_an_image_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", images=IMAGES["val"], labels=[[0, 1, 0], [1, 0, 0]])
    assert scan(tmp_path / "a.npz").frame["label"].to_list() == ["1", "0"]
    path = medmnist(tmp_path / "chestmnist.npz", train_labels=np.ones((6, 14), np.uint8))
    assert faults(path) == [
        f"{path}: 'train_labels' is 6 x 14, several labels an image, one was expected; "
        "keep the one to learn, as an array of N values"
    ]


def test_a_test_part_without_labels_waits_and_a_train_part_without_is_a_fault(tmp_path):
    table = scan(medmnist(tmp_path / "a.npz", test_labels=None))
    assert table.frame["split"].to_list() == ["unlabelled"] * 4 + ["train"] * 6 + ["val"] * 2
    assert table.notes[-1] == "a.npz: 4 images have no labels ('test_labels' is not there) and wait for predictions"
    path = medmnist(tmp_path / "b.npz", val_labels=None)
    assert f"{path}: no array of labels for val; save a class for each image as 'labels', or name" in faults(path)[-1]


def test_files_may_be_named_for_the_parts(tmp_path):
    for name in ("a", "b"):
        np.savez(tmp_path / f"{name}.npz", x=IMAGES["test"], y=[0, 1, 0, 1])
    table = scan(tmp_path / "a.npz", SourcePlan(test=tmp_path / "b.npz"))
    assert table.frame["split"].to_list() == ["train"] * 4 + ["test"] * 4


@pytest.mark.parametrize(
    ("y", "plan", "counted", "said"),
    [
        ([0, 1, 0, 1], {}, False, "'y' (0 to 1) is taken for classes; for counts pass --set data.count_column=y"),
        ([0, 1, 0, 7], {}, True, "'y' (0 to 7) is taken for counts; for classes pass --set data.label_column=y"),
        ([0, 1, 0, 7], {"label_column": "y"}, False, None),
        ([0, 1, 0, 1], {"count_column": "y"}, True, None),
        (["a", "b", "a", "b"], {}, False, None),
    ],
)
def test_what_a_y_of_hdf5_means_is_said_and_may_be_told(tmp_path, y, plan, counted, said):
    table = scan(h5(tmp_path / "a.h5", x=IMAGES["test"], y=y), SourcePlan(**plan))
    assert table.counted == counted
    assert [note for note in table.notes if "is taken for" in note] == ([f"a.h5: {said}"] if said else [])


def test_parts_and_groups_of_an_hdf5_file(tmp_path):
    sets = {f"{part}/x": IMAGES[part] for part in NUMBER} | {f"{part}/y": LABELS[part] for part in NUMBER}
    table = scan(h5(tmp_path / "a.h5", **sets))
    assert table.frame["image"][0] == "a.h5#test/0" and table.classes == ("0", "1")
    np.testing.assert_array_equal(read_pixels(table.path_of("a.h5#val/1")).array_HWC, IMAGES["val"][1])
    path = h5(tmp_path / "b.h5", images=IMAGES["test"], labels=[0, 1, 0, 1], patient=["p", "p", "q", "r"])
    assert scan(path).frame["group"].to_list() == ["p", "p", "q", "r"]


def test_arrays_may_have_other_names_if_they_are_told(tmp_path):
    np.savez(tmp_path / "a.npz", images=IMAGES["val"], grade=[3, 4])
    assert scan(tmp_path / "a.npz", SourcePlan(label_column="grade")).classes == ("3", "4")
    path = medmnist(tmp_path / "b.npz", **{f"{part}_Cell_Type": LABELS[part] + 5 for part in NUMBER})
    assert scan(path, SourcePlan(label_column="cell type")).classes == ("5", "6")
    assert faults(tmp_path / "a.npz", label_column="grad") == [
        f"{tmp_path}/a.npz: no array 'grad'; Did you mean grade? "
        "(--set data.label_column=NAME or data.count_column=NAME)"
    ]


def test_labels_that_are_empty_are_a_fault_or_skipped(tmp_path):
    np.savez(tmp_path / "a.npz", images=IMAGES["test"], labels=[0, np.nan, 1, 0])
    what = "the label of 1 of 4 images is empty (first: a.npz#1)"
    assert faults(tmp_path / "a.npz") == [f"a.npz: {what}; fill it, or pass --set data.unlabelled=skip"]
    table = scan(tmp_path / "a.npz", SourcePlan(unlabelled="skip"))
    assert len(table) == 3 and table.classes == ("0", "1") and table.notes[-1] == f"{what}; they were left out"


def test_all_faults_of_arrays_come_at_once(tmp_path):
    np.savez(tmp_path / "a.npz", arr_0=IMAGES["val"])
    assert faults(tmp_path / "a.npz") == [
        f"{tmp_path}/a.npz: no data set 'x' or 'images' at the top, there is arr_0; "
        "save the images as 'x' (N x height x width x 3) and their counts as 'y', or their classes as 'labels' (N)"
    ]
    path = medmnist(tmp_path / "b.npz", train_images=np.zeros((6, 28, 28, 28), np.uint8), val_labels=[1])
    assert faults(path) == [
        f"{path}: 'train_images' is 6 x 28 x 28 x 28, N x height x width x 3 was expected, or N x height x width if "
        "grey; save the images in that shape, the colours last",
        f"{path}: 'val_labels' is 1, one value for each of the 2 images of 'val_images' was expected; "
        "save 'val_labels' with a value for each image",
    ]


def test_labels_in_a_file_beside_are_named(tmp_path):
    with h5py.File(tmp_path / "train_x.h5", "w") as file:
        file["x"] = np.zeros((3, 4, 4, 3), np.uint8)
        file["kind"] = np.dtype("f8")  # a named type, which holds nothing
    with h5py.File(tmp_path / "train_y.h5", "w") as file:
        file["y"] = [0, 1, 1]
    with pytest.raises(DataFault, match=r"train_x\.h5: no labels, train_y\.h5 seems to hold them; write both into one"):
        scan(tmp_path / "train_x.h5")


def test_pickle_is_never_loaded(tmp_path):
    class Boom:
        def __reduce__(self) -> tuple[object, ...]:
            return (os.mkdir, (str(tmp_path / "ran"),))

    path = medmnist(tmp_path / "a.npz", train_labels=np.array([Boom()] * 6, object))
    assert faults(path) == [
        f"{path}: 'train_labels' holds Python objects (pickle), which are never loaded; "
        "save it as an array of numbers or of texts"
    ]
    assert not (tmp_path / "ran").exists()


def test_a_file_that_is_none_or_cut_short_is_refused(tmp_path):
    path = medmnist(tmp_path / "a.npz")
    path.write_bytes(path.read_bytes()[:-30])
    assert faults(path) == [f"{path}: is not a whole NPZ file (File is not a zip file); replace it by a whole copy"]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "no array")
    assert faults(path) == [f"{path}: is not a whole NPZ file ('notes.txt' is no array); replace it by a whole copy"]


# --------------------------------------------------------------------------------------------------------------- pixels


@pytest.mark.parametrize("compressed", [False, True])
def test_a_row_gives_its_pixels(tmp_path, kept, compressed):
    path = medmnist(tmp_path / "a.npz", compressed)
    for part in NUMBER:
        for row in range(NUMBER[part]):
            pixels = read_pixels(Path(f"{path}#{part}/{row}"))
            np.testing.assert_array_equal(pixels.array_HWC, IMAGES[part][row])
            pixels.array_HWC[:] = 0  # the caller's own
    assert len(list(kept.glob("arrays/*.npy"))) == (3 if compressed else 0)


def test_a_compressed_array_is_unpacked_once(tmp_path, kept, monkeypatch):
    path = medmnist(tmp_path / "a.npz")
    read_pixels(Path(f"{path}#train/0"))
    monkeypatch.setattr(reader, "_mapped", {})  # another process
    monkeypatch.setattr(reader.shutil, "copyfileobj", None)
    np.testing.assert_array_equal(read_pixels(Path(f"{path}#train/5")).array_HWC, IMAGES["train"][5])


def test_a_file_that_was_written_anew_is_read_anew(tmp_path, kept):
    path = medmnist(tmp_path / "a.npz")
    read_pixels(Path(f"{path}#val/1"))
    medmnist(path, val_images=255 - IMAGES["val"])
    os.utime(path, (1, 1))
    np.testing.assert_array_equal(read_pixels(Path(f"{path}#val/1")).array_HWC, 255 - IMAGES["val"][1])


def test_grey_is_repeated_and_said(tmp_path):
    grey_NHW = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    for name, images in (("a", grey_NHW), ("b", grey_NHW[..., None])):
        np.savez(tmp_path / f"{name}.npz", images=images, labels=[0, 1])
        pixels = read_pixels(tmp_path / f"{name}.npz#1")
        assert pixels.note == "grey to RGB"
        np.testing.assert_array_equal(pixels.array_HWC, np.stack([grey_NHW[1]] * 3, axis=2))


def test_rows_that_cannot_be_read_say_why(tmp_path):
    path = medmnist(tmp_path / "a.npz")
    with pytest.raises(UnreadableImage, match=r"a\.npz#val/2: the file has 2 rows, row 2 was asked for"):
        read_pixels(Path(f"{path}#val/2"))
    with pytest.raises(UnreadableImage, match=r"a\.npz#2: cannot be decoded \(no array with images of the part ''\)"):
        read_pixels(Path(f"{path}#2"))
    with pytest.raises(UnreadableImage, match=r"b\.npz#2: cannot be read \(No such file or directory\)"):
        read_pixels(tmp_path / "b.npz#2")
    with pytest.raises(UnreadableImage, match=r"limit of 29; pass --set read\.max_pixels=30"):
        read_pixels(Path(f"{path}#val/1"), ReadPlan(max_pixels=29))


def test_a_damaged_array_is_said_for_its_images(tmp_path, kept):
    path = medmnist(tmp_path / "a.npz")
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("train_images.npy")
    content = bytearray(path.read_bytes())
    at = info.header_offset + info.compress_size
    content[at] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(
        UnreadableImage, match=r"a\.npz#train/0: cannot be decoded \(.*; replace the file by a whole copy"
    ):
        read_pixels(Path(f"{path}#train/0"))
    assert list(kept.glob("arrays/*")) == []


def test_a_full_disk_is_said(tmp_path, kept, monkeypatch):
    path = medmnist(tmp_path / "a.npz")
    monkeypatch.setattr(reader.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 100}))
    with pytest.raises(CorpuscleError, match=r"the disk is full: .*\.npy could not be written; free some space"):
        read_pixels(Path(f"{path}#train/0"))


def test_members_are_known_and_listed(tmp_path):
    path = medmnist(tmp_path / "a.npz")
    assert is_member(Path(f"{path}#train/1")) and not is_member(Path(f"{path}#extra/1"))
    assert exists(Path(f"{path}#val/1")) and not exists(Path(f"{path}#val/2")) and not exists(Path(f"{path}#1"))
    assert content_digest(Path(f"{path}#val/1")) != content_digest(Path(f"{path}#train/1"))
    assert len(list_images([path])) == 12 and list_images([f"{path}#val/1"]) == [Path(f"{path}#val/1")]
    with pytest.raises(DataFault, match=r"is no row of a\.npz, it has train 6, val 2, test 4; rows are counted from 0"):
        list_images([f"{path}#val/2"])


def test_real_images_in_arrays_have_the_pixels_of_their_files(tmp_path):
    if not (DATA / "pbc").exists():
        pytest.skip(f"{DATA / 'pbc'} is not here; set CORPUSCLE_TEST_DATA to the sample data")
    folders = sorted((DATA / "pbc").iterdir())[:2]
    files = [file for folder in folders for file in sorted(folder.iterdir())[:3]]
    image_NHWC = np.stack([np.asarray(Image.open(file).convert("RGB").resize((28, 28))) for file in files])
    labels, names = np.repeat([0, 1], 3)[:, None], [folder.name for folder in folders]
    np.savez_compressed(tmp_path / "a.npz", images=image_NHWC, labels=labels, class_names=names)
    h5(tmp_path / "a.h5", {"class_names": names}, images=image_NHWC, labels=labels)
    for name in ("a.npz", "a.h5"):
        table = scan(tmp_path / name)
        assert table.classes == tuple(names) and table.frame["label"].to_list() == [n for n in names for _ in range(3)]
        found = survey(table, ReadPlan(), PreparePlan(size=28, fit="stretch"))
        assert found.frame["fault"].null_count() == 6
        for row in range(6):
            np.testing.assert_array_equal(found.canvases[row], image_NHWC[row])
