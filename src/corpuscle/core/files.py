"""Every file is written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from corpuscle.core.errors import CorpuscleError


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path in the same folder that becomes `path` when the block ends well.

    The bytes are on the disk before the name is given, and the name before the block is left; if the block
    fails, the old file stays as it was.

    Raises:
        CorpuscleError: the folder cannot be written or the disk is full.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        part = Path(name)
        try:
            yield part
            sync(part)
            part.chmod(0o666 & ~_umask())
            part.replace(path)
            sync(path.parent)
        finally:
            part.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    with whole_file(path) as part:
        part.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write a text file (UTF-8) whole or not at all."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """Write readable JSON whole or not at all."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def digest_of(*parts: bytes | memoryview) -> str:
    """A short name for some bytes, one part after the other: 128 bits of BLAKE2b in hexadecimal."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def sync(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A path to make a folder at, beside `path`, that becomes `path` when the block ends well; nothing is left else.

    Raises:
        CorpuscleError: the place holds something already, cannot be written, or the disk is full.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise CorpuscleError(f"{path} is not an empty folder; name a new one with --out")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.", suffix=".part") as temporary:
            whole = Path(temporary) / "whole"
            whole.mkdir()
            yield whole
            os.sync()  # the bytes are on the disk before the name is given
            whole.rename(path)


def check_place(path: Path, suffixes: Sequence[str] = (), inputs: Iterable[Path] = (), flag: str = "--out") -> None:
    """See that a result may be written to a place, before any time is spent on it.

    Args:
        path: the file or folder to be.
        suffixes: that its name may end in, if any will not do.
        inputs: files that must not be overwritten.
        flag: that names the place.

    Raises:
        CorpuscleError: it may not.
    """
    if suffixes and path.suffix.lower() not in suffixes:
        raise CorpuscleError(
            f"expected a name that ends in {' or '.join(suffixes)}, got {path}; name such a file with {flag}"
        )
    if suffixes and path.is_dir():
        raise CorpuscleError(f"{path} is a folder, a file was expected; name one with {flag}")
    if path.exists() and any(given.exists() and path.samefile(given) for given in inputs):
        raise CorpuscleError(f"{path} is what is read, it would be overwritten; name another file with {flag}")
    there = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not (there.is_dir() or there == path) or not os.access(there, os.W_OK):
        reason = os.strerror(errno.EACCES if there.is_dir() or there == path else errno.ENOTDIR)
        raise CorpuscleError(
            f"{path} cannot be written ({there}: {reason}); name a place you may write to, with {flag}"
        )


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what a disk can refuse into one clear line.

    Raises:
        CorpuscleError: the place is full, read-only, forbidden, not a folder, or whatever else the system says.
    """
    try:
        yield
    except Exception as error:
        number = _error_number(error)
        if number is None:
            raise
        if number in (errno.ENOSPC, errno.EDQUOT):
            raise CorpuscleError(
                f"the disk is full: {path} could not be written; free some space and give the same command again"
            ) from error
        raise CorpuscleError(
            f"{path} cannot be written ({os.strerror(number)}); name a place you may write to, with --out"
        ) from error


def _error_number(error: Exception) -> int | None:
    """The system's number of what went wrong, None where it was nothing of the disk's.

    What is written in Rust (safetensors, polars) raises errors of its own and says the number in words.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    said = re.search(r"\(os error (\d+)\)", str(error))
    return int(said[1]) if said else None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
