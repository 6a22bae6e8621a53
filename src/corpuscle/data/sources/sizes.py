"""Sizes of images from their headers alone, several at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from corpuscle.core.threads import in_threads
from corpuscle.data.readers.image import UnreadableImage, size_of


def sizes_of(paths: Sequence[Path]) -> list[tuple[int, int] | None]:
    """Width and height of each image, None where its header cannot be read; decodes nothing."""
    return list(in_threads(_size, paths))


def _size(path: Path) -> tuple[int, int] | None:
    try:
        return size_of(path)
    except UnreadableImage:  # told with its remedy when the images are read
        return None
