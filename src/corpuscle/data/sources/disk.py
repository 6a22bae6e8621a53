"""What lies in a folder, without what operating systems leave there."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from corpuscle.core.errors import CorpuscleError, nearest
from corpuscle.data.readers.image import IMAGE_SUFFIXES

LEFT_BY_SYSTEMS = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})
TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".txt", ".parquet", ".xlsx", ".xlsm", ".xls", ".ods"})
PLAIN_TABLES = (".csv", ".tsv")
NO_TABLES = ("~$", "sample_submission", "samplesubmission", "submission")  # how names of other files begin


@dataclass(frozen=True)
class Listing:
    """The names in one folder, each kind sorted, hidden ones left out."""

    folders: tuple[str, ...]
    files: tuple[str, ...]

    @property
    def images(self) -> tuple[str, ...]:
        """The files that are named like images."""
        return tuple(name for name in self.files if is_image(name))

    @property
    def tables(self) -> tuple[str, ...]:
        """The files that are named like CSVs; else, like Parquet or Excel. A text file only where the user names it.

        What a challenge wants to be filled in (`sample_submission.csv`) is none.
        """
        named = [name for name in self.files if not name.lower().startswith(NO_TABLES)]
        plain = tuple(name for name in named if suffix_of(name) in PLAIN_TABLES)
        return plain or tuple(name for name in named if suffix_of(name) in TABLE_SUFFIXES - {".txt"})


def is_image(name: str) -> bool:
    """Whether a file is named like an image.

    >>> is_image("a/CELL.JPG"), is_image("notes.txt")
    (True, False)
    """
    return suffix_of(name) in IMAGE_SUFFIXES


def suffix_of(name: str) -> str:
    """The suffix in small letters, with its dot."""
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 (building a Path for each of 100,000 names is slow)


def absolute(path: Path) -> Path:
    """The path from the root, with `..` taken out and links kept."""
    return Path(os.path.abspath(path))  # noqa: PTH100 (resolve() would follow links)


def listing(folder: Path) -> Listing:
    """What lies directly in a folder.

    Raises:
        CorpuscleError: it may not be read.
    """
    folders: list[str] = []
    files: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and entry.name not in LEFT_BY_SYSTEMS:
                    (folders if entry.is_dir() else files).append(entry.name)
    except OSError as error:
        raise CorpuscleError(f"{folder} cannot be listed ({error.strerror}); name a folder you may read") from error
    return Listing(tuple(sorted(folders)), tuple(sorted(files)))


def no_such_path(path: Path) -> CorpuscleError:
    """The error for a path that is not there, with the names most like it that are."""
    parent = path.parent
    while not parent.is_dir():
        path, parent = parent, parent.parent
    inside = listing(parent)
    names = [*inside.folders, *inside.files]
    if not names:
        return CorpuscleError(f"{path} does not exist; {parent} is empty")
    hint = nearest(path.name, names).replace("Known:", "there are")
    return CorpuscleError(f"{path} does not exist; {hint} (in {parent})")


def alike_in(root: Path, name: str) -> str:
    """' (images/a.jpg is there)' where one image alone is called like a name but for its case and its suffix."""
    *folders, last = name.replace("\\", "/").split("/")
    place = root
    for folder in folders:
        found = _by_word(place, place.stat().st_mtime_ns)[0].get(folder.lower(), [])
        if len(found) != 1:
            return ""
        place /= found[0]
    images = _by_word(place, place.stat().st_mtime_ns)[1].get(Path(last).stem.lower(), [])
    return f" ({(place / images[0]).relative_to(root).as_posix()} is there)" if len(images) == 1 else ""


@lru_cache(maxsize=64)
def _by_word(folder: Path, time_ns: int) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """The folders in a folder by their names in small letters, and its images by theirs without their suffix."""
    inside, folders, images = listing(folder), dict[str, list[str]](), dict[str, list[str]]()
    for name in inside.folders:
        folders.setdefault(name.lower(), []).append(name)
    for name in inside.images:
        images.setdefault(Path(name).stem.lower(), []).append(name)
    return folders, images


def files_under(folder: Path) -> Iterator[str]:
    """The files of a folder and of all folders in it, as paths relative to it, in a fixed order.

    Links to folders are followed, each folder once.

    Raises:
        CorpuscleError: a folder may not be read.
    """
    seen: set[str] = set()
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        real = os.path.realpath(folder / prefix)
        if real in seen:
            continue
        seen.add(real)
        inside = listing(folder / prefix)
        yield from (prefix + name for name in inside.files)
        waiting += [f"{prefix}{name}/" for name in reversed(inside.folders)]


def counted_by_suffix(names: Sequence[str]) -> str:
    """'3 files (.txt 2, .xml 1; first: notes.txt)'."""
    counts = Counter(suffix_of(name) or "without a suffix" for name in names)
    kinds = ", ".join(f"{suffix} {count}" for suffix, count in sorted(counts.items()))
    return f"{len(names)} file{'s' * (len(names) != 1)} ({kinds}; first: {min(names)})"
