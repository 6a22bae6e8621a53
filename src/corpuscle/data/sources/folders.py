"""Layouts of folders: a class a folder, train, val and test folders of those, and images without classes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from corpuscle.core.errors import Fault
from corpuscle.data.sources.disk import absolute, counted_by_suffix, files_under, is_image, listing
from corpuscle.data.sources.found import Found
from corpuscle.data.sources.plan import SourcePlan
from corpuscle.data.table import ANYTHING, COLUMNS

PARTS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}  # a word for a part of a data set, in small letters, to ours


def scan_class_folders(path: Path, plan: SourcePlan) -> Found:
    """One row per image of a folder-per-class layout; the class is the folder's name."""
    return _scan(absolute(path), {"": None})


def scan_split_folders(path: Path, plan: SourcePlan) -> Found:
    """The same below train, val and test folders; a test folder of images alone is unlabelled."""
    return _scan(absolute(path), {f"{name}/": PARTS.get(name.lower()) for name in listing(path).folders})


def scan_images(path: Path, plan: SourcePlan) -> Found:
    """One row per image of a folder and of all folders in it, without a label.

    Folders named train, val and test are parts. A PNG beside one other image of its stem is taken for its mask.
    """
    root = absolute(path)
    names = list(files_under(root))
    images = [name for name in names if is_image(name)]
    stems = Counter(_stem(name) for name in images if not name.lower().endswith(".png"))
    masks = [name for name in images if name.lower().endswith(".png") and stems[_stem(name)] == 1]
    images = sorted(set(images) - set(masks))
    first = {name: name.partition("/")[0] if "/" in name else "" for name in images}
    parts = {folder: PARTS.get(folder.lower()) for folder in set(first.values())}
    divided = "train" in parts.values() or (bool(parts) and all(parts.values()))
    rows = [
        (name, ANYTHING, None, parts[first[name]] if divided else None, first[name] or root.name, None)
        for name in images
        if not divided or parts[first[name]]
    ]
    notes = []
    if masks:
        notes.append(f"left out: {counted_by_suffix(masks)} beside an image of the same name, taken for masks")
    if others := len(images) - len(rows):
        notes.append(f"left out: {others} images outside of the folders train, val and test")
    faults = [] if rows else [Fault(f"{root}", "no image in it", "name a folder of images")]
    return Found(pl.DataFrame(rows, schema=COLUMNS, orient="row"), root, tuple(notes), tuple(faults))


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]  # noqa: PTH122 (building a Path for each of 100,000 names is slow)


def _scan(root: Path, parts: Mapping[str, str | None]) -> Found:
    """Rows below each folder of `parts`, its prefix to its split; a folder that is none of the splits is left out."""
    rows: list[tuple[str, str | None, None, str | None, str, None]] = []
    notes, faults, others = [], [], []
    for prefix, split in parts.items():
        if split is None and prefix:
            notes.append(f"left out: folder '{prefix.rstrip('/')}', which is none of train, val and test")
            continue
        inside = listing(root / prefix)
        loose = [prefix + name for name in inside.images]
        others += [prefix + name for name in inside.files if not is_image(name)]
        if split == "test" and loose and not inside.folders:
            rows += [(image, None, None, "unlabelled", prefix.rstrip("/"), None) for image in loose]
            continue
        if loose:
            notes.append(f"left out: {counted_by_suffix(loose)} outside of any class folder")
        for name in inside.folders:
            files = [f"{prefix}{name}/{file}" for file in files_under(root / prefix / name)]
            images = [file for file in files if is_image(file)]
            others += [file for file in files if not is_image(file)]
            rows += [(image, name, None, split, name, None) for image in images]
            if not images and split in (None, "train"):
                faults.append(
                    Fault(f"{root / prefix / name}", "class folder without an image", "add images or remove it")
                )
            elif not images:
                notes.append(f"class folder '{prefix}{name}' holds no image")
        if not inside.folders:
            faults.append(
                Fault(f"{root / prefix}", "no class folders in it", "put each class's images in a folder of its name")
            )
    if others:
        notes.append(f"left out: {counted_by_suffix(others)}, not images")
    return Found(pl.DataFrame(rows, schema=COLUMNS, orient="row"), root, tuple(notes), tuple(faults))
