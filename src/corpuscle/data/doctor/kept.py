"""What takes seconds to find, and is the same for each training on the same images, is kept in the cache."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import polars as pl

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.files import digest_of, write_json
from corpuscle.core.progress import SILENT, Progress
from corpuscle.data.doctor.copies import NearCopies, NearCopy, near_copies
from corpuscle.data.doctor.finding import Finding
from corpuscle.data.doctor.overlaps import Overlap, Overlaps, overlaps
from corpuscle.data.doctor.shortcuts import shortcuts
from corpuscle.data.readers.image import ReadPlan
from corpuscle.data.room import FEATURES, cache_folder
from corpuscle.data.table import Table

FORMAT = 3  # raise when the same survey would give other near-copies, overlaps or shortcuts than before
FOUND = "found.json"
BLOCK = 1000  # signatures at a time


def kept_near_copies(table: Table, seen: pl.DataFrame, progress: Progress = SILENT) -> NearCopies:
    """`near_copies`, from the cache where they were looked for among the same images."""
    same = pl.col("place").first().over("content")  # whatever the contents are called
    rows = seen.with_row_index("place").select(table.frame["image"], "height", "width", same)

    def look() -> dict[str, Any]:
        found = near_copies(table, seen, progress)
        return {"pairs": [list(vars(pair).values()) for pair in found.pairs], "groups": found.groups}

    known = _kept([b"near-copies", rows.write_csv().encode(), *_digests(seen["signature"])], look)
    pairs = (NearCopy(first, second, likeness, tuple(how)) for first, second, likeness, how in known["pairs"])
    return NearCopies(tuple(pairs), tuple(map(tuple, known["groups"])))


def kept_overlaps(
    table: Table, seen: pl.DataFrame, read: ReadPlan, together: Sequence[Sequence[str]], progress: Progress = SILENT
) -> Overlaps:
    """`overlaps`, from the cache where they were looked for among the same images."""
    rows = seen.select(table.frame["image"], table.frame["group"], "height", "width")

    def look() -> dict[str, Any]:
        found = overlaps(table, seen, read, together, progress)
        return {"pairs": [list(vars(pair).values()) for pair in found.pairs], "groups": found.groups}

    of = [b"overlaps", rows.write_csv().encode(), json.dumps(together).encode()]
    known = _kept([*of, *_digests(seen["signature"])], look)
    return Overlaps(tuple(Overlap(*pair) for pair in known["pairs"]), tuple(map(tuple, known["groups"])))


def kept_shortcuts(table: Table, seen: pl.DataFrame, seed: int = 0) -> list[Finding]:
    """`shortcuts`, from the cache where they were looked for in the same rows."""
    if table.counted or table.segmented:
        return []
    rows = seen.drop("content", "signature", strict=False).with_columns(table.frame["label"], table.frame["group"])

    def look() -> list[dict[str, Any]]:
        return [vars(finding) for finding in shortcuts(table, seen, seed)]

    known = _kept([b"shortcuts", str(seed).encode(), rows.write_csv().encode()], look)
    return [Finding(**finding | {"images": tuple(finding["images"])}) for finding in known]


def _digests(signatures: pl.Series) -> Iterator[bytes]:
    """Of some at a time: all of them as Python's objects would take as much memory as the look itself."""
    for start in range(0, len(signatures), BLOCK):
        yield digest_of(*signatures[start : start + BLOCK].fill_null(b"")).encode()


def _kept(of: Iterable[bytes], look: Callable[[], Any]) -> Any:
    """Plain values by what they are found in."""
    folder = cache_folder() / FEATURES / digest_of(str(FORMAT).encode(), *of)
    try:
        found = json.loads((folder / FOUND).read_bytes())
        os.utime(folder)  # the longest unused go first
        return found
    except (OSError, ValueError):  # not there, or damaged
        pass
    found = look()
    with contextlib.suppress(OSError, CorpuscleError):  # a disk that will not have it: they are found anew each time
        write_json(folder / FOUND, found)
    return found
