"""Every image is read once: one pass finds the faults, takes the measurements, and fills a memory map of canvases.

The memory map is keyed by the content of the files and by how they were prepared, so a second run, another fold or
another seed opens it at once, and a changed image is never mistaken for the old one. It is filled under another name
and given its own when complete, so it may be killed at any moment.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.files import digest_of, sync
from corpuscle.core.progress import SILENT, Progress
from corpuscle.core.threads import in_threads
from corpuscle.data.doctor.looks import LOOKS, looks_of
from corpuscle.data.prepare import PreparePlan, prepare
from corpuscle.data.readers.image import ReadPlan, size_of
from corpuscle.data.readers.read import array_contents, content_digest, file_of, read_pixels
from corpuscle.data.readers.stacks import is_hdf5, is_npz, size_in
from corpuscle.data.readers.tiles import tile_of
from corpuscle.data.room import ROWS, cache_folder, make_room
from corpuscle.data.table import Table

FORMAT = 5  # raise when the same file would give other pixels or measures than before
CANVASES = "canvases.raw"
TOGETHER = 1000  # rows that become a frame at once
FREED_BYTES = 31 << 20  # glibc takes no more than 32 MiB
SCHEMA = {
    "content": pl.String,
    "height": pl.Int64,
    "width": pl.Int64,
    "mode": pl.String,
    "fault": pl.String,
    "remedy": pl.String,
    **LOOKS,
}  # a row an image


class Canvases(Protocol):
    """Prepared images by their place in the table: canvas_HWC, read only."""

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __getitem__(self, place: int, /) -> np.ndarray: ...


@dataclass(frozen=True)
class Survey:
    """What one pass over the images found.

    Attributes:
        frame: a row an image, in the table's order: content (digest of the decoded pixels), height, width, mode,
            fault and remedy (null where the image is sound), and what `looks_of` measured.
        canvases: the prepared images, None where none were asked for.
        cached: whether they lie in the cache.
    """

    frame: pl.DataFrame
    canvases: Canvases | None
    cached: bool


@dataclass(frozen=True)
class Mapped:
    """Canvases one after the other in a file of raw pixels; each may have a size of its own.

    Attributes:
        path: of the file.
        dtype: of the pixels.
        size_N2: height and width of each canvas, 0 where the image cannot be read.
        channels: shape of one pixel; empty where it is a single number.
    """

    path: Path
    dtype: np.dtype[Any]
    size_N2: np.ndarray
    channels: tuple[int, ...] = (3,)

    def __getitem__(self, place: int) -> np.ndarray:
        height, width = (int(side) for side in self.size_N2[place])
        start, end = (int(at) for at in self._start_N[place : place + 2])
        return self._flat[start:end].reshape(height, width, *self.channels)

    def __getstate__(self) -> dict[str, Any]:
        """What a process that is spawned gets: the place of the pixels, not the pixels."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    @cached_property
    def _flat(self) -> np.ndarray:
        return np.memmap(self.path, self.dtype, mode="r")

    @cached_property
    def _start_N(self) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(math.prod(self.channels) * self.size_N2.prod(axis=1, dtype=np.int64))])


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
        pixels = read_pixels(self.paths[place], self.read)
        return as_depth(prepare(pixels.array_HWC, self.prepare), self.dtype)


@dataclass(frozen=True)
class InMemory:
    """Canvases of a few images, by their place; unreadable ones are absent."""

    canvas_HWC: Mapping[int, np.ndarray]
    dtype: np.dtype[Any]

    def __getitem__(self, place: int) -> np.ndarray:
        return as_depth(self.canvas_HWC[place], self.dtype)


def survey_few(paths: Sequence[Path], read: ReadPlan, preparation: PreparePlan) -> Survey:
    """Read a few images and keep their canvases in memory; their looks are not measured."""
    looks = list(_look_at(paths, read, preparation, SILENT, measure=False))
    canvases = {place: look.canvas_HWC for place, look in enumerate(looks) if look.canvas_HWC is not None}
    depth = widest(canvas.dtype for canvas in canvases.values())
    return Survey(_frame((look.row for look in looks), SCHEMA), InMemory(canvases, depth), cached=False)


