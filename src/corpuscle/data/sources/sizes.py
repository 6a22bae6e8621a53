"""Sizes of images from their headers alone, several at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from corpuscle.data.readers.image import UnreadableImage, size_of

In = TypeVar("In")
Out = TypeVar("Out")


def sizes_of(paths: Sequence[Path]) -> list[tuple[int, int] | None]:
    """Width and height of each image, None where its header cannot be read; decodes nothing."""
    return in_threads(_size, paths)


def in_threads(work: Callable[[In], Out], items: Sequence[In]) -> list[Out]:
    """The results in order; reading leaves the interpreter free, so threads are enough."""
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(work, items))


def _size(path: Path) -> tuple[int, int] | None:
    try:
        return size_of(path)
    except UnreadableImage:  # told with its remedy when the images are read
        return None
