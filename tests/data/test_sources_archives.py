"""Zip and tar files: unpacked once and whole, and nothing that could do harm."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from corpuscle.core.errors import CorpuscleError
from corpuscle.data.readers.read import read_pixels
from corpuscle.data.sources import SourcePlan, archive, scan
from corpuscle.data.sources.images import list_images
from corpuscle.data.sources.plan import ArchivePlan

DATA = Path(os.environ.get("CORPUSCLE_TEST_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
CELLS = {f"{label}/{n}.png": b"" for label in "ab" for n in (1, 2)}


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for what is unpacked."""
    monkeypatch.setenv("CORPUSCLE_CACHE", str(tmp_path / "kept"))
    return tmp_path / "kept" / "archives"


def zipped(path: Path, content: dict[str, bytes], kinds: dict[str, int] | None = None) -> Path:
    """A zip of these entries; `kinds` gives some of them the mode of another kind of file."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in content.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (kinds or {}).get(name, 0) << 16
            file.writestr(info, data)
    return path


def tarred(path: Path, content: dict[str, bytes], **kinds: bytes) -> Path:
    """A tar of these entries; `kinds` gives some of them another kind."""
    with tarfile.open(path, "w:" + path.suffix.removeprefix(".").replace("tgz", "gz").replace("tar", "")) as file:
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size, info.type = len(data), kinds.get(name, tarfile.REGTYPE)
            file.addfile(info, io.BytesIO(data))
    return path


def said(path: Path, **plan: float) -> str:
    """What a scan complains of."""
    with pytest.raises(CorpuscleError) as caught:
        scan(path, SourcePlan(archive=ArchivePlan(**plan)))
    return str(caught.value)


# --------------------------------------------------------------------------------------------------------- what is read


@pytest.mark.parametrize(
    "name", ["cells.zip", "cells.tar", "cells.tar.gz", "cells.tgz", "cells.tar.bz2", "Cells.tar.xz"]
)
@pytest.mark.parametrize("top", ["", "study/", "study/cells/"])
def test_an_archive_is_read_like_its_folder(tmp_path, kept, name, top):
    content = {f"{top}{image}": b"" for image in CELLS} | {"__MACOSX/a/._1.png": b"", ".DS_Store": b""}
    path = (zipped if name.endswith("zip") else tarred)(tmp_path / name, content)
    table = scan(path)
    assert table.layout == f"one folder per class, in {name}"
    assert table.frame["image"].to_list() == list(CELLS) and table.classes == ("a", "b")
    (folder,) = kept.iterdir()
    assert table.root == folder / top and table.notes[0] == f"{name} was unpacked into {folder}"
    assert all(table.path_of(image).is_file() for image in table.frame["image"])


def test_an_archive_is_unpacked_once_and_again_when_it_changes(tmp_path, kept, monkeypatch):
    path = zipped(tmp_path / "cells.zip", CELLS)
    first = scan(path)
    monkeypatch.setattr(archive, "_unpack", None)
    assert scan(path).frame.equals(first.frame)
    assert scan(path.rename(tmp_path / "other.zip")).root == first.root
    monkeypatch.undo()
    monkeypatch.setenv("CORPUSCLE_CACHE", str(kept.parent))
    assert len(scan(zipped(tmp_path / "cells.zip", CELLS | {"b/3.png": b""}))) == 5
    assert len(list(kept.iterdir())) == 2


@pytest.mark.parametrize(
    ("content", "layout"),
    [
        ({f"{part}/{name}": b"" for part in ("train", "test") for name in CELLS}, "train, val and test folders"),
        ({f"train/{name}": b"" for name in CELLS}, "train, val and test folders"),
        ({"t.csv": b"image,label\na/1,x\na/2,y\n", "a/1.png": b"", "a/2.png": b""}, "one CSV"),
        (
            {"train.csv": b"id,label\n1,x\n2,y\n", "images/1.png": b"", "images/2.png": b""},
            "a CSV and folders of images",
        ),
    ],
)
def test_every_layout_may_be_in_an_archive(tmp_path, content, layout):
    assert scan(zipped(tmp_path / "cells.zip", content)).layout == f"{layout}, in cells.zip"


def test_a_file_of_arrays_may_be_in_an_archive(tmp_path):
    file = io.BytesIO()
    np.savez(file, images=np.zeros((2, 4, 5), np.uint8), labels=[0, 1])
    table = scan(zipped(tmp_path / "cells.zip", {"cells.npz": file.getvalue()}))
    assert table.layout == "one NPZ file, in cells.zip"
    assert read_pixels(table.path_of("cells.npz#1")).array_HWC.shape == (4, 5, 3)


def test_names_that_windows_wrote_are_folders(tmp_path):
    table = scan(zipped(tmp_path / "cells.zip", {name.replace("/", "\\"): b"" for name in CELLS}))
    assert table.frame["image"].to_list() == list(CELLS)


def test_archives_inside_are_left_as_files_and_said(tmp_path):
    table = scan(zipped(tmp_path / "cells.zip", CELLS | {"a/more.zip": b"", "b/more.tar.gz": b""}))
    assert "left out: 2 archives inside it (first: a/more.zip); unpack them and name their folder" in table.notes


def test_the_images_of_an_archive_can_be_predicted(tmp_path, kept):
    images = list_images([zipped(tmp_path / "cells.zip", CELLS)])
    (folder,) = kept.iterdir()
    assert images == [folder / name for name in CELLS]


def test_a_part_that_was_left_by_a_killed_run_is_no_archive_and_goes(tmp_path, kept):
    path = zipped(tmp_path / "cells.zip", CELLS)
    name = scan(path).root.name
    left = kept / f".{name}.x.part"
    (kept / name).rename(left)
    (left / "a" / "1.png").unlink()
    for place in (*left.iterdir(), left):
        os.utime(place, (1, 1))
    assert len(scan(path)) == 4 and sorted(kept.iterdir()) == [kept / name]


def test_an_archive_of_real_images(tmp_path):
    if not (DATA / "pbc").exists():
        pytest.skip(f"{DATA / 'pbc'} is not here; set CORPUSCLE_TEST_DATA to the sample data")
    files = [file for folder in sorted((DATA / "pbc").iterdir())[:2] for file in sorted(folder.iterdir())[:2]]
    path = zipped(tmp_path / "pbc.zip", {f"pbc/{file.parent.name}/{file.name}": file.read_bytes() for file in files})
    table = scan(path)
    for file, image in zip(files, table.frame["image"], strict=True):
        np.testing.assert_array_equal(read_pixels(table.path_of(image)).array_HWC, read_pixels(file).array_HWC)


# ------------------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("/etc/cells.png", "has an absolute path, one within the archive was expected; pack the folder by its name"),
        ("C:\\cells.png", "has an absolute path, one within the archive was expected; pack the folder by its name"),
        ("a/../../cells.png", "lies outside of the archive; pack the folder by its name"),
        ("..\\cells.png", "lies outside of the archive; pack the folder by its name"),
    ],
)
@pytest.mark.parametrize("suffix", [".zip", ".tgz"])
def test_a_path_outside_is_refused(tmp_path, kept, name, what, suffix):
    path = (tarred if suffix == ".tgz" else zipped)(tmp_path / f"cells{suffix}", CELLS | {name: b"x"})
    shown = name.replace("\\", "/") if suffix == ".zip" else name
    assert said(path) == f"{path}: '{shown}': {what}"
    assert list(kept.iterdir()) == [] and not list(tmp_path.glob("cells.png"))


def test_links_devices_and_copies_are_refused_all_at_once(tmp_path, kept):
    kinds = {"a/link.png": stat.S_IFLNK | 0o777, "a/tty": stat.S_IFCHR}
    path = zipped(tmp_path / "cells.zip", CELLS | {"a/link.png": b"/etc/passwd", "a/tty": b"", "./b/1.png": b""}, kinds)
    assert said(path).splitlines() == [
        f"{path}: 'a/link.png': is a link, files and folders were expected; pack the files themselves",
        f"{path}: 'a/tty': is a device, files and folders were expected; pack the files themselves",
        f"{path}: 'b/1.png': is there twice; pack it once",
    ]
    path = tarred(tmp_path / "cells.tar", CELLS | {"link": b""}, link=tarfile.SYMTYPE)
    assert said(path) == f"{path}: 'link': is a link, files and folders were expected; pack the files themselves"
    path = tarred(tmp_path / "cells.tar", CELLS | {"tty": b""}, tty=tarfile.CHRTYPE)
    assert said(path) == f"{path}: 'tty': is a device, files and folders were expected; pack the files themselves"
    assert list(kept.iterdir()) == []


def test_a_file_that_is_a_folder_too_is_refused(tmp_path):
    path = zipped(tmp_path / "a.zip", {"a": b"", "a/1.png": b"", "b/1.png": b""})
    assert said(path) == f"{path}: 'a': is a file and a folder; call one of them otherwise"


def test_archives_alone_are_named(tmp_path):
    path = zipped(tmp_path / "a.zip", {"x/cells.zip": b"", "x/more.tar": b""})
    assert said(path) == f"{path} holds archives alone (first: x/cells.zip); unpack it and name one of these"


def test_an_encrypted_entry_is_refused(tmp_path):
    path = zipped(tmp_path / "cells.zip", {"a/1.png": b"x"})
    content = bytearray(path.read_bytes())
    content[6] |= 1  # flags of the entry itself, and of the list at the end
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    assert said(path) == f"{path}: 'a/1.png': is encrypted; pack it without a password"


@pytest.mark.parametrize("suffix", [".zip", ".tgz"])
def test_a_bomb_is_refused_before_it_is_written(tmp_path, kept, suffix):
    path = (tarred if suffix == ".tgz" else zipped)(
        tmp_path / f"cells{suffix}", {"a/1.png": bytes(3_000_000), "b/1.png": b""}
    )
    ratio = 3_000_000 / path.stat().st_size
    assert ratio > 200
    assert said(path) == (
        f"{path} unpacks to {ratio:.0f} times its size or more, at most 200 were expected; "
        f"if it is what you think it is, pass --set data.archive.max_ratio={ratio + 1:.0f}"
    )
    assert said(path, max_gb=0.001) == (
        f"{path} unpacks to 0.0 GB or more, at most 0.001 were expected; "
        "if it is what you think it is, pass --set data.archive.max_gb=1"
    )
    assert list(kept.iterdir()) == []
    assert len(scan(path, SourcePlan(archive=ArchivePlan(max_ratio=ratio + 1)))) == 2


def test_a_full_disk_is_said(tmp_path, kept, monkeypatch):
    path = zipped(tmp_path / "cells.zip", CELLS | {"a/1.png": b"12345"})
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 4}))
    assert said(path) == (
        f"the disk is full: {path} cannot be unpacked; free some space, or set CORPUSCLE_CACHE to a folder you may "
        "write to"
    )
    assert list(kept.iterdir()) == []


def test_a_cache_that_may_not_be_written_is_said(tmp_path, kept):
    kept.parent.write_text("a file")
    path = zipped(tmp_path / "cells.zip", CELLS)
    assert (
        said(path) == f"{path} cannot be unpacked (Not a directory); set CORPUSCLE_CACHE to a folder you may write to"
    )


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tgz", ".tar.bz2", ".tar.xz"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.7])
def test_an_archive_that_is_cut_short_is_refused_and_leaves_nothing(tmp_path, kept, suffix, share):
    content = {f"{label}/{n}.png": os.urandom(5000) for label in "ab" for n in range(3)}
    path = (zipped if suffix == ".zip" else tarred)(tmp_path / f"cells{suffix}", content)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert said(path).startswith(f"{path} is not a whole archive (")
    assert said(path).endswith("); replace it by a whole copy")
    assert list(kept.iterdir()) == []


def test_a_tar_that_is_cut_between_two_files_is_refused(tmp_path):
    path = tarred(tmp_path / "cells.tar", CELLS)
    path.write_bytes(path.read_bytes()[: 3 * 512])
    assert said(path) == f"{path} is not a whole archive (its end is missing); replace it by a whole copy"


def test_a_damaged_entry_is_refused_and_leaves_nothing(tmp_path, kept):
    path = tmp_path / "cells.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a/1.png", b"sound pixels")
    path.write_bytes(path.read_bytes().replace(b"sound", b"wrong"))
    assert said(path) == (f"{path} is not a whole archive (Bad CRC-32 for file 'a/1.png'); replace it by a whole copy")
    assert list(kept.iterdir()) == []


def test_an_archive_without_a_file_or_without_a_data_set_is_told_by_its_own_name(tmp_path, kept):
    with pytest.raises(
        CorpuscleError, match=rf"^{tmp_path}/empty\.zip holds no file; pack the folder of the data set$"
    ):
        scan(zipped(tmp_path / "empty.zip", {}))
    with pytest.raises(CorpuscleError, match=rf"^{tmp_path}/notes\.zip holds no image, expected a folder per class"):
        scan(zipped(tmp_path / "notes.zip", {"a.md": b"no image"}))
