"""Every image is read once: one pass finds the faults, takes the measurements, and fills a memory map of canvases.

The memory map is keyed by the content of the files and by how they were prepared, so a second run, another fold or
another seed opens it at once, and a changed image is never mistaken for the old one. It is filled under another name
and given its own when complete, so it may be killed at any moment.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.files import digest_of, sync
from corpuscle.core.progress import SILENT, Progress
from corpuscle.data.prepare import PreparePlan, prepare
from corpuscle.data.readers.image import ReadPlan, decode
from corpuscle.data.table import Table

FORMAT = 2  # raise when the same file would give other pixels than before
AT_ONCE = 512
ROWS, CANVASES = "rows.parquet", "canvas.npy"
ABANDONED_S = 24 * 3600.0  # a filling that has not moved for so long was killed
SPARE_DISK = 1.1  # room the cache must leave, as a factor on its own size
LIMIT_BYTES = 40e9  # of all caches together; the longest unused go first


class Canvases(Protocol):
    """Prepared images by their place in the table."""

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __getitem__(self, place: int, /) -> np.ndarray: ...


@dataclass(frozen=True)
class Survey:
    """What one pass over the images found.

    Attributes:
        frame: a row an image, in the table's order: content (digest of the decoded pixels), height, width, mode,
            fault and remedy (null where the image is sound).
        canvases: the prepared images, None where none were asked for.
        cached: whether they lie in the cache.
    """

    frame: pl.DataFrame
    canvases: Canvases | None
    cached: bool


class _WiderNeededError(Exception):
    """An image has 16 bits a channel and the canvases were laid out for 8."""


@dataclass(frozen=True)
class Uncached:
    """Canvases that are read and prepared anew each time, for where the cache is off or the disk too small."""

    paths: Sequence[Path]
    read: ReadPlan
    prepare: PreparePlan
    dtype: np.dtype[Any]

    def __getitem__(self, place: int) -> np.ndarray:
        path = self.paths[place]
        return as_depth(prepare(decode(path.read_bytes(), path, self.read).array_HWC, self.prepare), self.dtype)


@dataclass(frozen=True)
class InMemory:
    """Canvases of a few images, by their place; unreadable ones are absent."""

    canvas_SSC: Mapping[int, np.ndarray]
    dtype: np.dtype[Any]

    def __getitem__(self, place: int) -> np.ndarray:
        return as_depth(self.canvas_SSC[place], self.dtype)


def survey_few(paths: Sequence[Path], read: ReadPlan, preparation: PreparePlan) -> Survey:
    """Read a few images and keep their canvases in memory."""
    canvases: dict[int, np.ndarray] = {}
    rows = list(_look_at(paths, read, preparation, SILENT, canvases.__setitem__))
    return Survey(_frame(rows), InMemory(canvases, widest(canvas.dtype for canvas in canvases.values())), cached=False)


def widest(dtypes: Iterable[np.dtype[Any]]) -> np.dtype[Any]:
    """The type that holds all of them: 16 bits where there are any."""
    return np.dtype(np.uint16 if np.dtype(np.uint16) in set(dtypes) else np.uint8)


def survey(
    table: Table, read: ReadPlan, preparation: PreparePlan | None, cache: bool = True, progress: Progress = SILENT
) -> Survey:
    """Read every image of the table once.

    Args:
        table: names the images; none is opened twice.
        read: limits of the reader.
        preparation: fill canvases this way; None only looks.
        cache: keep the canvases for the next run.
        progress: shows how far it is.
    """
    paths = [table.path_of(image) for image in table.frame["image"]]
    if preparation is None:
        return Survey(_frame(list(_look_at(paths, read, None, progress))), None, cached=False)
    if not cache:
        return _without_cache(paths, read, preparation, progress)
    digests = list(progress.track(_in_threads(_digest, paths), "looking for changed files", len(paths)))
    key = digest_of("\n".join([str(FORMAT), preparation.model_dump_json(), read.model_dump_json(), *digests]).encode())
    folder = cache_folder() / key
    try:
        if not (folder / ROWS).is_file():
            need = len(paths) * preparation.size**2 * 3
            folder.parent.mkdir(parents=True, exist_ok=True)
            _make_room(folder.parent, need)
            _fill_either(folder, paths, read, preparation, progress)
        os.utime(folder)
        return Survey(pl.read_parquet(folder / ROWS), np.load(folder / CANVASES, mmap_mode="r"), cached=True)
    except OSError as error:
        progress.say(f"no cache in {folder.parent} ({error.strerror}); images are decoded each time")
        return _without_cache(paths, read, preparation, progress)


def cache_folder() -> Path:
    """Where prepared images are kept: $CORPUSCLE_CACHE, else the user's own cache folder."""
    named = os.environ.get("CORPUSCLE_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "corpuscle"


def as_depth(array: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """Bring 8 or 16 bits to the stated depth without loss: 255 becomes 65535."""
    if array.dtype == dtype:
        return array
    if array.dtype == np.uint8:
        return array.astype(np.uint16) * np.uint16(257)
    raise _WiderNeededError


def _without_cache(paths: Sequence[Path], read: ReadPlan, preparation: PreparePlan, progress: Progress) -> Survey:
    depths = set()

    def note_depth(place: int, canvas_SSC: np.ndarray) -> None:
        depths.add(canvas_SSC.dtype)

    rows = list(_look_at(paths, read, preparation, progress, note_depth))
    return Survey(_frame(rows), Uncached(paths, read, preparation, widest(depths)), cached=False)


def _fill_either(
    folder: Path, paths: Sequence[Path], read: ReadPlan, preparation: PreparePlan, progress: Progress
) -> None:
    try:
        _fill(folder, paths, read, preparation, np.dtype(np.uint8), progress)
    except _WiderNeededError:
        _fill(folder, paths, read, preparation, np.dtype(np.uint16), progress)


def _fill(
    folder: Path,
    paths: Sequence[Path],
    read: ReadPlan,
    preparation: PreparePlan,
    dtype: np.dtype[Any],
    progress: Progress,
) -> None:
    part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        shape = len(paths), preparation.size, preparation.size, 3
        canvas_NSSC = np.lib.format.open_memmap(part / CANVASES, mode="w+", dtype=dtype, shape=shape)
        _reserve(part / CANVASES)

        def put(place: int, canvas_SSC: np.ndarray) -> None:
            canvas_NSSC[place] = as_depth(canvas_SSC, dtype)

        rows = list(_look_at(paths, read, preparation, progress, put))
        canvas_NSSC.flush()
        _frame(rows).write_parquet(part / ROWS)
        sync(part / ROWS)
        with contextlib.suppress(OSError):  # another run was first: its content is the same
            part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _reserve(path: Path) -> None:
    """Take the file's room on the disk now: a memory map that finds none later kills the process."""
    if hasattr(os, "posix_fallocate"):  # not on macOS and Windows
        with path.open("r+b") as handle:
            os.posix_fallocate(handle.fileno(), 0, path.stat().st_size)


def _look_at(
    paths: Sequence[Path],
    read: ReadPlan,
    preparation: PreparePlan | None,
    progress: Progress,
    put: Callable[[int, np.ndarray], None] | None = None,
) -> Iterator[dict[str, Any]]:
    look = partial(_look_at_one, read=read, preparation=preparation, put=put)
    yield from progress.track(_in_threads(look, list(enumerate(paths))), "reading images", len(paths))


def _look_at_one(
    placed: tuple[int, Path],
    read: ReadPlan,
    preparation: PreparePlan | None,
    put: Callable[[int, np.ndarray], None] | None,
) -> dict[str, Any]:
    place, path = placed
    row: dict[str, Any] = dict.fromkeys(("content", "height", "width", "mode", "fault", "remedy"))
    try:
        pixels = decode(path.read_bytes(), path, read)
    except CorpuscleError as error:
        what, _, remedy = str(error).removeprefix(f"{path}: ").partition("; ")
        return row | {"fault": what, "remedy": remedy}
    except OSError as error:
        return row | {"fault": f"cannot be read ({error.strerror})", "remedy": "restore the file or drop its row"}
    array_HWC = np.ascontiguousarray(pixels.array_HWC)
    row |= {
        "content": digest_of(f"{array_HWC.shape} {array_HWC.dtype}".encode() + array_HWC.tobytes()),
        "height": array_HWC.shape[0],
        "width": array_HWC.shape[1],
        "mode": pixels.note or f"RGB, {8 * array_HWC.itemsize} bits",
    }
    if preparation is not None and put is not None:
        put(place, prepare(array_HWC, preparation))
    return row


def _frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    text, number = pl.String, pl.Int64
    schema = {"content": text, "height": number, "width": number, "mode": text, "fault": text, "remedy": text}
    return pl.DataFrame(rows, schema=schema)


def _digest(path: Path) -> str:
    try:
        return digest_of(path.read_bytes())
    except OSError as error:
        return f"unreadable: {error.errno}"


def _in_threads(work: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
    """Results in order; decoding and hashing leave the interpreter free, so threads are enough."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for start in itertools.count(0, AT_ONCE):
            if start >= len(items):
                return
            yield from pool.map(work, items[start : start + AT_ONCE])


def _make_room(folder: Path, need: int) -> None:
    """Drop what nobody uses, and see that the disk has room.

    Raises:
        OSError: it has none even so.
    """
    with contextlib.suppress(OSError):  # another process is at the same
        _drop_unused(folder, need)
    if shutil.disk_usage(folder).free < need * SPARE_DISK:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _drop_unused(folder: Path, need: int) -> None:
    """Drop what killed runs have left, and the longest unused canvases beyond the limit."""
    for left in [path for path in folder.glob(".*.*") if path.is_dir()]:
        if time.time() - max(path.stat().st_mtime for path in (left, *left.iterdir())) > ABANDONED_S:
            shutil.rmtree(left, ignore_errors=True)
    kept = sorted((path for path in folder.iterdir() if (path / ROWS).is_file()), key=lambda path: path.stat().st_mtime)
    sizes = {path: (path / CANVASES).stat().st_size for path in kept}
    while kept and sum(sizes[path] for path in kept) + need > LIMIT_BYTES:
        oldest = kept.pop(0)
        dropped = oldest.rename(oldest.with_name(f".{oldest.name}.dropped"))  # at once: half of one is none
        shutil.rmtree(dropped, ignore_errors=True)
