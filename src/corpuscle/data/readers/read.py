"""One way to the pixels of an image, whether it is a file of its own or a row of an HDF5 file."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.files import digest_of
from corpuscle.core.records import Pixels
from corpuscle.data.readers.hdf5 import member_of, num_images, read_member
from corpuscle.data.readers.image import ReadPlan, read_image

_digests: dict[tuple[str, int, int], str] = {}
_lock = threading.Lock()


def read_pixels(path: Path, plan: ReadPlan = ReadPlan()) -> Pixels:  # noqa: B008 (frozen)
    """The pixels of a file, or of `<file>.h5#<row>`; the same path gives the same pixels.

    Raises:
        UnreadableImage: there are none to be had.
    """
    return read_member(path, plan) if is_member(path) else read_image(path, plan)


def is_member(path: Path) -> bool:
    """Whether a path names a row of an HDF5 file.

    >>> is_member(Path("training.h5#12")), is_member(Path("training.h5")), is_member(Path("cell#12.png"))
    (True, False, False)
    """
    return member_of(path) is not None


def file_of(path: Path) -> Path:
    """The file on disk that holds an image: its own, or the HDF5 file it is a row of."""
    member = member_of(path)
    return member.file if member else path


def exists(path: Path) -> bool:
    """Whether there is such a file, or such a row in its HDF5 file; decodes nothing."""
    member = member_of(path)
    if member is None:
        return path.is_file()
    try:
        return member.row < num_images(member.file)
    except CorpuscleError:
        return False


def content_digest(path: Path) -> str:
    """A short name for the bytes an image comes from: of its file, or of its whole HDF5 file and its row.

    An HDF5 file is read for it once in a process, as long as its size and time stay.
    """
    try:
        member = member_of(path)
        if member is None:
            return digest_of(path.read_bytes())
        return f"{_file_digest(member.file)}#{member.row}"
    except OSError as error:
        return f"unreadable: {error.errno}"


def _file_digest(file: Path) -> str:
    stat = file.stat()
    key = str(file), stat.st_size, stat.st_mtime_ns
    with _lock:
        if key not in _digests:
            with file.open("rb") as handle:
                _digests[key] = hashlib.file_digest(handle, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
        return _digests[key]
