"""The layouts that are understood, and how to tell them apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from corpuscle.core.errors import CorpuscleError
from corpuscle.data.sources.csvs import csvs_in, scan_csv, scan_csvs
from corpuscle.data.sources.disk import TABLE_SUFFIXES, files_under, is_image, listing, no_such_path, suffix_of
from corpuscle.data.sources.folders import PARTS, scan_class_folders, scan_split_folders
from corpuscle.data.sources.found import Found
from corpuscle.data.sources.plan import SourcePlan

LAYOUTS: dict[str, Callable[[Path, SourcePlan], Found]] = {
    "one folder per class": scan_class_folders,
    "train, val and test folders": scan_split_folders,
    "one CSV": scan_csv,
    "train, valid and test CSVs": scan_csvs,
}
EXPECTED = "a folder per class, train, val and test folders of those, or a CSV that names images and labels"


def layout_of(path: Path, plan: SourcePlan) -> str:
    """The key of `LAYOUTS` that a path is of.

    Raises:
        CorpuscleError: there is no such path, or nothing in it that is understood.
    """
    beside = plan.valid or plan.test
    if not path.exists():
        raise no_such_path(path)
    if path.is_file():
        if suffix_of(path.name) in TABLE_SUFFIXES:
            return "train, valid and test CSVs" if beside else "one CSV"
        kind = "an image" if is_image(path.name) else f"a file of an unknown kind ({path.suffix or 'without a suffix'})"
        raise CorpuscleError(f"{path} is {kind}, expected {EXPECTED}; name the folder or save the table as CSV")
    layout = _layout_of_folder(path)
    if beside and layout != "train, valid and test CSVs":
        raise CorpuscleError(
            f"{path} is {layout}, {beside} belongs beside a train CSV; name that CSV instead of a folder"
        )
    return layout


def _layout_of_folder(path: Path) -> str:
    inside = listing(path)
    if "train" in csvs_in(path):
        return "train, valid and test CSVs"
    parts = [PARTS.get(name.lower()) for name in inside.folders]
    is_split = "train" in parts or (bool(parts) and all(parts))
    if is_split and any(listing(path / name).folders for name in inside.folders):
        return "train, val and test folders"
    with_images = [name for name in inside.folders if any(map(is_image, files_under(path / name)))]
    if len(inside.tables) == 1 and (is_split or len(with_images) < 2):
        return "one CSV"
    if is_split:
        return "train, val and test folders"
    if len(with_images) < 2 and inside.tables:
        raise CorpuscleError(f"{path} holds several CSVs ({', '.join(inside.tables[:12])}), one was expected; name it")
    if inside.folders:
        return "one folder per class"
    what = f"holds {len(inside.images)} images without classes" if inside.images else "holds no image"
    raise CorpuscleError(f"{path} {what}, expected {EXPECTED}; sort the images into folders or write a CSV")
