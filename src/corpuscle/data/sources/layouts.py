"""The layouts that are understood, and how to tell them apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from corpuscle.core.errors import CorpuscleError
from corpuscle.data.annotations.coco import coco_in, is_coco
from corpuscle.data.annotations.cvat import cvat_in, is_cvat
from corpuscle.data.annotations.labelme import is_labelme
from corpuscle.data.annotations.qupath import geojson_folders
from corpuscle.data.annotations.voc import is_voc, is_voc_beside
from corpuscle.data.annotations.yolo import is_yolo, is_yolo_sheet
from corpuscle.data.readers.slides import is_slide
from corpuscle.data.readers.stacks import is_hdf5, is_npz
from corpuscle.data.sources.annotated import (
    scan_coco,
    scan_cvat,
    scan_geojson,
    scan_labelme,
    scan_voc,
    scan_yolo,
)
from corpuscle.data.sources.arrays import scan_arrays
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
from corpuscle.data.sources.marks import scan_json
from corpuscle.data.sources.masks import has_masks, is_mask_sheet, scan_masks
from corpuscle.data.sources.named import read_json
from corpuscle.data.sources.nnunet import is_nnunet, scan_nnunet
from corpuscle.data.sources.pairs import is_pair, of_images, scan_pair, table_in
from corpuscle.data.sources.plan import SourcePlan
from corpuscle.data.sources.points import is_points, scan_points
from corpuscle.data.sources.slides import has_slides, scan_slides

LAYOUTS: dict[str, Callable[[Path, SourcePlan], Found]] = {
    "one folder per class": scan_class_folders,
    "train, val and test folders": scan_split_folders,
    "one CSV": scan_csv,
    "train, valid and test CSVs": scan_csvs,
    "a CSV and folders of images": scan_pair,
    "one HDF5 file": scan_arrays,
    "one NPZ file": scan_arrays,
    "images and images of dots": scan_dots,
    "a CSV of points": scan_points,
    "a JSON file of points": scan_json,
    "images and GeoJSON files": scan_geojson,
    "boxes in Pascal VOC": scan_voc,
    "boxes in COCO": scan_coco,
    "shapes in YOLO": scan_yolo,
    "shapes in LabelMe": scan_labelme,
    "shapes in CVAT": scan_cvat,
    "images and masks": scan_masks,
    "nnU-Net": scan_nnunet,
    "a folder of images": scan_images,
    "whole slides": scan_slides,
}
OF_TABLES = ("one CSV", "train, valid and test CSVs", "a CSV and folders of images")  # whose images may be slides
EXPECTED = (
    "a folder per class, train, val and test folders of those, or a CSV that names images and labels, "
    "or an NPZ file, or an archive of these, or whole slides, or, to count, an HDF5 file, pairs of images and dots, "
    "or points, boxes or other shapes, or images and masks"
)
LOOKED_AT = 4  # files of a folder, to tell whose they are
MOST_KEYS = 5  # of a JSON file, that are shown
WITH_OTHERS = (
    "train, valid and test CSVs",
    "a CSV and folders of images",
    "a CSV of points",
    "one HDF5 file",
    "one NPZ file",
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
        if is_pair(path, plan):
            return "a CSV and folders of images"
        return "train, valid and test CSVs" if plan.valid or plan.test else "one CSV"
    if is_hdf5(path.name) or is_npz(path.name):
        return "one HDF5 file" if is_hdf5(path.name) else "one NPZ file"
    if suffix_of(path.name) == ".geojson":
        return "images and GeoJSON files"
    if suffix_of(path.name) == ".json":
        if is_coco(path):
            return "boxes in COCO"
        return "shapes in LabelMe" if is_labelme(read_json(path)) else "a JSON file of points"
    if is_yolo_sheet(path):
        return "shapes in YOLO"
    if is_cvat(path):
        return "shapes in CVAT"
    if is_slide(path, named=True):
        return "whole slides"
    kind = "an image" if is_image(path.name) else f"a file of an unknown kind ({path.suffix or 'without a suffix'})"
    raise CorpuscleError(f"{path} is {kind}, expected {EXPECTED}; name the folder or save the table as CSV")


def _layout_of_folder(path: Path, plan: SourcePlan) -> str:
    inside = listing(path)
    drawn = _drawn_layout(path, inside)
    if drawn:
        return drawn
    parts_named = csvs_in(path)
    if "train" in parts_named:
        if is_mask_sheet(parts_named["train"], plan):
            return "images and masks"
        if is_points(parts_named["train"], plan):
            return "a CSV of points"
        return "a CSV and folders of images" if is_pair(parts_named["train"], plan) else "train, valid and test CSVs"
    if plan.masks != "beside" and not inside.tables and has_slides(path):
        return "whole slides"
    if has_masks(path, plan):
        return "images and masks"
    parts = [PARTS.get(name.lower()) for name in inside.folders]
    is_split = "train" in parts or (bool(parts) and all(parts))
    if is_split and any(listing(path / name).folders for name in inside.folders):
        return "train, val and test folders"
    with_images = [name for name in inside.folders if any(map(is_image, files_under(path / name)))]
    if inside.tables and with_images and of_images(with_images) and table_in(path, plan):
        return "a CSV and folders of images"
    if len(inside.tables) == 1 and (is_split or len(with_images) < 2 or plan.masks == "beside"):
        return "a CSV of points" if is_points(path / inside.tables[0], plan) else "one CSV"
    if is_split:
        return "train, val and test folders"
    if len(with_images) < 2 and inside.tables:
        raise CorpuscleError(f"{path} holds several CSVs ({', '.join(inside.tables[:12])}), one was expected; name it")
    counted = _counted_layout(path, inside, not with_images) if len(with_images) < 2 else None
    if counted:
        return counted
    strange = [path / name for name in inside.files if suffix_of(name) == ".json"]
    if strange and len(with_images) < 2 and (not with_images or of_images(with_images)):
        raise _strange_json(strange[0])
    if inside.folders:
        return "one folder per class"
    what = f"holds {len(inside.images)} images without classes" if inside.images else "holds no image"
    raise CorpuscleError(f"{path} {what}, expected {EXPECTED}; sort the images into folders or write a CSV")


def _drawn_layout(path: Path, inside: Listing) -> str | None:
    """The layout of a folder that is told by its own names, whatever lies in it beside."""
    if is_voc(inside):
        return "boxes in Pascal VOC"
    if is_nnunet(inside):
        return "nnU-Net"
    if is_yolo(path):
        return "shapes in YOLO"
    if cvat_in(path):
        return "shapes in CVAT"
    if inside.tables:
        return None  # which are asked first
    if any(map(_holds_labelme, (path, *(path / name for name in inside.folders)))):
        return "shapes in LabelMe"
    if is_voc_beside(path):
        return "boxes in Pascal VOC"
    if all(geojson_folders(path)) and geojson_folders(path):
        return "images and GeoJSON files"
    found = coco_in(path)
    named = all(part or file.parent != path for file, part in found.items())  # one at the top may be of anything
    return "boxes in COCO" if found and named else None


def _holds_labelme(folder: Path) -> bool:
    """Whether LabelMe's files lie in a folder, each beside an image of its name; the first of them are read."""
    inside = listing(folder)
    stems = {Path(name).stem for name in inside.images}
    named = [name for name in inside.files if suffix_of(name) == ".json" and (Path(name).stem in stems or not stems)]
    try:
        return any(not is_coco(folder / name) and is_labelme(read_json(folder / name)) for name in named[:LOOKED_AT])
    except CorpuscleError:
        return False


