"""The one door to HDF5: what a file holds, and its images by their row, each chunk read once in a pass in order."""

from __future__ import annotations

import contextlib
import os
import re
import threading
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.records import Pixels
from corpuscle.data.readers.image import ReadPlan, UnreadableImage

HDF5_SUFFIXES = frozenset({".h5", ".hdf5"})
IMAGES = "x"  # name of the data set with the images, N x height x width x 3
BLOCK_BYTES = 256 << 20
BLOCKS = 2  # threads at the seam of two blocks need both
MEMBER = re.compile(r"^(?P<file>.+(?:\.h5|\.hdf5))#(?P<row>\d+)$", re.IGNORECASE)


@dataclass(frozen=True)
class Contents:
    """What lies in an HDF5 file.

    Attributes:
        shape: of each data set at the top.
        dtype: of each.
    """

    shape: Mapping[str, tuple[int, ...]]
    dtype: Mapping[str, np.dtype[Any]]


@dataclass(frozen=True)
class Member:
    """One image of an HDF5 file; rows are counted from 0."""

    file: Path
    row: int


@dataclass(eq=False)
class _Block:
    start: int
    image_NHWC: np.ndarray
    unread: set[int]


@dataclass
class _Door:
    """Blocks of the file that was read last, as far as they are still wanted; no file is kept open."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    key: tuple[Any, ...] = ()
    blocks: list[_Block] = field(default_factory=list)

    def read(self, member: Member) -> np.ndarray:
        """The image of a row, HWC; the array is the caller's own."""
        stat = member.file.stat()
        with self.lock:
            key = str(member.file), stat.st_size, stat.st_mtime_ns
            if key != self.key:
                self.key, self.blocks = key, []
            block = next(
                (block for block in self.blocks if 0 <= member.row - block.start < len(block.image_NHWC)), None
            )
            if block is not None:
                return self._taken(block, member.row)
            with _open(member.file) as handle:
                images = handle[IMAGES]
                if member.row >= len(images):
                    raise IndexError(f"{len(images)} rows")
                rows = _rows_at_once(images)
                if rows > 1:
                    return self._taken(self._block(images, member.row // rows * rows, rows), member.row)
                if not _is_plain_gzip(images):
                    image_HWC: np.ndarray = images[member.row]
                    return image_HWC
                packed = images.id.read_direct_chunk((member.row, 0, 0, 0))[1]
                shape, dtype = images.shape[1:], images.dtype
        return np.frombuffer(bytearray(zlib.decompress(packed)), dtype).reshape(shape)  # threads do this side by side

    def _block(self, images: Any, start: int, rows: int) -> _Block:
        """The rows that share chunks, kept in the place of the oldest block."""
        del self.blocks[: len(self.blocks) - BLOCKS + 1]
        image_NHWC = images[start : start + rows]
        self.blocks.append(_Block(start, image_NHWC, set(range(start, start + len(image_NHWC)))))
        return self.blocks[-1]

    def _taken(self, block: _Block, row: int) -> np.ndarray:
        """An image of a block, which is dropped with its last one."""
        block.unread.discard(row)
        if not block.unread:
            self.blocks.remove(block)
        return block.image_NHWC[row - block.start].copy()


_DOOR = _Door()


def is_hdf5(name: str) -> bool:
    """Whether a file is named like an HDF5 file.

    >>> is_hdf5("a/Training.H5"), is_hdf5("training.h5#3")
    (True, False)
    """
    return os.path.splitext(name)[1].lower() in HDF5_SUFFIXES  # noqa: PTH122 (called for every file of a folder)


def member_of(path: Path) -> Member | None:
    """What `<file>.h5#<row>` names, None for all other paths.

    >>> member_of(Path("training.h5#12")).row, member_of(Path("training.h5"))
    (12, None)
    """
    found = MEMBER.match(str(path))
    return Member(Path(found["file"]), int(found["row"])) if found else None


def contents_of(file: Path) -> Contents:
    """What lies in a file; reads no image.

    Raises:
        CorpuscleError: it is missing, no HDF5 file, or cut short.
    """
    with _told_of(file), _open(file) as handle:
        sets = {name: item for name, item in handle.items() if hasattr(item, "shape")}
        return Contents(
            {name: tuple(item.shape) for name, item in sets.items()}, {name: item.dtype for name, item in sets.items()}
        )


def values_of(file: Path, name: str) -> np.ndarray:
    """A whole data set, for small ones; texts come as str.

    Raises:
        CorpuscleError: it cannot be read.
    """
    with _told_of(file), _open(file) as handle:
        values: np.ndarray = handle[name][()]
        if values.dtype.kind not in "SO":
            return values
        texts = [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in values.flat]
        return np.array(texts, dtype=object).reshape(values.shape)


def num_images(file: Path) -> int:
    """How many images a file holds.

    Raises:
        CorpuscleError: it cannot be read, or holds none.
    """
    shape = contents_of(file).shape.get(IMAGES)
    if not shape or shape[0] == 0:
        held = "is empty" if shape else "is not there"
        raise CorpuscleError(f"{file}: the data set '{IMAGES}' with the images {held}; name another file")
    return shape[0]


def read_member(path: Path, plan: ReadPlan = ReadPlan()) -> Pixels:  # noqa: B008 (frozen)
    """The pixels of `<file>.h5#<row>`; safe to call from several threads.

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
    if image_HWC.ndim != 3 or image_HWC.shape[2] != 3 or image_HWC.dtype not in (np.uint8, np.uint16):
        what = f"has the shape {image_HWC.shape} and the type {image_HWC.dtype}"
        raise UnreadableImage(path, what, "save it as height x width x 3 in 8 or 16 bits without sign")
    height, width = image_HWC.shape[:2]
    if height * width > plan.max_pixels:
        what = f"has {width} x {height} pixels, more than the limit of {plan.max_pixels:,}"
        raise UnreadableImage(path, what, f"pass --set read.max_pixels={width * height}")
    return Pixels(image_HWC)


def _is_plain_gzip(images: Any) -> bool:
    """Whether a chunk is one image, packed by gzip and nothing else."""
    filters = images.id.get_create_plist()
    gzip_alone = filters.get_nfilters() == 1 and images.compression == "gzip" and images.dtype.isnative
    return gzip_alone and images.chunks == (1, *images.shape[1:])


def _rows_at_once(images: Any) -> int:
    """As many images as share chunks, or as many as memory allows."""
    if not images.chunks or images.ndim != 4:
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
