"""The cache folder, its limit, and who uses what of it: the longest unused goes first, and nothing that is in use."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

ROWS = "rows.parquet"  # in each folder of canvases
FEATURES = "features"  # the folder of what encoders made of canvases
ARCHIVES = "archives"  # that of unpacked archives
ARRAYS = "arrays"  # that of arrays that lay compressed in NPZ files
SHARED = (FEATURES, ARCHIVES, ARRAYS)
ABANDONED_S = 24 * 3600.0  # what has not moved for so long was left by a run that was killed
SPARE_DISK = 1.1  # room the cache must leave, as a factor on its own size
LIMIT_BYTES = 40e9  # of all caches together

_held: dict[Path, int] = {}  # handles of what this run uses; their locks end with the process, however it ends


def cache_folder() -> Path:
    """Where prepared images are kept: $CORPUSCLE_CACHE, else the user's own cache folder."""
    named = os.environ.get("CORPUSCLE_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "corpuscle"


def hold(entry: Path) -> bool:
    """Say that this run uses a folder or file of the cache: no run drops it before this one ends.

    Returns:
        Whether it is there.
    """
    if entry not in _held:
        try:
            _held[entry] = os.open(entry, os.O_RDONLY)
        except FileNotFoundError:
            return False
        with contextlib.suppress(OSError):  # a disk without locks
            fcntl.flock(_held[entry], fcntl.LOCK_SH)
    with contextlib.suppress(OSError):  # a cache of someone else's, which may only be read
        os.utime(entry)  # the longest unused go first
    if not entry.exists():  # dropped while this waited for its lock
        os.close(_held.pop(entry))
        return False
    return True


def make_room(folder: Path, need: int) -> None:
    """Drop from the cache what nobody uses, and see that the disk has room for so many bytes.

    Raises:
        OSError: it has none even so.
    """
    with contextlib.suppress(OSError):  # another process is at the same
        _drop_unused(folder, need)
    if shutil.disk_usage(folder).free < need * SPARE_DISK:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _drop_unused(folder: Path, need: int) -> None:
    """Drop what killed runs have left, and the longest unused entries beyond the limit."""
    for left in _abandoned(folder):
        _drop(left)
    entries = [path for path in folder.iterdir() if (path / ROWS).is_file()]
    entries += [path for name in SHARED for path in folder.glob(f"{name}/[!.]*")]
    sizes = {path: _bytes_of(path) for path in entries}
    total = sum(sizes.values())
    for oldest in sorted(entries, key=lambda path: path.stat().st_mtime):
        if total + need <= LIMIT_BYTES:
            break
        with _alone(oldest) as alone:
            if not alone:
                continue
            dropped = oldest.rename(oldest.with_name(f".{oldest.name}.dropped"))  # at once: half of one is none
        _drop(dropped)
        total -= sizes[oldest]


def _abandoned(folder: Path) -> Iterator[Path]:
    """Half of an entry, or half of a file within one, that nobody goes on with."""
    for path in [*folder.glob(".*.*"), *folder.glob("*/.*.*"), *folder.glob(f"{FEATURES}/*/.*.part")]:
        with contextlib.suppress(FileNotFoundError):
            moved = [path.stat().st_mtime, *(inner.stat().st_mtime for inner in path.glob("*"))]
            if time.time() - max(moved) > ABANDONED_S:
                yield path


@contextlib.contextmanager
def _alone(entry: Path) -> Iterator[bool]:
    """Whether no run holds an entry, nor begins to within the block."""
    handle = os.open(entry, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        free = True
    except OSError as error:  # taken, or a disk without locks
        free = not isinstance(error, BlockingIOError) and entry not in _held
    try:
        yield free
    finally:
        os.close(handle)


def _bytes_of(entry: Path) -> int:
    if entry.parent.name == ARCHIVES:
        return _bytes_below(entry)
    files = [path for path in entry.iterdir() if path.name != ROWS] if entry.is_dir() else [entry]
    return sum(path.stat().st_size for path in files)


@lru_cache(maxsize=1000)
def _bytes_below(entry: Path) -> int:
    """Of an unpacked archive, which stays as it is."""
    return sum(path.stat().st_size for path in entry.rglob("*") if path.is_file())


def _drop(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