def widest(dtypes: Iterable[np.dtype[Any]]) -> np.dtype[Any]:
    """The type that holds all of them: 16 bits where there are any."""
    return np.dtype(np.uint16 if np.dtype(np.uint16) in set(dtypes) else np.uint8)


def survey(
    table: Table,
    read: ReadPlan,
    preparation: PreparePlan | None,
    cache: bool = True,
    progress: Progress = SILENT,
    digest: bool = True,
) -> Survey:
    """Read every image of the table once.

    Args:
        table: names the images; none is opened twice.
        read: limits of the reader.
        preparation: fill canvases this way; None only looks.
        cache: keep the canvases for the next run.
        progress: shows how far it is.
        digest: where it only looks, of the pixels too; they take a fifth of the time.
    """
    paths = [table.path_of(image) for image in table.frame["image"]]
    if preparation is None:
        np.empty(FREED_BYTES, np.uint8)  # once freed, blocks up to this size are kept by glibc: fresh pages take time
        looks = _look_at(paths, read, None, progress, digest=digest)
        return Survey(_frame((look.row for look in looks), SCHEMA), None, cached=False)
    if not cache:
        return _without_cache(paths, read, preparation, progress)
    settings = [str(FORMAT), preparation.model_dump_json(), read.model_dump_json()]
    filling = Filling(
        key=digest_of("\n".join([*settings, *digests_of(paths, progress)]).encode()),
        looks=partial(_look_at, paths, read, preparation, progress),
        need=partial(_bytes_of, paths, preparation),
        schema=SCHEMA,
    )
    return kept(filling, "images", progress) or _without_cache(paths, read, preparation, progress)


@dataclass(frozen=True)
class Look:
    """What was seen of one image: its row of the survey, and its canvas if one was asked for and it can be read."""

    row: dict[str, Any]
    canvas_HWC: np.ndarray | None


@dataclass(frozen=True)
class Filling:
    """What an entry of the cache is made of.

    Attributes:
        key: name of the entry; the same for the same content.
        looks: goes over all images once.
        need: says how many bytes the entry will take, nearly.
        schema: columns of the rows.
        channels: shape of one pixel; empty where it is a single number.
    """

    key: str
    looks: Callable[[], Iterable[Look]]
    need: Callable[[], int]
    schema: Mapping[str, Any]
    channels: tuple[int, ...] = (3,)


def kept(filling: Filling, what: str, progress: Progress) -> Survey | None:
    """The entry of the cache, filled if it is not there; None where the disk will not have it, which is said."""
    folder = cache_folder() / filling.key
    try:
        if not (folder / ROWS).is_file():
            folder.parent.mkdir(parents=True, exist_ok=True)
            make_room(folder.parent, filling.need())
            _fill_either(folder, filling)
        os.utime(folder)
        rows = pl.read_parquet(folder / ROWS)
    except OSError as error:
        progress.say(f"no cache in {folder.parent} ({error.strerror}); {what} are decoded each time")
        return None
    size_N2 = rows.select("canvas_height", "canvas_width").to_numpy()
    depth = np.dtype(f"uint{rows['depth'][0]}")
    frame = rows.drop("canvas_height", "canvas_width", "depth")
    return Survey(frame, Mapped(folder / CANVASES, depth, size_N2, filling.channels), cached=True)


