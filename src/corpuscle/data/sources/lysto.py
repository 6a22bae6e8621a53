"""Layout of one HDF5 file: images in `x`, their counts in `y`; read by rows, never whole."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl

from corpuscle.core.errors import CorpuscleError, Fault
from corpuscle.data.readers.hdf5 import IMAGES, Contents, contents_of, is_hdf5, values_of
from corpuscle.data.sources.counts import count_faults, numbers_of
from corpuscle.data.sources.disk import absolute, listing
from corpuscle.data.sources.found import Found
from corpuscle.data.sources.plan import SourcePlan
from corpuscle.data.table import COLUMNS

COUNTS, ORGANS = "y", "organ"
GROUPS = ("slide", "patient", "group")  # data sets with the group of each image, the first that is there


def scan_hdf5(path: Path, plan: SourcePlan) -> Found:
    """One row per image of an HDF5 file, and of those for validation and test that the plan names.

    A test file without counts is unlabelled.
    """
    if path.is_dir():
        path = path / next(name for name in listing(path).files if is_hdf5(name))
    parts: dict[Path, str | None] = {absolute(path): "train" if plan.valid or plan.test else None}
    parts |= {absolute(named): part for part, named in (("val", plan.valid), ("test", plan.test)) if named}
    root = absolute(path).parent
    notes: list[str] = []
    faults: list[Fault] = []
    frames = [_scan_one(file, part, root, notes, faults) for file, part in parts.items()]
    kind = "lymphocyte" if plan.kind == "auto" else plan.kind
    return Found(pl.concat(frames), root, tuple(notes), tuple(faults), kind=kind)


def _scan_one(file: Path, part: str | None, root: Path, notes: list[str], faults: list[Fault]) -> pl.DataFrame:
    empty = pl.DataFrame(schema=COLUMNS | {"count": pl.Int64})
    try:
        contents = contents_of(file)
    except CorpuscleError as error:
        what, _, remedy = str(error).removeprefix(f"{file}: ").partition("; ")
        faults.append(Fault(str(file), what, remedy))
        return empty
    wrong = _shape_faults(file, contents)
    if wrong:
        faults += wrong
        return empty
    num = contents.shape[IMAGES][0]
    name = file.relative_to(root).as_posix() if file.is_relative_to(root) else file.as_posix()
    rows = pl.DataFrame({"image": [f"{name}#{row}" for row in range(num)]}).with_columns(
        label=pl.lit(None, pl.String),
        group=pl.lit(None, pl.String),
        split=pl.lit(part, pl.String),
        source=pl.lit(file.name),
        row=pl.lit(None, pl.Int64),
    )
    groups = next((group for group in GROUPS if group in contents.shape), None)
    if groups:
        rows = rows.with_columns(pl.Series("group", _texts(values_of(file, groups)), pl.String))
    notes.append(f"{file.name}: images from '{IMAGES}'" + f", group from '{groups}'" * bool(groups))
    if ORGANS in contents.shape:
        organs = Counter(text or "none" for text in _texts(values_of(file, ORGANS)))
        notes.append(
            f"{file.name}: organs " + ", ".join(f"{organ} {number}" for organ, number in sorted(organs.items()))
        )
    if COUNTS not in contents.shape:
        notes.append(f"{file.name}: {num} images have no counts ('{COUNTS}' is not there) and wait for predictions")
        return rows.select(*COLUMNS).with_columns(split=pl.lit("unlabelled"), count=pl.lit(None, pl.Int64))
    text = pl.Series("text", _texts(values_of(file, COUNTS)), pl.String)
    rows = rows.with_columns(text, numbers_of(text).alias("count"), where=pl.col("image"))
    faults += count_faults(rows)
    return rows.select(*COLUMNS, "count")


def _shape_faults(file: Path, contents: Contents) -> list[Fault]:
    """What the keys, shapes and types of a file have wrong."""
    shape, there = contents.shape, ", ".join(sorted(contents.shape)) or "nothing"
    if IMAGES not in shape:
        remedy = f"save the images as '{IMAGES}' (N x height x width x 3) and their counts as '{COUNTS}' (N)"
        return [Fault(str(file), f"no data set '{IMAGES}' at the top, there is {there}", remedy)]
    faults = []
    images, dtype = shape[IMAGES], contents.dtype[IMAGES]
    shown = " x ".join(map(str, images)) or "a single value"
    if len(images) != 4 or images[3] != 3 or 0 in images[1:]:
        what = f"'{IMAGES}' is {shown}, N x height x width x 3 was expected"
        faults.append(Fault(str(file), what, "save the images in that shape, the colours last"))
    elif images[0] == 0:
        faults.append(Fault(str(file), f"'{IMAGES}' holds no image", "name another file"))
    if dtype not in (np.uint8, np.uint16):
        what = f"'{IMAGES}' is of the type {dtype}, uint8 was expected"
        faults.append(Fault(str(file), what, "save the images in 8 bits, from 0 for black to 255"))
    for name in (COUNTS, ORGANS, *GROUPS):
        if name in shape and images and shape[name] not in ((images[0],), (images[0], 1)):
            long = " x ".join(map(str, shape[name])) or "a single value"
            what = f"'{name}' is {long}, one value for each of the {images[0]} images of '{IMAGES}' was expected"
            faults.append(Fault(str(file), what, f"save '{name}' with a value for each image"))
    return faults


def _texts(values: np.ndarray) -> list[str | None]:
    """Values as texts, what is empty or not a number as None."""
    texts = [str(value).strip() for value in values.ravel().tolist()]
    return [None if text in ("", "nan") else text for text in texts]
