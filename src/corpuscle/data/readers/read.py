"""One way to the pixels of an image: a file of its own, a row of an HDF5 or NPZ file, or a tile of a slide."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.files import digest_of
from corpuscle.core.records import Pixels
from corpuscle.data.readers.hdf5 import contents_of, read_member
from corpuscle.data.readers.image import ReadPlan, read_image
from corpuscle.data.readers.npz import contents_of_npz, read_npz_member
from corpuscle.data.readers.slides import kept_slide
from corpuscle.data.readers.stacks import Contents, Member, images_in, is_npz, member_name, member_of
from corpuscle.data.readers.tiles import Tile, lies_in, read_tile, tile_of

PIECE_BYTES, PIECES = 1 << 20, 32  # of a slide, that stand for all of it

_digests: dict[tuple[str, int, int], str] = {}
_lock = threading.Lock()


def read_pixels(path: Path, plan: ReadPlan = ReadPlan()) -> Pixels:  # noqa: B008 (frozen)
    """The pixels of a file, of `<file>.h5#<row>`, `<file>.npz#train/<row>`, or of a tile; each time the same.

    Raises:
        UnreadableImage: there are none to be had.
    """
    if tile_of(path) is not None:
        return read_tile(path, plan)
    member = member_of(path)
    if member is None:
        return read_image(path, plan)
    return read_npz_member(path, plan) if is_npz(member.file.name) else read_member(path, plan)


def array_contents(file: Path) -> Contents:
    """What lies in an HDF5 or NPZ file; reads no image.

    Raises:
        CorpuscleError: it is missing or damaged.
    """
    return contents_of_npz(file) if is_npz(file.name) else contents_of(file)


def members_of(file: Path) -> list[Path]:
    """Each image of an HDF5 or NPZ file, part by part, in the order of its rows.

    Raises:
        CorpuscleError: it cannot be read, or holds none.
    """
    numbers = images_in(file, array_contents(file))
    return [Path(f"{file}{member_name(part, row)}") for part, number in numbers.items() for row in range(number)]


def is_member(path: Path) -> bool:
    """Whether a path names pixels inside a file: a row of an HDF5 or NPZ file, or a tile of a slide.

    >>> is_member(Path("training.h5#12")), is_member(Path("training.h5")), is_member(Path("cell#12.png"))
    (True, False, False)
    """
    return _holder_of(path) is not None


def file_of(path: Path) -> Path:
    """The file on disk that holds an image: its own, that of arrays it is a row of, or the slide it is a tile of."""
    holder = _holder_of(path)
    return holder.file if holder else path


def exists(path: Path) -> bool:
    """Whether there is such a file, such a row in its file of arrays, or such a place on its slide; decodes nothing."""
    holder = _holder_of(path)
    if holder is None:
        return path.is_file()
    try:
        if isinstance(holder, Member):
            return holder.row < images_in(holder.file, array_contents(holder.file)).get(holder.part, 0)
        slide = kept_slide(holder.file)
        return lies_in(holder, slide.height, slide.width)
    except CorpuscleError:
        return False


def content_digest(path: Path) -> str:
    """A short name for the bytes an image comes from: of its file, or of the file that holds it and its place there.

    A file of arrays is read for it once in a process, as long as its size and time stay. A slide is known by its size,
    its time and pieces spread over it: reading all of a hundred slides would take longer than training on them.
    """
    try:
        holder = _holder_of(path)
        if holder is None:
            return digest_of(path.read_bytes())
        place = str(path).rpartition("#")[2]
        return f"{_file_digest(holder.file, whole=isinstance(holder, Member))}#{place}"
    except OSError as error:
        return f"unreadable: {error.errno}"


def _holder_of(path: Path) -> Member | Tile | None:
    return member_of(path) or tile_of(path)


def _file_digest(file: Path, whole: bool) -> str:
    stat = file.stat()
    key = str(file), stat.st_size, stat.st_mtime_ns
    with _lock:
        if key not in _digests:
            with file.open("rb") as handle:
                if whole:
                    _digests[key] = hashlib.file_digest(handle, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
                else:
                    _digests[key] = digest_of(repr(_spread(file)).encode() + b"".join(_pieces(handle, stat.st_size)))
        return _digests[key]


def _pieces(handle: BinaryIO, size: int) -> Iterator[bytes]:
    """Some of a file, evenly spread and its ends among them; all of it where it is small."""
    step = max(PIECE_BYTES, (size - PIECE_BYTES) // (PIECES - 1))
    for start in range(0, size, step):
        handle.seek(start)
        yield handle.read(PIECE_BYTES)


def _spread(file: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of a slide's files; MIRAX keeps its pixels in a folder beside, of the same name."""
    beside = sorted(file.with_suffix("").glob("*")) if file.suffix.lower() == ".mrxs" else []
    return [(path.name, (stat := path.stat()).st_size, stat.st_mtime_ns) for path in (file, *beside)]
