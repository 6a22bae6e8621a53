"""Archives: a zip or tar file is unpacked once into the cache folder, and what could do harm there is refused."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import lzma
import os
import re
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from corpuscle.core.errors import CorpuscleError, DataFault, Fault
from corpuscle.data.room import ARCHIVES, cache_folder, hold, make_room
from corpuscle.data.sources.disk import files_under, listing
from corpuscle.data.sources.folders import PARTS
from corpuscle.data.sources.plan import ArchivePlan

ZIP, TAR = (".zip",), (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
DRIVE = re.compile(r"^[A-Za-z]:")
GB, BLOCK = 10**9, 1 << 20
ELSEWHERE = "set CORPUSCLE_CACHE to a folder you may write to"
DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, NotImplementedError)


@dataclass(frozen=True)
class Unpacked:
    """An archive on disk.

    Attributes:
        root: the folder to read; that inside the only folder at the top where there is one.
        notes: what the user should know of it.
    """

    root: Path
    notes: tuple[str, ...]


def is_archive(name: str) -> bool:
    """Whether a file is named like an archive that can be unpacked.

    >>> is_archive("Cells.ZIP"), is_archive("cells.tar.gz"), is_archive("cells.npz")
    (True, True, False)
    """
    return name.lower().endswith((*ZIP, *TAR))


def unpacked(file: Path, plan: ArchivePlan) -> Unpacked:
    """The folder that an archive holds, in the cache folder, known by the digest of the archive; unpacked if it is not.

    It is unpacked beside under another name and given its own when complete.

    Raises:
        DataFault: entries that would be written elsewhere, links, passwords, names that are there twice.
        CorpuscleError: it is damaged, larger than the plan allows, holds archives alone, or the disk has no room.
    """
    try:
        with file.open("rb") as handle:
            digest = hashlib.file_digest(handle, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
        folder = cache_folder() / ARCHIVES / digest
        if not hold(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{digest}.", suffix=".part") as place:
                whole = Path(place) / "whole"
                whole.mkdir()
                _unpack(file, whole, plan)
                os.sync()  # the bytes are on the disk before the name is given
                with contextlib.suppress(OSError):  # another run was first: its content is the same
                    whole.rename(folder)
            hold(folder)
            make_room(cache_folder(), 0)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise CorpuscleError(
                f"the disk is full: {file} cannot be unpacked; free some space, or {ELSEWHERE}"
            ) from error
        raise CorpuscleError(f"{file} cannot be unpacked ({error.strerror or error}); {ELSEWHERE}") from error
    names = list(files_under(folder))
    if not names:
        raise CorpuscleError(f"{file} holds no file; pack the folder of the data set")
    packed = [name for name in names if is_archive(name)]
    if packed and len(packed) == len(names):
        raise CorpuscleError(f"{file} holds archives alone (first: {packed[0]}); unpack it and name one of these")
    return Unpacked(_inside(folder), _notes(file, folder, packed))


def _unpack(file: Path, place: Path, plan: ArchivePlan) -> None:
    try:
        if file.name.lower().endswith(ZIP):
            _unpack_zip(file, place, plan)
        else:
            _unpack_tar(file, place, plan)
    except (*DAMAGED, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the disk; those of gzip and bz2 have no number
            raise
        reason = str(error).partition("\n")[0].strip(". ") or "it ends too early"
        raise CorpuscleError(f"{file} is not a whole archive ({reason}); replace it by a whole copy") from error


def _unpack_zip(file: Path, place: Path, plan: ArchivePlan) -> None:
    with zipfile.ZipFile(file) as archive:
        entries = [(info, info.filename.replace("\\", "/")) for info in archive.infolist()]
        faults = [fault for info, name in entries for fault in _faults_of(name, _kind_of(info))]
        taken = Counter(os.path.normpath(name) for _, name in entries if not name.endswith("/"))
        faults += [Fault(f"'{name}'", "is there twice", "pack it once") for name, number in taken.items() if number > 1]
        above = {folder.as_posix() for name in taken for folder in PurePosixPath(name).parents}
        remedy = "call one of them otherwise"
        faults += [Fault(f"'{name}'", "is a file and a folder", remedy) for name in taken if name in above]
        if faults:
            raise DataFault([Fault(f"{file}: {fault.where}", fault.what, fault.remedy) for fault in faults])
        _check_size(file, sum(info.file_size for info, _ in entries), plan, place)
        for info, name in entries:
            target = place / name
            if name.endswith("/"):
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(info) as source, target.open("xb") as out:
                shutil.copyfileobj(source, out, BLOCK)


def _unpack_tar(file: Path, place: Path, plan: ArchivePlan) -> None:
    """Entry by entry, for the list of a packed one would cost a pass of its own."""
    size = 0
    with tarfile.open(file, "r:*") as archive:
        for entry in archive:
            kind = "" if entry.isreg() or entry.isdir() else "a link" if entry.issym() or entry.islnk() else "a device"
            faults = list(_faults_of(entry.name, kind))
            if faults:
                raise DataFault([Fault(f"{file}: {fault.where}", fault.what, fault.remedy) for fault in faults])
            size += entry.size
            _check_size(file, size, plan, place, entry.size)
            archive.extract(entry, place, set_attrs=False, filter="data")
        assert archive.fileobj is not None
        archive.fileobj.seek(archive.offset)
        if not archive.fileobj.read(1):  # cut short between two entries
            raise tarfile.ReadError("its end is missing")


def _kind_of(info: zipfile.ZipInfo) -> str:
    """What is wrong with the kind of an entry, in words; empty for plain files and folders."""
    if info.flag_bits & 1:
        return "encrypted"
    kind = stat.S_IFMT(info.external_attr >> 16)
    return "a link" if kind == stat.S_IFLNK else "" if kind in (0, stat.S_IFREG, stat.S_IFDIR) else "a device"


def _faults_of(name: str, kind: str) -> Iterator[Fault]:
    """What is wrong with one entry."""
    where = f"'{name}'"
    if kind == "encrypted":
        yield Fault(where, "is encrypted", "pack it without a password")
    elif kind:
        yield Fault(where, f"is {kind}, files and folders were expected", "pack the files themselves")
    if name.startswith("/") or DRIVE.match(name):
        yield Fault(where, "has an absolute path, one within the archive was expected", "pack the folder by its name")
    if ".." in name.replace("\\", "/").split("/"):
        yield Fault(where, "lies outside of the archive", "pack the folder by its name")


def _check_size(file: Path, size: int, plan: ArchivePlan, place: Path, need: int | None = None) -> None:
    """Refuse what would be too large, before it is written.

    Args:
        file: the archive.
        size: bytes of its files in all, as far as they are known.
        plan: limits.
        place: where they are unpacked.
        need: bytes that are still to be written, all unless given.
    """
    packed = max(file.stat().st_size, 1)
    if size > plan.max_gb * GB:
        raise CorpuscleError(
            f"{file} unpacks to {size / GB:.1f} GB or more, at most {plan.max_gb:g} were expected; "
            f"if it is what you think it is, pass --set data.archive.max_gb={size / GB + 1:.0f}"
        )
    if size > plan.max_ratio * packed and size > BLOCK:
        raise CorpuscleError(
            f"{file} unpacks to {size / packed:.0f} times its size or more, at most {plan.max_ratio:g} were expected; "
            f"if it is what you think it is, pass --set data.archive.max_ratio={size / packed + 1:.0f}"
        )
    if shutil.disk_usage(place).free < (size if need is None else need):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _inside(folder: Path) -> Path:
    """Down into the only folder at the top, again and again; not into one of train, val and test."""
    inside = listing(folder)
    while len(inside.folders) == 1 and not inside.files and inside.folders[0].lower() not in PARTS:
        folder = folder / inside.folders[0]
        inside = listing(folder)
    return folder


def _notes(file: Path, folder: Path, packed: Sequence[str]) -> tuple[str, ...]:
    notes = [f"{file.name} was unpacked into {folder}"]
    if packed:
        notes.append(
            f"left out: {len(packed)} archives inside it (first: {packed[0]}); unpack them and name their folder"
        )
    return tuple(notes)