def as_depth(array: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """Bring 8 or 16 bits to the stated depth without loss: 255 becomes 65535."""
    if array.dtype == dtype:
        return array
    if array.dtype == np.uint8:
        return array.astype(np.uint16) * np.uint16(257)
    raise _WiderNeededError


def _without_cache(paths: Sequence[Path], read: ReadPlan, preparation: PreparePlan, progress: Progress) -> Survey:
    depths = set()

    def rows() -> Iterator[dict[str, Any]]:
        for look in _look_at(paths, read, preparation, progress):
            if look.canvas_HWC is not None:
                depths.add(look.canvas_HWC.dtype)
            yield look.row

    frame = _frame(rows(), SCHEMA)
    return Survey(frame, Uncached(paths, read, preparation, widest(depths)), cached=False)


def _fill_either(folder: Path, filling: Filling) -> None:
    try:
        _fill(folder, filling, np.dtype(np.uint8))
    except _WiderNeededError:
        _fill(folder, filling, np.dtype(np.uint16))


def _fill(folder: Path, filling: Filling, dtype: np.dtype[Any]) -> None:
    part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        sizes = {"canvas_height": pl.Int64, "canvas_width": pl.Int64}
        with (part / CANVASES).open("wb") as file:

            def rows() -> Iterator[dict[str, Any]]:
                for look in filling.looks():
                    size = (0, 0) if look.canvas_HWC is None else look.canvas_HWC.shape[:2]
                    if look.canvas_HWC is not None:
                        file.write(np.ascontiguousarray(as_depth(look.canvas_HWC, dtype)).data)
                    yield look.row | dict(zip(sizes, size, strict=True))

            frame = _frame(rows(), {**filling.schema, **sizes})
            if not file.tell():
                file.write(bytes(dtype.itemsize))  # a map of nothing cannot be opened
        frame.with_columns(depth=pl.lit(8 * dtype.itemsize)).write_parquet(part / ROWS)
        sync(part / CANVASES)
        sync(part / ROWS)
        with contextlib.suppress(OSError):  # another run was first: its content is the same
            part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _look_at(
    paths: Sequence[Path],
    read: ReadPlan,
    preparation: PreparePlan | None,
    progress: Progress,
    measure: bool = True,
    digest: bool = True,
) -> Iterator[Look]:
    look = partial(_look_at_one, read=read, preparation=preparation, measure=measure, digest=digest)
    yield from progress.track(in_threads(look, paths), "reading images", len(paths))


def _look_at_one(
    path: Path, read: ReadPlan, preparation: PreparePlan | None, measure: bool = True, digest: bool = True
) -> Look:
    row: dict[str, Any] = dict.fromkeys(SCHEMA)
    try:
        pixels = read_pixels(path, read)
    except CorpuscleError as error:
        what, _, remedy = str(error).removeprefix(f"{path}: ").partition("; ")
        return Look(row | {"fault": what, "remedy": remedy}, None)
    array_HWC = np.ascontiguousarray(pixels.array_HWC)
    row |= {
        "content": content_of(array_HWC) if digest else None,
        "height": array_HWC.shape[0],
        "width": array_HWC.shape[1],
        "mode": pixels.note or f"RGB, {8 * array_HWC.itemsize} bits",
        **(looks_of(pixels) if measure else {}),
    }
    return Look(row, None if preparation is None else prepare(array_HWC, preparation))


def _frame(rows: Iterable[dict[str, Any]], schema: Mapping[str, Any]) -> pl.DataFrame:
    """Rows as a frame, of which no more are held as Python's objects than are made at once."""
    remaining, pieces = iter(rows), [pl.DataFrame(schema=schema)]
    while piece := list(itertools.islice(remaining, TOGETHER)):
        pieces.append(pl.DataFrame(piece, schema=schema))
    return pl.concat(pieces, rechunk=True)


def _bytes_of(paths: Sequence[Path], preparation: PreparePlan) -> int:
    """How much room canvases of 8 bits take; of images that keep their size by their headers."""
    if preparation.fit != "keep":
        return len(paths) * 3 * preparation.size**2
    shrink = max(preparation.shrink, 1)
    images = Counter(path if tile_of(path) else file_of(path) for path in paths)
    sizes = zip(images.values(), in_threads(_size, images), strict=True)
    return sum(number * 3 * -(-width // shrink) * -(-height // shrink) for number, (width, height) in sizes)


def _size(file: Path) -> tuple[int, int]:
    """Width and height of an image, of each of an HDF5 or NPZ file, or of a tile of a slide."""
    tile = tile_of(file)
    if tile is not None:
        return tile.pixels, tile.pixels
    try:
        in_arrays = is_hdf5(file.name) or is_npz(file.name)
        return size_in(array_contents(file)) if in_arrays else size_of(file)
    except (CorpuscleError, KeyError, ValueError):  # takes no room, and is told with its remedy when it is read
        return 0, 0


def digests_of(paths: Sequence[Path], progress: Progress) -> list[str]:
    """A short name for the bytes that each image comes from."""
    return list(progress.track(in_threads(content_digest, paths), "looking for changed files", len(paths)))


def content_of(array_HWC: np.ndarray) -> str:
    """A short name for the pixels of an image, whatever file they came from."""
    return digest_of(f"{array_HWC.shape} {array_HWC.dtype}".encode(), np.ascontiguousarray(array_HWC).data)
