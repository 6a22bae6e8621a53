"""A writer of HDF5 files as LYSTO has them: images in `x`, counts in `y`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.files import whole_file


def write_lysto(
    path: Path,
    image_NHWC: Iterable[np.ndarray],
    count_N: Sequence[int] | np.ndarray,
    organ_N: Sequence[str] | None = None,
    group_N: Sequence[str] | None = None,
    compress: bool = True,
) -> None:
    """Write images and their counts into one HDF5 file, whole or not at all; each image is a chunk of its own.

    Args:
        path: the file to be.
        image_NHWC: images of one size, red, green and blue in 8 bits; taken one at a time.
        count_N: objects in each.
        organ_N: where each comes from.
        group_N: slide or patient of each, written as `slide`.
        compress: with gzip.

    Raises:
        CorpuscleError: images that differ in shape, numbers that are no counts, or lists of other lengths.
    """
    import h5py

    counts_N = _counts(count_N)
    lists = {"organ": organ_N, "slide": group_N}
    for name, values in lists.items():
        if values is not None and len(values) != len(counts_N):
            raise CorpuscleError(f"{name} has {len(values)} values, {len(counts_N)} were expected; give one a count")
    with whole_file(path) as part, h5py.File(part, "w") as file:
        written = _write_images(file, image_NHWC, len(counts_N), "gzip" if compress else None)
        if written != len(counts_N):
            raise CorpuscleError(f"{written} images came for {len(counts_N)} counts; give one count for each image")
        file.create_dataset("y", data=counts_N)
        for name, values in lists.items():
            if values is not None:
                file.create_dataset(name, data=[str(value) for value in values], dtype=h5py.string_dtype())


def _counts(count_N: Sequence[int] | np.ndarray) -> np.ndarray:
    given_N = np.asarray(count_N)
    if given_N.ndim != 1 or not len(given_N):
        raise CorpuscleError(
            f"counts have the shape {given_N.shape}, a list of one or more was expected; give one an image"
        )
    for place, count in enumerate(given_N.tolist()):
        if not isinstance(count, int | float) or not 0 <= count <= 1e9 or count != int(count):
            raise CorpuscleError(f"count {place} is {count}, a whole number from 0 on was expected; mend it")
    return given_N.astype(np.int64)


def _write_images(file: Any, image_NHWC: Iterable[np.ndarray], num_images: int, compression: str | None) -> int:
    """How many images came; those beyond the expected number are not taken."""
    images, place = None, -1
    for place, image in enumerate(image_NHWC):
        if place == num_images:
            break
        image_HWC = np.asarray(image)
        shape = image_HWC.shape if images is None else images.shape[1:]
        if image_HWC.dtype != np.uint8 or image_HWC.ndim != 3 or image_HWC.shape[2] != 3 or image_HWC.shape != shape:
            wanted = f"{shape}" if images is not None else "height x width x 3"
            raise CorpuscleError(
                f"image {place} has the shape {image_HWC.shape} and the type {image_HWC.dtype}, {wanted} in uint8 was "
                "expected; make them all alike"
            )
        if images is None:
            chunks = (1, *shape)
            images = file.create_dataset("x", (num_images, *shape), "u1", chunks=chunks, compression=compression)
        images[place] = image_HWC
    return place + 1
