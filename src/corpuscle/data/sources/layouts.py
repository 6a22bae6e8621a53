"""The layouts that are understood, and how to tell them apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from corpuscle.core.errors import CorpuscleError
from corpuscle.data.readers.hdf5 import is_hdf5
from corpuscle.data.readers.slides import is_slide
from corpuscle.data.sources.coco import is_coco, scan_coco
from corpuscle.data.sources.csvs import csvs_in, scan_csv, scan_csvs
from corpuscle.data.sources.disk import (
    TABLE_SUFFIXES,
    Listing,
    files_under,
    is_image,
    listing,
    no_such_path,
    suffix_of,
)
from corpuscle.data.sources.dots import has_dots, scan_dots
from corpuscle.data.sources.folders import PARTS, scan_class_folders, scan_images, scan_split_folders
from corpuscle.data.sources.found import Found
from corpuscle.data.sources.lysto import scan_hdf5
from corpuscle.data.sources.marks import read_json, scan_geojson, scan_json
from corpuscle.data.sources.masks import has_masks, is_mask_sheet, scan_masks
from corpuscle.data.sources.plan import SourcePlan
from corpuscle.data.sources.points import is_points, scan_points
from corpuscle.data.sources.slides import has_slides, scan_slides
from corpuscle.data.sources.voc import is_voc, scan_voc

LAYOUTS: dict[str, Callable[[Path, SourcePlan], Found]] = {
    "one folder per class": scan_class_folders,
    "train, val and test folders": scan_split_folders,
    "one CSV": scan_csv,
    "train, valid and test CSVs": scan_csvs,
    "one HDF5 file": scan_hdf5,
    "images and images of dots": scan_dots,
    "a CSV of points": scan_points,
    "a JSON file of points": scan_json,
    "images and GeoJSON files of points": scan_geojson,
    "boxes in Pascal VOC": scan_voc,
    "boxes in COCO": scan_coco,
    "images and masks": scan_masks,
    "a folder of images": scan_images,
    "whole slides": scan_slides,
}
OF_TABLES = ("one CSV", "train, valid and test CSVs")  # whose images may be slides
EXPECTED = (
    "a folder per class, train, val and test folders of those, or a CSV that names images and labels, "
    "or whole slides, or, to count, an HDF5 file, pairs of images and dots, or points or boxes, or images and masks"
)
WITH_OTHERS = (
    "train, valid and test CSVs",
    "a CSV of points",
    "one HDF5 file",
    "boxes in COCO",
    "images and masks",
)  # data.valid, data.test


def layout_of(path: Path, plan: SourcePlan) -> str:
    """The key of `LAYOUTS` that a path is of.

    Raises:
        CorpuscleError: there is no such path, or nothing in it that is understood.
    """
    beside = plan.valid or plan.test
    if not path.exists():
        raise no_such_path(path)
    if path.is_file():
        return _layout_of_file(path, plan)
    layout = _layout_of_folder(path, plan) if plan.labels == "auto" else _without_labels(path, plan)
    if beside and layout not in WITH_OTHERS:
        raise CorpuscleError(
            f"{path} is {layout}, {beside} belongs beside a train CSV; name that CSV instead of a folder"
        )
    return layout


def _without_labels(path: Path, plan: SourcePlan) -> str:
    """The layout of a folder whose labels do not matter: what tells more than the images is still looked at."""
    try:
        layout = _layout_of_folder(path, plan)
    except CorpuscleError:
        return "a folder of images"
    return "a folder of images" if layout in ("one folder per class", "train, val and test folders") else layout


def _layout_of_file(path: Path, plan: SourcePlan) -> str:
    if suffix_of(path.name) in TABLE_SUFFIXES:
        if is_mask_sheet(path, plan):
            return "images and masks"
        if is_points(path, plan):
            return "a CSV of points"
        return "train, valid and test CSVs" if plan.valid or plan.test else "one CSV"
    if is_hdf5(path.name):
        return "one HDF5 file"
    if suffix_of(path.name) == ".geojson":
        return "images and GeoJSON files of points"
    if suffix_of(path.name) == ".json":
        return "boxes in COCO" if is_coco(read_json(path)) else "a JSON file of points"
    if is_slide(path, named=True):
        return "whole slides"
    kind = "an image" if is_image(path.name) else f"a file of an unknown kind ({path.suffix or 'without a suffix'})"
    raise CorpuscleError(f"{path} is {kind}, expected {EXPECTED}; name the folder or save the table as CSV")


def _layout_of_folder(path: Path, plan: SourcePlan) -> str:
    inside = listing(path)
    if is_voc(inside):
        return "boxes in Pascal VOC"
    parts_named = csvs_in(path)
    if "train" in parts_named:
        if is_mask_sheet(parts_named["train"], plan):
            return "images and masks"
        return "a CSV of points" if is_points(parts_named["train"], plan) else "train, valid and test CSVs"
    if plan.masks != "beside" and not inside.tables and has_slides(path):
        return "whole slides"
    if has_masks(path, plan):
        return "images and masks"
    parts = [PARTS.get(name.lower()) for name in inside.folders]
    is_split = "train" in parts or (bool(parts) and all(parts))
    if is_split and any(listing(path / name).folders for name in inside.folders):
        return "train, val and test folders"
    with_images = [name for name in inside.folders if any(map(is_image, files_under(path / name)))]
    if len(inside.tables) == 1 and (is_split or len(with_images) < 2 or plan.masks == "beside"):
        return "a CSV of points" if is_points(path / inside.tables[0], plan) else "one CSV"
    if is_split:
        return "train, val and test folders"
    if len(with_images) < 2 and inside.tables:
        raise CorpuscleError(f"{path} holds several CSVs ({', '.join(inside.tables[:12])}), one was expected; name it")
    counted = _counted_layout(path, inside, not with_images) if len(with_images) < 2 else None
    if counted:
        return counted
    if inside.folders:
        return "one folder per class"
    what = f"holds {len(inside.images)} images without classes" if inside.images else "holds no image"
    raise CorpuscleError(f"{path} {what}, expected {EXPECTED}; sort the images into folders or write a CSV")


def _counted_layout(path: Path, inside: Listing, flat: bool) -> str | None:
    """The layout of a folder of counted objects without a table; `flat` where its own folders hold no image."""
    if flat and any(suffix_of(name) == ".geojson" for name in inside.files):
        return "images and GeoJSON files of points"
    if flat and has_dots(inside.images):
        return "images and images of dots"
    files = [name for name in inside.files if is_hdf5(name)] if flat else []
    layout = "one HDF5 file"
    if not files:
        files = [name for name in inside.files if suffix_of(name) == ".json"]
        kinds = {name: _json_layout(path / name, flat) for name in files}
        files = [name for name, kind in kinds.items() if kind]
        layout = next((kind for kind in kinds.values() if kind), "")
    if len(files) > 1:
        raise CorpuscleError(f"{path} holds several files ({', '.join(files[:12])}), one was expected; name it")
    return layout if files else None


def _json_layout(file: Path, flat: bool) -> str | None:
    """The layout of a JSON file of a folder; where it lies beside a folder of images it may be something else."""
    try:
        content = read_json(file)
    except CorpuscleError:
        if flat:
            raise
        return None
    if is_coco(content):
        return "boxes in COCO"
    named = isinstance(content, dict) and any(is_image(name) for name in content)
    return "a JSON file of points" if named else None
