"""The one door to NPZ, NumPy's archives of arrays: what one holds, and its images by their row; no pickle is loaded."""

from __future__ import annotations

import contextlib
import shutil
import struct
import threading
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.files import digest_of, whole_file
from corpuscle.core.records import Pixels
from corpuscle.data.readers.image import ReadPlan, UnreadableImage
from corpuscle.data.readers.stacks import Contents, as_pixels, image_arrays, member_of
from corpuscle.data.room import ARRAYS, cache_folder, hold, make_room

LOCAL_HEADER = struct.Struct("<26xHH")  # of a member of a zip; the lengths of its name and of what follows
OPEN = 8  # arrays that are kept mapped

_mapped: dict[tuple[str, int, int, str], np.ndarray] = {}
_lock = threading.Lock()


def contents_of_npz(file: Path) -> Contents:
    """What lies in a file; reads no image.

    Raises:
        CorpuscleError: it is missing, damaged, encrypted, or holds what only pickle could load.
    """
    with _told_of(file), zipfile.ZipFile(file) as archive:
        return _contents(archive)


def values_of_npz(file: Path, name: str) -> np.ndarray:
    """A whole array, for small ones.

    Raises:
        CorpuscleError: it cannot be read.
    """
    with _told_of(file), np.load(file, allow_pickle=False) as arrays:
        values: np.ndarray = arrays[name]
        return np.char.decode(values, "utf-8", "replace") if values.dtype.kind == "S" else values


def read_npz_member(path: Path, plan: ReadPlan = ReadPlan()) -> Pixels:  # noqa: B008 (frozen)
    """The pixels of `<file>.npz#<row>` or `<file>.npz#train/<row>`; safe to call from several threads.

    An array that lies uncompressed is mapped where it is. A compressed one is unpacked once into the cache folder.

    Raises:
        UnreadableImage: no such file or row, or bytes that cannot be decoded.
        CorpuscleError: the cache folder has no room.
    """
    member = member_of(path)
    if member is None:
        raise UnreadableImage(path, "is no image of an NPZ file", "name it as in cells.npz#12 or cells.npz#train/12")
    try:
        array_N = _array_of(member.file, member.part)
    except FileNotFoundError as error:
        raise UnreadableImage(path, f"cannot be read ({error.strerror})", "restore it, or leave it out") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError) as error:
        raise UnreadableImage(
            path, f"cannot be decoded ({_reason(error)})", "replace the file by a whole copy"
        ) from error
    if member.row >= len(array_N):
        what = f"the file has {len(array_N)} rows, row {member.row} was asked for (counted from 0)"
        raise UnreadableImage(path, what, "name another row")
    return as_pixels(np.array(array_N[member.row]), path, plan)


def _array_of(file: Path, part: str) -> np.ndarray:
    """The images of a part, mapped."""
    stat = file.stat()
    key = str(file), stat.st_size, stat.st_mtime_ns, part
    with _lock:
        if key not in _mapped:
            while len(_mapped) >= OPEN:
                del _mapped[next(iter(_mapped))]
            _mapped[key] = _map(file, part)
        return _mapped[key]


def _map(file: Path, part: str) -> np.ndarray:
    with zipfile.ZipFile(file) as archive:
        names = image_arrays(_contents(archive))
        if part not in names:
            raise KeyError(f"no array with images of the part '{part}'")
        info = archive.getinfo(f"{names[part]}.npy")
        with archive.open(info) as member:
            shape, order, dtype = _header_of(member, info.filename, archive.filename)
            start = member.tell()
        if info.compress_type == zipfile.ZIP_STORED:
            with file.open("rb") as handle:
                handle.seek(info.header_offset)
                start += (
                    info.header_offset + LOCAL_HEADER.size + sum(LOCAL_HEADER.unpack(handle.read(LOCAL_HEADER.size)))
                )
        else:
            file = _unpacked(archive, info)
    return np.memmap(file, dtype, "r", start, shape, order) if np.prod(shape) else np.zeros(shape, dtype)


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Path:
    """The array as a file of the cache folder, known by its name, its size and the checksum of its bytes."""
    name = digest_of(f"{info.filename} {info.file_size} {info.compress_size} {info.CRC}".encode())
    place = cache_folder() / ARRAYS / f"{name}.npy"
    if not hold(place):
        with whole_file(place) as part:
            make_room(cache_folder(), info.file_size)
            with archive.open(info) as source, part.open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
        hold(place)
    return place


def _contents(archive: zipfile.ZipFile) -> Contents:
    """Shapes and types of the arrays, by their headers."""
    found = {}
    for info in archive.infolist():
        with archive.open(info) as member:
            shape, _, dtype = _header_of(member, info.filename, archive.filename)
            found[info.filename.removesuffix(".npy")] = shape, dtype
    return Contents({name: shape for name, (shape, _) in found.items()}, {name: d for name, (_, d) in found.items()})


def _header_of(member: IO[bytes], name: str, file: str | None) -> tuple[tuple[int, ...], Any, np.dtype[Any]]:
    """Shape, order in memory ("C" or "F") and type of the array that a member holds."""
    if not name.endswith(".npy"):
        raise ValueError(f"'{name}' is no array")
    version = npy.read_magic(member)
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"'{name}' is of version {version[0]}.{version[1]}")
    shape, is_fortran, dtype = read(member)
    if dtype.hasobject:
        raise CorpuscleError(
            f"{file}: '{name.removesuffix('.npy')}' holds Python objects (pickle), which are never loaded; "
            "save it as an array of numbers or of texts"
        )
    return shape, "F" if is_fortran else "C", dtype


@contextlib.contextmanager
def _told_of(file: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise CorpuscleError(f"{file} does not exist; name an NPZ file that is there") from None
    except RuntimeError as error:
        raise CorpuscleError(f"{file}: cannot be read ({_reason(error)}); save it anew without a password") from error
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError) as error:
        raise CorpuscleError(
            f"{file}: is not a whole NPZ file ({_reason(error)}); replace it by a whole copy"
        ) from error


def _reason(error: Exception) -> str:
    text = str(error.args[0]) if isinstance(error, KeyError) else str(error)
    return text.partition("\n")[0].strip(" .") or type(error).__name__
