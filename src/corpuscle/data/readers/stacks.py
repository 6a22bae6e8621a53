"""Images that lie in arrays of one file, HDF5 or NPZ: which arrays hold them, and how one of them is named."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.records import Pixels
from corpuscle.data.readers.image import ReadPlan, UnreadableImage

HDF5_SUFFIXES = frozenset({".h5", ".hdf5"})
NPZ_SUFFIXES = frozenset({".npz"})
MEMBER = re.compile(r"^(?P<file>.+(?:\.h5|\.hdf5|\.npz))#(?:(?P<part>train|val|test)/)?(?P<row>\d+)$", re.IGNORECASE)
IMAGES = ("x", "images", "image", "imgs", "data")  # what arrays of images are called, the first that is there
TRUTHS = ("y", "labels", "label", "targets", "target", "classes", "class", "counts", "count")
PARTS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class Contents:
    """What lies in a file of arrays.

    Attributes:
        shape: of each array.
        dtype: of each.
    """

    shape: Mapping[str, tuple[int, ...]]
    dtype: Mapping[str, np.dtype[Any]]


@dataclass(frozen=True)
class Member:
    """One image of such a file; rows are counted from 0, `part` is empty where the file holds one array of images."""

    file: Path
    row: int
    part: str = ""


def is_hdf5(name: str) -> bool:
    """Whether a file is named like an HDF5 file.

    >>> is_hdf5("a/Training.H5"), is_hdf5("training.h5#3")
    (True, False)
    """
    return _suffix(name) in HDF5_SUFFIXES


def is_npz(name: str) -> bool:
    """Whether a file is named like an archive of NumPy's arrays.

    >>> is_npz("a/BloodMNIST.NPZ"), is_npz("bloodmnist.npz#train/3")
    (True, False)
    """
    return _suffix(name) in NPZ_SUFFIXES


def member_of(path: Path) -> Member | None:
    """What `<file>.h5#<row>` or `<file>.npz#train/<row>` names, None for all other paths.

    >>> member_of(Path("training.h5#12")).row, member_of(Path("a.npz#val/3")).part, member_of(Path("training.h5"))
    (12, 'val', None)
    """
    text = str(path)
    found = MEMBER.match(text) if "#" in text else None
    return Member(Path(found["file"]), int(found["row"]), (found["part"] or "").lower()) if found else None


def member_name(part: str, row: int | str) -> str:
    """What follows a file's name to name one of its images.

    >>> member_name("train", 3), member_name("", 3)
    ('#train/3', '#3')
    """
    return f"#{part}/{row}" if part else f"#{row}"


def arrays_by_part(names: Mapping[str, Any], words: tuple[str, ...]) -> dict[str, str]:
    """The array of each part that is called by one of some words, the first of them; "" is that of no part.

    >>> arrays_by_part(dict.fromkeys(["train_images", "val_images", "train_labels"]), IMAGES)
    {'train': 'train_images', 'val': 'val_images'}
    >>> arrays_by_part(dict.fromkeys(["images", "X", "notes"]), IMAGES)
    {'': 'X'}
    """
    found: dict[str, tuple[int, str]] = {}
    for name in names:
        pieces = re.findall(r"[^\W_]+", name.lower())
        parts = [PARTS[piece] for piece in pieces if piece in PARTS]
        rest = " ".join(piece for piece in pieces if piece not in PARTS)
        if rest in words and len(parts) < 2:
            part, rank = "".join(parts), words.index(rest)
            found[part] = min(found.get(part, (rank, name)), (rank, name))
    order = ("", "train", "val", "test")
    return {part: found[part][1] for part in order if part in found}


def image_arrays(contents: Contents) -> dict[str, str]:
    """Part to its array of images; where parts are told apart, what belongs to none is passed over."""
    found = arrays_by_part(contents.shape, IMAGES)
    return {part: name for part, name in found.items() if part} or found


def images_in(file: Path, contents: Contents) -> dict[str, int]:
    """How many images each part of a file holds.

    Raises:
        CorpuscleError: it holds none.
    """
    arrays = image_arrays(contents)
    numbers = {part: shape[0] for part, name in arrays.items() if (shape := contents.shape[name])}
    if not any(numbers.values()):
        held = (
            f"'{next(iter(arrays.values()))}' with the images is empty"
            if arrays
            else "'x' with the images is not there"
        )
        raise CorpuscleError(f"{file}: the data set {held}; name another file")
    return numbers


def size_in(contents: Contents) -> tuple[int, int]:
    """Width and height of the images, the largest of each where parts differ; 0 where they have none."""
    shapes = [shape for name in image_arrays(contents).values() if len(shape := contents.shape[name]) > 2]
    return max((shape[2] for shape in shapes), default=0), max((shape[1] for shape in shapes), default=0)


def as_pixels(array: np.ndarray, path: Path, plan: ReadPlan) -> Pixels:
    """Pixels of one image of an array, HW, HW1 or HWC; grey is repeated over the channels.

    Raises:
        UnreadableImage: other shapes or types, or more pixels than the limit.
    """
    grey = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 1)
    if not (grey or (array.ndim == 3 and array.shape[2] == 3)) or array.dtype not in (np.uint8, np.uint16):
        what = f"has the shape {array.shape} and the type {array.dtype}"
        raise UnreadableImage(path, what, "save it as height x width x 3 in 8 or 16 bits without sign")
    height, width = array.shape[:2]
    if height * width > plan.max_pixels:
        what = f"has {width} x {height} pixels, more than the limit of {plan.max_pixels:,}"
        raise UnreadableImage(path, what, f"pass --set read.max_pixels={width * height}")
    if not grey:
        return Pixels(array)
    image_HWC = np.repeat(array.reshape(height, width, 1), 3, axis=2)
    return Pixels(image_HWC, note=f"{'16-bit ' * (array.dtype == np.uint16)}grey to RGB")


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 (called for every file of a folder)
