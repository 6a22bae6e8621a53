"""Files are written whole or not at all, and what a disk refuses is one clear line."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys

import pytest

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.files import check_place, disk_errors, whole_file, whole_folder, write_json, write_text


def test_a_file_is_made_with_its_folders_and_the_users_mask(tmp_path):
    write_text(tmp_path / "a" / "b.txt", "é\n")
    assert (tmp_path / "a" / "b.txt").read_bytes() == "é\n".encode()
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((tmp_path / "a" / "b.txt").stat().st_mode) == 0o666 & ~mask


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    write_text(tmp_path / "x", "old")
    with pytest.raises(ZeroDivisionError), whole_file(tmp_path / "x") as part:
        part.write_text("new")
        raise ZeroDivisionError
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("x", "old")]


def test_a_kill_while_writing_leaves_the_old_file(tmp_path):
    write_text(tmp_path / "x", "old")
    code = (
        "import os, sys; from pathlib import Path; from corpuscle.core.files import whole_file\n"
        "with whole_file(Path(sys.argv[1])) as part:\n    part.write_text('new'); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, tmp_path / "x"]).returncode == -9
    assert (tmp_path / "x").read_text() == "old"


def test_json_keeps_letters_and_refuses_what_is_no_json(tmp_path):
    write_json(tmp_path / "x.json", {"a": "ü"})
    assert (tmp_path / "x.json").read_text() == '{\n  "a": "ü"\n}\n'
    with pytest.raises(TypeError):
        write_json(tmp_path / "x.json", {"a": object()})
    assert (tmp_path / "x.json").read_text() == '{\n  "a": "ü"\n}\n'


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    with whole_folder(tmp_path / "deep" / "x") as part:
        (part / "file").write_text("1")
        assert not (tmp_path / "deep" / "x").exists()
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["x"]
    with pytest.raises(CorpuscleError, match="is not an empty folder; name a new one"), whole_folder(tmp_path / "deep"):
        pass
    with pytest.raises(ZeroDivisionError), whole_folder(tmp_path / "y") as part:
        (part / "file").write_text("1")
        raise ZeroDivisionError
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep"]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "the disk is full: {0} could not be written; free some space",
        ),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "the disk is full"),
        (PermissionError(errno.EACCES, "Permission denied"), "{0} cannot be written (Permission denied); name a place"),
        (OSError(errno.EROFS, "Read-only"), "{0} cannot be written (Read-only file system); name a place"),
        (IsADirectoryError(errno.EISDIR, "Is a directory"), "{0} cannot be written (Is a directory); name a place"),
        (
            RuntimeError("I/O error: No space left on device (os error 28)"),
            "the disk is full: {0} could not be written",
        ),
    ],
)
def test_what_a_disk_refuses_is_one_line(tmp_path, error, text):
    with pytest.raises(CorpuscleError) as raised, disk_errors(tmp_path / "x"):
        raise error
    assert str(raised.value).startswith(text.format(tmp_path / "x")) and "\n" not in str(raised.value)


def test_errors_of_other_things_pass():
    for error in (ValueError("x"), OSError("without a number"), CorpuscleError("a clear line")):
        with pytest.raises(type(error), match=str(error)), disk_errors(None):
            raise error


def test_a_place_is_checked_before_any_work(tmp_path):
    (tmp_path / "file.csv").write_text("")
    (tmp_path / "folder.csv").mkdir()
    check_place(tmp_path / "new" / "deep" / "run")
    check_place(tmp_path / "file.csv", (".csv",), inputs=[tmp_path / "other.csv"])
    for place, suffixes, inputs, text in [
        ("x.txt", (".csv", ".parquet"), (), r"expected a name that ends in .csv or .parquet, got .*x.txt"),
        ("folder.csv", (".csv",), (), "is a folder, a file was expected"),
        ("file.csv", (".csv",), ("file.csv",), "is what is read, it would be overwritten"),
        ("file.csv/run", (), (), r"run cannot be written \(.*file.csv: Not a directory\)"),
    ]:
        with pytest.raises(CorpuscleError, match=text):
            check_place(tmp_path / place, suffixes, [tmp_path / name for name in inputs])
    with pytest.raises(CorpuscleError, match=r"got .*x.txt; name such a file with --html$"):
        check_place(tmp_path / "x.txt", (".html",), flag="--html")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.csv", "folder.csv"]