def _strange_json(file: Path) -> CorpuscleError:
    """The error for a JSON file of a data set that is none of those that are read."""
    content = read_json(file)
    keys = ", ".join(list(content)[:MOST_KEYS]) if isinstance(content, dict) else ""
    what = f"an object with {keys or 'nothing in it'}" if isinstance(content, dict) else f"a {type(content).__name__}"
    return CorpuscleError(
        f"{file} is JSON of another kind ({what}), expected COCO (images, annotations, categories), LabelMe (shapes) "
        "or points by image; export it as one of these, call GeoJSON .geojson, or remove it"
    )


def _counted_layout(path: Path, inside: Listing, flat: bool) -> str | None:
    """The layout of a folder of counted objects without a table; `flat` where its own folders hold no image."""
    if any(suffix_of(name) == ".geojson" for name in inside.files):
        return "images and GeoJSON files"
    if flat and has_dots(inside.images):
        return "images and images of dots"
    files = [name for name in inside.files if is_hdf5(name) or is_npz(name)] if flat else []
    layout = "one NPZ file" if any(map(is_npz, files)) else "one HDF5 file"
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
    if is_coco(file):
        return "boxes in COCO"
    try:
        content = read_json(file)
    except CorpuscleError:
        if flat:
            raise
        return None
    named = isinstance(content, dict) and any(is_image(name) for name in content)
    return "a JSON file of points" if named else None
