"""Layouts of folders: a class a folder, and train, val and test folders of those."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from corpuscle.core.errors import Fault
from corpuscle.data.sources.disk import absolute, counted_by_suffix, files_under, is_image, listing
from corpuscle.data.sources.found import Found
from corpuscle.data.sources.plan import SourcePlan
from corpuscle.data.table import COLUMNS

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
