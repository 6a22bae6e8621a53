"""Every file is written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
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


def digest_of(content: bytes) -> str:
    """A short name for some bytes: 128 bits of BLAKE2b in hexadecimal."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def sync(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what a disk can refuse into one clear line.

    Raises:
        CorpuscleError: the place is full, read-only, forbidden or not a folder.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise CorpuscleError(
                f"the disk is full: {path} could not be written; free some space and give the same command again"
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise CorpuscleError(
                f"{path} cannot be written ({os.strerror(error.errno)}); name a folder you may write to, with --out"
            ) from error
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
