"""Layouts of one file of arrays, HDF5 or NPZ: images with their classes or counts; read by rows, never whole."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from corpuscle.core.errors import CorpuscleError, Fault, nearest
from corpuscle.data.readers.hdf5 import attributes_of, values_of
from corpuscle.data.readers.npz import values_of_npz
from corpuscle.data.readers.read import array_contents
from corpuscle.data.readers.stacks import TRUTHS, Contents, arrays_by_part, image_arrays, is_hdf5, is_npz, member_name
from corpuscle.data.sources.counts import count_faults, numbers_of
from corpuscle.data.sources.disk import absolute, listing
from corpuscle.data.sources.found import Found
from corpuscle.data.sources.plan import SourcePlan
from corpuscle.data.sources.sheet import plain
from corpuscle.data.table import COLUMNS

ORGANS = ("organ",)
GROUPS = ("slide", "patient", "group")  # arrays with the group of each image, the first that is there
NAMES = ("class_names", "label_names", "classes", "labels", "names")  # arrays or attributes with the names of classes
COUNTS = ("count", "counts")
FEW = 2  # values of a `y` that is taken for classes where it could be counts: 0 and 1
Meaning = Literal["label", "count"]


@dataclass(frozen=True)
class _File:
    """One file of a data set.

    Attributes:
        path: of the file.
        split: part that the user names it for.
        contents: what lies in it.
        truths: part to its array of labels or counts.
    """

    path: Path
    split: str | None
    contents: Contents
    truths: dict[str, str]

    def values(self, name: str) -> np.ndarray:
        """A whole array, for small ones."""
        return values_of_npz(self.path, name) if is_npz(self.path.name) else values_of(self.path, name)


def scan_arrays(path: Path, plan: SourcePlan) -> Found:
    """One row per image of an HDF5 or NPZ file, and of those for validation and test that the plan names.

    The file's own parts (`train_images`, `val_images`, `test_images`) are kept. A test part without labels or counts
    is unlabelled.
    """
    if path.is_dir():
        path = path / next(name for name in listing(path).files if is_hdf5(name) or is_npz(name))
    parts: dict[Path, str | None] = {absolute(path): "train" if plan.valid or plan.test else None}
    parts |= {absolute(named): part for part, named in (("val", plan.valid), ("test", plan.test)) if named}
    root = absolute(path).parent
    notes: list[str] = []
    faults: list[Fault] = []
    frames = []
    means: Meaning | None = None
    for file, split in parts.items():
        try:
            opened = _opened(file, split, plan)
            wrong = _shape_faults(opened)
            if not wrong:
                means = means or _meaning(opened, plan, notes)  # the first one says it, the others follow
                frames.append(_rows(opened, means, root, notes, faults))
            faults += wrong
        except CorpuscleError as error:
            what, _, remedy = str(error).removeprefix(f"{file}: ").partition("; ")
            faults.append(Fault(str(file), what, remedy))
    schema = COLUMNS | ({} if means == "label" else {"count": pl.Int64})
    frame = pl.concat([pl.DataFrame(schema=schema), *frames])
    if means == "label" and plan.labels == "auto":
        frame = _without_empty(frame, plan, notes, faults)
    kind = "lymphocyte" if is_hdf5(path.name) else "cell"
    return Found(frame, root, tuple(notes), tuple(faults), kind=kind if plan.kind == "auto" else plan.kind)


def _opened(file: Path, split: str | None, plan: SourcePlan) -> _File:
    """A file and which of its arrays are what.

    Raises:
        CorpuscleError: it cannot be read, or an array that the plan names is not there.
    """
    contents = array_contents(file)
    asked = next((name for name in (plan.label_column, plan.count_column) if name not in ("auto", "none")), None)
    truths = arrays_by_part(contents.shape, (plain(asked),) if asked else TRUTHS)
    if asked is not None and asked in contents.shape:
        truths[""] = asked
    if asked and not truths and split != "test":
        hint = nearest(asked, contents.shape).replace("Known:", "there are")
        raise CorpuscleError(
            f"{file}: no array '{asked}'; {hint} (--set data.label_column=NAME or data.count_column=NAME)"
        )
    return _File(file, split, contents, truths)


def _meaning(file: _File, plan: SourcePlan, notes: list[str]) -> Meaning:
    """Whether the images have classes or counts; says which it took where it could be either."""
    if plan.label_column != "auto":
        return "label"
    if plan.count_column not in ("auto", "none"):
        return "count"
    beside = file.path.with_stem(re.sub(r"x$", "y", file.path.stem))
    if not file.truths and beside != file.path and beside.is_file() and plan.labels == "auto" and file.split != "test":
        raise CorpuscleError(f"{file.path}: no labels, {beside.name} seems to hold them; write both into one file")
    if not file.truths:
        return "count" if is_hdf5(file.path.name) else "label"
    name = file.truths.get("train") or next(iter(file.truths.values()))
    called = name.rpartition("/")[2].lower()
    if called in COUNTS:
        return "count"
    values = file.values(name)
    numbers = values.dtype.kind in "iuf" and len(file.truths) == 1
    if called != "y" or not numbers or is_npz(file.path.name) or plan.count_column == "none" or _names(file, name):
        return "label"
    organs = "organ" in file.contents.shape
    few = not organs and values.size > FEW and set(np.unique(values).tolist()) <= set(range(FEW))
    taken, other = ("classes", "count") if few else ("counts", "label")
    if not organs:
        low, high = (
            (f"{value:g}" for value in (np.nanmin(values), np.nanmax(values))) if values.size else ("none", "none")
        )
        notes.append(
            f"{file.path.name}: '{name}' ({low} to {high}) is taken for {taken}; for {'counts' if few else 'classes'} "
            f"pass --set data.{other}_column={name}"
        )
    return "label" if few else "count"


def _rows(file: _File, means: Meaning, root: Path, notes: list[str], faults: list[Fault]) -> pl.DataFrame:
    """The rows of a file, part by part."""
    images, shape = image_arrays(file.contents), file.contents.shape
    name = file.path.relative_to(root).as_posix() if file.path.is_relative_to(root) else file.path.as_posix()
    groups = {word: arrays for word in GROUPS if (arrays := arrays_by_part(shape, (word,)))}
    group = next(iter(groups.values()), {})
    said = {"images": images, means: file.truths, "group": group}
    told = [f"{word} from {_quoted(arrays, images)}" for word, arrays in said.items() if set(arrays) & set(images)]
    notes.append(f"{file.path.name}: {', '.join(told)}")
    for organ in arrays_by_part(shape, ORGANS).values():
        found = Counter(text or "none" for text in _texts(file.values(organ)))
        listed = ", ".join(f"{word} {number}" for word, number in sorted(found.items()))
        notes.append(f"{file.path.name}: organs {listed}")
    frames = []
    for part, array in images.items():
        rows = pl.DataFrame({"at": pl.int_range(shape[array][0], eager=True)}).select(
            image=pl.format("{}{}", pl.lit(name + member_name(part, "")), "at"),
            label=pl.lit(None, pl.String),
            group=pl.Series(_texts(file.values(group[part])), dtype=pl.String)
            if part in group
            else pl.lit(None, pl.String),
            split=pl.lit(part or file.split, pl.String),
            source=pl.lit(file.path.name),
            row=pl.lit(None, pl.Int64),
        )
        frames.append(_with_truth(rows, file, part, means, notes, faults))
    return pl.concat(frames)


def _with_truth(
    rows: pl.DataFrame, file: _File, part: str, means: Meaning, notes: list[str], faults: list[Fault]
) -> pl.DataFrame:
    """The rows with their labels or counts; unlabelled where there are none."""
    split = part or file.split
    if part not in file.truths:
        unlabelled = rows.with_columns(split=pl.lit("unlabelled"))
        if means == "label" and split != "test":
            remedy = "save a class for each image as 'labels', or name that array with --set data.label_column=NAME"
            faults.append(Fault(str(file.path), f"no array of labels{f' for {part}' * bool(part)}", remedy))
        else:
            notes.append(_waiting(file, part, means, len(rows)))
        return unlabelled if means == "label" else unlabelled.with_columns(count=pl.lit(None, pl.Int64))
    name = file.truths[part]
    values = _one_each(file.values(name), name)
    text = pl.Series("text", _texts(values), pl.String)
    if means == "label":
        return rows.with_columns(label=_named(text, _names(file, name), name))
    rows = rows.with_columns(text, numbers_of(text).alias("count"), where=pl.col("image"))
    faults += count_faults(rows)
    return rows.select(*COLUMNS, "count")


def _waiting(file: _File, part: str, means: Meaning, number: int) -> str:
    what, usual = ("counts", "y") if means == "count" else ("labels", f"{part}_labels" if part else "labels")
    return f"{file.path.name}: {number} images have no {what} ('{usual}' is not there) and wait for predictions"


def _one_each(values: np.ndarray, name: str) -> np.ndarray:
    """One value an image: of N x K with a single 1 in each row the place of it.

    Raises:
        CorpuscleError: several labels an image.
    """
    if values.ndim < 2 or values[0].size == 1:
        return values.ravel()
    long = " x ".join(map(str, values.shape))
    if (
        values.ndim == 2
        and values.dtype.kind in "iufb"
        and np.isin(values, (0, 1)).all()
        and (values.sum(1) == 1).all()
    ):
        return values.argmax(1)
    raise CorpuscleError(
        f"'{name}' is {long}, several labels an image, one was expected; keep the one to learn, as an array of N values"
    )


def _named(text: pl.Series, names: Sequence[str], array: str) -> pl.Series:
    """The labels by the names that the file has for their numbers.

    Raises:
        CorpuscleError: a number without a name.
    """
    if not names:
        return text.rename("label")
    known = {str(number): name for number, name in enumerate(names)} | {name: name for name in names}
    nameless = sorted(set(text.drop_nulls().unique()) - known.keys())
    if nameless:
        raise CorpuscleError(
            f"'{array}' holds {nameless[0]}, the file names {len(names)} classes (0 to {len(names) - 1}); mend them"
        )
    return text.replace(known).rename("label")


def _names(file: _File, labels: str) -> tuple[str, ...]:
    """The names of the classes, by number, if the file has them: in an attribute (HDF5), or an array of texts."""
    found = {} if is_npz(file.path.name) else attributes_of(file.path, labels)
    for name in NAMES:
        if name not in found and name != labels and len(file.contents.shape.get(name, ())) == 1:
            values = file.values(name)
            found |= {name: values} if values.dtype.kind in "OU" else {}
        if name in found:
            names = _listed(found[name])
            if names:
                return names
    return ()


def _listed(values: np.ndarray) -> tuple[str, ...]:
    """Texts of an array; one text may be a JSON list, or an object of numbers to names."""
    if values.ndim == 1 and values.dtype.kind in "OU":
        return tuple(str(value).strip() for value in values)
    try:
        content = json.loads(str(values[()]))
    except ValueError:
        return ()
    if isinstance(content, dict) and sorted(content) == sorted(map(str, range(len(content)))):
        content = [content[str(number)] for number in range(len(content))]
    return tuple(map(str, content)) if isinstance(content, list) else ()


def _without_empty(frame: pl.DataFrame, plan: SourcePlan, notes: list[str], faults: list[Fault]) -> pl.DataFrame:
    """The rows without those whose label is empty; a fault unless they are skipped."""
    empty = frame["label"].is_null() & frame["split"].ne_missing("unlabelled")
    if not empty.any():
        return frame
    what = f"the label of {empty.sum()} of {len(frame)} images is empty (first: {frame['image'].filter(empty)[0]})"
    if plan.unlabelled == "skip":
        notes.append(f"{what}; they were left out")
        return frame.filter(~empty)
    if not faults:
        faults.append(Fault(frame["source"][0], what, "fill it, or pass --set data.unlabelled=skip"))
    return frame


def _shape_faults(file: _File) -> list[Fault]:
    """What the names, shapes and types of a file have wrong."""
    path, contents = str(file.path), file.contents
    shape, there = contents.shape, ", ".join(sorted(contents.shape)) or "nothing"
    arrays = image_arrays(contents)
    if not arrays:
        remedy = (
            "save the images as 'x' (N x height x width x 3) and their counts as 'y', or their classes as 'labels' (N)"
        )
        return [Fault(path, f"no data set 'x' or 'images' at the top, there is {there}", remedy)]
    faults = []
    for part, name in arrays.items():
        images = shape[name]
        grey = len(images) == 3 or (len(images) == 4 and images[3] == 1)
        if (not grey and (len(images) != 4 or images[3] != 3)) or 0 in images[1:]:
            what = f"'{name}' is {_long(images)}, N x height x width x 3 was expected, or N x height x width if grey"
            faults.append(Fault(path, what, "save the images in that shape, the colours last"))
        elif images[0] == 0:
            faults.append(Fault(path, f"'{name}' holds no image", "name another file"))
        if contents.dtype[name] not in (np.uint8, np.uint16):
            what = f"'{name}' is of the type {contents.dtype[name]}, uint8 was expected"
            faults.append(Fault(path, what, "save the images in 8 bits, from 0 for black to 255"))
        others = [file.truths.get(part), *(arrays_by_part(shape, (word,)).get(part) for word in (*ORGANS, *GROUPS))]
        for other in [other for other in others if other and images]:
            long = shape[other]
            single = len(long) and long[0] == images[0] and (other == file.truths.get(part) or set(long[1:]) <= {1})
            if not single:
                what = (
                    f"'{other}' is {_long(long)}, one value for each of the {images[0]} images of '{name}' was expected"
                )
                faults.append(Fault(path, what, f"save '{other}' with a value for each image"))
    return faults


def _long(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "a single value"


def _quoted(arrays: dict[str, str], parts: dict[str, str]) -> str:
    return ", ".join(f"'{arrays[part]}'" for part in parts if part in arrays)


def _texts(values: np.ndarray) -> list[str | None]:
    """Values as texts, whole numbers without a point; what is empty or not a number as None."""
    if values.dtype.kind == "f" and (whole := values[np.isfinite(values)] % 1 == 0).size and whole.all():
        return [f"{value:.0f}" if np.isfinite(value) else None for value in values.ravel().tolist()]
    texts = [str(value).strip() for value in values.ravel().tolist()]
    return [None if text in ("", "nan") else text for text in texts]
