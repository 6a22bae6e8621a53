"""The one door to HDF5: what a file holds, and its images by their row, each chunk read once in a pass in order."""

from __future__ import annotations

import contextlib
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.records import Pixels
from corpuscle.data.readers.image import ReadPlan, UnreadableImage
from corpuscle.data.readers.stacks import Contents, Member, as_pixels, image_arrays, member_of

BLOCK_BYTES = 256 << 20
BLOCKS = 2  # threads at the seam of two blocks need both


@dataclass(eq=False)
class _Block:
    part: str
    start: int
    image_NHWC: np.ndarray
    unread: set[int]


@dataclass
class _Door:
    """Blocks of the file that was read last, as far as they are still wanted; no file is kept open."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    key: tuple[Any, ...] = ()
    names: dict[str, str] = field(default_factory=dict)
    blocks: list[_Block] = field(default_factory=list)

    def read(self, member: Member) -> np.ndarray:
        """The image of a row, HW or HWC; the array is the caller's own."""
        stat = member.file.stat()
        with self.lock:
            key = str(member.file), stat.st_size, stat.st_mtime_ns
            if key != self.key:
                self.key, self.names, self.blocks = key, {}, []
            for block in self.blocks:
                if block.part == member.part and 0 <= member.row - block.start < len(block.image_NHWC):
                    return self._taken(block, member.row)
            with _open(member.file) as handle:
                self.names = self.names or image_arrays(_contents(handle))
                if member.part not in self.names:
                    raise KeyError(f"no data set with images of the part '{member.part}'")
                images = handle[self.names[member.part]]
                if member.row >= len(images):
                    raise IndexError(f"{len(images)} rows")
                rows = _rows_at_once(images)
                if rows > 1:
                    return self._taken(self._block(images, member, rows), member.row)
                if not _is_plain_gzip(images):
                    image_HWC: np.ndarray = images[member.row]
                    return image_HWC
                packed = images.id.read_direct_chunk((member.row, *(0 for _ in images.shape[1:])))[1]
                shape, dtype = images.shape[1:], images.dtype
        return np.frombuffer(bytearray(zlib.decompress(packed)), dtype).reshape(shape)  # threads do this side by side

    def _block(self, images: Any, member: Member, rows: int) -> _Block:
        """The rows that share chunks, kept in the place of the oldest block."""
        start = member.row // rows * rows
        del self.blocks[: len(self.blocks) - BLOCKS + 1]
        image_NHWC = images[start : start + rows]
        unread = set(range(start, start + len(image_NHWC)))
        self.blocks.append(_Block(member.part, start, image_NHWC, unread))
        return self.blocks[-1]

    def _taken(self, block: _Block, row: int) -> np.ndarray:
        """An image of a block, which is dropped with its last one."""
        block.unread.discard(row)
        if not block.unread:
            self.blocks.remove(block)
        return block.image_NHWC[row - block.start].copy()


_DOOR = _Door()


def contents_of(file: Path) -> Contents:
    """What lies in a file, at its top and one group deep (`train/x`); reads no image.

    Raises:
        CorpuscleError: it is missing, no HDF5 file, or cut short.
    """
    with _told_of(file), _open(file) as handle:
        return _contents(handle)


def values_of(file: Path, name: str) -> np.ndarray:
    """A whole data set, for small ones; texts come as str.

    Raises:
        CorpuscleError: it cannot be read.
    """
    with _told_of(file), _open(file) as handle:
        return _as_text(handle[name][()])


def attributes_of(file: Path, name: str) -> dict[str, np.ndarray]:
    """What is written at the file's top and at a data set, the latter first; texts come as str.

    Raises:
        CorpuscleError: it cannot be read.
    """
    with _told_of(file), _open(file) as handle:
        found = dict(handle.attrs.items()) | dict(handle[name].attrs.items())
        return {key: _as_text(np.asarray(value)) for key, value in found.items()}


def read_member(path: Path, plan: ReadPlan = ReadPlan()) -> Pixels:  # noqa: B008 (frozen)
    """The pixels of `<file>.h5#<row>` or `<file>.h5#train/<row>`; safe to call from several threads.

    Where a chunk of the file holds pieces of several images, these are read together, a quarter of a gigabyte at most,
    and kept until each of them was asked for.

    Raises:
        UnreadableImage: no such file or row, or bytes that cannot be decoded.
    """
    member = member_of(path)
    if member is None:
        raise UnreadableImage(path, "is no image of an HDF5 file", "name it as in training.h5#12")
    try:
        image_HWC = _DOOR.read(member)
    except FileNotFoundError as error:
        raise UnreadableImage(path, f"cannot be read ({error.strerror})", "restore it, or leave it out") from error
    except IndexError as error:
        what = f"the file has {error}, row {member.row} was asked for (counted from 0)"
        raise UnreadableImage(path, what, "name another row") from None
    except (OSError, KeyError, ValueError, zlib.error) as error:
        raise UnreadableImage(
            path, f"cannot be decoded ({_reason(error)})", "replace the file by a whole copy"
        ) from error
    return as_pixels(image_HWC, path, plan)


def _contents(handle: Any) -> Contents:
    """Shapes and types of the data sets at the top and in its groups."""
    sets: dict[str, Any] = {}
    for name, item in handle.items():
        members = item.items() if hasattr(item, "items") else ()  # a named type has none
        inside = {name: item} if hasattr(item, "shape") else {f"{name}/{key}": value for key, value in members}
        sets |= {key: value for key, value in inside.items() if getattr(value, "shape", None) is not None}
    return Contents(
        {name: tuple(item.shape) for name, item in sets.items()}, {name: item.dtype for name, item in sets.items()}
    )


def _as_text(values: np.ndarray) -> np.ndarray:
    """The values, bytes as texts."""
    if values.dtype.kind not in "SO":
        return values
    texts = [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in values.flat]
    return np.array(texts, dtype=object).reshape(values.shape)


def _is_plain_gzip(images: Any) -> bool:
    """Whether a chunk is one image, packed by gzip and nothing else."""
    filters = images.id.get_create_plist()
    gzip_alone = filters.get_nfilters() == 1 and images.compression == "gzip" and images.dtype.isnative
    return gzip_alone and images.chunks == (1, *images.shape[1:])


def _rows_at_once(images: Any) -> int:
    """As many images as share chunks, or as many as memory allows."""
    if not images.chunks or images.ndim < 3:
        return 1
    bytes_each = max(1, int(np.prod(images.shape[1:])) * images.dtype.itemsize)
    return int(min(images.chunks[0], max(1, BLOCK_BYTES // bytes_each)))


def _open(file: Path) -> Any:
    import h5py

    return h5py.File(file, "r")


@contextlib.contextmanager
def _told_of(file: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise CorpuscleError(f"{file} does not exist; name an HDF5 file that is there") from None
    except OSError as error:
        reason = _reason(error)
        if "truncated" in reason:
            raise CorpuscleError(f"{file}: the file is cut short ({reason}); replace it by a whole copy") from error
        if "signature" in reason:
            raise CorpuscleError(f"{file}: is not an HDF5 file ({reason}); replace it by a whole copy") from error
        raise CorpuscleError(f"{file}: cannot be read ({reason}); replace it by a whole copy") from error
    except (KeyError, RuntimeError, ValueError) as error:
        raise CorpuscleError(f"{file}: cannot be read ({_reason(error)}); replace it by a whole copy") from error


def _reason(error: Exception) -> str:
    return str(error).partition("\n")[0].strip("'\" .") or type(error).__name__
